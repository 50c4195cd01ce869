package block

import "weir/internal/sample"

// form is how a run's values are written. Up to maxScale: floats, as integers
// after scaling by that power of ten.
type form uint8

const (
	formPlanes     form = maxScale + 1 + iota // floats, as byte planes
	formResidues                              // floats, as decimals and residues
	formDictionary                            // floats, as ranks among their distinct values
	formInt
	formBool
	formText
	forms
)

// integral says whether values of the form go to the columns of integers.
func (f form) integral() bool { return f <= maxScale || f == formInt }

// own says whether a run of the form is a column of its own.
func (f form) own() bool { return f == formResidues || f == formDictionary }

// formOf gives the form of a kind's values; of a float64 run it is chosen.
func formOf(k sample.Kind) form {
	switch k {
	case sample.Int64:
		return formInt
	case sample.Bool:
		return formBool
	case sample.String:
		return formText
	}
	return formPlanes
}

// A shorter run whose floats need fewer decimals by chance is scaled as most
// runs are, at most so many powers of ten higher: one long stretch of forms
// costs less than a change to and fro.
const (
	shortRun = 16
	maxRaise = 3
)

// chooseForms fills forms, one a run, and numbers, one a sample: the integers
// of the runs that have an integral form.
func (e *encoder) chooseForms(b *Batch) {
	e.forms = e.forms[:0]
	e.numbers = resize(e.numbers, b.Samples())
	var seen [maxScale + 1]int
	for i, kind := range b.Kinds {
		f := formOf(kind)
		start, end := b.Run(i)
		switch kind {
		case sample.Int64:
			for j, v := range b.Bits[start:end] {
				e.numbers[start+j] = int64(v)
			}
		case sample.Float64:
			scale, ok := scaleRun(e.numbers[start:end], b.Bits[start:end], 0, maxScale)
			if ok {
				f = form(scale)
			}
			if ok && start < end {
				seen[f]++
			}
		}
		e.forms = append(e.forms, f)
	}
	usual := 0
	for scale, n := range seen {
		if n >= seen[usual] {
			usual = scale
		}
	}
	for i, f := range e.forms {
		start, end := b.Run(i)
		if int(f) < usual && usual-int(f) <= maxRaise && end-start < shortRun {
			e.raise(i, b.Bits[start:end], e.numbers[start:end], usual)
		}
	}
	e.chooseOwn(b)
}

// raise scales run i by another power of ten, where all its values bear it.
func (e *encoder) raise(i int, values []uint64, numbers []int64, scale int) {
	for j, v := range values {
		n, ok := scaleOne(v, scale)
		if !ok {
			scaleRun(numbers, values, int(e.forms[i]), int(e.forms[i]))
			return
		}
		numbers[j] = n
	}
	e.forms[i] = form(scale)
}

// integers calls yield for each run of integers, with its place in numbers.
func (e *encoder) integers(b *Batch, yield func(f form, numbers []int64)) {
	for i, f := range e.forms {
		start, end := b.Run(i)
		if f.integral() && start < end {
			yield(f, e.numbers[start:end])
		}
	}
}

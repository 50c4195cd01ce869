package block

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"weir/internal/sample"
)

// ownModel is runs of floats of all natures, between runs of other kinds.
func ownModel(seed uint64, longest int) (b *Batch, handles []sample.Handle) {
	r := rand.New(rand.NewPCG(seed, 11))
	b = new(Batch)
	add := func(kind sample.Kind, values []uint64) {
		for i, v := range values {
			b.Times = append(b.Times, 1767571200e9+int64(i)*1e9)
			b.Bits = append(b.Bits, v)
		}
		h := sample.NewHandle(0, uint32(len(handles)))
		handles = append(handles, h)
		b.EndRun(h, kind)
	}
	for _, nature := range natures() {
		add(sample.Float64, floats(nature, r.IntN(longest), r))
		add(sample.Int64, floats("any bits", r.IntN(20), r))
	}
	return b, handles
}

// floatsModel is the golden block of runs of floats that are columns of their
// own: read by two divisions, few distinct ones, through a float32.
func floatsModel() model {
	var m model
	n := int64(7396732207)
	for i := range 3 {
		run := modelRun{handle: sample.NewHandle(1, uint32(i)), kind: sample.Float64}
		for j := range int64(150) {
			n += j * j * 7919 % 40013
			bits := [...]uint64{twice(n, 2, 6), math.Float64bits(math.Sqrt(float64(j * j % 7))), decimals{2, true}.join(uint64(n % 30011))}[i]
			run.samples = append(run.samples, modelSample{Sample: sample.Sample{
				Time: (1767571200 + 10*j) * 1e9, Value: sample.Value{Kind: sample.Float64, Bits: bits},
			}})
		}
		m.runs = append(m.runs, run)
	}
	return m
}

func TestGoldenFloatsHaveTheirForms(t *testing.T) {
	got := formsOf(t, mustEncode(t, floatsModel()))
	if got[formResidues] != 2 || got[formDictionary] != 1 {
		t.Errorf("forms %v", got)
	}
}

// formsOf gives how often each form is in a block.
func formsOf(t fatal, body []byte) map[form]int {
	d := new(decoder)
	var err error
	if d.layout, err = parse(body); err == nil {
		err = d.open()
	}
	if err != nil {
		t.Fatalf("%v", err)
	}
	out := map[form]int{}
	for _, r := range d.runs {
		if r.count > 0 {
			out[r.form]++
		}
	}
	return out
}

func TestRunsOfTheirOwn(t *testing.T) {
	reached := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		b, handles := ownModel(rapid.Uint64().Draw(t, "seed"), rapid.SampledFrom([]int{30, 200, 2000}).Draw(t, "longest"))
		wanted := handles[rapid.IntRange(0, len(handles)-1).Draw(t, "wanted")]
		for effort, encode := range map[string]func([]byte, *Batch) ([]byte, error){"fast": Encode, "small": EncodeSmall} {
			body, err := encode(nil, b)
			if err != nil {
				t.Fatal(err)
			}
			for f, n := range formsOf(t, body) {
				reached[fmt.Sprint(effort, f)] += n
			}
			var all, one Batch
			if err := Decode(&all, body); err != nil || !slices.Equal(all.Bits, b.Bits) || !slices.Equal(all.Times, b.Times) {
				t.Fatalf("%s: not what was encoded; %v", effort, err)
			}
			start, end := b.Run(int(wanted.Ordinal()))
			if err := DecodeSeries(&one, body, []sample.Handle{wanted}); err != nil || !slices.Equal(one.Bits, b.Bits[start:end]) {
				t.Fatalf("%s: run %d alone is another; %v", effort, wanted, err)
			}
		}
	})
	if testing.Short() {
		return // too few runs to reach every form
	}
	for _, effort := range []string{"fast", "small"} {
		for _, f := range []form{0, formPlanes, formResidues, formDictionary} {
			if reached[fmt.Sprint(effort, f)] == 0 {
				t.Errorf("no run had form %d at the %s effort: the test tests nothing", f, effort)
			}
		}
	}
}

// The higher effort is never the larger for it, and what is best left alone is.
func TestOwnRunsAreTheSmaller(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 12))
	for nature, want := range map[string]form{
		"any bits": formPlanes, "few": formDictionary, "floats of 32 bits": formResidues, "decimals and a few ULP": formResidues,
	} {
		values := floats(nature, 2000, r)
		if nature == "floats of 32 bits" { // any, lest they repeat
			for i := range values {
				values[i] = decimals{3, true}.join(uint64(r.IntN(1e6)))
			}
		}
		b := batchOf(column{times: make([]int64, len(values)), bits: values})
		fast, err := Encode(nil, b)
		if err != nil {
			t.Fatal(err)
		}
		small, err := EncodeSmall(nil, b)
		if err != nil {
			t.Fatal(err)
		}
		if len(small) > len(fast) {
			t.Errorf("%s: %d bytes at the higher effort, %d at the fast one", nature, len(small), len(fast))
		}
		for _, body := range [][]byte{fast, small} {
			if got := formsOf(t, body); got[want] != 1 {
				t.Errorf("%s: forms %v, not %d", nature, got, want)
			}
		}
	}
	// 20 binary places are more digits than a decimal has room for, and planes
	// see that the rest is zeros.
	values := make([]uint64, 2000)
	for i := range values {
		values[i] = math.Float64bits(float64(r.IntN(1<<22)) / (1 << 20))
	}
	body, err := EncodeSmall(nil, batchOf(column{times: make([]int64, len(values)), bits: values}))
	if err != nil {
		t.Fatal(err)
	}
	if got := formsOf(t, body); got[formPlanes] != 1 {
		t.Errorf("binary fractions have forms %v", got)
	}
}

// Runs that are alike and walk in small steps share a column, at both efforts,
// whatever their steps are about.
func TestDecimalsThatSuitPairsStayInThem(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 13))
	for _, drift := range []int{0, 4, 100} {
		var columns []column
		for range 20 {
			values, n := make([]uint64, 300), r.IntN(1e6)
			for i := range values {
				n += drift + r.IntN(9)
				values[i] = math.Float64bits(float64(n) / 1000)
			}
			columns = append(columns, column{times: make([]int64, len(values)), bits: values})
		}
		for _, encode := range []func([]byte, *Batch) ([]byte, error){Encode, EncodeSmall} {
			body, err := encode(nil, batchOf(columns...))
			if err != nil {
				t.Fatal(err)
			}
			if got := formsOf(t, body); got[3] != len(columns) {
				t.Errorf("steps of %d to %d have forms %v", drift, drift+8, got)
			}
		}
	}
}

func TestVersion1HasNoOwnRuns(t *testing.T) {
	for version, want := range map[byte]bool{1: false, 2: true} {
		d := &decoder{layout: &layout{header: header{version: version}}, runs: []run{{count: 1, kind: sample.Float64}}}
		c := &cursor{data: appendLengths(nil, []uint64{uint64(formDictionary)})}
		if d.readForms(c, 1); c.done() != want {
			t.Errorf("version %d: form %d is fine: %v", version, formDictionary, c.done())
		}
	}
}

func TestForgedOwnRuns(t *testing.T) {
	b, _ := ownModel(1, 2000)
	body, err := Encode(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	l, err := parse(body)
	if err != nil {
		t.Fatal(err)
	}
	raw := slices.Clone(l.parts[sectionOwn].stored)
	size, prefix := binary.Uvarint(raw)
	end := prefix + int(size)
	longer := append(binary.AppendUvarint(nil, size+1), raw[prefix:end]...)
	longer = append(append(longer, 0), raw[end:]...)
	for what, forged := range map[string][]byte{
		"nothing":              {},
		"a byte too few":       raw[:len(raw)-1],
		"a byte too many":      append(slices.Clone(raw), 0),
		"a run cut short":      append([]byte{0}, raw...),
		"a run too long":       longer,
		"a run without an end": append([]byte{255, 255, 255, 255, 15}, raw...),
	} {
		l.parts[sectionOwn] = part{stored: forged, raw: len(forged)}
		if err := Decode(new(Batch), rebuild(l)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

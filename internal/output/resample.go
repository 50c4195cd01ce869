package output

import (
	"math"
	"slices"
)

// pause is how many usual steps two samples may lie apart before there is a
// gap between them.
const pause = 3

// resample gives a value for each of some columns over a range of time: the
// mean of the column's samples, else what lies on the straight line between the
// samples around it, else NaN for a gap. Both ends of the range are columns.
func (l Line) resample(start, end int64, columns int) []float64 {
	sums := make([]float64, columns)
	counts := make([]int, columns)
	width := max((float64(end)-float64(start))/float64(columns-1), 1)
	for i, t := range l.Times {
		if t < start || t > end || !finite(l.Values[i]) {
			continue
		}
		at := min(columns-1, int(math.Round((float64(t)-float64(start))/width)))
		counts[at]++
		// A running mean, since a sum of large numbers can overflow.
		sums[at] += l.Values[i]/float64(counts[at]) - sums[at]/float64(counts[at])
	}
	longest := max(pause*l.usualStep()/width, 1)
	last := -1 // the column with samples before this one
	for at := range sums {
		if counts[at] == 0 {
			sums[at] = math.NaN()
			continue
		}
		if between := at - last; last >= 0 && float64(between) <= longest {
			for fill := last + 1; fill < at; fill++ {
				part := float64(fill-last) / float64(between)
				sums[fill] = sums[last]*(1-part) + sums[at]*part
			}
		}
		last = at
	}
	return sums
}

// usualStep gives the median of the steps between samples, in ns.
func (l Line) usualStep() float64 {
	if len(l.Times) < 2 {
		return 0
	}
	steps := make([]float64, 0, len(l.Times)-1)
	for i, t := range l.Times[1:] {
		steps = append(steps, float64(t)-float64(l.Times[i]))
	}
	slices.Sort(steps)
	return steps[len(steps)/2]
}

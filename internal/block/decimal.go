package block

import "math"

// maxScale is the largest power of ten that a decimal float is scaled by.
const maxScale = 15

// powers are the powers of ten; each is an exact float64.
var powers = [maxScale + 1]float64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}

// scaleOne gives the integer that a float64 is ten to the scale times, if it
// comes back from it bit by bit.
func scaleOne(bits uint64, scale int) (int64, bool) {
	const (
		limit = 1 << 51
		// Adding and subtracting it rounds what is below the limit.
		rounder = 3 << 51
	)
	// The conversions keep compilers from fusing the operations, so that all
	// machines write the same bytes. NaN fails the comparison.
	x := float64(math.Float64frombits(bits) * powers[scale])
	if !(x > -limit && x < limit) {
		return 0, false
	}
	n := int64(float64(x+rounder) - rounder)
	return n, unscaleOne(n, scale) == bits
}

// unscaleOne is the inverse of scaleOne.
func unscaleOne(n int64, scale int) uint64 {
	return math.Float64bits(float64(n) / powers[scale])
}

// scaleRun writes a run's floats as integers of one scale, the least that
// all come back from, beginning at from. It says false, and out is anything,
// if there is none up to most.
func scaleRun(out []int64, values []uint64, from, most int) (scale int, ok bool) {
	scale = from
	for i := 0; i < len(values); i++ {
		n, ok := scaleOne(values[i], scale)
		if ok {
			out[i] = n
			continue
		}
		for scale++; scale <= most; scale++ {
			if _, ok = scaleOne(values[i], scale); ok {
				break
			}
		}
		if !ok {
			return 0, false
		}
		i = -1 // those before it need the new scale too
	}
	return scale, true
}

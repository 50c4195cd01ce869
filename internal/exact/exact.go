// Package exact owns sums of float64 values that are rounded once: what comes of
// them hangs neither on order nor on division. It imports nothing of ours.
package exact

import (
	"math"
	"math/big"
)

// Sum is the exact sum of float64 values, rounded once when it is asked
// for. So it hangs neither on the order in which values were added nor on how
// they were divided: a sum of sums is the sum.
//
// While it can, it is two float64s whose exact sum it is. TwoSum (Knuth, The
// Art of Computer Programming 2, 4.2.2) gives the rounding error of an addition
// as a float64; the errors are added up in low, and as soon as that would
// round too, all goes into an accumulator as wide as all float64s.
//
// A NaN, or both infinities, make the sum NaN; one infinity makes it that. Past
// the greatest float64 it is an infinity only if the exact sum rounds to one.
// The sum of nothing but -0 is -0; any other that is exactly zero is 0.
type Sum struct {
	high float64
	low  float64 // -0 where it is zero and a value was added that is not -0
	wide *accumulator
}

// safe bounds what is added by TwoSum: below it nothing overflows on the way.
const safe = 0x1p1000

// Add adds the values whose bits are given.
func (s *Sum) Add(values []uint64) {
	for len(values) > 0 {
		part := values[:min(len(values), integersAtOnce)]
		values = values[len(part):]
		if total, ok := sumIntegers(part); ok {
			s.add([]uint64{math.Float64bits(float64(total))})
		} else {
			s.add(part)
		}
	}
}

// integersAtOnce is how many integers below 2^42 are added as such: the sum is
// one that a float64 has.
const integersAtOnce = 1 << 10

// sumIntegers gives the sum of values that are small integers; ok is false where
// one is not, or is -0.
func sumIntegers(values []uint64) (total int64, ok bool) {
	const bound = 1 << 42
	if last := math.Float64frombits(values[len(values)-1]); last != math.Trunc(last) {
		return 0, false // most likely none is
	}
	var odd uint64
	for _, b := range values {
		n := int64(math.Float64frombits(b))
		odd |= math.Float64bits(float64(n)) ^ b | uint64(n+bound)>>43
		total += n
	}
	return total, odd == 0
}

// add adds values one by one.
func (s *Sum) add(values []uint64) {
	high, low := s.high, s.low
	var others uint64
	for i, b := range values {
		others |= b ^ 1<<63
		x := math.Float64frombits(b)
		sum := high + x
		back := sum - high
		rest := (high - (sum - back)) + (x - back)
		small := low + rest
		back = small - low
		lost := (low - (small - back)) + (rest - back)
		// The one test for all that TwoSum can't do, NaN included.
		if s.wide != nil || lost != 0 || !(math.Abs(sum) < safe) {
			s.high, s.low = high, low
			s.widen().add(values[i:])
			return
		}
		high, low = sum, small
	}
	if others == 0 && !s.some() {
		return
	}
	if low == 0 {
		low = math.Copysign(0, -1)
	}
	s.high, s.low = high, low
}

// some says whether a value was added that is not -0.
func (s *Sum) some() bool { return s.wide != nil || math.Float64bits(s.low) != 0 }

// Join adds another sum, which stays as it is.
func (s *Sum) Join(more Sum) {
	if more.wide != nil {
		s.widen().join(more.wide)
		return
	}
	if more.some() {
		s.Add([]uint64{math.Float64bits(more.high), math.Float64bits(more.low)})
	}
}

// AddWide adds an integer of 128 bits, exactly.
func (s *Sum) AddWide(low uint64, high int64) {
	const half = 1<<32 - 1
	s.Add([]uint64{
		math.Float64bits(math.Ldexp(float64(high>>32), 96)), math.Float64bits(math.Ldexp(float64(high&half), 64)),
		math.Float64bits(math.Ldexp(float64(low>>32), 32)), math.Float64bits(float64(low & half)),
	})
}

// widen moves what there is into an accumulator.
func (s *Sum) widen() *accumulator {
	if s.wide == nil {
		s.wide = &accumulator{}
		s.wide.add([]uint64{math.Float64bits(s.high), math.Float64bits(s.low)})
		s.high, s.low = 0, 0
	}
	return s.wide
}

// Value gives the sum, rounded to nearest, ties to even.
func (s *Sum) Value() float64 {
	if s.wide != nil {
		return s.wide.value()
	}
	if !s.some() {
		return math.Copysign(0, -1)
	}
	return s.high + s.low + 0 // -0 + 0 is 0
}

// Exact gives the sum as it is, without rounding; ok is false where it is NaN or
// infinite.
func (s *Sum) Exact() (exact *big.Float, ok bool) {
	wide := s.wide
	if wide == nil {
		wide = &accumulator{}
		wide.add([]uint64{math.Float64bits(s.high), math.Float64bits(s.low)})
	}
	if wide.nan || wide.plus || wide.minus {
		return nil, false
	}
	return wide.exact(), true
}

// Size gives the bytes that the sum holds beside itself.
func (s *Sum) Size() int {
	if s.wide == nil {
		return 0
	}
	return accumulatorSize
}

const (
	// limbs of 32 bits that span all float64s, from 2^-1074 on, with room above.
	limbs = 67
	// lazily is how many additions a limb takes before its carry goes on: each
	// adds less than 2^52 to it.
	lazily = 1<<11 - 2

	accumulatorSize = limbs*8 + 16
)

// accumulator is a fixed-point number in which every float64 is exact: the
// small superaccumulator of R. M. Neal, Fast Exact Summation Using Small and
// Large Superaccumulators (2015). The number is the sum of
// limb[i] × 2^(32 i - 1074); limbs overlap, and carries go on now and then.
type accumulator struct {
	limb  [limbs]int64
	adds  int
	plus  bool // +Inf was added
	minus bool // -Inf was added
	nan   bool
}

func (a *accumulator) add(values []uint64) {
	for _, b := range values {
		exponent, fraction := int(b>>52&0x7ff), int64(b&(1<<52-1))
		switch exponent {
		case 0x7ff:
			a.nan = a.nan || fraction != 0
			a.plus = a.plus || fraction == 0 && b>>63 == 0
			a.minus = a.minus || fraction == 0 && b>>63 == 1
			continue
		case 0:
			exponent = 1
		default:
			fraction |= 1 << 52
		}
		at, shift := (exponent-1)>>5, uint(exponent-1)&31
		low, high := fraction<<shift&(1<<32-1), fraction>>(32-shift)
		if b>>63 == 1 {
			low, high = -low, -high
		}
		a.limb[at] += low
		a.limb[at+1] += high
		if a.adds++; a.adds >= lazily {
			a.carry()
		}
	}
}

// carry leaves in each limb but the last 32 bits without a sign.
func (a *accumulator) carry() {
	for i := range limbs - 1 {
		a.limb[i+1] += a.limb[i] >> 32
		a.limb[i] &= 1<<32 - 1
	}
	a.adds = 0
}

func (a *accumulator) join(more *accumulator) {
	other := *more
	other.carry()
	a.carry()
	for i := range other.limb {
		a.limb[i] += other.limb[i]
	}
	a.carry()
	a.nan, a.plus, a.minus = a.nan || more.nan, a.plus || more.plus, a.minus || more.minus
}

func (a *accumulator) value() float64 {
	switch {
	case a.nan || a.plus && a.minus:
		return math.NaN()
	case a.plus:
		return math.Inf(1)
	case a.minus:
		return math.Inf(-1)
	}
	nearest, _ := a.exact().Float64()
	return nearest
}

// exact gives the number where it is finite.
func (a *accumulator) exact() *big.Float {
	a.carry()
	all, limb := new(big.Int), new(big.Int)
	for i := limbs - 1; i >= 0; i-- {
		all.Lsh(all, 32).Add(all, limb.SetInt64(a.limb[i]))
	}
	exact := new(big.Float).SetInt(all) // as wide as it needs
	return exact.SetMantExp(exact, -1074)
}

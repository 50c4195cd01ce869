package block

import (
	"encoding/binary"
	"math"
	"math/bits"

	"weir/internal/sample"
)

// leastStatistics is the number of samples from which a run has statistics:
// they cost .04 B a value there, and .01 at an hour of samples 10 s apart.
const leastStatistics = 60

// Sum is the exact sum of a run's values. Of int64 and bool it is an integer of
// 128 bits in two's complement. Of float64 it is the bits of two floats whose
// sum it is: High is the sum rounded, Low the rest.
type Sum struct{ Low, High uint64 }

// Floats gives the two floats that a sum of float64 is.
func (s Sum) Floats() (high, low float64) {
	return math.Float64frombits(s.High), math.Float64frombits(s.Low)
}

// twoSum gives the sum of two floats and what rounding it left off, exactly
// (Knuth, The Art of Computer Programming 2, 4.2.2).
func twoSum(a, b float64) (sum, rest float64) {
	sum = a + b
	t := sum - a
	return sum, (a - (sum - t)) + (b - t)
}

// statistics is what is known of a run without reading its values.
type statistics struct {
	min, max, last uint64 // bits
	first          uint64 // bits
	sum            Sum
}

// ofIntegers fills s for a run of integers; ok is false where the sum does not
// fit what is written.
func (s *statistics) ofIntegers(numbers []int64) (spread int64, ok bool) {
	first := numbers[0]
	least, most := first, first
	var sum int64 // of the distances from the first
	for _, n := range numbers {
		least, most = min(least, n), max(most, n)
		sum += n - first
	}
	width := uint64(most) - uint64(least)
	if width > math.MaxInt64/uint64(len(numbers)) {
		return 0, false
	}
	s.first, s.last = uint64(first), uint64(numbers[len(numbers)-1])
	s.min, s.max = uint64(least), uint64(most)
	return sum, true
}

// sumIntegers is the exact sum of n integers whose distances from the first
// add up to spread.
func sumIntegers(first int64, n int, spread int64) Sum {
	high, low := bits.Mul64(uint64(first), uint64(n))
	if first < 0 {
		high -= uint64(n)
	}
	low, carry := bits.Add64(low, uint64(spread), 0)
	high += uint64(spread>>63) + carry
	return Sum{Low: low, High: high}
}

// ofFloats fills s for a run of floats; ok is false where one is not finite or
// a negative zero, or the sum is no two floats.
func (s *statistics) ofFloats(values []uint64) (ok bool) {
	first := math.Float64frombits(values[0])
	least, most := first, first
	var sum, rest float64
	exact := true
	for _, v := range values {
		x := math.Float64frombits(v)
		if v == 1<<63 || !(x-x == 0) {
			return false
		}
		least, most = min(least, x), max(most, x)
		var off, lost float64
		sum, off = twoSum(sum, x)
		rest, lost = twoSum(rest, off)
		exact = exact && lost == 0
	}
	high, low := twoSum(sum, rest)
	if !exact || !(high-high == 0) || !(low-low == 0) {
		return false
	}
	s.first, s.last = values[0], values[len(values)-1]
	s.min, s.max = math.Float64bits(least), math.Float64bits(most)
	s.sum = Sum{Low: math.Float64bits(low), High: math.Float64bits(high)}
	return true
}

// summed says whether a run may have statistics.
func summed(kind sample.Kind, count int, ascending bool) bool {
	return count >= leastStatistics && kind != sample.String && ascending
}

func ascending(times []int64) bool {
	for i := 1; i < len(times); i++ {
		if times[i] <= times[i-1] {
			return false
		}
	}
	return true
}

// appendStatistics appends which of the runs that may have statistics have
// them, and those: of integral forms as distances from the first integer.
func (e *encoder) appendStatistics(dst []byte, b *Batch) []byte {
	e.small, e.body = e.small[:0], e.body[:0]
	var times []int64 // of the run before
	up := false
	for i, kind := range b.Kinds {
		start, end := b.Run(i)
		if end-start < leastStatistics || kind == sample.String {
			continue
		}
		if now := b.Times[start:end]; !equal(now, times) {
			times, up = now, ascending(now)
		}
		if !up {
			continue
		}
		known := uint64(0)
		if e.appendRunStatistics(b, i) {
			known = 1
		}
		e.small = append(e.small, known)
	}
	return append(appendLengths(dst, e.small), e.body...)
}

func (e *encoder) appendRunStatistics(b *Batch, run int) bool {
	start, end := b.Run(run)
	values, f := b.Bits[start:end], e.forms[run]
	var s statistics
	switch {
	case f == formBool:
		trues := uint64(0)
		for _, v := range values {
			trues += v
		}
		e.body = binary.AppendUvarint(e.body, trues<<2|values[len(values)-1]<<1|values[0])
	case f.integral():
		if f != formInt && !s.ofFloats(values) {
			return false
		}
		sum := s.sum
		spread, ok := s.ofIntegers(e.numbers[start:end])
		if !ok {
			return false
		}
		first := s.first
		for _, d := range [...]uint64{first - s.min, s.max - first, zigzag(int64(s.last - first)), zigzag(spread)} {
			e.body = binary.AppendUvarint(e.body, d)
		}
		if f != formInt {
			guess := guessSum(f, int64(first), len(values), spread)
			e.body = binary.AppendUvarint(e.body, zigzag(int64(sum.High-guess)))
			e.body = binary.LittleEndian.AppendUint64(e.body, sum.Low)
		}
	default:
		if !s.ofFloats(values) {
			return false
		}
		for _, v := range [...]uint64{s.first, s.last, s.min, s.max, s.sum.High, s.sum.Low} {
			e.body = binary.LittleEndian.AppendUint64(e.body, v)
		}
	}
	return true
}

// guessSum gives about the bits of the rounded sum of decimals, by that of
// their integers.
func guessSum(f form, first int64, n int, spread int64) uint64 {
	sum := float64(float64(first)*float64(n)) + float64(spread)
	return math.Float64bits(sum / powers[f])
}

// read reads the statistics of a run of n samples that has them. first is its
// first integer where its form is integral.
func (s *Summary) read(c *cursor, f form, n int, first int64) {
	switch {
	case f == formBool:
		code := c.uvarint()
		trues := code >> 2
		if trues > uint64(n) {
			c.fail()
		}
		s.FirstBits, s.LastBits, s.Sum = code&1, code>>1&1, Sum{Low: trues}
		s.Min, s.Max = 0, 0
		if trues == uint64(n) {
			s.Min = 1
		}
		if trues > 0 {
			s.Max = 1
		}
	case f.integral():
		s.FirstBits = uint64(first)
		s.Min, s.Max = s.FirstBits-c.uvarint(), s.FirstBits+c.uvarint()
		s.LastBits = s.FirstBits + uint64(c.varint())
		spread := c.varint()
		if f == formInt {
			s.Sum = sumIntegers(first, n, spread)
			break
		}
		s.Sum.High = guessSum(f, first, n, spread) + uint64(c.varint())
		s.Sum.Low = c.fixed()
		for _, v := range [...]*uint64{&s.FirstBits, &s.LastBits, &s.Min, &s.Max} {
			*v = unscaleOne(int64(*v), int(f))
		}
	default:
		for _, v := range [...]*uint64{&s.FirstBits, &s.LastBits, &s.Min, &s.Max, &s.Sum.High, &s.Sum.Low} {
			*v = c.fixed()
		}
	}
}

// fixed reads 8 bytes.
func (c *cursor) fixed() uint64 {
	if part := c.take(8); part != nil {
		return binary.LittleEndian.Uint64(part)
	}
	return 0
}

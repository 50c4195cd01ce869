package exact

import (
	"math/big"
	"math/bits"
)

// SumInts gives the sum of int64 values, an integer of 128 bits. It adds up
// halves of 32 bits, so that nothing is carried sample by sample.
func SumInts(values []uint64) (low uint64, high int64) {
	const most = 1 << 31 // so many halves fit 64 bits
	for len(values) > 0 {
		n := min(len(values), most)
		var lower uint64
		var upper int64
		for _, b := range values[:n] {
			lower += b & (1<<32 - 1)
			upper += int64(b) >> 32
		}
		low, high = AddInts(low, high, lower, 0)
		low, high = AddInts(low, high, uint64(upper)<<32, upper>>32)
		values = values[n:]
	}
	return low, high
}

// AddInts adds two integers of 128 bits. It takes more samples than memory
// holds to overflow one.
func AddInts(low uint64, high int64, low2 uint64, high2 int64) (uint64, int64) {
	sum, carry := bits.Add64(low, low2, 0)
	return sum, high + high2 + int64(carry)
}

// Float rounds an integer of 128 bits to the nearest float64.
func Float(low uint64, high int64) float64 {
	if high == int64(low)>>63 {
		return float64(int64(low))
	}
	wide := new(big.Int).Lsh(big.NewInt(high), 64)
	wide.Add(wide, new(big.Int).SetUint64(low))
	nearest, _ := new(big.Float).SetInt(wide).Float64()
	return nearest
}

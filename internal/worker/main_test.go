package worker

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"weir/internal/block"
	"weir/internal/sample"
)

// The simulations' own flags: a failure prints the seed to give here.
var (
	lawSeed = flag.Uint64("laws.seed", 0, "run only the interleaving of this seed; 0 runs many")
	lawRuns = flag.Int("laws.runs", 0, "how many interleavings of each law; 0 leaves it to the test")
)

// TestMain fails when goroutines are left behind. The block codec makes its
// packers at the first use: that must not be within a bubble of synctest,
// whose channels nobody outside may use.
func TestMain(m *testing.M) {
	b := &block.Batch{}
	for i := range 4096 {
		b.AddSample(sample.Sample{Time: int64(i * i), Value: sample.FloatValue(float64(i) / 7)})
	}
	b.EndRun(sample.NewHandle(0, 0), sample.Float64)
	body, err := block.Encode(nil, b)
	if err == nil {
		err = block.Decode(&block.Batch{}, body)
	}
	if err != nil {
		fmt.Println("the block codec fails:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

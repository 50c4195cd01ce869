package gateway

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"weir/internal/block"
	"weir/internal/sample"
)

// TestMain encodes a block first: the codec makes channels at its first use
// and shares them, and those of one synctest bubble can't be used in another.
func TestMain(m *testing.M) {
	var b block.Batch
	for i := range 100 {
		b.AddSample(sample.Sample{Time: int64(i), Value: sample.StringValue("text that repeats")})
	}
	b.EndKeyRun("\x01m", sample.String)
	body, err := block.Encode(nil, &b)
	if err == nil {
		err = block.Decode(&b, body)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

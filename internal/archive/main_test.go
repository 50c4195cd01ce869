package archive

import (
	"fmt"
	"os"
	"testing"

	"weir/internal/bounds"
)

func TestMain(m *testing.M) {
	if err := bounds.SetDecoders(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

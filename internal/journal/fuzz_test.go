package journal

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzDecodeEntry gives any bytes to the reader, as they are and under a
// checksum that is right. What it takes must come back the same.
func FuzzDecodeEntry(f *testing.F) {
	for _, e := range unitGoldens() {
		body := e.Encode(nil)
		f.Add(body)
		f.Add(body[:len(body)-checksumSize])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, b := range [][]byte{body, unitSealed(body)} {
			e, err := DecodeEntry(b)
			if err != nil {
				if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
					t.Fatalf("an error of no kind: %v", err)
				}
				continue
			}
			if again, err := DecodeEntry(e.Encode(nil)); err != nil || !cmp.Equal(e, again) {
				t.Fatalf("%+v came back as %+v, %v", e, again, err)
			}
		}
	})
}

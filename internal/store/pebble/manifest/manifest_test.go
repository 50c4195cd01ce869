package manifest

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/record"
)

// written gives a manifest of records as Pebble writes it.
func written(t testing.TB, sizes ...int) []byte {
	t.Helper()
	source := rand.NewChaCha8([32]byte{1})
	var out bytes.Buffer
	w := record.NewWriter(&out)
	for _, size := range sizes {
		body := make([]byte, size)
		_, _ = source.Read(body)
		if _, err := w.WriteRecord(body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestDamageIsToldFromATornEnd cuts a manifest anywhere, which is no damage,
// and flips bytes before its last record, which is.
func TestDamageIsToldFromATornEnd(t *testing.T) {
	const last = 300
	data := written(t, 50, 40_000, 1, 70_000, last)
	for cut := 0; cut <= len(data); cut += 1 + cut%611 {
		if at, damaged := findDamage(data[:cut]); damaged {
			t.Errorf("cut at %d of %d: damage at %d", cut, len(data), at)
		}
	}
	for flip := 0; flip < len(data)-last-chunkHeader; flip += 1 + flip%317 {
		broken := bytes.Clone(data)
		broken[flip] ^= 0x10
		if _, damaged := findDamage(broken); !damaged {
			t.Errorf("byte %d of %d flipped: no damage was seen", flip, len(data))
		}
	}
}

func FuzzFindDamage(f *testing.F) {
	f.Add(written(f, 10, 20, 30))
	f.Add(written(f, 40_000))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if at, damaged := findDamage(data); damaged && (at < 0 || at >= len(data)) {
			t.Errorf("damage at %d of %d bytes", at, len(data))
		}
	})
}

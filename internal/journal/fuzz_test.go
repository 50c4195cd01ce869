package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"weir/internal/store"
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

// FuzzVolumeRecord reads what may stand in a volume's record: it is refused as
// corrupt, or is written as something that reads the same.
func FuzzVolumeRecord(f *testing.F) {
	f.Add([]byte(`{"table":"samples_2026_w03","state":"verified","removed":[1,2],"swept":[0,2],"pins":[{"holder":"a","cut":[1,2],"expires":"2026-01-02T03:04:05Z"}],"archive":{"manifest":"m","sha256":"ab","rows":1,"bytes":2,"sealed":[1,2]},"restoring":"t"}`))
	f.Add([]byte(`{"table":"t","state":"open"}`))
	f.Add([]byte(`{}`))
	id := VolumeID{Week: 2900, Revision: 1}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := parseVolume(id, store.Record{Key: "k", Value: text})
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("the error is none of what was read: %v", err)
			}
			return
		}
		first, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("%+v was read and cannot be written: %v", v, err)
		}
		again, err := parseVolume(id, store.Record{Key: "k", Value: first})
		if err != nil {
			t.Fatalf("%s was written and cannot be read: %v", first, err)
		}
		if second, err := json.Marshal(again); err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s is read as %s, %v", first, second, err)
		}
	})
}

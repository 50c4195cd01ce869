package pipeline

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"weir/internal/store"
)

// FuzzRecords reads what may stand in the records of pipelines: it is refused as
// corrupt or of a newer version, or is written as something that reads the same.
func FuzzRecords(f *testing.F) {
	for _, file := range []string{"testdata/v1-run.json", "testdata/v1-state.json"} {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"format": 2}`))
	f.Add([]byte(`{"format": 1, "open": [null], "steps": [{"output": [1, 2]}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if run, ok := reads[Run](t, text); ok {
			run.note(0, "", "read")
			run.again(0)
			_ = run.outputs()
		}
		if s, ok := reads[state](t, text); ok {
			_, _ = s.next(Definition{})
		}
	})
}

func reads[T any](t *testing.T, text []byte) (value T, ok bool) {
	t.Helper()
	value, err := decode[T](store.Record{Key: "k", Value: text})
	if err != nil {
		if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrVersion) {
			t.Errorf("the error is none of what was read: %v", err)
		}
		return value, false
	}
	first, err := json.Marshal(value)
	if err != nil {
		t.Fatalf("%+v was read and cannot be written: %v", value, err)
	}
	again, err := decode[T](store.Record{Key: "k", Value: first})
	if err != nil {
		t.Fatalf("%s was written and cannot be read: %v", first, err)
	}
	if second, err := json.Marshal(again); err != nil || !bytes.Equal(first, second) {
		t.Errorf("%s is read as %s, %v", first, second, err)
	}
	return value, true
}

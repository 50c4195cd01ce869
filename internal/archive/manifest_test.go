package archive

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"testing"
)

func TestManifestsThatAreRefused(t *testing.T) {
	golden, err := os.ReadFile("testdata/manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]error{
		`{"version": 3, "more": 1}`: ErrVersion,
		`{"version": 1, "more": 1}`: ErrCorrupt,
		`{`:                         ErrCorrupt,
		string(golden) + "{}":       ErrCorrupt,
	} {
		if _, err := parseManifest([]byte(body), "m"); !errors.Is(err, want) {
			t.Errorf("%s: %v; want %v", body, err, want)
		}
	}
}

// FuzzParseManifest: what is taken for a manifest is valid, and is written as
// something that reads the same.
func FuzzParseManifest(f *testing.F) {
	golden, err := os.ReadFile("testdata/manifest.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(golden)
	f.Add([]byte("{}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := parseManifest(body, "m")
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Errorf("the error is none of what was read: %v", err)
			}
			return
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := parseManifest(text, "m"); err != nil || !reflect.DeepEqual(m, again) {
			t.Errorf("%s is read as %+v, %v", text, again, err)
		}
	})
}

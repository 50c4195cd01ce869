package intake

import (
	"errors"
	"strings"
	"testing"
)

func TestQuoteCutsAtACharacter(t *testing.T) {
	for text, want := range map[string]string{
		"":                            `""`,
		"a\x00\n":                     `"a\x00\n"`,
		strings.Repeat("a", 48):       `"` + strings.Repeat("a", 48) + `"`,
		strings.Repeat("a", 49):       `"` + strings.Repeat("a", 48) + `"… (49 bytes)`,
		strings.Repeat("é", 30):       `"` + strings.Repeat("é", 24) + `"… (60 bytes)`,
		"x" + strings.Repeat("é", 30): `"x` + strings.Repeat("é", 23) + `"… (61 bytes)`,
	} {
		if got := Quote([]byte(text)); got != want {
			t.Errorf("Quote(%q) = %s; want %s", text, got, want)
		}
	}
}

func TestFaultNamesTheColumnAndWraps(t *testing.T) {
	cause := errors.New("no value")
	var err error = &Fault{Column: 7, Err: cause}
	if err.Error() != "column 7: no value" || !errors.Is(err, cause) {
		t.Fatalf("fault reads %q and wraps %v", err, errors.Unwrap(err))
	}
}

package spelling

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	known := []string{"match", "start", "end", "window", "fn", "by", "format"}
	for name, want := range map[string]string{
		"mach": "match", "from": "", "formt": "format", "strat": "start", "windows": "window", "func": "fn", "group": "",
		"zzzzz": "", "": "", strings.Repeat("match", 20): "",
	} {
		if got := Nearest(name, known); got != want {
			t.Errorf("%q: got %q; want %q", name, got, want)
		}
	}
}

package jsonline

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestFloatsReadBackEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := math.Float64frombits(rapid.Uint64().Draw(t, "bits"))
		if rapid.Bool().Draw(t, "decimal") {
			f = math.Round(rapid.Float64Range(-1e6, 1e6).Draw(t, "f")*1000) / 1000
		}
		if math.IsNaN(f) || math.IsInf(f, 0) {
			t.Skip()
		}
		text := appendFloat(nil, f)
		var back float64
		if err := json.Unmarshal(text, &back); err != nil || math.Float64bits(back) != math.Float64bits(f) {
			t.Fatalf("%v is written %s and reads back %v, %v", f, text, back, err)
		}
	})
}

func TestFloatsAreShort(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", math.Copysign(0, -1): "-0", 1: "1", -1.5: "-1.5", 0.1: "0.1", 1e6: "1000000", 1e-6: "0.000001", 1e-7: "1e-7",
		1 << 53: "9007199254740992", 1e20: "100000000000000000000", 1e21: "1e+21", math.MaxFloat64: "1.7976931348623157e+308",
		math.SmallestNonzeroFloat64: "5e-324", 21.7: "21.7", 1.0 / 3: "0.3333333333333333", -123456789: "-123456789",
	} {
		if got := string(appendFloat(nil, f)); got != want {
			t.Errorf("%v is written %s; want %s", f, got, want)
		}
	}
}

func TestTextsReadBackEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(t, "text")
		written := AppendText(nil, text)
		var back string
		if err := json.Unmarshal(written, &back); err != nil {
			t.Fatalf("%q is written %s: %v", text, written, err)
		}
		want := ""
		for _, r := range text { // each byte that is no UTF-8 comes as U+FFFD
			want += string(r)
		}
		if back != want || !utf8.Valid(written) || strings.ContainsAny(string(written), "\n\r") {
			t.Fatalf("%q is written %s, which reads %q", text, written, back)
		}
	})
}

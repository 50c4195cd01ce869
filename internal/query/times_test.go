package query

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 1, 31, 12, 0, 0, 5, time.UTC).UnixNano()
	for text, want := range map[string]int64{
		"2026-01-31T12:00:00.000000005Z":     now,
		"2026-01-31T13:30:00+01:30":          now - 5,
		"2026-01-31":                         now - 5 - int64(12*time.Hour),
		"0":                                  0,
		"-1":                                 -1,
		"1769860800000000005":                now,
		"-9223372036854775808":               math.MinInt64,
		"now":                                now,
		"-1h":                                now - int64(time.Hour),
		"now-1d12h":                          now - int64(36*time.Hour),
		"+5m":                                now + int64(5*time.Minute),
		"now+1.5s":                           now + 1_500_000_000,
		"1677-09-21T00:12:43.145224192Z":     math.MinInt64,
		"2262-04-11T23:47:16.854775807Z":     math.MaxInt64,
		"1970-01-01T00:00:00.1234567891234Z": 123456789,
	} {
		got, err := ParseTime(text, now)
		if err != nil || got != want {
			t.Errorf("%s is %d, %v; want %d", text, got, err, want)
		}
	}
}

func TestParseTimeRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "not a time",
		"yesterday":                   "not a time",
		"2026-13-01":                  "not a time",
		"2026-01-01T00:00:00":         "has no offset",
		"2026-01-01T00:00:00 01:00":   "write %2B",
		" 1h":                         "write %2B",
		"now 1h":                      "write %2B",
		"2026-01-01 00:00:00Z":        "write T between",
		"now1h":                       "after now comes",
		"-1y":                         "not a duration",
		"-h":                          "not a time",
		"-":                           "not a time",
		"now-":                        "no duration above 0",
		"99999999999999999999":        "not a time",
		"-99999999999999999999":       "not a time",
		"2300-01-01T00:00:00Z":        "outside the years",
		"1600-01-01T00:00:00Z":        "outside the years",
		"now+15000w":                  "outside the years",
		"now-99999999w":               "longer than 292 years",
		"now-9223372036854775807.9ns": "longer than 292 years",
	} {
		got, err := ParseTime(text, math.MaxInt64/2)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is %d, %v; want an error with %q", text, got, err, want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1ns": 1, "2us": 2000, "2µs": 2000, "2μs": 2000, "3ms": 3e6, "90s": 90e9, "5m": 300e9,
		"1h30m": 5400e9, "1d": 24 * time.Hour, "2w": 14 * 24 * time.Hour, "1.5d": 36 * time.Hour, "0.25s": 250e6, "007s": 7e9,
		"9223372036854775807ns": math.MaxInt64,
	} {
		if got, err := ParseDuration(text); err != nil || got != int64(want) {
			t.Errorf("%s is %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0s", "1", "s", "-1s", "1.s", "1 h", "1y", "9223372036854775808ns", "99999999999999999999s", "1e3s", "0.1ns"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q is %d; want an error", text, got)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	known := []string{"match", "start", "end", "window", "fn", "by", "format"}
	for name, want := range map[string]string{
		"mach": "match", "from": "", "formt": "format", "strat": "start", "windows": "window", "func": "fn", "group": "", "zzzzz": "",
		strings.Repeat("match", 20): "",
	} {
		if want != "" {
			want = " (did you mean " + want + "?)"
		}
		if got := didYouMean(name, known); got != want {
			t.Errorf("%s: got %q; want %q", name, got, want)
		}
	}
}

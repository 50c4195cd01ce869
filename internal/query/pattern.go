package query

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
)

const (
	// maxPattern is the longest regular expression, in bytes.
	maxPattern = 4 << 10
	// maxPatternCost bounds a regular expression with its repetitions written
	// out: x{100} costs a hundred. Matching takes time in proportion.
	maxPatternCost = 20_000
)

// compilePattern compiles a regular expression that must match the whole
// value, as in Prometheus.
func compilePattern(pattern string) (*regexp.Regexp, error) {
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("the regular expression has %d bytes; the limit is %d", len(pattern), maxPattern)
	}
	// Parsed alone first: "a)(b" would be well-formed inside the group below.
	// A dot matches a newline too: a value is one text, not lines.
	parsed, err := syntax.Parse(pattern, syntax.Perl|syntax.DotNL)
	if err != nil {
		var fault *syntax.Error
		if errors.As(err, &fault) {
			return nil, fmt.Errorf("the regular expression is not one: %s: %q", fault.Code, fault.Expr)
		}
		return nil, fmt.Errorf("the regular expression is not one: %w", err)
	}
	if cost := patternCost(parsed); cost > maxPatternCost {
		return nil, fmt.Errorf("the regular expression repeats too much: write it with smaller {counts}")
	}
	re, err := regexp.Compile("^(?:" + parsed.String() + ")$")
	if err != nil {
		return nil, fmt.Errorf("the regular expression is not one: %w", err)
	}
	return re, nil
}

// patternCost counts the parts of a regular expression with its repetitions
// written out, up to just above maxPatternCost.
func patternCost(re *syntax.Regexp) int {
	cost := 1 + len(re.Rune)
	for _, sub := range re.Sub {
		cost += patternCost(sub)
	}
	if re.Op == syntax.OpRepeat {
		cost *= max(re.Min, re.Max, 1)
	}
	return min(cost, maxPatternCost+1)
}

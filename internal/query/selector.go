package query

import (
	"regexp"
	"strconv"
	"strings"

	"weir/internal/sample"
)

// MetricName is the tag name that stands for the metric in a matcher.
const MetricName = "__name__"

// MatchOp is how a matcher compares.
type MatchOp uint8

// The operators: = and != compare texts; =~ and !~ match a regular expression
// (RE2) against the whole value.
const (
	Equal MatchOp = iota
	NotEqual
	Regexp
	NotRegexp
)

// String gives the operator as it is written.
func (o MatchOp) String() string {
	return [...]string{"=", "!=", "=~", "!~"}[o]
}

// Matcher is one condition on a tag, or on the metric when Name is MetricName.
// A tag that a series lacks has the value "". Make one with NewMatcher.
type Matcher struct {
	Name  string
	Op    MatchOp
	Value string
	re    *regexp.Regexp
}

// NewMatcher checks the parts and compiles the regular expression.
func NewMatcher(name string, op MatchOp, value string) (Matcher, error) {
	m := Matcher{Name: name, Op: op, Value: value}
	if op == Regexp || op == NotRegexp {
		re, err := compilePattern(value)
		if err != nil {
			return Matcher{}, err
		}
		m.re = re
	}
	return m, nil
}

// Matches says whether a tag's value meets the condition.
func (m *Matcher) Matches(value string) bool {
	switch m.Op {
	case Equal:
		return value == m.Value
	case NotEqual:
		return value != m.Value
	case Regexp:
		return m.re.MatchString(value)
	default:
		return !m.re.MatchString(value)
	}
}

// String writes the matcher as a selector holds it.
func (m *Matcher) String() string {
	name := m.Name
	if !isBareName(name) {
		name = strconv.Quote(name)
	}
	return name + m.Op.String() + strconv.Quote(m.Value)
}

// Selector is conditions that a series must meet, all of them; without any,
// every series does. Its zero value matches everything.
type Selector struct {
	matchers []Matcher
}

// NewSelector makes a selector of matchers.
func NewSelector(matchers ...Matcher) Selector { return Selector{matchers: matchers} }

// Matchers gives the conditions. They are not the caller's to change.
func (s Selector) Matchers() []Matcher { return s.matchers }

// MatchesSeries says whether a series meets all conditions.
func (s Selector) MatchesSeries(series sample.Series) bool { return s.Matching()(series) }

// Matching gives a MatchesSeries for one series after the other, which does
// not look anew at a value that is the one before: most share their metric
// with their neighbour.
func (s Selector) Matching() func(sample.Series) bool {
	type verdict struct {
		value          string
		known, matches bool
	}
	last := make([]verdict, len(s.matchers))
	return func(series sample.Series) bool {
		for i := range s.matchers {
			m, v := &s.matchers[i], &last[i]
			value := valueOf(series, m.Name)
			if !v.known || v.value != value {
				*v = verdict{value, true, m.Matches(value)}
			}
			if !v.matches {
				return false
			}
		}
		return true
	}
}

// Metric gives the one metric that series can have, for an index to start
// from, and false when the selector does not name one.
func (s Selector) Metric() (string, bool) {
	for i := range s.matchers {
		if m := &s.matchers[i]; m.Name == MetricName && m.Op == Equal {
			return m.Value, true
		}
	}
	return "", false
}

// Equalities gives the tags that series must have, for an index to start from.
// A matcher such as a="" is not among them: it asks for a tag's absence.
func (s Selector) Equalities() []sample.Tag {
	var tags []sample.Tag
	for i := range s.matchers {
		if m := &s.matchers[i]; m.Name != MetricName && m.Op == Equal && m.Value != "" {
			tags = append(tags, sample.Tag{Name: m.Name, Value: m.Value})
		}
	}
	return tags
}

// MayShare says whether a series may match both: it does not say so only where the
// metric, or a tag, has to be one thing for one of them and another for the other.
func (s Selector) MayShare(other Selector) bool {
	own, okOwn := s.Metric()
	theirs, okTheirs := other.Metric()
	if okOwn && okTheirs && own != theirs {
		return false
	}
	for _, a := range s.Equalities() {
		for _, b := range other.Equalities() {
			if a.Name == b.Name && a.Value != b.Value {
				return false
			}
		}
	}
	return true
}

// String writes the selector so that ParseSelector reads it back.
func (s Selector) String() string {
	var b strings.Builder
	rest := s.matchers
	if len(rest) > 0 && rest[0].Name == MetricName && rest[0].Op == Equal && isBareName(rest[0].Value) {
		b.WriteString(rest[0].Value)
		if rest = rest[1:]; len(rest) == 0 {
			return b.String()
		}
	}
	b.WriteByte('{')
	for i := range rest {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(rest[i].String())
	}
	b.WriteByte('}')
	return b.String()
}

package query

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxSelector = 64 << 10 // bytes
	maxMatchers = 64
)

// SyntaxError says where a selector can't be read, and what was expected.
type SyntaxError struct {
	Text   string // the selector
	Column int    // counted in characters, from 1
	Reason string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("selector, column %d: %s", e.Column, e.Reason)
}

// ParseSelector reads metric{a="b",c!="d",e=~"f",g!~"h"}. Metric and braces
// may each be left out. A bare name is a run of characters other than spaces,
// quotes and {}()[],=~!; any other name is quoted, in the braces, as PromQL
// does: {"a metric","a tag"="b"}. Texts are quoted by ", ' or `, with PromQL's
// escapes. __name__ stands for the metric. An empty text selects everything.
// Errors are *SyntaxError.
func ParseSelector(text string) (Selector, error) {
	p := parser{text: text}
	if len(text) > maxSelector {
		return Selector{}, p.fail(0, fmt.Sprintf("it has %d bytes; the limit is %d", len(text), maxSelector))
	}
	if !utf8.ValidString(text) {
		return Selector{}, p.fail(invalidAt(text), "it is not valid UTF-8")
	}
	if err := p.selector(); err != nil {
		return Selector{}, err
	}
	return Selector{matchers: p.matchers}, nil
}

// parser reads one selector from left to right.
type parser struct {
	text     string
	at       int // byte offset of what is read next
	matchers []Matcher
	named    bool // an equality on the metric was read
}

func (p *parser) selector() error {
	p.space()
	start := p.at
	if name := p.bareName(); name != "" {
		if err := p.metric(start, name); err != nil {
			return err
		}
	}
	p.space()
	if p.at == len(p.text) {
		return nil
	}
	if !p.take("{") {
		if strings.ContainsRune("([", p.peek()) {
			return p.fail(p.at, fmt.Sprintf("found %s: a selector holds no functions and no ranges; those are given beside it", p.found()))
		}
		return p.expect("a metric name or \"{\"")
	}
	for p.space(); !p.take("}"); p.space() {
		if err := p.matcher(); err != nil {
			return err
		}
		p.space()
		if !p.take(",") && p.peek() != '}' {
			return p.expect("\",\" or \"}\"")
		}
	}
	p.space()
	if p.at < len(p.text) {
		return p.expect("the end")
	}
	return nil
}

// matcher reads name op "value", or a quoted metric's name alone.
func (p *parser) matcher() error {
	start := p.at
	name, quoted, err := p.name()
	if err != nil {
		return err
	}
	p.space()
	if next := p.peek(); quoted && (next == ',' || next == '}') {
		return p.metric(start, name)
	}
	op, ok := p.operator()
	if !ok {
		return p.expect("=, !=, =~ or !~ after the tag's name")
	}
	p.space()
	valueAt := p.at
	value, ok, err := p.quotedText()
	if err != nil {
		return err
	}
	if !ok {
		return p.expect("a quoted value, such as \"a\"")
	}
	if name == MetricName && op == Equal {
		return p.metric(start, value)
	}
	return p.add(valueAt, name, op, value)
}

func (p *parser) metric(at int, name string) error {
	if p.named {
		return p.fail(at, "the metric is named twice")
	}
	p.named = true
	return p.add(at, MetricName, Equal, name)
}

func (p *parser) add(at int, name string, op MatchOp, value string) error {
	if len(p.matchers) == maxMatchers {
		return p.fail(at, fmt.Sprintf("more than %d matchers", maxMatchers))
	}
	m, err := NewMatcher(name, op, value)
	if err != nil {
		return p.fail(at, err.Error())
	}
	p.matchers = append(p.matchers, m)
	return nil
}

func (p *parser) name() (name string, quoted bool, err error) {
	if name, ok, err := p.quotedText(); ok || err != nil {
		if err == nil && name == "" {
			err = p.fail(p.at-len(`""`), "a name is empty")
		}
		return name, true, err
	}
	if name := p.bareName(); name != "" {
		return name, false, nil
	}
	return "", false, p.expect("a tag's name or \"}\"")
}

func (p *parser) operator() (MatchOp, bool) {
	for _, op := range []MatchOp{Regexp, NotRegexp, NotEqual, Equal} {
		if p.take(op.String()) {
			return op, true
		}
	}
	return 0, false
}

// quotedText reads a quoted text where one begins.
func (p *parser) quotedText() (text string, ok bool, err error) {
	quote := p.peek()
	if quote != '"' && quote != '\'' && quote != '`' {
		return "", false, nil
	}
	start := p.at
	p.at++
	if quote == '`' {
		end := strings.IndexByte(p.text[p.at:], '`')
		if end < 0 {
			return "", false, p.fail(start, "the text that begins here is not closed by `")
		}
		text = p.text[p.at : p.at+end]
		p.at += end + 1
		return text, true, nil
	}
	var b strings.Builder
	for {
		rest := p.text[p.at:]
		switch {
		case rest == "" || rest[0] == '\n':
			return "", false, p.fail(start, fmt.Sprintf("the text that begins here is not closed by %c", quote))
		case rest[0] == byte(quote):
			p.at++
			if !utf8.ValidString(b.String()) {
				return "", false, p.fail(start, "the text's escapes give something that is not valid UTF-8")
			}
			return b.String(), true, nil
		}
		r, wide, tail, err := strconv.UnquoteChar(rest, byte(quote))
		if err != nil {
			return "", false, p.fail(p.at, fmt.Sprintf("no such escape as %q; write \\\\ for a backslash", prefix(rest, 2)))
		}
		if r < utf8.RuneSelf || wide {
			b.WriteRune(r)
		} else {
			b.WriteByte(byte(r)) // \x and octal escapes give bytes
		}
		p.at += len(rest) - len(tail)
	}
}

func (p *parser) bareName() string {
	rest := p.text[p.at:]
	end := strings.IndexFunc(rest, func(r rune) bool { return !isBareRune(r) })
	if end < 0 {
		end = len(rest)
	}
	p.at += end
	return rest[:end]
}

func isBareRune(r rune) bool {
	return !unicode.IsSpace(r) && !unicode.IsControl(r) && !strings.ContainsRune("{}()[]\",=~!'`\\", r)
}

func isBareName(name string) bool {
	return name != "" && strings.IndexFunc(name, func(r rune) bool { return !isBareRune(r) }) < 0
}

func (p *parser) space() {
	rest := p.text[p.at:]
	p.at += len(rest) - len(strings.TrimLeftFunc(rest, unicode.IsSpace))
}

func (p *parser) take(token string) bool {
	if strings.HasPrefix(p.text[p.at:], token) {
		p.at += len(token)
		return true
	}
	return false
}

// peek gives the next character, and one that no selector holds at the end.
func (p *parser) peek() rune {
	if p.at == len(p.text) {
		return utf8.RuneError
	}
	r, _ := utf8.DecodeRuneInString(p.text[p.at:])
	return r
}

func (p *parser) found() string {
	if p.at == len(p.text) {
		return "the end"
	}
	return strconv.Quote(prefix(p.text[p.at:], 12))
}

func (p *parser) expect(what string) error {
	return p.fail(p.at, "expected "+what+", found "+p.found())
}

func (p *parser) fail(at int, reason string) error {
	column := 1 + utf8.RuneCountInString(p.text[:min(at, len(p.text))])
	return &SyntaxError{Text: p.text, Column: column, Reason: reason}
}

// invalidAt gives the offset of the first byte that is not valid UTF-8.
func invalidAt(text string) int {
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], "\ufffd") {
			return i
		}
	}
	return len(text)
}

// prefix gives the first n characters of a text.
func prefix(text string, n int) string {
	for i := range text {
		if n == 0 {
			return text[:i]
		}
		n--
	}
	return text
}

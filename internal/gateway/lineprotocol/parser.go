package lineprotocol

import (
	"bytes"
	"errors"
	"fmt"

	"weir/internal/gateway/intake"
	"weir/internal/sample"
)

// parser reads the lines of one body. It knows the syntax, and nothing of
// series. Positions count from the start of the body.
type parser struct {
	limits    Options
	precision Precision
	now       int64

	body []byte
	pos  int // of the next byte
	line int // that pos lies on, from 1

	// The line in hand.
	start, startLine int
	head             []byte // measurement and tags with the space after them
	measurement      []byte // without escapes; read when a head is new
	tags             []sample.Tag
	tagsOf           int // the start of the line that tags are of, or -1
	values           []value
	kinds            []sample.Kind // of a line that is read whole: one a field
	bits             []uint64
	otherKinds       bool // than those of the line before of the same head
	time             int64

	scratch []byte            // text without its escapes
	texts   map[string]string // string values that came lately
}

// value is one field of a line.
type value struct {
	value  sample.Value
	name   int // where the field's name begins
	equals int // where it ends
	known  int // the field's place in its entry, or -1
}

// fault is an error in a line, before it is told to the sender.
type fault struct {
	at     int // where it lies
	resume int // the line to go on after is the one with this position
	err    error
}

func (f *fault) Error() string { return f.err.Error() }

// open begins a body. A byte order mark before it is no part of it.
func (p *parser) open(body []byte, precision Precision, now int64) {
	p.body, p.pos, p.line = body, 0, 1
	if bytes.HasPrefix(body, []byte("\xef\xbb\xbf")) {
		p.pos = 3
	}
	p.precision, p.now = precision, precision.floor(now)
	p.tagsOf = -1
	if p.texts == nil {
		p.texts = make(map[string]string)
	}
}

// close lets go of the body.
func (p *parser) close() {
	p.body, p.head = nil, nil
}

// next goes to the next line that is neither blank nor a comment, and says
// whether there is one.
func (p *parser) next() bool {
	for p.pos < len(p.body) {
		switch p.body[p.pos] {
		case ' ':
			p.pos++
		case '\n':
			p.pos++
			p.line++
		case '#':
			if end := bytes.IndexByte(p.body[p.pos:], '\n'); end >= 0 {
				p.pos += end
			} else {
				p.pos = len(p.body)
			}
		default:
			if end, ok := p.lineEnd(p.pos); ok { // a carriage return alone
				p.pos = end
				continue
			}
			p.start, p.startLine = p.pos, p.line
			return true
		}
	}
	return false
}

// lineEnd says whether a line ends at pos, and where its newline is, or the
// body's end.
func (p *parser) lineEnd(pos int) (int, bool) {
	if pos >= len(p.body) || p.body[pos] == '\n' {
		return pos, true
	}
	if p.body[pos] != '\r' {
		return pos, false
	}
	pos++
	return pos, pos == len(p.body) || p.body[pos] == '\n'
}

// readRest reads a line from its fields to its end. order gives the fields
// that are expected.
func (p *parser) readRest(order *fields) error {
	pos, err := p.readFields(p.pos, order)
	if err == nil {
		pos, err = p.readTime(pos)
	}
	if err != nil {
		return err
	}
	if pos-p.start > p.limits.MaxLine {
		reason := fmt.Errorf("the line has %d bytes, and the limit is %d; send fewer fields in a line", pos-p.start, p.limits.MaxLine)
		return &fault{at: p.start, resume: pos, err: reason}
	}
	p.pos = pos
	return nil
}

// fail makes a fault at a position; reading goes on with the line after it.
func (p *parser) fail(at int, format string, args ...any) error {
	return &fault{at: at, resume: at, err: fmt.Errorf(format, args...)}
}

// skipLine goes to the line after a fault, and tells the fault as the sender is
// told it.
func (p *parser) skipLine(err error) *intake.Fault {
	f := new(fault)
	if !errors.As(err, &f) {
		f = &fault{at: p.start, resume: p.start, err: err}
	}
	resume := f.resume
	if end := bytes.IndexByte(p.body[resume:], '\n'); end >= 0 {
		resume += end
	} else {
		resume = len(p.body)
	}
	text := p.body[p.start:resume]
	spans := bytes.Count(text, []byte("\n"))
	p.pos, p.line = resume, p.startLine+spans
	reason := f.err
	if spans > 0 {
		reason = fmt.Errorf("%w (with the line breaks of its strings it runs to line %d)", reason, p.line)
	}
	return &intake.Fault{Column: p.column(f.at), Text: bytes.TrimSuffix(text, []byte("\r")), Err: reason}
}

// valueFault tells why one value of a good line is not kept.
func (p *parser) valueFault(v *value, err error) *intake.Fault {
	text := bytes.TrimRight(p.body[p.start:p.pos], "\r\n")
	name := intake.Quote(p.body[v.name:v.equals])
	return &intake.Fault{Column: p.column(v.name), Value: true, Text: text, Err: fmt.Errorf("field %s: %w", name, err)}
}

// column gives the byte of the line in hand, from 1, that lies at a position.
func (p *parser) column(at int) int {
	return at - bytes.LastIndexByte(p.body[:p.start], '\n')
}

// token gives the bytes from pos to the next comma or white space.
func (p *parser) token(pos int) []byte {
	end := bytes.IndexAny(p.body[pos:], ", \r\n")
	if end < 0 {
		return p.body[pos:]
	}
	return p.body[pos : pos+end]
}

// Package intake owns what the decoders of a request's body have in common:
// where the samples they read go, and how they say what was wrong with a line.
//
// It refuses anything that knows of one protocol, of HTTP or of the buffer,
// and imports sample alone.
package intake

import (
	"fmt"
	"strconv"
	"unicode/utf8"

	"weir/internal/sample"
)

// Sink takes what a decoder reads from one request. S is what the gateway
// resolves a series to. A decoder calls it from one goroutine, in the order of
// the body, and keeps nothing of what it passed.
type Sink[S any] interface {
	// Emit takes one sample of a series. A string value is the sink's to
	// keep. An error rejects this sample alone: the decoder passes it to
	// Reject with the line it came from.
	Emit(series S, s sample.Sample) error
	// Reject hears that a line, or one value of it, is not kept and why. line
	// counts from 1; in a JSON array it is the number of the element. err is
	// a *Fault.
	Reject(line int, err error)
}

// Lines is an optional ability of a Sink: it takes the samples of a whole line
// at once, which costs less than one after the other.
type Lines[S any] interface {
	// EmitLine takes all samples of a line and says true, or takes none: then
	// the decoder passes each to Emit, which tells what is wrong with it.
	EmitLine(l *Line[S]) bool
}

// Line is one sample each of several series, all Good, of one time, and no
// strings. It is the decoder's again when the sink returns.
type Line[S any] struct {
	Series []S
	Kinds  []sample.Kind // one a series
	Bits   []uint64      // one a series, as sample.Value.Bits
	Time   int64
	// Memo is for the sink to remember what it found out about Series and
	// Kinds. It comes back with lines of the same, and is nil with others.
	Memo *any
}

// Fault says what is wrong with a line of a body, where, and how to mend it.
type Fault struct {
	// Column is the byte of the line, from 1, where the fault lies.
	Column int
	// Value says that only one value of the line is rejected; its other
	// values are kept.
	Value bool
	// Text is what the sender wrote, without its line end. It lies in the
	// body: copy it to keep it past the call of Reject.
	Text []byte
	// Err is the reason.
	Err error
}

// Error gives the column and the reason.
func (f *Fault) Error() string { return fmt.Sprintf("column %d: %v", f.Column, f.Err) }

// Unwrap gives the reason.
func (f *Fault) Unwrap() error { return f.Err }

// quoted is how many bytes of an offending text an error repeats.
const quoted = 48

// Quote writes text that a sender wrote for use in an error: in double quotes,
// with control characters escaped, and cut short when it is long.
func Quote(text []byte) string {
	if len(text) <= quoted {
		return strconv.Quote(string(text))
	}
	end := quoted
	for end > quoted-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return strconv.Quote(string(text[:end])) + fmt.Sprintf("… (%d bytes)", len(text))
}

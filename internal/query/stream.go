package query

import (
	"fmt"
	"net/http"
	"slices"
)

const (
	// held is how much of an answer is kept back before its status is sent,
	// so that what fails early is still answered with a status of its own.
	held = 1 << 20
	// piece is how much is written at once after that.
	piece = 64 << 10
)

// stream writes an answer of any length in little memory, or gathers lines
// whose Points stay valid.
type stream struct {
	w       http.ResponseWriter
	buf     []byte
	begun   bool // the status was sent
	gathers bool // nothing is written, buf takes all

	// times are those of the line before, where lines are gathered: they are
	// written in buf from timesAt to timesEnd.
	times             []int64
	timesAt, timesEnd int

	spare []*batch // empty ones
}

// reset empties the stream, and keeps its memory for another answer unless
// that is much.
func (s *stream) reset() (keep bool) {
	*s = stream{buf: s.buf[:0], spare: s.spare}
	return cap(s.buf) <= 2*held
}

// spill writes what was gathered, if that is enough. Whoever appends to buf
// calls it at least once every few KB.
func (s *stream) spill() error {
	if s.gathers || len(s.buf) < piece || !s.begun && len(s.buf) < held {
		return nil
	}
	return s.flush()
}

// repeat appends times as the line before has them, and says whether it does.
func (s *stream) repeat(times []int64) bool {
	if len(times) == 0 || !slices.Equal(times, s.times) {
		return false
	}
	s.buf = append(s.buf, s.buf[s.timesAt:s.timesEnd]...)
	return true
}

// keep notes that times are written from a place to the end of buf.
func (s *stream) keep(times []int64, at int) {
	if s.gathers {
		s.times, s.timesAt, s.timesEnd = times, at, len(s.buf)
	}
}

// flush writes what was gathered. The first one sends the status 200.
func (s *stream) flush() error {
	s.begun = true
	_, err := s.w.Write(s.buf)
	s.buf = s.buf[:0]
	if err != nil {
		return &clientGoneError{err}
	}
	return nil
}

// clientGoneError says that there is nobody to answer.
type clientGoneError struct{ err error }

func (e *clientGoneError) Error() string { return fmt.Sprintf("write the answer: %v", e.err) }
func (e *clientGoneError) Unwrap() error { return e.err }

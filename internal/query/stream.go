package query

import (
	"fmt"
	"net/http"
)

const (
	// held is how much of an answer is kept back before its status is sent,
	// so that what fails early is still answered with a status of its own.
	held = 1 << 20
	// piece is how much is written at once after that.
	piece = 64 << 10
)

// stream writes an answer of any length in little memory.
type stream struct {
	w     http.ResponseWriter
	buf   []byte
	begun bool // the status was sent
}

// spill writes what was gathered, if that is enough. Whoever appends to buf
// calls it at least once every few KB.
func (s *stream) spill() error {
	if len(s.buf) < piece || !s.begun && len(s.buf) < held {
		return nil
	}
	return s.flush()
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

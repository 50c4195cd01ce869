package body

import (
	"encoding/binary"
	"io"
)

// source counts what is read of a request's body, and remembers how that
// ended: the decoders above it change the errors that pass through them.
type source struct {
	r    io.Reader
	left int64
	full bool  // there was more than the limit
	err  error // of r, other than its end
}

// Read implements io.Reader. Past the limit the body ends with ErrTooLarge.
func (s *source) Read(p []byte) (int, error) {
	if s.full {
		return 0, ErrTooLarge
	}
	if s.err != nil {
		return 0, s.err
	}
	// One byte more than the limit tells a body that just fits from a larger one.
	if int64(len(p)) > s.left+1 {
		p = p[:s.left+1]
	}
	n, err := s.r.Read(p)
	if int64(n) > s.left {
		s.full = true
		return int(s.left), ErrTooLarge
	}
	s.left -= int64(n)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// headLength is how many bytes tell every format.
const headLength = 4

// format is a packing, named as Content-Encoding names it.
type format string

const (
	gzipFormat format = "gzip"
	zstdFormat format = "zstd"
)

// begins says whether a body with these first bytes is of the format.
func (f format) begins(head []byte) bool {
	if f == gzipFormat { // RFC 1952: two magic bytes, then deflate, the only method
		return len(head) >= 3 && head[0] == 0x1f && head[1] == 0x8b && head[2] == 8
	}
	if len(head) < 4 {
		return false
	}
	magic := binary.LittleEndian.Uint32(head) // RFC 8878: a frame, or one to skip
	return magic == 0xfd2fb528 || magic&^0xf == 0x184d2a50
}

// cut shortens a header's value for an error.
func cut(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}

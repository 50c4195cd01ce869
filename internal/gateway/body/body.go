// Package body owns the reading of a request's body: it unpacks gzip and zstd
// and keeps to bounds, so that no sender decides how much memory it takes.
//
// It refuses to know what the body says; the decoders do. It imports no other
// package of Weir.
package body

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// Errors that Read wraps. An error that wraps none of them is one of the
// reader itself: the connection broke.
var (
	// ErrEncoding means that the Content-Encoding is none Weir reads (415).
	ErrEncoding = errors.New("unknown Content-Encoding")
	// ErrTooLarge means that the body is past a limit (413).
	ErrTooLarge = errors.New("the body is too large")
	// ErrMalformed means that the body is not what its Content-Encoding says,
	// is cut short, or fails its checksum (400).
	ErrMalformed = errors.New("the body can't be unpacked")
)

// Limits bound a body, in bytes.
type Limits struct {
	Packed   int64 `yaml:"packed" doc:"bytes of a body as it arrives"`
	Unpacked int64 `yaml:"unpacked" doc:"bytes of a body once it is unpacked"`
}

// Default gives the limits of a gateway that was told none.
func Default() Limits { return Limits{Packed: 32 << 20, Unpacked: 256 << 20} }

// Validate checks the limits.
func (l Limits) Validate() error {
	if l.Packed < 1 || l.Unpacked < 1 {
		return fmt.Errorf("body limits: packed %d and unpacked %d; both must be at least 1 byte", l.Packed, l.Unpacked)
	}
	return nil
}

// Window is the largest zstd window that is unpacked: what RFC 8878 asks every
// decoder to have, and what no level below 20 goes past.
const Window = 8 << 20

// Reader reads bodies. It keeps decoders for reuse and is safe for concurrent
// use.
type Reader struct {
	limits Limits
	gzip   sync.Pool // of *gzip.Reader
	zstd   sync.Pool // of *zstd.Decoder
}

// New makes a reader with these limits.
func New(limits Limits) (*Reader, error) {
	if err := limits.Validate(); err != nil {
		return nil, err
	}
	return &Reader{limits: limits}, nil
}

// Read reads r to its end and unpacks it as encoding, the Content-Encoding
// header, says. It writes over dst, whose capacity it reuses, and gives the
// body back, which may lie in a new array. Beside the body it holds at most
// about twice the window.
//
// The encodings are "", identity, gzip, x-gzip and zstd, in any case. Several
// gzip members or zstd frames in a row are one body.
func (b *Reader) Read(dst []byte, r io.Reader, encoding string) ([]byte, error) {
	packed := &source{r: r, left: b.limits.Packed}
	name := strings.ToLower(strings.TrimSpace(encoding))
	var err error
	switch name {
	case "", "identity":
		dst, err = b.plain(dst[:0], packed)
	case "gzip", "x-gzip":
		dst, err = b.unpack(dst[:0], packed, gzipFormat, b.openGzip)
	case "zstd":
		dst, err = b.unpack(dst[:0], packed, zstdFormat, b.openZstd)
	default:
		return nil, fmt.Errorf("%w %q: use identity, gzip or zstd", ErrEncoding, cut(encoding))
	}
	switch {
	case packed.full:
		// Whatever the unpacking said, this came first.
		return nil, fmt.Errorf("%w: more than %d bytes were sent, and that is the limit; send less in a request", ErrTooLarge, b.limits.Packed)
	case packed.err != nil:
		return nil, fmt.Errorf("reading the body: %w", packed.err)
	case err != nil:
		return nil, err
	}
	return dst, nil
}

// Unpack is Read of a body that is there whole. It gives the body, which lies
// in packed itself where that is not packed, and dst or what it grew to.
func (b *Reader) Unpack(dst, packed []byte, encoding string) (body, grown []byte, err error) {
	if name := strings.ToLower(strings.TrimSpace(encoding)); name == "" || name == "identity" {
		if n := int64(len(packed)); n <= min(b.limits.Packed, b.limits.Unpacked) {
			return packed, dst, checkPlain(packed)
		}
	}
	body, err = b.Read(dst, bytes.NewReader(packed), encoding)
	if err != nil {
		return nil, dst, err
	}
	return body, body, nil
}

// plain reads a body that is not packed.
func (b *Reader) plain(dst []byte, packed *source) ([]byte, error) {
	dst, err := b.fill(dst, packed)
	if err != nil {
		return nil, err
	}
	return dst, checkPlain(dst)
}

// checkPlain tells a packed body that came without its header.
func checkPlain(body []byte) error {
	for _, f := range []format{gzipFormat, zstdFormat} {
		if f.begins(body) {
			return fmt.Errorf("%w: it begins as %s does, but came without that Content-Encoding; send the header Content-Encoding: %s", ErrMalformed, f, f)
		}
	}
	return nil
}

// unpack reads a packed body through the decoder that open gives.
func (b *Reader) unpack(dst []byte, packed *source, f format, open opener) ([]byte, error) {
	head := make([]byte, headLength)
	n, err := io.ReadFull(packed, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	head = head[:n]
	switch {
	case n == 0:
		return nil, fmt.Errorf("%w: Content-Encoding says %s, but the body is empty", ErrMalformed, f)
	case !f.begins(head):
		return nil, fmt.Errorf("%w: Content-Encoding says %s, but the body does not begin as %s does: its first bytes are % x", ErrMalformed, f, f, head)
	}
	unpacked, done, err := open(io.MultiReader(bytes.NewReader(head), packed))
	if err == nil {
		dst, err = b.fill(dst, unpacked)
		done()
	}
	switch {
	case err == nil:
		return dst, nil
	case errors.Is(err, ErrTooLarge):
		return nil, err
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return nil, fmt.Errorf("%w: its zstd window is larger than %d bytes; pack it with a level below 20 and without --long", ErrMalformed, Window)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("%w: its %s stream is cut short", ErrMalformed, f)
	}
	return nil, fmt.Errorf("%w: its %s stream is broken: %w", ErrMalformed, f, err)
}

// opener puts a decoder from a pool before packed; done gives it back.
type opener func(packed io.Reader) (unpacked io.Reader, done func(), err error)

func (b *Reader) openGzip(packed io.Reader) (io.Reader, func(), error) {
	z, _ := b.gzip.Get().(*gzip.Reader)
	if z == nil {
		z = new(gzip.Reader)
	}
	// A reader whose Reset failed can be reset again.
	done := func() { b.gzip.Put(z) }
	if err := z.Reset(packed); err != nil {
		done()
		return nil, nil, err
	}
	return z, done, nil
}

func (b *Reader) openZstd(packed io.Reader) (io.Reader, func(), error) {
	z, _ := b.zstd.Get().(*zstd.Decoder)
	if z == nil {
		var err error
		// One at a time means in the caller's goroutine: nothing to leak when
		// the pool lets go of it.
		z, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(Window), zstd.WithDecoderMaxMemory(Window), zstd.WithDecodeBuffersBelow(0))
		if err != nil {
			return nil, nil, err
		}
	}
	done := func() {
		if z.Reset(nil) == nil {
			b.zstd.Put(z)
		}
	}
	if err := z.Reset(packed); err != nil {
		done()
		return nil, nil, err
	}
	return z, done, nil
}

// fill reads r to its end and appends it to dst, up to the unpacked limit.
func (b *Reader) fill(dst []byte, r io.Reader) ([]byte, error) {
	var probe []byte
	for stalled := 0; stalled < maxStalled; {
		room := dst[len(dst):cap(dst)]
		if left := b.limits.Unpacked - int64(len(dst)); left < int64(len(room)) {
			room = room[:left]
		}
		full := int64(len(dst)) == b.limits.Unpacked
		switch {
		case full: // one more byte tells the end from the excess
			probe = append(probe[:0], 0)
			room = probe
		case len(room) == 0:
			dst = b.grow(dst)
			continue
		}
		n, err := r.Read(room)
		if full && n > 0 {
			return nil, fmt.Errorf("%w: unpacked it has more than %d bytes, and that is the limit; send less in a request", ErrTooLarge, b.limits.Unpacked)
		}
		dst = dst[:len(dst)+n]
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return nil, err
		}
		stalled++
		if n > 0 {
			stalled = 0
		}
	}
	return nil, io.ErrNoProgress
}

// maxStalled is how many reads in a row may bring nothing.
const maxStalled = 100

// grow doubles dst's capacity, within the limit.
func (b *Reader) grow(dst []byte) []byte {
	size := min(max(2*int64(cap(dst)), 4<<10), b.limits.Unpacked)
	larger := make([]byte, len(dst), size)
	copy(larger, dst)
	return larger
}

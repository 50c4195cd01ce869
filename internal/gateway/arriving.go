package gateway

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// errSlow refuses a body that did not arrive in time.
var errSlow = errors.New("the body did not arrive")

const (
	// firstRead is what a body is given to begin with, in bytes.
	firstRead = 16 << 10
	// bodyKept is the largest body whose memory is kept for reuse.
	bodyKept = 4 << 20
)

// arriving is the bodies that are on their way in. Each is charged for the
// memory it holds, as it grows; where there is no more, the request is refused
// and not made to wait, so that no two can wait for one another. Safe for
// concurrent use.
type arriving struct {
	most  int64 // bytes of all bodies
	limit int64 // bytes of one; the body that is longer is cut one byte past it
	held  atomic.Int64
	idle  idle[*packed]
}

func newArriving(most, limit int64, kept int) arriving {
	return arriving{most: most, limit: limit, idle: idle[*packed]{most: kept, make: func() *packed { return &packed{} }}}
}

// packed is a body as it arrived.
type packed struct {
	bytes   []byte
	charged int64
}

// read reads a body. The caller releases what it is given, error or not.
func (a *arriving) read(from io.Reader) (*packed, error) {
	p := a.idle.get()
	if err := a.charge(p, int64(max(cap(p.bytes), firstRead))); err != nil {
		return p, err
	}
	if cap(p.bytes) == 0 {
		p.bytes = make([]byte, 0, firstRead)
	}
	for {
		if len(p.bytes) == cap(p.bytes) {
			if err := a.charge(p, int64(cap(p.bytes))); err != nil {
				return p, err
			}
			p.bytes = append(make([]byte, 0, 2*cap(p.bytes)), p.bytes...)
		}
		n, err := from.Read(p.bytes[len(p.bytes):cap(p.bytes)])
		p.bytes = p.bytes[:len(p.bytes)+n]
		switch {
		case int64(len(p.bytes)) > a.limit: // what unpacks it says so
			p.bytes = p.bytes[:a.limit+1]
			return p, nil
		case errors.Is(err, io.EOF):
			return p, nil
		case err != nil:
			return p, fmt.Errorf("reading the body: %w", err)
		}
	}
}

// charge books memory for p, if there is as much.
func (a *arriving) charge(p *packed, n int64) error {
	if a.held.Add(n) > a.most {
		a.held.Add(-n)
		return fmt.Errorf("%w: the bodies on their way in hold %d bytes", errBusy, a.most)
	}
	p.charged += n
	return nil
}

// release gives a body's memory back.
func (a *arriving) release(p *packed) {
	a.held.Add(-p.charged)
	p.charged = 0
	if cap(p.bytes) <= bodyKept {
		p.bytes = p.bytes[:0]
		a.idle.put(p)
	}
}

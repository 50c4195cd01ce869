package jetstream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"weir/internal/buffer"
)

// Driver is the buffer over one folder. Safe for concurrent use.
type Driver struct {
	config Config
	queues int
	lock   *os.File
	leases *leases

	// turn is held while the fields below are used and while an engine starts
	// or ends, which may take long: so it is a lock that a context can end.
	turn    chan struct{}
	closed  bool
	current *engine   // nil: none, the last failed to start
	last    error     // why there is none
	retry   time.Time // no engine is started before
}

var (
	_ buffer.Buffer      = (*Driver)(nil)
	_ buffer.BatchAcker  = (*Driver)(nil)
	_ buffer.DeadLetters = (*Driver)(nil)
	_ buffer.Leases      = (*Driver)(nil)
)

// Open opens the buffer, or makes it where there was none. It returns when
// all queues are read. The server's goroutines run until Close.
func Open(ctx context.Context, c Config) (_ *Driver, err error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return nil, err
	}
	if c.removals == nil {
		c.removals = &sync.RWMutex{}
	}
	if err := makeFolder(c.Dir); err != nil {
		return nil, fmt.Errorf("buffer: %w", err)
	}
	d := &Driver{config: c, leases: newLeases(c.Now), turn: make(chan struct{}, 1)}
	if d.lock, err = lock(c.Dir); err != nil {
		return nil, fmt.Errorf("buffer: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("buffer: open %s: %w", c.Dir, joinClose(err, d.lock))
		}
	}()
	if d.queues, err = settleFormat(c.Dir, c.Queues); err != nil {
		return nil, err
	}
	if d.current, err = startEngine(ctx, c, d.queues); err != nil {
		return nil, err
	}
	return d, nil
}

// Queues implements buffer.Buffer.
func (d *Driver) Queues() int { return d.queues }

// MaxBody implements buffer.Buffer.
func (d *Driver) MaxBody() int { return d.config.MaxBody }

// engine gives the engine that works, starting a new one when the last is
// broken and has been left alone for long enough.
func (d *Driver) engine(ctx context.Context, queue int) (*engine, error) {
	if queue < 0 || queue >= d.queues {
		return nil, fmt.Errorf("there are queues 0 to %d", d.queues-1)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if d.closed {
		return nil, buffer.ErrClosed
	}
	if e := d.current; e != nil {
		if e.life.Err() == nil {
			return e, nil
		}
		d.last = e.unavailable()
		d.config.Logger.Error("the buffer's server failed; it will be started again", "error", d.last)
		d.current = nil
		d.retry = d.config.Now().Add(d.config.RetryAfter)
		if err := e.stop(nil); err != nil {
			d.config.Logger.Error("the buffer's failed server did not end well", "error", err)
		}
	}
	if d.config.Now().Before(d.retry) {
		return nil, d.last
	}
	// Not the caller's ctx: many wait for the one start, and a start that is
	// cut short would begin anew each time.
	e, err := startEngine(context.WithoutCancel(ctx), d.config, d.queues)
	if err != nil {
		d.last = fmt.Errorf("%w: start again: %w", buffer.ErrUnavailable, err)
		d.retry = d.config.Now().Add(d.config.RetryAfter)
		d.config.Logger.Error("the buffer's server can't be started again", "error", err)
		return nil, d.last
	}
	d.config.Logger.Warn("the buffer's server was started again")
	d.current = e
	return e, nil
}

// Send implements buffer.Buffer. Each body costs one fsync.
func (d *Driver) Send(ctx context.Context, queue int, bodies [][]byte) []error {
	errs := make([]error, len(bodies))
	messages := make([]*nats.Msg, len(bodies))
	for i, b := range bodies {
		messages[i] = &nats.Msg{Data: b}
		if len(b) > d.config.MaxBody {
			errs[i] = fmt.Errorf("%w: %d bytes, at most %d", buffer.ErrTooLarge, len(b), d.config.MaxBody)
		}
	}
	e, err := d.engine(ctx, queue)
	if err == nil {
		e.queues[queue].sender.send(ctx, messages, errs)
	}
	failed := false
	for i := range errs {
		if errs[i] == nil {
			errs[i] = err
		}
		if errs[i] != nil {
			failed = true
			if errors.Is(errs[i], errDiskFull) {
				errs[i] = fmt.Errorf("%w: %w", buffer.ErrFull, errs[i])
			}
			errs[i] = failure("send", queue, errs[i])
		}
	}
	if !failed {
		return nil
	}
	return errs
}

// Receive implements buffer.Buffer. Receives of one queue take turns. When the
// server fails it returns ErrUnavailable or ErrFull.
func (d *Driver) Receive(ctx context.Context, queue, limit int) ([]buffer.Delivery, error) {
	if limit < 1 {
		return nil, failure("receive", queue, fmt.Errorf("at most %d messages are wanted: want at least 1", limit))
	}
	e, err := d.engine(ctx, queue)
	if err != nil {
		return nil, failure("receive", queue, err)
	}
	q := e.queues[queue]
	messages, err := q.receive(ctx, limit)
	if err != nil {
		return nil, failure("receive", queue, err)
	}
	given, err := q.deliveries(ctx, messages)
	if err != nil {
		return nil, failure("receive", queue, err)
	}
	return given, nil
}

// Depth implements buffer.Buffer.
func (d *Driver) Depth(ctx context.Context, queue int) (buffer.Depth, error) {
	e, err := d.engine(ctx, queue)
	if err != nil {
		return buffer.Depth{}, failure("depth", queue, err)
	}
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	depth, err := e.queues[queue].depth(ctx)
	if err != nil {
		return buffer.Depth{}, failure("depth", queue, e.asPort(ctx, err))
	}
	return depth, nil
}

// Acquire implements buffer.Leases.
func (d *Driver) Acquire(ctx context.Context, queue int, owner string, ttl time.Duration) (buffer.Lease, error) {
	if _, err := d.engine(ctx, queue); err != nil {
		return nil, failure("acquire", queue, err)
	}
	l, err := d.leases.acquire(queue, owner, ttl)
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Close implements buffer.Buffer. Calls in progress end with ErrClosed.
func (d *Driver) Close() error {
	d.turn <- struct{}{}
	defer func() { <-d.turn }()
	if d.closed {
		return nil
	}
	d.closed = true
	var err error
	if e := d.current; e != nil {
		ctx, cancel := e.bounded(context.Background())
		defer cancel()
		// Without the note the next open compares nothing.
		if err := e.writeClosed(ctx); err != nil {
			d.config.Logger.Warn("can't note what the buffer holds", "error", err)
		}
		err = e.stop(buffer.ErrClosed)
	}
	return errors.Join(err, d.lock.Close())
}

// failure wraps an error with what was done, on which queue, and what helps.
func failure(op string, queue int, err error) error {
	return &buffer.Error{Op: op, Queue: queue, Hint: hint(err), Err: err}
}

func hint(err error) string {
	switch {
	case errors.Is(err, errDiskFull):
		return "make room on the disk; the buffer goes on by itself"
	case errors.Is(err, buffer.ErrFull):
		return "workers are behind or stopped, or give the queue more bytes"
	}
	return ""
}

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"weir/internal/client"
)

// parcel is the body of one request.
type parcel struct {
	body    []byte
	json    bool
	samples int
	// rows names the row of a file that each line comes from; it is empty
	// where there is no file.
	rows []int
	// through is how far the source has come, in the units of its progress.
	through int64
}

// tally is what became of what was sent.
type tally struct {
	Samples  int64 // answered as durable
	Rejected int64 // samples that were refused in the answer
	Requests int64
	Retries  int64
	Bytes    int64
}

// sender sends parcels over several connections. A request that the server
// can't take now, or whose answer is lost, is sent again: samples that are
// stored twice so are read once.
type sender struct {
	post        func(context.Context, *parcel) error
	connections int
	patience    time.Duration // how long one request is tried
	rate        float64       // samples a second; 0 means no limit
	now         func() time.Time

	// The functions that follow are called by one goroutine at a time.
	sent     func(*parcel, tally)
	rejected func(*parcel, []client.RejectedLine)
	waiting  func(reason error, wait time.Duration)

	mu    sync.Mutex
	tally tally
}

// run sends what next fills in until it says false, or until something can't
// be sent, and gives what became of it so far.
func (s *sender) run(ctx context.Context, next func(*parcel) (bool, error)) (tally, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	full, empty := make(chan *parcel), make(chan *parcel, 2*s.connections)
	for range 2 * s.connections {
		empty <- &parcel{}
	}
	var group sync.WaitGroup
	for range s.connections {
		group.Go(func() {
			for p := range full {
				if err := s.send(ctx, p); err != nil {
					cancel(err)
				}
				empty <- p
			}
		})
	}
	err := s.feed(ctx, next, empty, full)
	close(full)
	group.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return s.tally, err
}

// feed fills parcels and hands them to the connections at the rate wanted.
func (s *sender) feed(ctx context.Context, next func(*parcel) (bool, error), empty, full chan *parcel) error {
	start, fed := s.now(), 0
	for {
		p := <-empty
		more, err := next(p)
		if err != nil || !more {
			return err
		}
		if s.rate > 0 {
			due := start.Add(time.Duration(float64(fed) / s.rate * float64(time.Second)))
			if err := pause(ctx, due.Sub(s.now())); err != nil {
				return err
			}
			fed += p.samples
		}
		select {
		case full <- p:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// send sends one parcel until it is answered.
func (s *sender) send(ctx context.Context, p *parcel) error {
	first := s.now()
	for attempt := 0; ; attempt++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := s.post(ctx, p)
		var e *client.Error
		switch {
		case err == nil:
			s.settle(p, p.samples, nil)
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case !errors.As(err, &e):
			return err
		case len(e.Lines) > 0:
			s.settle(p, min(int(e.Accepted), p.samples), e.Lines)
			return nil
		case !e.Temporary():
			return err
		}
		wait := max(backoff(attempt), e.RetryAfter)
		if passed := s.now().Sub(first); passed+wait > s.patience {
			return fmt.Errorf("gave up after %s and %d attempts: %w", passed.Round(time.Second), attempt+1, err)
		}
		s.mu.Lock()
		s.tally.Retries++
		s.waiting(err, wait)
		s.mu.Unlock()
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

func (s *sender) settle(p *parcel, accepted int, lines []client.RejectedLine) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tally.Requests++
	s.tally.Samples += int64(accepted)
	s.tally.Rejected += int64(p.samples - accepted)
	s.tally.Bytes += int64(len(p.body))
	if len(lines) > 0 {
		s.rejected(p, lines)
	}
	s.sent(p, s.tally)
}

// backoff grows from about 0.1 s to 5 s; chance keeps senders apart.
func backoff(attempt int) time.Duration {
	longest := min(100*time.Millisecond<<min(attempt, 10), 5*time.Second)
	return longest/2 + rand.N(longest/2)
}

// startTime is how long a server may take to become ready.
const startTime = 30 * time.Second

// awaitReady waits for a server that is starting; one that isn't there is an
// error at once.
func (g *global) awaitReady(ctx context.Context, c *client.Client) error {
	for began := g.now(); ; {
		err := c.Ready(ctx)
		var e *client.Error
		if err == nil || !errors.As(err, &e) || e.Status == 0 || !e.Temporary() || g.now().Sub(began) > startTime {
			return err
		}
		if err := pause(ctx, max(e.RetryAfter, 200*time.Millisecond)); err != nil {
			return err
		}
	}
}

// pause waits, or gives the cause of ctx's end.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

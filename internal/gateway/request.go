package gateway

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"weir/internal/catalog"
	"weir/internal/gateway/intake"
	"weir/internal/sample"
)

// errBusy refuses a request because the buffer does not keep up.
var errBusy = errors.New("the buffer is full or does not answer")

// Fault is one line, or one value of a line, that was not kept and why.
type Fault struct {
	Line   int    `json:"line"`
	Column int    `json:"column,omitempty"`
	Reason string `json:"reason"`
	Text   string `json:"text,omitempty"`
}

// maxFaults is how many faults an answer lists; all are counted.
const maxFaults = 1000

// request takes what a decoder reads from one body and divides it by week and
// queue. It is the decoders' sink.
type request struct {
	gateway *Gateway
	ctx     context.Context
	latest  int64 // the latest time that is accepted

	weeks    map[sample.Week]*byQueue
	current  *byQueue // the week of the sample before
	samples  int
	rejected uint64
	faults   []Fault
	err      error // why nothing of the request can be taken now
}

// byQueue is a week's samples by queue.
type byQueue struct {
	week       sample.Week
	start, end int64
	samples    [][]pending
}

var _ intake.Sink[*catalog.Series] = (*request)(nil)

func (g *Gateway) newRequest(ctx context.Context) *request {
	return &request{
		gateway: g, ctx: ctx, weeks: map[sample.Week]*byQueue{},
		latest: g.now().Add(g.config.MaxAhead).UnixNano(),
	}
}

// Emit takes one sample; see intake.Sink.
func (r *request) Emit(series *catalog.Series, s sample.Sample) error {
	if kind := series.Kind(); kind != 0 && kind != s.Value.Kind {
		v, err := s.Value.As(kind)
		if err != nil {
			return fmt.Errorf("series %s: %w", series, err)
		}
		s.Value = v
	}
	if s.Time > r.latest {
		return fmt.Errorf("time %s is more than %s ahead of now; set the sender's clock, or name the precision of its times",
			time.Unix(0, s.Time).UTC().Format(time.RFC3339), r.gateway.config.MaxAhead)
	}
	w := r.current
	if w == nil || s.Time < w.start || s.Time >= w.end {
		var err error
		if w, err = r.week(s.Time); err != nil {
			return err
		}
		r.current = w
	}
	queue := series.Shard().Range(len(w.samples))
	w.samples[queue] = append(w.samples[queue], pending{series, s})
	r.samples++
	return nil
}

// week finds the week of a time, and makes it if need be.
func (r *request) week(t int64) (*byQueue, error) {
	if r.err != nil {
		return nil, r.err
	}
	week := sample.WeekOf(t)
	if w := r.weeks[week]; w != nil {
		return w, nil
	}
	if week.Start() == math.MinInt64 || week.End() == math.MaxInt64 {
		return nil, fmt.Errorf("time %d ns lies in a week that int64 nanoseconds do not hold whole", t)
	}
	record, err := r.gateway.weeks.EnsureWeek(r.ctx, week)
	if err != nil {
		r.err = fmt.Errorf("%w: %w", errBusy, err)
		return nil, r.err
	}
	if record.Partitions > len(r.gateway.lanes) {
		r.err = fmt.Errorf("%w: week %s has %d partitions, and there are %d queues", errBusy, week, record.Partitions, len(r.gateway.lanes))
		return nil, r.err
	}
	w := &byQueue{week: week, start: week.Start(), end: week.End(), samples: make([][]pending, record.Partitions)}
	r.weeks[week] = w
	return w, nil
}

// Reject takes note of what a line lacks; see intake.Sink.
func (r *request) Reject(line int, err error) {
	r.rejected++
	if len(r.faults) >= maxFaults {
		return
	}
	f := Fault{Line: line, Reason: err.Error()}
	var fault *intake.Fault
	if errors.As(err, &fault) {
		f.Column, f.Reason = fault.Column, fault.Err.Error()
		f.Text = string(fault.Text[:min(len(fault.Text), 200)])
	}
	r.faults = append(r.faults, f)
}

// store hands the samples to the lanes and waits until all are durable.
func (r *request) store() error {
	if r.err != nil {
		return r.err
	}
	n := 0
	for _, w := range r.weeks {
		n += len(w.samples)
	}
	done, handed := make(chan error, n), 0
	var failed error
	for _, w := range r.weeks {
		for queue, samples := range w.samples {
			if len(samples) == 0 {
				continue
			}
			if err := r.gateway.lanes[queue].hand(parcel{w.week, samples, done}); err != nil {
				failed = err
				continue
			}
			handed++
		}
	}
	limit := time.NewTimer(r.gateway.config.AnswerTime)
	defer limit.Stop()
	for range handed {
		select {
		case err := <-done:
			if err != nil {
				failed = err
			}
		case <-limit.C:
			return fmt.Errorf("%w: not durable within %s", errBusy, r.gateway.config.AnswerTime)
		case <-r.ctx.Done():
			return fmt.Errorf("the client gave up: %w", r.ctx.Err())
		}
	}
	return failed
}

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
	queues     []*bundle // by queue; nil where no sample came
}

var (
	_ intake.Sink[*catalog.Series]  = (*request)(nil)
	_ intake.Lines[*catalog.Series] = (*request)(nil)
)

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
	u := r.bundle(w, series.Shard().Range(len(w.queues)))
	u.add(series, &s)
	r.samples++
	return nil
}

// bundle gives a week's bundle for a queue.
func (r *request) bundle(w *byQueue, queue int) *bundle {
	u := w.queues[queue]
	if u == nil {
		u = r.gateway.bundles.get(w.week)
		w.queues[queue] = u
	}
	return u
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
	if len(r.weeks) >= r.gateway.config.MaxWeeks {
		return nil, fmt.Errorf("the request has samples of more than %d weeks; send those of %s in another", r.gateway.config.MaxWeeks, week)
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
	w := &byQueue{week: week, start: week.Start(), end: week.End(), queues: make([]*bundle, record.Partitions)}
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

// store hands the samples to the lanes and waits until all are durable. Where
// a lane that it needs takes nothing, it hands in nothing. What was rejected
// is told in the messages of the same samples.
func (r *request) store() error {
	parcels, done, err := r.parcels()
	if err != nil {
		r.drop()
		return err
	}
	r.gateway.rejected.Add(r.rejected)
	r.gateway.counts.rejected.Add(r.rejected)
	handed := 0
	for queue, p := range parcels {
		if len(p.bundles) == 0 {
			continue
		}
		if !r.gateway.lanes[queue].inbox.hand(p) { // it filled up just now
			err = errBusy
			continue
		}
		handed++
	}
	r.weeks, r.current = nil, nil // the lanes' from here on
	limit := time.NewTimer(r.gateway.config.AnswerTime)
	defer limit.Stop()
	for range handed {
		select {
		case failed := <-done:
			if failed != nil {
				err = failed
			}
		case <-limit.C:
			return fmt.Errorf("%w: not durable within %s", errBusy, r.gateway.config.AnswerTime)
		case <-r.ctx.Done():
			return fmt.Errorf("%w: the client gave up: %w", errBusy, r.ctx.Err())
		}
	}
	return err
}

// parcels divides the samples by queue, and gives where the lanes answer.
func (r *request) parcels() ([]parcel, <-chan error, error) {
	if r.err != nil {
		return nil, nil, r.err
	}
	lanes := r.gateway.lanes
	parcels, done := make([]parcel, len(lanes)), make(chan error, len(lanes))
	for _, w := range r.weeks {
		for queue, u := range w.queues {
			if u == nil {
				continue
			}
			if lanes[queue].refuses() {
				return nil, nil, errBusy
			}
			parcels[queue].done = done
			parcels[queue].add(u)
		}
	}
	return parcels, done, nil
}

// drop gives back what was not handed in.
func (r *request) drop() {
	for _, w := range r.weeks {
		for _, u := range w.queues {
			if u != nil {
				r.gateway.bundles.put(u)
			}
		}
	}
	r.weeks, r.current = nil, nil
}

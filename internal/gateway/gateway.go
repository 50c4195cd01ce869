// Package gateway owns the intake: requests in, durable messages out. A
// request is answered 204 only when all its samples are in the buffer on disk.
//
// Bad lines are answered each with its number and reason, and the good ones
// of the same request are kept. A buffer that takes no more is answered 503
// with Retry-After at once; nothing is dropped in silence.
//
// The decoders of the protocols are packages below. It imports the port
// buffer, catalog, journal's week records through an interface, and no driver.
package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/buffer"
	"weir/internal/catalog"
	"weir/internal/gateway/body"
	"weir/internal/gateway/jsonl"
	"weir/internal/gateway/lineprotocol"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
)

// Config is how a gateway gathers and what it refuses.
type Config struct {
	Instance     string        `yaml:"instance" doc:"where this gateway works: one life follows another there"`
	Linger       time.Duration `yaml:"linger" doc:"how long a message waits for more samples, besides the time the one before takes"`
	GroupSamples int           `yaml:"group_samples" doc:"how many samples make a message at most"`
	MaxUnsent    int           `yaml:"max_unsent" doc:"how many samples of a queue may wait to be durable, 32 bytes of text counting as one; then requests are answered 503"`
	AnswerTime   time.Duration `yaml:"answer_time" doc:"how long a request waits for its samples to be durable; then it is answered 503"`
	BeatEvery    time.Duration `yaml:"beat_every" doc:"how often an idle gateway says that it is there"`
	MaxAhead     time.Duration `yaml:"max_ahead" doc:"how far ahead of now a sample's time may be"`
	MaxWeeks     int           `yaml:"max_weeks" doc:"of how many weeks a request may bring samples"`
	ReadTime     time.Duration `yaml:"read_time" doc:"how long a request's body may take to arrive; then it is answered 408"`
	MaxReading   int64         `yaml:"max_reading" doc:"how many bytes of bodies may be on their way in at once; then requests are answered 503"`
	MaxRequests  int           `yaml:"max_requests" doc:"how many bodies that have arrived are decoded at once; more wait"`
	Body         body.Limits   `yaml:"body" doc:"how large a request's body may be"`
}

// Default gives the embedded profile's values.
func Default() Config {
	return Config{
		Instance: "embedded", GroupSamples: 64 << 10, MaxUnsent: 4 << 20,
		AnswerTime: 15 * time.Second, BeatEvery: 30 * time.Second, MaxAhead: 24 * time.Hour,
		MaxWeeks: 4096, ReadTime: time.Minute, MaxReading: 256 << 20, MaxRequests: 16, Body: body.Default(),
	}
}

// Validate names the first value that cannot work.
func (c Config) Validate() error {
	for _, v := range []struct {
		name string
		ok   bool
		want string
	}{
		{"instance", c.Instance != "" && len(c.Instance) <= message.MaxInstance, "1 to 256 bytes"},
		{"linger", c.Linger >= 0 && c.Linger <= time.Minute, "0 to 1m"},
		{"group_samples", c.GroupSamples > 0, "at least 1"},
		{"max_unsent", c.MaxUnsent > 0, "at least 1"},
		{"answer_time", c.AnswerTime > 0, "more than 0"},
		{"beat_every", c.BeatEvery > 0, "more than 0"},
		{"max_ahead", c.MaxAhead >= 0, "at least 0"},
		{"max_weeks", c.MaxWeeks > 0, "at least 1"},
		{"read_time", c.ReadTime > 0, "more than 0"},
		{"max_reading", c.MaxReading >= firstRead, "at least 16384 (16 KiB)"},
		{"max_requests", c.MaxRequests > 0, "at least 1"},
	} {
		if !v.ok {
			return fmt.Errorf("gateway.%s: want %s", v.name, v.want)
		}
	}
	if err := c.Body.Validate(); err != nil {
		return fmt.Errorf("gateway.body: %w", err)
	}
	return nil
}

// Weeks makes weeks on their first sample and says how they are divided.
type Weeks interface {
	EnsureWeek(ctx context.Context, w sample.Week) (journal.WeekRecord, error)
}

// Options is what a gateway works with. Nothing may be nil but Fast and Logger.
type Options struct {
	Config  Config
	Life    message.Life // a number that no other life has
	Buffer  buffer.Buffer
	Catalog *catalog.Catalog
	Weeks   Weeks
	// Fast says which series go in messages of their own, to be flushed every
	// second or two. Nil: none.
	Fast   func(sample.Series) bool
	Clock  *message.Clock
	Now    func() time.Time
	Logger *slog.Logger
}

// Gateway is one gateway's life. Safe for concurrent use.
type Gateway struct {
	config  Config
	life    message.Life
	buffer  buffer.Buffer
	catalog *catalog.Catalog
	weeks   Weeks
	fast    func(sample.Series) bool
	clock   *message.Clock
	now     func() time.Time
	logger  *slog.Logger

	lanes    []*lane
	arriving arriving
	decoding chan struct{} // a place for each request that is decoded
	bodies   *body.Reader
	unpacked idle[[]byte]
	bundles  bundles
	lines    idle[*lineprotocol.Decoder[*catalog.Series]]
	objects  idle[*jsonl.Decoder[*catalog.Series]]
	rejected atomic.Uint64 // refused in answers, not told in a message yet
	counts   counters
}

// counters are the gateway's own metrics.
type counters struct {
	requests, refused, samples, rejected, bytes, sent atomic.Uint64
}

// New makes a gateway; Run opens its life.
func New(o Options) (*Gateway, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	bodies, err := body.New(o.Config.Body)
	if err != nil {
		return nil, err
	}
	// After a burst as much is kept for reuse as all processors can use at
	// once, while as much is filled or waits to be durable.
	busy := 2 * runtime.GOMAXPROCS(0)
	g := &Gateway{
		config: o.Config, life: o.Life, buffer: o.Buffer, catalog: o.Catalog, weeks: o.Weeks, fast: o.Fast,
		clock: o.Clock, now: o.Now, logger: o.Logger, bodies: bodies,
		arriving: newArriving(o.Config.MaxReading, o.Config.Body.Packed, busy),
		bundles:  newBundles(2 * busy * o.Buffer.Queues()),
		decoding: make(chan struct{}, o.Config.MaxRequests),
		unpacked: idle[[]byte]{most: busy, make: func() []byte { return nil }},
		lines: idle[*lineprotocol.Decoder[*catalog.Series]]{most: busy, make: func() *lineprotocol.Decoder[*catalog.Series] {
			return lineprotocol.New(o.Catalog.Intern, lineprotocol.Default())
		}},
		objects: idle[*jsonl.Decoder[*catalog.Series]]{most: busy, make: func() *jsonl.Decoder[*catalog.Series] {
			return jsonl.New(o.Catalog.Intern, jsonl.Default())
		}},
	}
	for queue := range o.Buffer.Queues() {
		g.lanes = append(g.lanes, &lane{
			Gateway: g, queue: queue, logger: o.Logger.With("queue", queue),
			inbox: newInbox(o.Config.MaxUnsent),
		})
	}
	return g, nil
}

// Run opens the life in every queue, calls opened, and keeps on until stop is
// closed; then it sends what was handed in, closes the life and returns. An
// end of ctx cuts that short. Requests must not come before opened is called,
// nor should they after stop is closed.
func (g *Gateway) Run(ctx context.Context, stop <-chan struct{}, opened func()) error {
	var open, all sync.WaitGroup
	open.Add(len(g.lanes))
	for _, l := range g.lanes {
		all.Go(func() {
			once := sync.OnceFunc(open.Done)
			defer once()
			l.run(ctx, stop, once)
		})
	}
	open.Wait()
	if ctx.Err() == nil {
		opened()
	}
	all.Wait()
	return ctx.Err()
}

// Tally is what a life has done in one queue.
type Tally struct {
	Life     message.Life
	Queue    int
	Instance string
	Numbered uint64 // messages numbered: 0 to Numbered-1
	Durable  uint64 // of them, those that the queue surely has
	Accepted uint64 // samples in numbered messages
	Last     message.Stamp
	Settled  message.Stamp // of the last durable message
}

// Tallies gives the life's state in each queue. Whoever has seen all messages
// below Durable has seen every sample that was answered 204 by now.
func (g *Gateway) Tallies() []Tally {
	out := make([]Tally, 0, len(g.lanes))
	for _, l := range g.lanes {
		l.mu.Lock()
		out = append(out, Tally{
			Life: g.life, Queue: l.queue, Instance: g.config.Instance,
			Numbered: l.next, Durable: l.durable, Accepted: l.accepted, Last: l.last, Settled: l.settled,
		})
		l.mu.Unlock()
	}
	return out
}

// Untold gives how many samples were refused in answers that no message has
// told of yet.
func (g *Gateway) Untold() uint64 { return g.rejected.Load() }

// Counts is what a gateway has done since it started.
type Counts struct {
	Requests, Refused uint64
	Samples, Rejected uint64
	Bytes             uint64 // of requests, unpacked
	Sent              uint64 // bytes of messages that the buffer has
}

// Counts gives what the gateway has done.
func (g *Gateway) Counts() Counts {
	c := &g.counts
	return Counts{c.requests.Load(), c.refused.Load(), c.samples.Load(), c.rejected.Load(), c.bytes.Load(), c.sent.Load()}
}

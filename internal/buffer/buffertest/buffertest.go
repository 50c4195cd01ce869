// Package buffertest is the suite that every driver of buffer must pass,
// unchanged. A driver's test hands it a Factory and says by Abilities what the
// place can do; what it cannot do is skipped by name, so that it shows.
//
// It tests the contract that package buffer writes down and nothing beyond it.
// It imports buffer and the test libraries, and no driver.
package buffertest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"

	"weir/internal/buffer"
)

// Driver is all that a driver must be.
type Driver interface {
	buffer.Buffer
	buffer.DeadLetters
	buffer.Leases
}

// Options are what a test asks of the driver that it opens.
type Options struct {
	Queues     int
	Visibility time.Duration    // the visibility timeout
	Capacity   int64            // bytes a queue may hold; 0: plenty. Only set where Abilities say so
	Now        func() time.Time // the clock of leases. Only used where Abilities say so
}

// Place is where a buffer keeps its messages, outliving what is open on it.
type Place interface {
	// Open opens the buffer; it is called again after Close or Crash.
	Open(Options) (Driver, error)
	// Crash ends what is open as a SIGKILL would. The buffer that was open is
	// the place's to tidy up, and calls under way on it may return anything.
	// Only called where Abilities say so.
	Crash() error
	// Discard removes the place.
	Discard() error
}

// Abilities are what a place can do.
type Abilities struct {
	Crash    bool // Crash works
	AtOnce   bool // what was in flight comes again at once after a restart or crash
	Ordered  bool // first deliveries come in the order of sends
	Capacity bool // Options.Capacity works, and a full queue refuses
	Depth    bool // Depth tells at once
	Listing  bool // List keeps order, and lists every time
	Clock    bool // leases go by Options.Now
	Exact    bool // Attempts is exact where no delivery was on its way at the end
}

// Factory makes empty places.
type Factory struct {
	Abilities
	New func() (Place, error)
	// Leaks are goroutines that a driver's client library leaves behind once
	// a process and that no driver can end.
	Leaks []goleak.Option
}

// Run runs the suite.
func Run(t *testing.T, f Factory) {
	t.Helper()
	groups := []struct {
		name  string
		cases []testCase
	}{
		{"Messages", messageCases()},
		{"Waiting", waitingCases()},
		{"Redelivery", redeliveryCases()},
		{"AckBatch", ackBatchCases()},
		{"Durable", durableCases()},
		{"Load", loadCases()},
		{"Depth", depthCases()},
		{"DeadLetters", deadLetterCases()},
		{"Leases", leaseCases()},
		{"Close", closeCases()},
	}
	for _, g := range groups {
		t.Run(g.name, func(t *testing.T) {
			for _, c := range g.cases {
				t.Run(c.name, func(t *testing.T) {
					if c.needs != nil && !c.needs(f.Abilities) {
						t.Skip("the place says that it can't do this")
					}
					// Registered first, so checked last: all is closed by then.
					options := append([]goleak.Option{goleak.IgnoreCurrent()}, f.Leaks...)
					t.Cleanup(func() { goleak.VerifyNone(t, options...) })
					c.run(t, f)
				})
			}
		})
	}
}

type testCase struct {
	name  string
	needs func(Abilities) bool
	run   func(t *testing.T, f Factory)
}

// with makes a test case of one that needs a single open buffer.
func with(name string, run func(t *testing.T, d Driver)) testCase {
	return testCase{name: name, run: func(t *testing.T, f Factory) {
		run(t, open(t, place(t, f), Options{}))
	}}
}

func place(t testing.TB, f Factory) Place {
	t.Helper()
	p, err := f.New()
	must(t, "make a place", err)
	t.Cleanup(func() {
		if err := p.Discard(); err != nil {
			t.Errorf("discard the place: %v", err)
		}
	})
	return p
}

// open opens a buffer of two queues whose deliveries do not run out within a
// test, unless the options say otherwise.
func open(t testing.TB, p Place, o Options) Driver {
	t.Helper()
	if o.Queues == 0 {
		o.Queues = 2
	}
	if o.Visibility == 0 {
		o.Visibility = 5 * patience
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	d, err := p.Open(o)
	must(t, "open", err)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// patience is how long a test waits for what must come.
const patience = 30 * time.Second

// briefly is how long a test waits to see that nothing comes.
const briefly = 150 * time.Millisecond

// patient gives a context for what must come.
func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func must(t testing.TB, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func wantError(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("%s: %v; want %v", what, got, want)
	}
}

// body makes a body that its number tells and that does not compress.
func body(number, size int) []byte {
	b := fmt.Appendf(make([]byte, 0, size+8), "%08d", number)
	state := uint64(number)*2862933555777941757 + 3037000493
	for len(b) < size {
		state = state*6364136223846793005 + 1442695040888963407
		b = binary.LittleEndian.AppendUint64(b, state^state>>29)
	}
	return b[:max(size, 8)]
}

func bodies(from, count, size int) [][]byte {
	all := make([][]byte, count)
	for i := range all {
		all[i] = body(from+i, size)
	}
	return all
}

// send sends all or fails.
func send(t testing.TB, b buffer.Buffer, queue int, bodies ...[]byte) {
	t.Helper()
	if errs := b.Send(patient(t), queue, bodies); errs != nil {
		t.Fatalf("send: %v", errors.Join(errs...))
	}
}

// receive waits for exactly count deliveries.
func receive(t testing.TB, b buffer.Buffer, queue, count int) []buffer.Delivery {
	t.Helper()
	ctx := patient(t)
	var all []buffer.Delivery
	for len(all) < count {
		got, err := b.Receive(ctx, queue, count-len(all))
		if err != nil {
			t.Fatalf("receive: %v, after %d of %d deliveries", err, len(all), count)
		}
		if len(got) == 0 || len(got) > count-len(all) {
			t.Fatalf("receive: %d deliveries; want 1 to %d", len(got), count-len(all))
		}
		all = append(all, got...)
	}
	return all
}

func receiveOne(t testing.TB, b buffer.Buffer, queue int) buffer.Delivery {
	t.Helper()
	return receive(t, b, queue, 1)[0]
}

// nothing checks that no delivery comes for a while.
func nothing(t testing.TB, b buffer.Buffer, queue int, wait time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	got, err := b.Receive(ctx, queue, 10)
	if len(got) > 0 {
		t.Fatalf("received %q, attempt %d; want nothing", clip(got[0].Body()), got[0].Attempts())
	}
	wantError(t, "receive of nothing", err, context.DeadlineExceeded)
}

func ack(t testing.TB, deliveries ...buffer.Delivery) {
	t.Helper()
	for _, d := range deliveries {
		must(t, "ack", d.Ack(patient(t)))
	}
}

func wantBody(t testing.TB, d buffer.Delivery, want []byte) {
	t.Helper()
	if string(d.Body()) != string(want) {
		t.Fatalf("received %q of %d bytes; want %q of %d", clip(d.Body()), len(d.Body()), clip(want), len(want))
	}
}

func wantAttempts(t testing.TB, d buffer.Delivery, least int) {
	t.Helper()
	if d.Attempts() < least {
		t.Fatalf("attempts of %q: %d; at least %d deliveries have begun", clip(d.Body()), d.Attempts(), least)
	}
}

func clip(b []byte) []byte { return b[:min(len(b), 16)] }

package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/block"
	"weir/internal/buffer"
	"weir/internal/catalog"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
)

// queues is a buffer in memory that fails on demand. It takes what is sent;
// nothing is received from it.
type queues struct {
	buffer.Buffer
	n, maxBody int

	mu   sync.Mutex
	sent [][]message.Message // by queue
	// fault says what is wrong with a body now; nil is nothing.
	fault func(queue int, m message.Message) error
	calls int
}

func (q *queues) Queues() int  { return q.n }
func (q *queues) MaxBody() int { return q.maxBody }

func (q *queues) Send(ctx context.Context, queue int, bodies [][]byte) []error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.calls++
	failed, any := make([]error, len(bodies)), false
	for i, body := range bodies {
		m, err := message.Decode(slices.Clone(body))
		if err == nil && q.fault != nil {
			err = q.fault(queue, m)
		}
		if err == nil && len(body) > q.maxBody {
			err = buffer.ErrTooLarge
		}
		if err == nil {
			err = ctx.Err()
		}
		if failed[i] = err; err != nil {
			any = true
			continue
		}
		q.sent[queue] = append(q.sent[queue], m)
	}
	if !any {
		return nil
	}
	return failed
}

func (q *queues) setFault(f func(int, message.Message) error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.fault = f
}

func (q *queues) messages(queue int) []message.Message {
	q.mu.Lock()
	defer q.mu.Unlock()
	return slices.Clone(q.sent[queue])
}

// weeks makes every week with the same number of partitions.
type weeks struct {
	partitions int
	err        error
	made       map[sample.Week]bool
	mu         sync.Mutex
}

func (w *weeks) EnsureWeek(_ context.Context, week sample.Week) (journal.WeekRecord, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.made == nil {
		w.made = map[sample.Week]bool{}
	}
	w.made[week] = true
	return journal.WeekRecord{Partitions: w.partitions}, w.err
}

// rig is a gateway between a client and a buffer in memory.
type rig struct {
	*Gateway
	buffer *queues
	weeks  *weeks
	mux    *http.ServeMux
	stop   chan struct{}
	cancel context.CancelFunc
	ended  chan error
	// stopped is closed when the life has ended.
	stopped chan struct{}
}

func newRig(t testing.TB, n int, change func(*Config)) *rig {
	t.Helper()
	c := Default()
	if change != nil {
		change(&c)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	r := &rig{
		buffer: &queues{n: n, maxBody: 1 << 20, sent: make([][]message.Message, n)},
		weeks:  &weeks{partitions: n}, mux: http.NewServeMux(), stop: make(chan struct{}), ended: make(chan error, 1),
		stopped: make(chan struct{}),
	}
	g, err := New(Options{
		Config: c, Life: 7, Buffer: r.buffer, Catalog: catalog.New(), Weeks: r.weeks,
		Clock: message.NewClock(time.Now), Now: time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Gateway = g
	g.Register(r.mux)
	return r
}

// run opens the gateway's life and waits until it is open.
func (r *rig) run(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	opened := make(chan struct{})
	go func() {
		defer close(r.stopped)
		r.ended <- r.Run(ctx, r.stop, func() { close(opened) })
	}()
	<-opened
	t.Cleanup(func() {
		cancel()
		<-r.stopped
	})
}

// finish closes the life and waits for its end.
func (r *rig) finish() error {
	close(r.stop)
	return <-r.ended
}

// post sends a body and gives the answer.
func (r *rig) post(path, body string, headers ...string) *httptest.ResponseRecorder {
	return r.postReader(path, strings.NewReader(body), headers...)
}

func (r *rig) postReader(path string, body io.Reader, headers ...string) *httptest.ResponseRecorder {
	q := httptest.NewRequest(http.MethodPost, path, body)
	for i := 0; i+1 < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	r.mux.ServeHTTP(w, q)
	return w
}

func wantStatus(t testing.TB, w *httptest.ResponseRecorder, status int) {
	t.Helper()
	if w.Code != status {
		t.Fatalf("answered %d: %s; want %d", w.Code, w.Body, status)
	}
}

// wantLife checks what a queue has of the life: numbers without gaps in the
// order of the stamps, a start, then data and beats, a close last if the life
// is closed, and running totals that are those of the blocks.
func (r *rig) wantLife(t testing.TB, queue int, closed bool) (samples uint64) {
	t.Helper()
	sent := r.buffer.messages(queue)
	slices.SortFunc(sent, func(a, b message.Message) int { return int(a.Number) - int(b.Number) })
	var last message.Stamp
	for i, m := range sent {
		if m.Number != uint64(i) || m.Life != 7 || m.Queue != queue {
			t.Fatalf("queue %d, message %d is number %d of life %d, queue %d", queue, i, m.Number, m.Life, m.Queue)
		}
		if m.Stamp <= last {
			t.Fatalf("queue %d, number %d is stamped %d, not after %d", queue, i, m.Stamp, last)
		}
		last = m.Stamp
		if want := i == 0; want != (m.Role == message.Start) {
			t.Fatalf("queue %d, number %d has role %d", queue, i, m.Role)
		}
		if want := closed && i == len(sent)-1; want != (m.Role == message.Close) {
			t.Fatalf("queue %d, number %d of %d has role %d; closed %v", queue, i, len(sent), m.Role, closed)
		}
		if m.Role == message.Data {
			var b block.Batch
			if err := block.Decode(&b, m.Block); err != nil || uint64(b.Samples()) != m.Samples {
				t.Fatalf("queue %d, number %d: %d samples in the block, %d by the message: %v", queue, i, b.Samples(), m.Samples, err)
			}
		}
		samples += m.Samples
		if m.Accepted != samples {
			t.Fatalf("queue %d, number %d: running total %d; want %d", queue, i, m.Accepted, samples)
		}
	}
	return samples
}

// stored gives every sample the queues have, as series{…} and time, in order.
func (r *rig) stored(t testing.TB) []string {
	t.Helper()
	var out []string
	for queue := range r.buffer.n {
		for _, m := range r.buffer.messages(queue) {
			if m.Role != message.Data {
				continue
			}
			var b block.Batch
			if err := block.Decode(&b, m.Block); err != nil {
				t.Fatal(err)
			}
			for run := range b.Runs() {
				s, err := sample.ParseKey([]byte(b.Keys[run]))
				if err != nil {
					t.Fatal(err)
				}
				start, end := b.Run(run)
				for i := start; i < end; i++ {
					out = append(out, s.String()+" "+time.Unix(0, b.Times[i]).UTC().Format(time.RFC3339Nano))
				}
			}
		}
	}
	slices.Sort(out)
	return out
}

var errFlaky = errors.Join(buffer.ErrUnavailable, errors.New("for now"))

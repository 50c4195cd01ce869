package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/buffer"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/store"
	"weir/internal/worker/autoscale"
)

// sized is a pool whose size a test sets, and what ends its workers' running.
type sized struct {
	*stage
	pool  *Pool
	ctx   context.Context
	end   context.CancelFunc
	ended sync.WaitGroup
	died  int
}

func newSized(s *stage, o Options) *sized {
	p := &sized{stage: s, pool: NewPool(o, autoscale.Default())}
	p.ctx, p.end = context.WithCancel(s.Context())
	p.ended.Go(func() {
		for p.ctx.Err() == nil || p.pool.State().Running > 0 {
			select {
			case m := <-p.pool.ended:
				if p.pool.remove(m); m.err != nil {
					p.died++
				}
			case <-time.After(100 * time.Millisecond):
			}
		}
	})
	return p
}

func (p *sized) size(n int) { p.pool.apply(p.ctx, autoscale.Decision{Desired: n}) }

func (p *sized) stop() {
	p.end()
	p.ended.Wait()
}

// holders gives how many queues each worker holds, sorted.
func (p *sized) holders() []int {
	by := map[string]int{}
	for _, h := range p.pool.Heads() {
		by[h.Worker]++
	}
	var out []int
	for _, n := range by {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// TestThePoolSharesTheQueues: every size has its fair shares within moments,
// and no message is delivered twice for it but those that were on their way.
func TestThePoolSharesTheQueues(t *testing.T) {
	onStage(t, 4, func(s *stage) {
		p := newSized(s, s.options("worker"))
		for _, step := range []struct {
			size int
			want []int
		}{{1, []int{4}}, {2, []int{2, 2}}, {3, []int{1, 1, 2}}, {4, []int{1, 1, 1, 1}}, {1, []int{4}}, {4, []int{1, 1, 1, 1}}, {2, []int{2, 2}}} {
			p.size(step.size)
			time.Sleep(100 * time.Millisecond)
			if got := p.holders(); !slices.Equal(got, step.want) {
				s.Errorf("%d workers hold %v queues; want %v", step.size, got, step.want)
			}
			for n := range 100 {
				s.send(n % 4)
			}
			time.Sleep(time.Second)
		}
		p.stop()
		s.settled()
		if _, attempts := s.buffer.left(); attempts > 1 {
			s.Errorf("a message was delivered %d times", attempts)
		}
	})
}

// TestAWorkerThatDiesHasItsQueuesTaken: by a panic, its leases not given back.
// They run out, and others take the queues; what was in its heads comes again.
func TestAWorkerThatDiesHasItsQueuesTaken(t *testing.T) {
	onStage(t, 4, func(s *stage) {
		p := newSized(s, s.options("worker"))
		dying := false
		s.buffer.fail = func(op string) error {
			if dying && op == "renew" {
				panic("simulated death")
			}
			if dying && (op == "release" || op == "nack") {
				return buffer.ErrUnavailable // the dead say nothing
			}
			return nil
		}
		p.size(2)
		time.Sleep(time.Second)
		var last [4]message.ID
		for n := range 40 {
			last[n%4] = s.send(n % 4)
		}
		time.Sleep(time.Second)
		s.buffer.mu.Lock()
		dying = true
		s.buffer.mu.Unlock()
		time.Sleep(4 * time.Second) // a third of the lease's time, and all have died
		if got := p.holders(); len(got) > 0 {
			s.Fatalf("the dead hold %v", got)
		}
		s.buffer.mu.Lock()
		dying = false
		s.buffer.mu.Unlock()
		p.size(2)
		time.Sleep(5 * time.Second)
		if got := p.holders(); len(got) > 0 {
			s.Errorf("%v queues are held before the leases of the dead have run out", got)
		}
		time.Sleep(10 * time.Second)
		if got := p.holders(); !slices.Equal(got, []int{2, 2}) {
			s.Errorf("those that are left hold %v queues; want 2 each", got)
		}
		waiting, cancel := context.WithTimeout(s.Context(), 2*s.buffer.visibility)
		defer cancel()
		for queue, id := range last {
			if err := p.pool.WaitSeen(waiting, queue, id); err != nil {
				s.Errorf("queue %d: what the dead held is not taken again: %v", queue, err)
			}
		}
		p.stop()
		if p.died < 2 {
			s.Errorf("%d workers died", p.died)
		}
		s.settled()
	})
}

// TestReadersMissNothingWhileQueuesMove: workers come and go at random, some
// die by a panic amid a flush or between messages, some are cut short without
// a drain, and readers ask all the while. Whatever was seen when a reader
// began is in the snapshot that it takes after, each message once.
func TestReadersMissNothingWhileQueuesMove(t *testing.T) {
	seeds := 40
	if testing.Short() {
		seeds = 8
	}
	died, read, waited := 0, 0, 0
	for seed := range uint64(seeds) {
		onStage(t, 3, func(s *stage) {
			m := newMovement(s, seed)
			m.run()
			died += m.died
			read += m.read
			waited += m.waited
		})
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if died == 0 || read == 0 || waited == 0 {
		t.Errorf("%d deaths, %d reads and %d that waited for what was lost: the test tests nothing", died, read, waited)
	}
}

// movement is one seed of that test.
type movement struct {
	*sized
	rng    *rand.Rand // of the director
	book   *journal.Book
	read   int
	waited int

	mu   sync.Mutex
	last []message.ID
	sent []bool
}

func newMovement(s *stage, seed uint64) *movement {
	rng := rand.New(rand.NewPCG(seed, 7))
	o := s.options("worker")
	o.Config.FlushAge = time.Second
	o.Config.LeaseTime = 3 * time.Second
	o.Config.MaxFailures = 20
	if seed%2 == 1 {
		o.Config.DrainTime = time.Nanosecond // who is taken away is cut short
	}
	s.buffer.visibility = 2 * time.Second
	chaos := rand.New(rand.NewPCG(seed, 8)) // called under the buffer's mu
	s.buffer.fail = func(op string) error {
		switch n := chaos.IntN(1000); {
		case op == "ack" && n < 10, op == "renew" && n < 30:
			panic("simulated death at " + op)
		case (op == "nack" || op == "release" || op == "renew") && n < 300:
			return buffer.ErrUnavailable
		}
		return nil
	}
	return &movement{sized: newSized(s, o), rng: rng, book: o.Book, last: make([]message.ID, 3), sent: make([]bool, 3)}
}

func (m *movement) run() {
	reading, stop := context.WithCancel(m.Context())
	var readers sync.WaitGroup
	for n := range 3 {
		readers.Go(func() { m.reads(reading, n) })
	}
	m.size(1 + m.rng.IntN(3))
	for range 150 {
		for range m.rng.IntN(4) {
			queue := m.rng.IntN(3)
			id := m.send(queue)
			m.mu.Lock()
			m.last[queue], m.sent[queue] = id, true
			m.mu.Unlock()
		}
		if m.rng.IntN(5) == 0 {
			m.size(1 + m.rng.IntN(3))
		} else {
			m.size(m.pool.State().Decision.Desired) // who died is replaced
		}
		time.Sleep(time.Duration(m.rng.IntN(300)) * time.Millisecond)
	}
	stop()
	readers.Wait()
	m.buffer.mu.Lock()
	m.buffer.fail = nil
	m.buffer.mu.Unlock()
	m.size(3)
	time.Sleep(30 * time.Second) // leases and visibility run out
	m.stop()
	if left, _ := m.buffer.left(); left > 0 { // cut short at the end, too
		p := newSized(m.stage, m.options("last"))
		p.size(1)
		time.Sleep(30 * time.Second)
		p.stop()
	}
	m.settled()
}

// reads is one reader, of one queue.
func (m *movement) reads(ctx context.Context, queue int) {
	of := store.JournalID{Week: simWeeks()[0], Partition: queue}
	for ctx.Err() == nil {
		time.Sleep(17 * time.Millisecond)
		m.mu.Lock()
		id, sent := m.last[queue], m.sent[queue]
		m.mu.Unlock()
		if !sent || m.pool.WaitSeen(ctx, queue, id) != nil {
			continue
		}
		if queue == 0 {
			time.Sleep(40 * time.Millisecond) // a slow reader: much may happen before it goes on
		}
		began := time.Now()
		s, ok, err := m.pool.Snapshot(ctx, of)
		if err != nil {
			continue
		}
		if !ok {
			j := m.book.Journal(of)
			if err := j.Refresh(ctx); err != nil {
				continue
			}
			s = j.Snapshot()
		}
		if time.Since(began) > 0 {
			m.mu.Lock()
			m.waited++
			m.mu.Unlock()
		}
		if err := complete(s, id); err != nil {
			m.Errorf("a reader of queue %d at %s: %v", queue, time.Now().Format(time.StampMilli), err)
			return
		}
		m.mu.Lock()
		m.read++
		m.mu.Unlock()
	}
}

// complete wants each message of a life up to id in a snapshot once.
func complete(s journal.Snapshot, id message.ID) error {
	times := map[uint64]int{}
	for _, c := range s.Commits {
		for _, l := range c.Lives {
			for _, r := range l.Ranges {
				for n := r.From; l.Life == id.Life && n <= r.To; n++ {
					times[n]++
				}
			}
		}
	}
	for _, p := range s.Pending {
		times[p.Message.Number]++
	}
	for n := range id.Number + 1 {
		if times[n] != 1 {
			return fmt.Errorf("message %d of %d is there %d times", n, id.Number, times[n])
		}
	}
	return nil
}

// TestThePoolFollowsThePolicy: a backlog brings workers, up to one a queue,
// and an hour without one leaves the least there may be.
func TestThePoolFollowsThePolicy(t *testing.T) {
	if testing.Short() {
		t.Skip("more than an hour is simulated")
	}
	onStage(t, 4, func(s *stage) {
		s.buffer.work = 10 * time.Millisecond // a worker takes 100 messages a second
		var log strings.Builder
		o := s.options("worker")
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		p := NewPool(o, autoscale.Default())
		ctx, cancel := context.WithCancel(s.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := p.Run(ctx); err != nil {
				s.Error(err)
			}
		})
		time.Sleep(10 * time.Second)
		if got := p.State(); got.Running != 1 || got.Decision.Desired != 1 {
			s.Errorf("idle: %+v", got)
		}
		most := 0
		for range 20 {
			for n := range 240 {
				s.send(n % 4)
			}
			time.Sleep(time.Second)
			most = max(most, p.State().Running)
		}
		if got := p.State(); most != 4 || got.Decision.Capacity < 90 || got.Decision.Capacity > 110 {
			s.Errorf("under 240 messages a second at most %d workers ran; %+v", most, got)
		}
		s.buffer.mu.Lock()
		s.buffer.fail = func(op string) error {
			if op == "depth" {
				return buffer.ErrUnavailable
			}
			return nil
		}
		s.buffer.mu.Unlock()
		if time.Sleep(time.Minute); p.State().Running != most {
			s.Errorf("%d workers run while nobody knows how full the queues are", p.State().Running)
		}
		s.buffer.mu.Lock()
		s.buffer.fail = nil
		s.buffer.mu.Unlock()
		if time.Sleep(time.Hour); p.State().Running != 1 {
			s.Errorf("%d workers run after an hour without work", p.State().Running)
		}
		cancel()
		running.Wait()
		s.settled()
		for _, want := range []string{"desired=4", "need of", "desired=1", "plan more partitions", "how full"} {
			if !strings.Contains(log.String(), want) {
				s.Errorf("the log does not tell %q:\n%s", want, log.String())
			}
		}
	})
}

// TestTheDeadAreReplaced within the policy's interval, and that is logged.
func TestTheDeadAreReplaced(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		deaths := 0
		s.buffer.fail = func(op string) error {
			if op == "renew" && deaths < 3 {
				deaths++
				panic("simulated death")
			}
			return nil
		}
		var log strings.Builder
		o := s.options("worker")
		o.Logger = slog.New(slog.NewTextHandler(&log, nil))
		p := NewPool(o, autoscale.Default())
		ctx, cancel := context.WithCancel(s.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = p.Run(ctx) })
		s.send(0)
		time.Sleep(5 * time.Minute)
		if got := p.State(); got.Running != 1 {
			s.Errorf("%+v", got)
		}
		cancel()
		running.Wait()
		s.settled()
		if n := strings.Count(log.String(), "a worker died"); n != 3 || !strings.Contains(log.String(), "simulated death") {
			s.Errorf("%d deaths are logged; want 3", n)
		}
	})
}

// TestASnapshotWaitsForWhatWasLost: between the loss of a head and its
// messages' coming again there is nothing that a reader may be told.
func TestASnapshotWaitsForWhatWasLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReaders(1)
		id := store.JournalID{Week: simWeeks()[0]}
		m := message.ID{Life: 1, Number: 0}
		h := newHead(id, nil)
		h.add(&entry{message: message.Message{Life: 1}})
		r.seen[0].add(m)
		r.seen[0].lose(map[store.JournalID]*head{id: h})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := r.Snapshot(ctx, id); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a snapshot without what was lost: %v", err)
		}
		if _, ok, err := r.Snapshot(t.Context(), store.JournalID{Week: id.Week + 1}); ok || err != nil {
			t.Errorf("a journal that lost nothing: %v, %v", ok, err)
		}
		if _, ok, err := r.Snapshot(t.Context(), store.JournalID{Week: id.Week, Partition: 5}); ok || err != nil {
			t.Errorf("a partition without a queue: %v, %v", ok, err)
		}
		r.seen[0].add(m)
		if _, ok, err := r.Snapshot(t.Context(), id); ok || err != nil {
			t.Errorf("once it has come again: %v, %v", ok, err)
		}
	})
}

// TestAHeadThatIsDroppedAmidASnapshot: on real goroutines, as often as it
// takes. What a reader has waited for is in what it gets, also if the head is
// dropped, and its message comes again, between any two steps of it.
func TestAHeadThatIsDroppedAmidASnapshot(t *testing.T) {
	_, p := handWorld(t)
	r := p.runner
	r.seen[0].drains(r)
	id := store.JournalID{Week: simWeeks()[0]}
	m := message.Message{Role: message.Beat, Life: 1, Week: id.Week}
	d := &simDelivery{p: p, q: &queued{body: m.Append(nil)}}
	if err := r.admit(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	var dropping sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	dropping.Go(func() {
		for ctx.Err() == nil {
			r.drop(t.Context())
			if err := r.admit(t.Context(), d); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 20000 {
		if err := r.WaitSeen(t.Context(), 0, m.ID()); err != nil {
			t.Fatal(err)
		}
		s, ok, err := r.Snapshot(t.Context(), id)
		if err != nil || !ok || len(s.Pending) != 1 {
			t.Errorf("ok %v, %d pending, %v; want the one message", ok, len(s.Pending), err)
			break
		}
	}
	stop()
	dropping.Wait()
}

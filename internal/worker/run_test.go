package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/buffer"
	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

// onStage runs a test in a bubble of its own clock.
func onStage(t *testing.T, queues int, f func(*stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newStage(t, queues)) })
}

func TestFlushByAge(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		stop := start(s.T, s.worker("a", nil))
		s.send(0)
		time.Sleep(5 * time.Second)
		s.send(0)
		if time.Sleep(4900 * time.Millisecond); s.commits() != 0 {
			s.Error("a flush before anything is 10 s old")
		}
		if time.Sleep(700 * time.Millisecond); s.commits() != 1 {
			s.Errorf("%d commits after 10.6 s; want 1", s.commits())
		}
		if left, _ := s.buffer.left(); left > 0 {
			s.Errorf("%d messages are not acked after the commit", left)
		}
		stop()
		s.settled()
	})
}

func TestFlushBySize(t *testing.T) {
	for name, set := range map[string]func(*Options){
		"samples":  func(o *Options) { o.Config.FlushSamples = 5 },
		"messages": func(o *Options) { o.Config.HeadMessages = 10 },
	} {
		onStage(t, 1, func(s *stage) {
			stop := start(s.T, s.worker("a", set))
			for range 4 {
				s.send(0)
			}
			if time.Sleep(time.Second); s.commits() != 0 {
				s.Errorf("%s: a flush of too little", name)
			}
			s.send(0)
			if time.Sleep(time.Second); s.commits() != 1 {
				s.Errorf("%s: %d commits once there is enough; want 1", name, s.commits())
			}
			stop()
			s.settled()
		})
	}
}

// TestTheHeadIsBounded: while the store fails the head fills up, and then the
// queue keeps what comes. Once the store answers all goes on by itself.
func TestTheHeadIsBounded(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		w := s.worker("a", func(o *Options) {
			o.Config.HeadMessages, o.Config.ReceiveBatch, o.Config.FlushAge = 20, 4, time.Second
		})
		stop := start(s.T, w)
		s.send(0)
		time.Sleep(2 * time.Second)
		s.fails(true)
		for range 60 {
			s.send(0)
		}
		time.Sleep(30 * time.Second)
		if h := w.Heads(); len(h) != 1 || h[0].Messages < 20 || h[0].Messages > 24 || h[0].Samples != h[0].Messages {
			s.Errorf("heads %+v; want 20 to 24 messages", h)
		}
		s.fails(false)
		if time.Sleep(15 * time.Second); s.commits() < 2 {
			s.Errorf("%d commits after the store is back", s.commits())
		}
		stop()
		s.settled()
	})
}

// fails has every call of the store fail, or succeed again.
func (s *stage) fails(down bool) {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	s.store.free = func() outcome {
		if down {
			return fail
		}
		return succeed
	}
}

// TestAStoreThatIsDownForLong: messages that need the store wait for it, and
// none is a dead letter for it.
func TestAStoreThatIsDownForLong(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		s.fails(true)
		stop := start(s.T, s.worker("a", nil))
		for n := range 5 {
			s.sendSeries(0, fmt.Sprintf("series %d", n), sample.IntValue(1))
		}
		time.Sleep(time.Hour)
		s.fails(false)
		time.Sleep(time.Minute)
		stop()
		s.settled()
		if letters := s.buffer.letters(0); len(letters) > 0 {
			s.Errorf("dead letters: %v", letters)
		}
	})
}

// TestDrainOnStop: what is in the queue and in the head is committed and
// acked before Run returns.
func TestDrainOnStop(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		stop := start(s.T, s.worker("a", nil))
		for range 10 {
			s.send(0)
		}
		time.Sleep(time.Second)
		for range 200 {
			s.send(0)
		}
		stop()
		s.settled()
		if s.commits() == 0 {
			s.Error("nothing is committed")
		}
	})
}

// TestDrainThatFails gives the messages back.
func TestDrainThatFails(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		stop := start(s.T, s.worker("a", nil))
		s.send(0)
		time.Sleep(time.Second)
		s.fails(true)
		began := time.Now()
		stop()
		if took := time.Since(began); took > Default().DrainTime+time.Second {
			s.Errorf("the drain took %s", took)
		}
		s.fails(false)
		stop = start(s.T, s.worker("b", nil))
		time.Sleep(2 * time.Minute)
		stop()
		s.settled()
	})
}

// TestALostLeaseIsNoLoss: the worker that lost its lease drops its head and
// begins anew when it gets the lease again.
func TestALostLeaseIsNoLoss(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		lost := 0
		s.buffer.fail = func(op string) error {
			if op == "renew" && lost < 3 {
				lost++
				return map[int]error{1: buffer.ErrUnavailable, 2: buffer.ErrLost, 3: buffer.ErrLost}[lost]
			}
			return nil
		}
		w := s.worker("a", nil)
		stop := start(s.T, w)
		for range 4 {
			time.Sleep(6 * time.Second)
			s.send(0)
		}
		time.Sleep(time.Minute)
		stop()
		s.settled()
		if lost != 3 {
			s.Errorf("the lease was lost %d times; want 3", lost)
		}
	})
}

// TestABufferThatFails: receiving, leases and settling are tried again.
func TestABufferThatFails(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		calls := map[string]int{}
		s.buffer.fail = func(op string) error {
			if calls[op]++; calls[op] <= 3 {
				return buffer.ErrUnavailable
			}
			return nil
		}
		stop := start(s.T, s.worker("a", nil))
		s.send(0)
		time.Sleep(3 * time.Minute) // the first acks fail; the message comes again
		stop()
		s.settled()
		for _, op := range []string{"acquire", "receive", "renew", "ack"} {
			if calls[op] <= 3 {
				s.Errorf("%s was called %d times", op, calls[op])
			}
		}
	})
}

// TestWorkersShareQueuesByLeases: two workers hold the four queues between
// them; when one stops, the other takes its queues.
func TestWorkersShareQueuesByLeases(t *testing.T) {
	onStage(t, 4, func(s *stage) {
		one, two := s.worker("one", nil), s.worker("two", nil)
		s.buffer.mu.Lock() // so that each gets two
		for queue := range 2 {
			s.buffer.leases[queue] = &livelyLease{s.buffer, queue, "nobody", 0, time.Now().Add(time.Second)}
		}
		s.buffer.mu.Unlock()
		stopOne := start(s.T, one)
		time.Sleep(time.Millisecond)
		for queue := range 2 {
			s.buffer.mu.Lock()
			delete(s.buffer.leases, queue)
			s.buffer.mu.Unlock()
		}
		stopTwo := start(s.T, two)
		time.Sleep(time.Millisecond)
		if len(one.Heads()) != 2 || len(two.Heads()) != 2 {
			s.Errorf("the workers hold %d and %d queues; want 2 each", len(one.Heads()), len(two.Heads()))
		}
		for n := range 40 {
			s.send(n % 4)
			time.Sleep(time.Second)
		}
		stopOne()
		for n := range 40 {
			s.send(n % 4)
			time.Sleep(time.Second)
		}
		if len(two.Heads()) != 4 {
			s.Errorf("the worker that is left holds %d queues", len(two.Heads()))
		}
		stopTwo()
		s.settled()
		if taken := s.world.counts["journals taken over"]; taken != 2 {
			s.Errorf("%d journals were taken over; want 2", taken)
		}
	})
}

// TestPoisonGoesToTheDeadLetters after as many failures as the config says,
// each a while after the one before; what is beside it is stored meanwhile.
func TestPoisonGoesToTheDeadLetters(t *testing.T) {
	badKey := &truth{message: message.Message{Role: message.Data, Life: 1, Week: simWeeks()[0]}}
	for name, c := range map[string]struct {
		body   []byte
		reason string
	}{
		"junk":            {[]byte("junk"), "corrupt"},
		"other queue":     {(&message.Message{Role: message.Beat, Life: 1, Queue: 3}).Append(nil), "queue 3"},
		"other partition": {(&message.Message{Role: message.Data, Life: 1, Queue: 0, Samples: 1}).Append(nil), "no block"},
		"series key":      {withBlock(badKey.message, batchOf("\x7fbad", sample.IntValue(1))), "series key"},
		"broken block":    {(&message.Message{Role: message.Data, Life: 1, Samples: 1, Block: []byte("block")}).Append(nil), "block"},
	} {
		onStage(t, 1, func(s *stage) {
			stop := start(s.T, s.worker("a", nil))
			s.buffer.Send(s.Context(), 0, [][]byte{c.body})
			s.send(0)
			time.Sleep(14 * time.Second)
			if len(s.buffer.letters(0)) != 0 {
				s.Errorf("%s: dead after less than 15 s", name)
			}
			time.Sleep(2 * time.Second)
			letters := s.buffer.letters(0)
			if len(letters) != 1 || string(letters[0].Body) != string(c.body) || !strings.Contains(letters[0].Reason, c.reason) {
				s.Errorf("%s: dead letters %+v; want one about %q", name, letters, c.reason)
			}
			if _, attempts := s.buffer.left(); attempts != 5 {
				s.Errorf("%s: %d attempts; want 5", name, attempts)
			}
			stop()
			s.settled()
		})
	}
}

// TestAPartitionThatTheWeekDoesNotHave: readers would never look there.
func TestAPartitionThatTheWeekDoesNotHave(t *testing.T) {
	onStage(t, 2, func(s *stage) {
		w := s.worker("a", func(o *Options) { o.Book = s.store.book(1) })
		stop := start(s.T, w)
		s.send(0)
		id := s.send(1)
		s.world.truths[id].poison = true
		time.Sleep(time.Minute)
		stop()
		if letters := s.buffer.letters(1); len(letters) != 1 || !strings.Contains(letters[0].Reason, "1 partitions") {
			s.Errorf("dead letters %+v", letters)
		}
		s.settled()
	})
}

// TestAPanicOverAMessage is a failed handling of that message alone.
func TestAPanicOverAMessage(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		bad := sample.Series{Metric: "bad"}.Key()
		stop := start(s.T, s.worker("a", func(o *Options) {
			o.Kinds = func(key string) sample.Kind {
				if key == bad {
					panic("no kind can be told")
				}
				return 0
			}
		}))
		id := s.sendSeries(0, "bad", sample.IntValue(1))
		s.world.truths[id].poison = true
		s.send(0)
		time.Sleep(time.Minute)
		stop()
		s.settled()
		if letters := s.buffer.letters(0); len(letters) != 1 || !strings.Contains(letters[0].Reason, "no kind can be told") {
			s.Errorf("dead letters %+v", letters)
		}
	})
}

// TestManyUnsettledDeliveries bury a message, as one that kills its worker.
func TestManyUnsettledDeliveries(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		killer, good := s.send(0), s.send(0)
		s.buffer.queues[0][0].attempts, s.buffer.queues[0][1].attempts = 99, 98
		s.world.truths[killer].poison = true
		stop := start(s.T, s.worker("a", nil))
		time.Sleep(time.Minute)
		stop()
		s.settled()
		if letters := s.buffer.letters(0); len(letters) != 1 || !strings.Contains(letters[0].Reason, "100 deliveries") {
			s.Errorf("dead letters %+v", letters)
		}
		if s.world.named[good] == "" {
			s.Error("the 99th delivery is not handled")
		}
	})
}

// TestNewerVersionsAreLeft: that is no failure. Where the envelope can be
// read, it holds up no reader.
func TestNewerVersionsAreLeft(t *testing.T) {
	m := message.Message{Role: message.Data, Life: 100, Week: simWeeks()[0], Samples: 1}
	envelope := m.Append(nil)
	envelope[2] = 9
	inner, err := message.Decode(withBlock(m, batchOf("\x01a", sample.IntValue(1))))
	if err != nil {
		t.Fatal(err)
	}
	m.Block = bytes.Clone(inner.Block)
	m.Block[0] = 9
	m.Block = sealed(m.Block)
	for name, body := range map[string][]byte{"envelope": sealed(envelope), "block": m.Append(nil)} {
		onStage(t, 1, func(s *stage) {
			w := s.worker("a", nil)
			stop := start(s.T, w)
			s.buffer.Send(s.Context(), 0, [][]byte{body})
			s.next[0] = 1
			s.send(0)
			if name == "block" {
				s.seen(w, message.ID{Life: 100, Number: 1})
			}
			time.Sleep(10*time.Minute + time.Second)
			if left, attempts := s.buffer.left(); left != 1 || attempts != 21 || len(s.buffer.letters(0)) != 0 {
				s.Errorf("%s: after 10 minutes %d messages are left, of %d attempts, and %d dead letters; want the one, tried every 30 s",
					name, left, attempts, len(s.buffer.letters(0)))
			}
			stop()
		})
	}
}

// seen wants a worker to have taken all messages up to one within a minute.
func (s *stage) seen(w *Worker, id message.ID) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	if err := w.WaitSeen(ctx, 0, id); err != nil {
		s.Fatalf("message %v is not seen: %v", id, err)
	}
}

// TestHeldDeliveriesAreExtended: what waits in the head for long is not
// delivered again.
func TestHeldDeliveriesAreExtended(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		stop := start(s.T, s.worker("a", func(o *Options) { o.Config.FlushAge = time.Hour }))
		for range 30 {
			s.send(0)
			time.Sleep(7 * time.Second)
		}
		time.Sleep(30 * time.Minute)
		if _, attempts := s.buffer.left(); attempts != 1 {
			s.Errorf("a message was delivered %d times", attempts)
		}
		stop()
		s.settled()
	})
}

// TestReadersSeeTheHead: with the journal, as of one moment.
func TestReadersSeeTheHead(t *testing.T) {
	onStage(t, 1, func(s *stage) {
		w := s.worker("a", nil)
		journal := store.JournalID{Week: simWeeks()[0]}
		if _, ok, err := w.Snapshot(s.Context(), journal); ok || err != nil {
			s.Error("a worker that does not run has a head")
		}
		stop := start(s.T, w)
		time.Sleep(time.Millisecond)
		if _, ok, err := w.Snapshot(s.Context(), journal); ok || err != nil {
			s.Error("a worker that has received nothing has a head")
		}
		first := s.send(0)
		s.seen(w, first)
		got, ok, _ := w.Snapshot(s.Context(), journal)
		if !ok || len(got.Pending) != 1 || got.Pending[0].Message.ID() != first || len(got.Commits) != 0 {
			s.Errorf("ahead of the flush: %+v, %v", got, ok)
		}
		time.Sleep(11 * time.Second)
		second := s.send(0)
		s.seen(w, second)
		got, _, _ = w.Snapshot(s.Context(), journal)
		if len(got.Pending) != 1 || got.Pending[0].Message.ID() != second || len(got.Commits) != 1 || got.Horizons.Latest() != s.world.truths[first].message.Stamp {
			s.Errorf("behind the flush: %+v", got)
		}
		stop()
		s.settled()
	})
}

func TestWaitSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSeen()
		got := make(chan error, 3)
		for n := range uint64(3) {
			go func() { got <- s.wait(t.Context(), message.ID{Life: 1, Number: n}) }()
		}
		synctest.Wait()
		for _, step := range []struct{ add, back int }{{1, 0}, {2, 0}, {0, 3}} {
			s.add(message.ID{Life: 1, Number: uint64(step.add)})
			synctest.Wait()
			if len(got) != step.back {
				t.Fatalf("%d waits ended once %d was added; want %d", len(got), step.add, step.back)
			}
		}
		for range 3 {
			if err := <-got; err != nil {
				t.Error(err)
			}
		}
		h := newHead(store.JournalID{}, nil)
		h.add(&entry{message: message.Message{Life: 1, Number: 1}})
		s.lose(map[store.JournalID]*head{h.id: h})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.wait(ctx, message.ID{Life: 1, Number: 2}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a wait behind what was dropped: %v", err)
		}
		if err := s.wait(ctx, message.ID{Life: 1, Number: 0}); err != nil {
			t.Errorf("a wait ahead of what was dropped: %v", err)
		}
	})
}

func TestConfigNamesWhatCannotWork(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Config){
		"flush_age": func(c *Config) { c.FlushAge = 0 }, "flush_samples": func(c *Config) { c.FlushSamples = 0 },
		"head_messages": func(c *Config) { c.HeadMessages = 1 }, "max_failures": func(c *Config) { c.MaxFailures = 21 },
		"max_attempts": func(c *Config) { c.MaxAttempts = 1 }, "retry_delay": func(c *Config) { c.RetryDelay = 0 },
		"lease_time": func(c *Config) { c.LeaseTime = 0 }, "extend_after": func(c *Config) { c.ExtendAfter = 0 },
		"drain_time": func(c *Config) { c.DrainTime = -1 }, "receive_batch": func(c *Config) { c.ReceiveBatch = 0 },
	} {
		c := Default()
		spoil(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "worker."+name+":") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

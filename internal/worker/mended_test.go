package worker

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/block"
	"weir/internal/buffer"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

// handWorld is a world without a schedule, and a process in it.
func handWorld(t *testing.T) (*world, *process) {
	w := newWorld(rand.New(rand.NewPCG(1, 1)), breakage{})
	return w, freeProcess(t, w)
}

// queueSamples puts a message of one run into the queue, and makes it known
// as sent.
func queueSamples(w *world, number uint64, series string, samples ...sample.Sample) *queued {
	key := sample.Series{Metric: series}.Key()
	t := &truth{message: message.Message{
		Role: message.Data, Life: 9, Number: number, Stamp: message.Stamp(1000 + number), Week: sample.WeekOf(samples[0].Time),
	}}
	b := &block.Batch{}
	for _, s := range samples {
		b.AddSample(s)
		t.samples = append(t.samples, sent{key, s})
	}
	b.EndKeyRun(key, samples[0].Value.Kind)
	body := withBlock(t.message, b)
	t.message.Samples = uint64(b.Samples())
	w.truths[t.message.ID()] = t
	w.enqueue(t.message.ID(), body)
	return w.queue[len(w.queue)-1]
}

// batchOf makes a batch of one sample by key.
func batchOf(key string, v sample.Value) *block.Batch {
	b := &block.Batch{}
	b.AddSample(sample.Sample{Value: v})
	b.EndKeyRun(key, v.Kind)
	return b
}

// batchOfTruth makes a message's batch anew: one run by key.
func batchOfTruth(t *truth) *block.Batch {
	b := &block.Batch{}
	for _, s := range t.samples {
		b.AddSample(s.Sample)
	}
	b.EndKeyRun(t.samples[0].key, t.samples[0].Value.Kind)
	return b
}

// queueOne puts a message of one float64 into the queue.
func queueOne(w *world, number uint64, week sample.Week) *queued {
	return queueSamples(w, number, "power", sample.Sample{Time: week.Start(), Value: sample.FloatValue(float64(number))})
}

// take has the runner handle a message.
func (p *process) take(q *queued) error {
	q.attempts++
	return p.runner.handleAll(p.ctx, []buffer.Delivery{&simDelivery{p, q, q.attempts}})
}

func (p *process) flush() error { return p.runner.flushAll(p.ctx, p.runner.inOrder(), allClasses()) }

// mustSettle wants every message to be named and acked, and the laws to hold.
func mustSettle(t *testing.T, w *world) {
	t.Helper()
	for _, q := range w.queue {
		if w.named[q.message] == "" || !q.acked {
			t.Errorf("message %v is named %q and acked: %v", q.message, w.named[q.message], q.acked)
		}
	}
	for _, j := range w.journals() {
		w.checkReading(j, len(j.commits))
		w.checkOrder(j)
	}
	w.checkBytes()
	for law, violation := range w.violations {
		t.Errorf("law %d: %s", law, violation)
	}
}

// TestUncertainCommitThatArrived: the commit stands, but no answer and no read
// says so for so long that the writer is given up. The next one finds it.
func TestUncertainCommitThatArrived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := handWorld(t)
		week := simWeeks()[0]
		if err := p.take(queueOne(w, 0, week)); err != nil {
			t.Fatal(err)
		}
		j := w.journal(store.JournalID{Week: week})
		// The items are written; the append is done, and nothing answers.
		p.free = func() outcome {
			switch {
			case len(j.commits) > 0:
				return fail
			case len(w.tables[j.table()]) > 0:
				return lose
			}
			return succeed
		}
		err := p.flush()
		if !errors.Is(err, journal.ErrUncertain) {
			t.Fatalf("the flush: %v; want ErrUncertain", err)
		}
		p.free = func() outcome { return succeed }
		if err := p.runner.afterFlush(p.ctx, err); err != nil {
			t.Fatal(err)
		}
		totals := p.runner.totals()
		if sum := totals.all(); sum != (load{}) {
			t.Errorf("the head still holds %+v", sum)
		}
		if err := p.take(queueOne(w, 1, week)); err != nil {
			t.Fatal(err)
		}
		if err := p.flush(); err != nil {
			t.Fatal(err)
		}
		mustSettle(t, w)
	})
}

// TestZombieBuriesNothing: a worker that was fenced unawares meets an ordinal
// that only its successor's journal knows. That is no fault of the message.
func TestZombieBuriesNothing(t *testing.T) {
	w, zombie := handWorld(t)
	week := simWeeks()[0]
	if err := zombie.take(queueOne(w, 0, week)); err != nil {
		t.Fatal(err)
	}
	next := freeProcess(t, w)
	if err := next.take(queueSamples(w, 1, "flow", sample.Sample{Time: week.Start(), Value: sample.FloatValue(1)})); err != nil {
		t.Fatal(err)
	}
	j := w.journal(store.JournalID{Week: week})
	named := &truth{message: message.Message{Role: message.Data, Life: 9, Number: 2, Stamp: 1002, Week: week, Samples: 1}}
	s := sample.Sample{Time: week.Start() + 1, Value: sample.FloatValue(2)}
	named.samples = []sent{{sample.Series{Metric: "flow"}.Key(), s}}
	b := &block.Batch{}
	b.AddSample(s)
	b.EndRun(j.handles[sample.Series{Metric: "flow"}.Key()], sample.Float64)
	w.truths[named.message.ID()] = named
	w.enqueue(named.message.ID(), withBlock(named.message, b))
	if err := zombie.take(w.queue[2]); !errors.Is(err, journal.ErrFenced) {
		t.Fatalf("the zombie's handling: %v; want ErrFenced", err)
	}
	if len(w.dead) > 0 {
		t.Errorf("%d messages are dead letters", len(w.dead))
	}
	for _, q := range w.queue {
		if err := next.take(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := next.flush(); err != nil {
		t.Fatal(err)
	}
	mustSettle(t, w)
}

// TestRefusedSamplesOfManyValues: each int64 has no float64 for a reason of
// its own number, but the commit that names them has to fit an entry.
func TestRefusedSamplesOfManyValues(t *testing.T) {
	w, p := handWorld(t)
	week := simWeeks()[0]
	if err := p.take(queueOne(w, 0, week)); err != nil {
		t.Fatal(err)
	}
	many := make([]sample.Sample, 20_000)
	for i := range many {
		many[i] = sample.Sample{Time: week.Start() + int64(i), Value: sample.IntValue(1<<53 + 2*int64(i) + 1)}
	}
	if err := p.take(queueSamples(w, 1, "power", many...)); err != nil {
		t.Fatal(err)
	}
	if err := p.flush(); err != nil {
		t.Fatal(err)
	}
	mustSettle(t, w)
	if c := w.journals()[0].commits[0]; len(c.Quarantined) != 1 || c.Quarantined[0].Samples != 20_000 || c.Quarantined[0].Reason != inexact {
		t.Errorf("quarantined: %+v", c.Quarantined)
	}
}

// TestTextThatFitsNoItem goes to the dead letters instead of into a head that
// could never be flushed.
func TestTextThatFitsNoItem(t *testing.T) {
	w, p := handWorld(t)
	text := make([]byte, maxText+1)
	for i := range text {
		text[i] = byte('a' + w.rng.IntN(26))
	}
	week := simWeeks()[0]
	long := queueSamples(w, 0, "note", sample.Sample{Time: week.Start(), Value: sample.StringValue(string(text))})
	just := queueSamples(w, 1, "note", sample.Sample{Time: week.Start(), Value: sample.StringValue(string(text[1:]))})
	for _, q := range []*queued{long, just, long} {
		if err := p.take(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.flush(); err != nil {
		t.Fatal(err)
	}
	if len(w.dead) != 1 || w.dead[0].message != long.message {
		t.Errorf("dead letters: %v; want message %v", w.dead, long.message)
	}
	if w.named[just.message] == "" {
		t.Error("the text that fits is not named")
	}
}

// TestUnreadableJournalKeepsNoOtherWeekWaiting: the journal of one week has an
// entry that nobody can read; its messages wait, those of other weeks go on.
func TestUnreadableJournalKeepsNoOtherWeekWaiting(t *testing.T) {
	for name, entry := range map[string][]byte{
		"corrupt": []byte("no entry at all"),
		"newer":   newerEntry(),
	} {
		w, p := handWorld(t)
		weeks := simWeeks()
		w.journal(store.JournalID{Week: weeks[0]}).raw = [][]byte{entry}
		stuck, other := queueOne(w, 0, weeks[0]), queueOne(w, 1, weeks[1])
		for range 5 {
			if err := p.take(stuck); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if err := p.take(other); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := p.flush(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if w.named[other.message] == "" || stuck.acked || len(w.dead) > 0 {
			t.Errorf("%s: the other week's message is named %q; the one that waits is acked: %v; %d dead letters",
				name, w.named[other.message], stuck.acked, len(w.dead))
		}
	}
}

// newerEntry makes an entry of a kind that this program does not know.
func newerEntry() []byte {
	body := (&journal.Entry{Epoch: &journal.Epoch{}}).Encode(nil)
	body[3] = 77
	return sealed(body)
}

// TestControlMessagesDoNotHideAMissingWeek: a start message opens the journal
// of its week without making the week; the first samples must make it.
func TestControlMessagesDoNotHideAMissingWeek(t *testing.T) {
	w, p := handWorld(t)
	week := simWeeks()[0]
	start := &truth{message: message.Message{Role: message.Start, Life: 3, Stamp: 5, Week: week, Instance: "here"}}
	w.truths[start.message.ID()] = start
	w.enqueue(start.message.ID(), start.message.Append(nil))
	if err := p.take(w.queue[0]); err != nil {
		t.Fatal(err)
	}
	if len(w.records) != 0 {
		t.Fatalf("a message without samples made a week: %v", w.records)
	}
	if err := p.take(queueOne(w, 0, week)); err != nil {
		t.Fatal(err)
	}
	if len(w.records) != 2 {
		t.Errorf("samples of a week without records left %v", w.records)
	}
	if err := p.flush(); err != nil {
		t.Fatal(err)
	}
	mustSettle(t, w)
}

// TestTheEndsOfTime stores samples at both ends of int64.
func TestTheEndsOfTime(t *testing.T) {
	w, p := handWorld(t)
	ends := []int64{math.MinInt64, math.MinInt64 + 1, math.MinInt64 + 3600e9 - 1, math.MinInt64 + 3600e9, math.MaxInt64 - 3600e9, math.MaxInt64 - 1, math.MaxInt64}
	for i, at := range ends {
		if err := p.take(queueSamples(w, uint64(i), "power", sample.Sample{Time: at, Value: sample.FloatValue(float64(i))})); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.flush(); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, j := range w.journals() {
		for i := range j.commits {
			c := &j.commits[i]
			for _, h := range c.Hours {
				first := slices.IndexFunc(ends, func(at int64) bool { return at >= h.Start })
				if first < 0 || ends[first]-h.Start >= 3600e9 {
					t.Errorf("no sample lies in the hour at %d, which counts %d", h.Start, h.Samples)
				}
			}
			for _, item := range c.Items {
				b, err := decodeItem(w.tables[j.table()][c.Key(item)])
				if err != nil {
					t.Fatal(err)
				}
				for _, at := range b.Times {
					found++
					if at < item.Span || uint64(at)-uint64(item.Span) >= uint64(c.Span) {
						t.Errorf("the sample at %d lies outside its span, which begins at %d", at, item.Span)
					}
				}
			}
		}
	}
	if found != len(ends) {
		t.Errorf("%d samples are stored; %d were sent", found, len(ends))
	}
}

// TestExtendReachesAll: a delivery is extended once it is held for long, also
// where earlier ones were extended a moment ago.
func TestExtendReachesAll(t *testing.T) {
	at := time.Unix(1000, 0)
	d := func() *entry {
		return &entry{received: at, extended: at, deliveries: []buffer.Delivery{&simDelivery{}}}
	}
	h := newHead(store.JournalID{}, nil)
	for n := range 4 {
		e := d()
		e.message.Number = uint64(n)
		e.extended = at.Add(time.Duration(n) * time.Second)
		h.add(e)
	}
	if held := h.heldSince(at, at.Add(10*time.Second)); len(held) != 1 {
		t.Errorf("%d deliveries are held since then; want 1", len(held))
	}
	if held := h.heldSince(at.Add(2*time.Second), at.Add(11*time.Second)); len(held) != 2 {
		t.Errorf("%d deliveries behind one that was just extended; want 2", len(held))
	}
}

// TestAFailureGivesBackTheRestOfTheBatch: what was received behind a message
// that stops the runner is not kept from others.
func TestAFailureGivesBackTheRestOfTheBatch(t *testing.T) {
	w, p := handWorld(t)
	week := simWeeks()[0]
	if err := p.take(queueOne(w, 0, week)); err != nil {
		t.Fatal(err)
	}
	next := freeProcess(t, w)
	if err := next.take(w.queue[0]); err != nil {
		t.Fatal(err)
	}
	var back []string
	var batch []buffer.Delivery
	for n := range uint64(3) {
		q := queueSamples(w, n+1, "new"+string(rune('a'+n)), sample.Sample{Time: week.Start(), Value: sample.IntValue(1)})
		batch = append(batch, &nackDelivery{simDelivery{p, q, 1}, &back})
	}
	if err := p.runner.handleAll(p.ctx, batch); !errors.Is(err, journal.ErrFenced) {
		t.Fatalf("handling for a journal of another: %v; want ErrFenced", err)
	}
	if len(back) != 3 {
		t.Errorf("given back: %v; want all three", back)
	}
}

// endless is a queue that is never empty.
type endless struct {
	simBuffer
	next uint64
}

func (b *endless) Receive(ctx context.Context, _, _ int) ([]buffer.Delivery, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(10 * time.Millisecond):
	}
	q := queueOne(b.p.world, b.next, simWeeks()[0])
	b.next++
	return []buffer.Delivery{&simDelivery{b.p, q, 1}}, nil
}

// TestDrainEndsThoughMessagesKeepComing: a worker that is stopped takes what
// comes for half of its time, and flushes what it took in the other half.
func TestDrainEndsThoughMessagesKeepComing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := handWorld(t)
		worker := p.runner.Worker
		worker.buffer = &endless{simBuffer: simBuffer{p}}
		worker.leases = carefree{}
		worker.config.FlushAge, worker.config.DrainTime = time.Hour, 4*time.Second
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		time.AfterFunc(time.Second, cancel)
		if err := worker.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("the worker ends after %s; want 1s of work and about 2s of draining", took)
		}
		unsettled := 0
		for _, q := range w.queue {
			if !q.acked {
				unsettled++
			}
		}
		if len(w.queue) < 200 || unsettled > 1 {
			t.Errorf("%d of %d messages are not acked; want at most the one that came last", unsettled, len(w.queue))
		}
	})
}

// TestDamagedMessageHoldsUpNobody: who waits for a message behind one that no
// worker can decode does not wait for that one.
func TestDamagedMessageHoldsUpNobody(t *testing.T) {
	w, p := handWorld(t)
	for n := range uint64(3) {
		queueOne(w, n, simWeeks()[0])
	}
	body := w.queue[1].body
	body[len(body)-20] ^= 1
	for _, q := range w.queue {
		if err := p.take(q); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := p.runner.WaitSeen(ctx, 0, w.queue[2].message); err != nil {
		t.Error(err)
	}
}

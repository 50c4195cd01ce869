package worker

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

// random makes n samples of a kind that hardly compress, a step apart.
func random(w *world, n int, step time.Duration, kind sample.Kind) []sample.Sample {
	out := make([]sample.Sample, n)
	for i := range out {
		out[i].Time = simWeeks()[0].Start() + int64(i)*int64(step)
		switch kind {
		case sample.String:
			out[i].Value = sample.StringValue(fmt.Sprintf("%016x", w.rng.Uint64()))
		default:
			out[i].Value = sample.FloatValue(w.rng.NormFloat64())
		}
	}
	return out
}

// TestLayoutFollowsDensity: an item should hold 10 to 100 KB, so the denser
// the samples, the shorter the spans and the more the buckets.
func TestLayoutFollowsDensity(t *testing.T) {
	for _, c := range []struct {
		samples int
		step    time.Duration
		span    time.Duration
		buckets int
	}{
		{20_000, 100 * time.Millisecond, time.Hour, 1},
		{100_000, 30 * time.Millisecond, time.Hour, 4},
		{40_000, time.Second, 24 * time.Hour, 1},
		{3_000, 20 * time.Second, 24 * time.Hour, 1},
		{1_000, 20 * time.Second, 7 * 24 * time.Hour, 1},
		{10_000, 60 * time.Second, 7 * 24 * time.Hour, 1},
	} {
		w, p := handWorld(t)
		all := random(w, c.samples, c.step, sample.Float64)
		const series = 8 // so that buckets differ
		for n := range uint64(series) {
			part := all[int(n)*len(all)/series : (int(n)+1)*len(all)/series]
			if err := p.take(queueSamples(w, n, fmt.Sprintf("series %d", n), part...)); err != nil {
				t.Fatal(err)
			}
		}
		p.runner.flusher.messages = series
		if err := p.flush(); err != nil {
			t.Fatal(err)
		}
		mustSettle(t, w)
		commit := w.journals()[0].commits[0]
		if commit.Span != int64(c.span) || commit.Buckets != c.buckets {
			t.Errorf("%d samples, one in %s: spans of %s and %d buckets; want %s and %d", c.samples, c.step, time.Duration(commit.Span), commit.Buckets, c.span, c.buckets)
		}
		for _, i := range commit.Items {
			if (i.Span-simWeeks()[0].Start())%commit.Span != 0 || i.Bucket != sample.FirstShard(i.Bucket.Range(c.buckets), c.buckets) {
				t.Errorf("item %+v is not aligned", i)
			}
		}
		if !slices.IsSortedFunc(commit.Items, compareItems) {
			t.Errorf("the items are not in order: %v", commit.Items)
		}
	}
}

// TestItemsAreSplitWhereTheyAreTooLarge for the store, those of the quarantine
// too; what they hold stays the same.
func TestItemsAreSplitWhereTheyAreTooLarge(t *testing.T) {
	w, p := handWorld(t)
	numbers := random(w, 60_000, time.Second, sample.Float64)
	for i := range numbers {
		numbers[i].Quality = sample.Quality(i % 3)
	}
	texts := random(w, 60_000, time.Second, sample.String)
	for n, err := range []error{
		p.take(queueSamples(w, 0, "power", numbers...)),
		p.take(queueSamples(w, 1, "power", texts...)), // refused: the series holds floats
		p.take(queueSamples(w, 2, "note", texts...)),
	} {
		if err != nil {
			t.Fatalf("message %d: %v", n, err)
		}
	}
	if err := p.flush(); err != nil {
		t.Fatal(err)
	}
	mustSettle(t, w)
	parts := map[bool]int{}
	for table, items := range w.tables {
		for _, body := range items {
			if len(body) > store.MaxItem {
				t.Errorf("an item of %d bytes", len(body))
			}
			parts[table == "quarantine"]++
		}
	}
	if parts[true] < 2 || parts[false] < 4 {
		t.Errorf("%d items of the quarantine and %d others; want at least 2 and 4", parts[true], parts[false])
	}
}

// TestAnotherWeeksKindIsKept: a series that is new to a week, but known to
// another, is registered as what it is there.
func TestAnotherWeeksKindIsKept(t *testing.T) {
	w, p := handWorld(t)
	week := simWeeks()[0]
	p.runner.kinds = func(key string) sample.Kind {
		return map[string]sample.Kind{"\x05count": sample.Int64, "\x05power": sample.Float64}[key]
	}
	for n, q := range []*queued{
		queueSamples(w, 0, "count", sample.Sample{Time: week.Start(), Value: sample.FloatValue(1.5)}),
		queueSamples(w, 1, "power", sample.Sample{Time: week.Start(), Value: sample.IntValue(7)}),
		queueSamples(w, 2, "other", sample.Sample{Time: week.Start(), Value: sample.BoolValue(true)}),
	} {
		if err := p.take(q); err != nil {
			t.Fatalf("message %d: %v", n, err)
		}
	}
	if err := p.flush(); err != nil {
		t.Fatal(err)
	}
	mustSettle(t, w)
	j := w.journals()[0]
	for key, want := range map[string]sample.Kind{"\x05count": sample.Int64, "\x05power": sample.Float64, "\x05other": sample.Bool} {
		if j.kinds[key] != want {
			t.Errorf("%q is registered as %s; want %s", key, j.kinds[key], want)
		}
	}
	if q := j.commits[0].Quarantined; len(q) != 1 || q[0].Samples != 1 {
		t.Errorf("quarantined: %+v; want the float of the series of ints", q)
	}
}

// TestACommitTooLargeForAnEntryIsHalved: a flush covers whole messages, and
// fewer of them where the entry that names all would not fit.
func TestACommitTooLargeForAnEntryIsHalved(t *testing.T) {
	w, p := handWorld(t)
	p.runner.flusher.messages = 1 << 20
	const messages = 22_000
	for n := range uint64(messages) {
		// Of lives of their own: a range each.
		q := queueOne(w, n, simWeeks()[0])
		id := q.message
		id.Life = message.Life(1e18 + n)
		moved := *w.truths[q.message]
		delete(w.truths, q.message)
		moved.message.Life, q.message = id.Life, id
		w.truths[id] = &moved
		q.body = withBlock(moved.message, batchOfTruth(&moved))
		if err := p.take(q); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.flush(); err != nil {
		t.Fatal(err)
	}
	mustSettle(t, w)
	if n := len(w.journals()[0].commits); n != 2 {
		t.Errorf("%d messages of as many lives took %d commits; want 2", messages, n)
	}
}

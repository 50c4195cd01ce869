package history

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

const (
	hour = int64(time.Hour)
	day  = 24 * hour
)

// world is weeks in all their states, and the chunks of an import over them.
type world struct {
	of      Import
	chunks  []string
	want    model
	counted uint64 // of what was there before
	sent    uint64
}

// newWorld makes 2026-W02 absent, W03 open, W04 sealed, W05 dropped, and W10,
// which is now, filled live.
func newWorld(r *rig) *world {
	w := &world{of: Import{Life: 0xfeed, Name: "years.lp"}, want: model{}, counted: 8}
	for _, name := range []string{"2026-W03", "2026-W04", "2026-W05", "2026-W10"} {
		start := week(r.t, name).Start()
		into := w.want
		if name == "2026-W05" {
			into = model{} // it is dropped
		}
		r.live(week(r.t, name), "m1", into, start+hour, start+2*hour)
	}
	for _, name := range []string{"2026-W04", "2026-W05"} {
		r.must(r.book.SealVolume(r.t.Context(), week(r.t, name), 0))
	}
	r.must(r.book.DiscardVolume(r.t.Context(), week(r.t, "2026-W05"), 0, now()))
	for n := range 3 {
		var text strings.Builder
		for _, name := range []string{"2026-W02", "2026-W03", "2026-W04", "2026-W05", "2026-W10"} {
			start := week(r.t, name).Start()
			for metric := range 6 {
				for i := range int64(3) { // the last time of a chunk is the first of the next
					w.want.line(&text, fmt.Sprintf("m%d", metric), fmt.Sprint(n*10+metric), start+hour+(int64(2*n)+i)*hour/2)
					w.sent++
				}
			}
		}
		w.chunks = append(w.chunks, text.String())
	}
	return w
}

// run imports all chunks, and finishes.
func (w *world) run(ctx context.Context, p *process) (stored uint64, err error) {
	for n, text := range w.chunks {
		out, err := p.take(ctx, w.of, uint64(n), text)
		if err != nil {
			return stored, err
		}
		if out.Rejected > 0 {
			return stored, fmt.Errorf("rejected: %v", out.Faults)
		}
		stored += out.Stored
	}
	_, err = p.importer.Finish(ctx, w.of, uint64(len(w.chunks)), true)
	return stored, err
}

// lives checks what journals say of the import: each message once, and closed
// where it is finished, with all samples in its totals.
func (r *rig) lives(w *world, finished bool) {
	r.t.Helper()
	p := r.start(r.store)
	r.must(p.load(r.t.Context()))
	samples, accepted, closed := map[int]uint64{}, map[int]uint64{}, map[int]bool{}
	numbers := map[int]journal.Numbers{}
	p.importer.each(w.of.Life, func(id store.JournalID, c *journal.Commit, l *journal.Life) {
		samples[id.Partition] += l.Samples
		accepted[id.Partition] = max(accepted[id.Partition], l.Accepted)
		closed[id.Partition] = closed[id.Partition] || l.Closed
		for _, of := range l.Ranges {
			if numbers[id.Partition].Has(of.From) {
				r.t.Errorf("message %d is named twice in queue %d", of.From, id.Partition)
			}
			numbers[id.Partition] = numbers[id.Partition].Add(of)
		}
		if l.Samples > 0 && c.Horizon >= l.First {
			r.t.Errorf("the commit of message %v raised the horizon", l.Ranges)
		}
	})
	for queue := range 2 {
		if accepted[queue] > samples[queue] {
			r.t.Errorf("queue %d: %d accepted, %d are named", queue, accepted[queue], samples[queue])
		}
		if finished && (!closed[queue] || accepted[queue] != samples[queue]) {
			r.t.Errorf("queue %d: finished, and closed is %v, %d of %d", queue, closed[queue], accepted[queue], samples[queue])
		}
	}
}

func TestImportOverWeeksOfAllStates(t *testing.T) {
	r := newRig(t)
	w := newWorld(r)
	stored, err := w.run(t.Context(), r.process)
	r.must(err)
	if stored != w.sent {
		t.Errorf("%d stored of %d", stored, w.sent)
	}
	r.check(w.want, w.counted+w.sent)
	r.lives(w, true)
	states := map[string]string{}
	for _, name := range []string{"2026-W02", "2026-W03", "2026-W04", "2026-W05", "2026-W10"} {
		volumes, err := r.book.Volumes(t.Context(), week(t, name))
		r.must(err)
		for _, v := range volumes {
			states[name] += string(v.State) + " "
		}
	}
	for name, want := range map[string]string{
		"2026-W02": "sealed ", "2026-W03": "sealed ", "2026-W04": "sealed sealed ", "2026-W05": "dropped sealed ", "2026-W10": "open ",
	} {
		if states[name] != want {
			t.Errorf("%s is %q, want %q", name, states[name], want)
		}
	}
	// Again: by this process, and by another.
	for _, p := range []*process{r.process, r.start(r.store)} {
		stored, err := w.run(t.Context(), p)
		r.must(err)
		if stored != 0 {
			t.Errorf("%d samples were stored twice", stored)
		}
	}
	r.check(w.want, w.counted+w.sent)
	r.lives(w, true)
}

var errKilled = errors.New("simulated kill")

// TestCutShortAnywhere kills the process at each call that changes the store, or
// lets the call fail or its answer be lost; then another process imports the
// same again: all is stored, once.
func TestCutShortAnywhere(t *testing.T) {
	first, stride := 1, 1
	switch {
	case testing.Short():
		stride = 23
	case underRace:
		stride = 5
		first += rand.IntN(stride) // each call is reached in some run
	}
	for _, kind := range []string{"killed before", "killed after", "failed before", "failed after"} {
		for at := first; ; at += stride {
			reached := false
			t.Run(fmt.Sprintf("%s call %d", kind, at), func(t *testing.T) { reached = cutShort(t, kind, at) })
			if !reached || t.Failed() {
				break
			}
		}
	}
}

func cutShort(t *testing.T, kind string, at int) (reached bool) {
	r := newRig(t)
	w := newWorld(r)
	calls, dead := 0, false
	what := func(when string) func(string) error {
		return func(string) error {
			if when == "before" {
				calls++
			}
			switch {
			case dead:
				return errKilled
			case calls != at || !strings.HasSuffix(kind, when):
				return nil
			case strings.HasPrefix(kind, "killed"):
				dead = true
				return errKilled
			}
			return fmt.Errorf("simulated failure: %w", store.ErrUnavailable)
		}
	}
	p := r.start(&hooked{Store: r.store, before: what("before"), after: what("after")})
	r.must(p.load(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := w.run(ctx, p)
	if reached = calls >= at; !reached {
		r.must(err)
	}
	if dead && err == nil {
		t.Error("it was killed, and says that it is done")
	}
	_, counted := r.read()
	r.lives(w, err == nil)
	again := r.start(r.store)
	r.must(again.load(ctx))
	stored, err := w.run(ctx, again)
	r.must(err)
	if counted+stored != w.counted+w.sent {
		t.Errorf("%d were stored, %d more the second time; want %d", counted, stored, w.counted+w.sent)
	}
	r.check(w.want, w.counted+w.sent)
	r.lives(w, true)
	if stored, err := w.run(ctx, again); err != nil || stored != 0 {
		t.Errorf("the third time %d are stored, %v", stored, err)
	}
	return reached
}

// A worker that writes the same journal meanwhile is not fenced, and what it
// commits after an import wins.
func TestAWorkerIsNotDisturbed(t *testing.T) {
	r := newRig(t)
	w := week(t, "2026-W10")
	want, start := model{}, w.Start()
	worker := r.live(w, "m1", want, start+hour)
	r.held = true
	var text strings.Builder
	want.line(&text, "m1", "1", start+hour) // wins over what was there
	want.line(&text, "m1", "2", start+2*hour)
	want.line(&text, "m1", "3", start+3*hour)
	_, err := r.take(t.Context(), Import{Life: 5}, 0, text.String())
	r.must(err)
	r.check(want, 4)
	r.flush(worker, "m1", want, 2, start+2*hour)
	r.check(want, 5)
	if worker.Broken() {
		t.Error("the worker was fenced")
	}
}

// One that takes the journal over, or seals the week, between items and commit
// makes the import write them anew.
func TestTakenOverAndSealedBetween(t *testing.T) {
	for _, what := range []string{"taken over", "sealed", "sealed and dropped"} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t)
			w, want, n := week(t, "2026-W03"), model{}, 0
			r.live(w, "m1", model{}, w.Start())
			at := map[string]string{"taken over": "append", "sealed": "append", "sealed and dropped": "write"}[what]
			quiet := func(string) error { return nil }
			p := r.start(&hooked{Store: r.store, after: quiet, before: func(call string) error {
				if call != at {
					return nil
				}
				if n++; n > 2 || at == "append" && n == 1 {
					return nil // the first append is the import's epoch
				}
				if what == "taken over" {
					for partition := range 2 {
						_, err := journal.OpenWriter(t.Context(), r.book.Journal(store.JournalID{Week: w, Partition: partition}), "other", rand.Uint64)
						r.must(err)
					}
					return nil
				}
				if n > 2 {
					return nil
				}
				r.must(r.book.Load(t.Context()))
				r.must(r.book.SealVolume(t.Context(), w, 0))
				if what == "sealed and dropped" {
					r.must(r.book.DiscardVolume(t.Context(), w, 0, now()))
				}
				return nil
			}})
			r.must(p.load(t.Context()))
			var text strings.Builder
			want.line(&text, "m1", "1", w.Start()+hour)
			if what != "sealed and dropped" {
				want.put("m1", w.Start(), sample.FloatValue(7))
			}
			out, err := p.take(t.Context(), Import{Life: 5}, 0, text.String())
			r.must(err)
			if out.Stored != 1 {
				t.Errorf("%+v", out)
			}
			r.check(want, 2)
		})
	}
}

// What is dense comes in items of an hour, several a bucket's, what is sparse in
// one of the week; of equal times the last of the text is read.
func TestLayout(t *testing.T) {
	r := newRig(t)
	dense, sparse := week(t, "2026-W03"), week(t, "2026-W04")
	var text strings.Builder
	want := model{}
	for i := range int64(40_000) {
		want.line(&text, fmt.Sprintf("d%d", i%100), fmt.Sprint(i), dense.Start()+i/100*int64(time.Second))
	}
	for i := range int64(10) {
		want.line(&text, "s", "1", sparse.Start()+(9-i)*day/2)
		want.line(&text, "s", "2", sparse.Start()+(9-i)*day/2)
	}
	_, err := r.take(t.Context(), Import{Life: 5}, 0, text.String())
	r.must(err)
	r.check(want, 40_020)
	spans := map[string]bool{}
	for _, j := range r.book.Journals() {
		for n := range j.Snapshot().Items.All() {
			spans[fmt.Sprint(j.ID().Week, " ", time.Duration(n.Length))] = true
		}
	}
	for _, want := range []string{"2026-W03 1h0m0s", "2026-W04 168h0m0s"} {
		if !spans[want] || len(spans) != 2 {
			t.Errorf("%v; want %s among two", spans, want)
		}
	}
	overwritten := uint64(0)
	r.importer.each(5, func(_ store.JournalID, c *journal.Commit, _ *journal.Life) { overwritten += c.Overwritten })
	if overwritten != 10 {
		t.Errorf("%d overwritten", overwritten)
	}
}

// What would be larger than an item may be comes in several.
func TestLargeSamplesAreSeveralItems(t *testing.T) {
	r := newRig(t)
	start, want := week(t, "2026-W03").Start(), model{}
	var text strings.Builder
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range int64(20) {
		noise := make([]byte, 100_000)
		for n := range noise {
			noise[n] = byte('A' + rng.IntN(57))
			if noise[n] == '\\' {
				noise[n] = 'x'
			}
		}
		want.line(&text, fmt.Sprintf("m%d", i%2), `"`+string(noise)+`"`, start+i)
	}
	_, err := r.take(t.Context(), Import{Life: 5}, 0, text.String())
	r.must(err)
	r.check(want, 20)
	items := 0
	for _, j := range r.book.Journals() {
		for n := range j.Snapshot().Items.All() {
			if items++; n.Bytes > store.MaxItem {
				t.Errorf("an item of %d bytes", n.Bytes)
			}
		}
	}
	if items < 4 {
		t.Errorf("%d items", items)
	}
}

func TestAPanicIsAnError(t *testing.T) {
	err := several(t.Context(), []int{1, 2}, func(context.Context, int) error { panic("broken") })
	if err == nil || !strings.Contains(err.Error(), "broken") {
		t.Error(err)
	}
}

func TestNumbersTellChunksAndWeeksApart(t *testing.T) {
	seen := map[uint64]bool{}
	for _, chunk := range []uint64{0, 1, 2, MaxChunks - 1} {
		for _, w := range []sample.Week{-15250, -1, 0, 1, 2926, 15250} {
			n := number(chunk, w)
			if seen[n] {
				t.Errorf("chunk %d of %s has the number of another", chunk, w)
			}
			seen[n] = true
		}
	}
	if long := (Import{Life: 1, Name: strings.Repeat("é", 300)}).instance(); len(long) > message.MaxInstance {
		t.Errorf("an instance of %d bytes", len(long))
	}
}

func TestRefused(t *testing.T) {
	r := newRig(t)
	for name, c := range map[string]Chunk{"format": {Format: "xml"}, "size": {Format: FormatLines, Text: make([]byte, MaxChunk+1)}} {
		ticket, err := r.importer.Admit(t.Context(), Import{Life: 1}, 0, 0)
		r.must(err)
		if _, err := ticket.Take(t.Context(), c); !errors.Is(err, ErrRequest) {
			t.Errorf("%s: %v", name, err)
		}
		ticket.Leave()
	}
	if _, err := r.importer.Admit(t.Context(), Import{Life: 1}, MaxChunks, 0); !errors.Is(err, ErrRequest) {
		t.Error(err)
	}
	if _, err := r.importer.Finish(t.Context(), Import{Life: 1}, MaxChunks, true); !errors.Is(err, ErrRequest) {
		t.Error(err)
	}
	if volumes, err := r.importer.Finish(t.Context(), Import{Life: 1}, 3, true); err != nil || len(volumes) != 0 {
		t.Errorf("an import of nothing: %v, %v", volumes, err)
	}
	r.importer.turn <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.take(ctx, Import{Life: 1}, 0, ""); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/internal/pipeline/definition"
	"weir/internal/store"
)

// memory is store.Records in memory.
type memory struct {
	mu      sync.Mutex
	records map[string]store.Record
	puts    int
}

var _ store.Records = (*memory)(nil)

func newMemory() *memory { return &memory{records: map[string]store.Record{}} }

func (m *memory) Get(_ context.Context, key string) (store.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.records[key]
	if !ok {
		return store.Record{}, &store.Error{Op: "get", Key: key, Err: store.ErrNotFound}
	}
	return r, nil
}

func (m *memory) Put(_ context.Context, key string, value []byte, version uint64) (store.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789.-/") != "" || len(value) > store.MaxEntry {
		return store.Record{}, &store.Error{Op: "put", Key: key, Err: store.ErrTooLarge}
	}
	if m.records[key].Version != version {
		return store.Record{}, &store.Error{Op: "put", Key: key, Err: store.ErrConflict}
	}
	m.puts++
	m.records[key] = store.Record{Key: key, Value: bytes.Clone(value), Version: version + 1}
	return m.records[key], nil
}

func (m *memory) Remove(_ context.Context, key string, version uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.records[key]; !ok || r.Version != version {
		return &store.Error{Op: "remove", Key: key, Err: store.ErrConflict}
	}
	delete(m.records, key)
	return nil
}

func (m *memory) Scan(_ context.Context, prefix string) (found []store.Record, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, r := range m.records {
		if strings.HasPrefix(key, prefix) {
			found = append(found, r)
		}
	}
	slices.SortFunc(found, func(a, b store.Record) int { return strings.Compare(a.Key, b.Key) })
	return found, nil
}

// mortal is one process's records: after so many calls it dies, in the call
// before or after its effect, and nothing more goes in or out. fault, if set,
// may fail a call without death, before or after its effect.
type mortal struct {
	store.Records
	mu      sync.Mutex
	random  *rand.Rand
	left    int // calls until death; 0: none
	dead    bool
	onDeath func()
	faults  float64 // share of puts that fail, though half of them are done
}

// call says whether an operation takes place, and whether its answer is lost.
func (m *mortal) call() (take, lost bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return false, true
	}
	if m.left > 0 {
		if m.left--; m.left == 0 {
			m.dead = true
			m.onDeath()
			return m.random.IntN(2) == 0, true
		}
	}
	if m.random.Float64() < m.faults {
		return m.random.IntN(2) == 0, true
	}
	return true, false
}

func through[T any](m *mortal, f func() (T, error)) (result T, err error) {
	take, lost := m.call()
	if take {
		result, err = f()
	}
	if lost {
		return result, &store.Error{Op: "call", Err: store.ErrUnavailable}
	}
	return result, err
}

func (m *mortal) Get(ctx context.Context, key string) (store.Record, error) {
	return through(m, func() (store.Record, error) { return m.Records.Get(ctx, key) })
}

func (m *mortal) Put(ctx context.Context, key string, value []byte, version uint64) (store.Record, error) {
	return through(m, func() (store.Record, error) { return m.Records.Put(ctx, key, value, version) })
}

func (m *mortal) Remove(ctx context.Context, key string, version uint64) error {
	_, err := through(m, func() (struct{}, error) { return struct{}{}, m.Records.Remove(ctx, key, version) })
	return err
}

func (m *mortal) Scan(ctx context.Context, prefix string) ([]store.Record, error) {
	return through(m, func() ([]store.Record, error) { return m.Records.Scan(ctx, prefix) })
}

// labour is a worker that takes its time, fails now and then, and keeps count.
type labour struct {
	mu     sync.Mutex
	random *rand.Rand

	longest  time.Duration // of an attempt
	failures float64       // share of attempts that fail
	refuse   map[string]error
	hang     bool
	output   Output

	live    map[string]RunKey // by attempt
	most    int               // runs with live attempts at once
	tasks   []Task
	cuts    map[RunKey]string
	takenIn map[string]string // by run and step: the outputs that attempts were given
	wrong   []string
}

func newLabour(seed uint64) *labour {
	return &labour{
		random: rand.New(rand.NewPCG(seed, 1)), live: map[string]RunKey{}, cuts: map[RunKey]string{},
		takenIn: map[string]string{}, refuse: map[string]error{},
	}
}

func (l *labour) Do(ctx context.Context, t Task) (Output, error) {
	wait, err := l.enter(t)
	defer l.exit(t)
	if wait < 0 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timer.C:
		}
	}
	if l.output != nil { // set before anything runs
		return l.output, err
	}
	return Output(fmt.Sprintf("%q", t.Attempt)), err
}

func (l *labour) enter(t Task) (wait time.Duration, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tasks = append(l.tasks, t)
	if cut, ok := l.cuts[t.RunKey]; ok && cut != t.Cut {
		l.wrong = append(l.wrong, fmt.Sprintf("%s: the cut moved from %s to %s", t.RunKey, cut, t.Cut))
	}
	l.cuts[t.RunKey] = t.Cut
	for _, before := range t.Step.After {
		given, ok := t.Outputs[before]
		if !ok {
			l.wrong = append(l.wrong, fmt.Sprintf("%s: %s began before %s was done", t.RunKey, t.Step.Name, before))
		}
		key := t.RunKey.String() + before
		if was, ok := l.takenIn[key]; ok && was != string(given) {
			l.wrong = append(l.wrong, fmt.Sprintf("%s: the output of %s was %s, then %s", t.RunKey, before, was, given))
		}
		l.takenIn[key] = string(given)
	}
	l.live[t.Attempt] = t.RunKey
	runs := map[RunKey]bool{}
	for _, k := range l.live {
		runs[k] = true
	}
	l.most = max(l.most, len(runs))
	if l.longest > 0 {
		wait = time.Duration(l.random.Int64N(int64(l.longest)))
	}
	if l.random.Float64() < l.failures {
		err = errors.New("bad luck")
	}
	if refused := l.refuse[t.Step.Name]; refused != nil {
		err = refused
	}
	if l.hang {
		wait = -1
	}
	return wait, err
}

// set changes what the worker is like while attempts may run.
func (l *labour) set(f func(l *labour)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l)
}

func (l *labour) exit(t Task) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.live, t.Attempt)
}

// count gives how many attempts were begun.
func (l *labour) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.tasks)
}

// living gives how many attempts run.
func (l *labour) living() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.live)
}

// scissors gives another cut each time.
type scissors struct {
	mu       sync.Mutex
	n        int
	kept     int
	released []RunKey
	err      error
}

func (c *scissors) Cut(context.Context, RunKey) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	return fmt.Sprintf("cut-%06d", c.n), c.err
}

func (c *scissors) Keep(context.Context, RunKey, string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept++
	return nil
}

func (c *scissors) Release(_ context.Context, k RunKey, _ string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.released = append(c.released, k)
	return nil
}

// counts gives how many cuts were given, prolonged and released.
func (c *scissors) counts() (cuts, kept, released int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n, c.kept, len(c.released)
}

// ears hear notices.
type ears struct {
	mu      sync.Mutex
	notices []Notice
}

func (e *ears) Notify(_ context.Context, n Notice) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.notices = append(e.notices, n)
	return nil
}

func (e *ears) kinds() (kinds []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, n := range e.notices {
		kinds = append(kinds, n.Kind)
	}
	return kinds
}

// tide is a watermark.
type tide struct {
	mu   sync.Mutex
	mark time.Time
	err  error
}

func (w *tide) Watermark(context.Context) (time.Time, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mark, w.err
}

func (w *tide) set(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mark = t
}

// rig is a scheduler in a synctest bubble, whose clock begins where it says.
type rig struct {
	t        *testing.T
	records  *memory
	worker   *labour
	cutter   *scissors
	ears     *ears
	tide     *tide
	now      func() time.Time
	names    int
	mu       sync.Mutex
	settings func(*Config)
}

func newRig(t *testing.T, begin string) *rig {
	t.Helper()
	base, bubble := at(t, begin).Time(), time.Now()
	return &rig{
		t: t, records: newMemory(), worker: newLabour(1), cutter: &scissors{}, ears: &ears{}, tide: &tide{},
		now: func() time.Time { return base.Add(time.Since(bubble)) },
	}
}

func (r *rig) newName() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names++
	return fmt.Sprintf("n%d", r.names)
}

func (r *rig) scheduler(records store.Records) *Scheduler {
	r.t.Helper()
	c := Default()
	c.Records, c.Worker, c.Cutter, c.Conditions, c.Notify = records, r.worker, r.cutter, r.tide, r.ears
	c.Now, c.NewName = r.now, r.newName
	c.Poll, c.Lease = 10*time.Minute, time.Hour
	if r.settings != nil {
		r.settings(&c)
	}
	s, err := New(c)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// start runs a scheduler until the returned function is called.
func (r *rig) start(s *Scheduler) (stop func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	return func() {
		r.t.Helper()
		cancel()
		if err := <-ended; err != nil {
			r.t.Error(err)
		}
	}
}

func (r *rig) apply(s *Scheduler, text string) Pipeline {
	r.t.Helper()
	p, err := s.Apply(r.t.Context(), "p.yaml", []byte(text))
	if err != nil {
		r.t.Fatal(err)
	}
	return p
}

func (r *rig) runs(s *Scheduler, f Filter) []Run {
	r.t.Helper()
	runs, err := s.Status(r.t.Context(), f)
	if err != nil {
		r.t.Fatal(err)
	}
	slices.Reverse(runs) // oldest first is how the tests think
	return runs
}

func (r *rig) lookup(s *Scheduler, k RunKey) Run {
	r.t.Helper()
	run, err := s.Lookup(r.t.Context(), k)
	if err != nil {
		r.t.Fatal(err)
	}
	return run
}

const oneStep = "\nsteps:\n  - {name: a, analyse: {analysis: rollup, select: m}}\n"

func mustParse(t testing.TB, text string) Definition {
	t.Helper()
	d, err := definition.Parser{}.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func at(t testing.TB, text string) Instant {
	t.Helper()
	i, err := definition.ParseInstant(text)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func windows(s definition.Schedule, from, to Instant) []Window {
	return slices.Collect(s.Windows(from, to))
}

// scheduled gives a test with a scheduler that runs, at 01:30, and ends before
// the test's bubble does.
func scheduled(f func(t *testing.T, r *rig, s *Scheduler)) func(*testing.T) {
	return func(t *testing.T) {
		r := newRig(t, "2026-01-01T01:30:00Z")
		s := r.scheduler(r.records)
		stop := r.start(s)
		defer stop()
		f(t, r, s)
	}
}

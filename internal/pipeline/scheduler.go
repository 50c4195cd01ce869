package pipeline

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"weir/internal/pipeline/definition"
	"weir/internal/store"
)

// Conditions is what a run may have to wait for.
type Conditions interface {
	// Watermark gives the time before which all samples are committed.
	Watermark(ctx context.Context) (time.Time, error)
}

// Notice is something that a person should hear of.
type Notice struct {
	Kind string // "late" or "failed"
	Run  Run
	Text string
}

// Notify tells people. A notice may be given twice, after a kill.
type Notify interface {
	Notify(ctx context.Context, n Notice) error
}

// Config is what a scheduler needs. Records, Worker and Cutter must be given.
type Config struct {
	Records    store.Records
	Worker     Worker
	Cutter     Cutter // may be a CutKeeper
	Conditions Conditions
	Notify     Notify
	Checks     definition.Checks
	Shared     func(a, b string) bool // whether two selectors may take the same series; nil: nobody is warned
	Log        *slog.Logger
	Now        func() time.Time
	NewName    func() string // unique names of attempts and schedulers, of a-z, 0-9 and '-'

	// Poll is how often the records are looked at for what others changed.
	Poll time.Duration
	// Lease is for how long a scheduler that is silent is still the leader.
	Lease time.Duration
	// Alone says that no other process schedules on these records, so that
	// the lease of an earlier life is not waited for.
	Alone bool
}

// Default gives a config that lacks Records, Worker and Cutter.
func Default() Config {
	return Config{
		Log: slog.New(slog.DiscardHandler), Now: time.Now, NewName: randomName,
		Poll: time.Second, Lease: 30 * time.Second,
	}
}

// Validate says what is missing or out of range.
func (c Config) Validate() error {
	switch {
	case c.Records == nil || c.Worker == nil || c.Cutter == nil:
		return errors.New("pipeline: Records, Worker and Cutter must be given")
	case c.Log == nil || c.Now == nil || c.NewName == nil:
		return errors.New("pipeline: Log, Now and NewName must be given; begin with Default")
	case c.Poll <= 0 || c.Lease < 3*c.Poll:
		return fmt.Errorf("pipeline: the poll, %s, must be above 0 and at most a third of the lease, %s", c.Poll, c.Lease)
	}
	return nil
}

func randomName() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// Scheduler is the pipelines of one set of records: what can be asked about
// them and of them, and, once Run is called, who carries them out. It is safe
// for concurrent use. Of several on the same records one leads.
type Scheduler struct {
	c       Config
	records store.Records
	name    string
	wake    chan struct{}

	mu          sync.Mutex
	definitions map[string]parsedText
	executing   map[RunKey]*execution
	group       sync.WaitGroup
}

type parsedText struct {
	definition Definition
	err        error
}

// New makes a scheduler. It starts nothing.
func New(c Config) (*Scheduler, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return &Scheduler{
		c: c, records: c.Records, name: c.NewName(), wake: make(chan struct{}, 1),
		definitions: map[string]parsedText{}, executing: map[RunKey]*execution{},
	}, nil
}

func (s *Scheduler) now() Instant { return definition.InstantOf(s.c.Now()) }

// poke makes the loop look at the records at once.
func (s *Scheduler) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// lease is the record of who leads.
type lease struct {
	Format int     `json:"format"`
	Owner  string  `json:"owner"`
	Until  Instant `json:"until"`
}

// Run makes due windows, begins runs and carries them out, until ctx ends. It
// waits for the steps that run to notice that. While another scheduler leads
// it stands by. The error is that of a store that is closed.
func (s *Scheduler) Run(ctx context.Context) error {
	force := s.c.Alone
	for {
		err := s.acquire(ctx, force)
		if err == nil {
			force = false
			err = s.lead(ctx)
		}
		switch {
		case ctx.Err() != nil:
			s.release(context.WithoutCancel(ctx))
			return nil //nolint:nilerr // the end was asked for
		case errors.Is(err, store.ErrClosed):
			return fmt.Errorf("pipeline: schedule: %w", err)
		case !errors.Is(err, errLost):
			s.c.Log.Warn("pipelines are not scheduled; trying again", "error", err)
		}
		_ = s.sleep(ctx, s.c.Poll)
	}
}

// errLost means that another scheduler leads, or has taken a run over.
var errLost = errors.New("another scheduler works on it")

func (s *Scheduler) acquire(ctx context.Context, force bool) error {
	now := s.now()
	_, err := change(ctx, s.records, leaderKey, true, func(l *lease) error {
		if l.Owner != s.name && l.Until > now && !force {
			return errLost
		}
		*l = lease{recordFormat, s.name, now.Add(s.c.Lease)}
		return nil
	})
	return err
}

// release lets another lead at once.
func (s *Scheduler) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, s.c.Poll)
	defer cancel()
	_, err := change(ctx, s.records, leaderKey, false, func(l *lease) error {
		if l.Owner != s.name {
			return errKeep
		}
		l.Until = 0
		return nil
	})
	if err != nil {
		s.c.Log.Debug("the lease was not given back; it runs out", "error", err)
	}
}

// lead works until ctx ends, the lease is lost, or the store fails for as
// long as the lease lasts.
func (s *Scheduler) lead(parent context.Context) error {
	ctx, cancel := context.WithCancel(parent)
	defer s.group.Wait()
	defer cancel()
	s.c.Log.Info("scheduling pipelines", "scheduler", s.name)
	renewed := s.now()
	said := ""
	for {
		if now := s.now(); now >= renewed.Add(s.c.Lease/3) {
			switch err := s.acquire(ctx, false); {
			case err == nil:
				renewed = now
			case errors.Is(err, errLost) || now >= renewed.Add(s.c.Lease):
				return err
			}
		}
		err := s.pass(ctx)
		switch {
		case err == nil:
			said = ""
		case errors.Is(err, store.ErrClosed) || ctx.Err() != nil:
			return err
		case err.Error() != said:
			said = err.Error()
			s.c.Log.Warn("pipelines are not all scheduled; trying again", "error", err)
		}
		timer := time.NewTimer(s.c.Poll)
		select {
		case <-ctx.Done():
		case <-s.wake:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// pass looks at each pipeline once.
func (s *Scheduler) pass(ctx context.Context) error {
	records, err := s.records.Scan(ctx, statePrefix)
	if err != nil {
		return err
	}
	var failed []error
	for _, r := range records {
		st, err := decode[state](r)
		if err == nil {
			err = s.advance(ctx, st, r.Version)
		}
		switch {
		case err == nil:
		case errors.Is(err, store.ErrConflict):
			s.poke() // it has changed since; look again
		default:
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// advance notices what is due of one pipeline, opens the runs whose turn has
// come, and sees that each open run is carried out.
func (s *Scheduler) advance(ctx context.Context, st state, version uint64) error {
	var d Definition
	var err error
	if st.Definition != "" {
		if d, err = s.definition(ctx, st.Name, st.Definition); err != nil {
			return err
		}
	}
	changed := false
	if d.Scheduled() && !st.Paused {
		changed = st.notice(d, s.now())
	}
	for !st.Paused {
		a, ok := st.next(d)
		if !ok {
			break
		}
		of, err := s.definition(ctx, st.Name, a.Definition)
		if err != nil {
			return err
		}
		if len(st.Open) >= of.Concurrency {
			break
		}
		open, err := s.prepare(ctx, of, a)
		if err != nil {
			return err
		}
		opening := ""
		if open {
			opening = s.c.NewName()
		}
		st.take(a, opening)
		changed = true
	}
	if changed {
		if err := write(ctx, s.records, stateKey(st.Name), st, version); err != nil {
			return err
		}
	}
	for _, a := range st.Open {
		s.execute(ctx, st.Name, a)
	}
	return nil
}

// prepare sees that a run's record is there, and says whether there is
// anything left to do for it.
func (s *Scheduler) prepare(ctx context.Context, d Definition, a ask) (open bool, err error) {
	k := RunKey{d.Name, a.Window, a.Revision}
	err = write(ctx, s.records, runKey(k), newRun(d, k, a, s.now()), 0)
	if err == nil || !errors.Is(err, store.ErrConflict) {
		return true, err
	}
	r, err := change(ctx, s.records, runKey(k), false, func(r *Run) error {
		if !a.Continue || !r.State.finished() || r.State == Done {
			return errKeep
		}
		r.again(s.now())
		return nil
	})
	return !r.State.finished(), err
}

// definition gives the definition of a stored text.
func (s *Scheduler) definition(ctx context.Context, name, hash string) (Definition, error) {
	key := textKey(name, hash)
	s.mu.Lock()
	known, ok := s.definitions[key]
	s.mu.Unlock()
	if ok {
		return known.definition, known.err
	}
	text, err := s.records.Get(ctx, key)
	if err != nil {
		return Definition{}, fmt.Errorf("pipeline %s: its definition: %w", name, err)
	}
	known.definition, known.err = definition.Parser{}.Parse(name, text.Value)
	if known.err != nil {
		known.err = fmt.Errorf("pipeline %s: its stored definition is wrong by this version; give it anew: %w", name, known.err)
	}
	s.mu.Lock()
	s.definitions[key] = known
	s.mu.Unlock()
	return known.definition, known.err
}

func (s *Scheduler) sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

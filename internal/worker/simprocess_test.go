package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"weir/internal/catalog"
	"weir/internal/journal"
	"weir/internal/sample"
	"weir/internal/store"
)

// task is what a process does next, when it is free to choose.
type task int

const (
	receiveSome task = iota
	flushHeads
	giveUp    // as when the lease is lost: the heads are dropped, the memory of the journals stays
	flushFast // the heads' fast messages alone
)

// process is one run of a worker, from its start to its crash. Its code is the
// worker's own; it stops at every port call until the schedule lets it go on.
type process struct {
	world *world
	ctx   context.Context
	die   context.CancelFunc

	stopped chan bool // true: at a call or a choice; false: it has ended
	resumed chan outcome
	task    task
	most    int  // to be received
	idle    bool // it stands at a choice, and holds no lock

	runner *runner

	lazy       []func(*world) error // breakage.lazyWrite
	unanswered []byte               // breakage.repeatBlindly
	hidden     bool

	// free, if set, decides instead of the schedule what becomes of a call,
	// and the process runs on.
	free func() outcome
}

var errLeaseLost = errors.New("simulated loss of the lease")

// startProcess starts a process and returns when it stands at its first choice.
func startProcess(w *world, name string) *process {
	p := &process{world: w, stopped: make(chan bool), resumed: make(chan outcome)}
	p.ctx, p.die = context.WithCancel(context.Background())
	go func() {
		p.live(name)
		p.stopped <- false
	}()
	<-p.stopped
	return p
}

// freeProcess makes a process without a schedule: a worker and its runner in
// the hands of a test, whose calls succeed unless it says otherwise.
func freeProcess(t *testing.T, w *world) *process {
	p := &process{world: w, free: func() outcome { return succeed }}
	p.ctx, p.die = context.WithCancel(t.Context())
	t.Cleanup(p.die)
	p.runner = p.worker("a worker").newRunner(0, slog.New(slog.DiscardHandler))
	return p
}

// book makes a book that knows nothing yet, over the process' store.
func (p *process) book(partitions int) *journal.Book {
	return journal.NewBook(simStore{p}, partitions, p.world.rng.Uint64, nil)
}

// worker makes the worker of this process, whose memory is its own.
func (p *process) worker(name string) *Worker {
	series := catalog.New()
	book := journal.NewBook(simStore{p}, 1, p.world.rng.Uint64, func(id store.JournalID, news []journal.Registered) {
		for _, r := range news {
			_ = series.Register(r.Key, catalog.InWeek{Week: id.Week, Handle: r.Handle, Kind: r.Kind})
		}
	})
	config := Default()
	config.MaxFailures, config.MaxAttempts, config.RetryDelay = 2, 8, time.Millisecond
	w := New(Options{
		Name: name, Config: config, Buffer: simBuffer{p}, Dead: simDead{p}, Tables: simStore{p}, Book: book,
		Kinds: func(key string) sample.Kind {
			s, err := series.Intern([]byte(key))
			if err != nil {
				return 0
			}
			return s.Kind()
		},
		Now: time.Now, Random: p.world.rng.Uint64,
	})
	w.flusher.messages = 3
	return w
}

func (p *process) live(name string) {
	w := p.worker(name)
	for p.ctx.Err() == nil {
		p.runner = w.newRunner(0, slog.New(slog.DiscardHandler))
		err := p.work()
		if err == nil {
			break
		}
		if errors.Is(err, journal.ErrFenced) {
			p.world.counts["fenced workers"]++
		}
		p.runner.drop(p.ctx)
	}
}

// work is the runner's loop, its choices made by the schedule.
func (p *process) work() error {
	r := p.runner
	for {
		p.idle = true
		p.pause()
		p.idle = false
		if p.ctx.Err() != nil {
			return nil //nolint:nilerr // a crash is how a process ends
		}
		for _, write := range p.lazy {
			_ = write(p.world)
		}
		p.lazy = nil
		var err error
		switch p.task {
		case receiveSome:
			batch, rerr := r.buffer.Receive(p.ctx, 0, p.most)
			if rerr == nil {
				err = r.handleAll(p.ctx, batch)
			}
		case flushHeads, flushFast:
			classes := allClasses()
			if p.task == flushFast {
				classes = []journal.Class{journal.Fast}
			}
			err = r.flushAll(p.ctx, r.inOrder(), classes)
			if p.ctx.Err() == nil && errors.Is(err, journal.ErrUncertain) {
				p.world.counts["appends with no known outcome"]++
			}
			err = r.afterFlush(p.ctx, err)
		case giveUp:
			err = errLeaseLost
		}
		if err != nil {
			return err
		}
	}
}

// pause stops until the schedule goes on with this process.
func (p *process) pause() outcome {
	if p.ctx.Err() != nil {
		return fail
	}
	var o outcome
	if p.stopped == nil {
		o = p.free()
	} else {
		p.stopped <- true
		o = <-p.resumed
	}
	if o == crashBefore {
		p.die()
	}
	return o
}

// call carries out a port call the way the schedule wants it. A process that
// has died reaches nothing any more.
func (p *process) call(do func(*world) error) error {
	dead := p.ctx.Err() != nil
	scheduled := p.stopped != nil
	if !scheduled {
		p.world.mu.Lock()
		defer p.world.mu.Unlock()
	}
	o := p.pause()
	if scheduled {
		p.world.actor = p
	}
	if o == fail || o == defers || o == crashBefore {
		return noAnswer{deferred: o == defers, dead: dead}
	}
	err := do(p.world)
	if o == succeed {
		return err
	}
	if o == crashAfter {
		p.die()
	}
	return noAnswer{done: err == nil, dead: dead}
}

// resume lets the process go on to its next call or its end; it says whether
// it lives.
func (p *process) resume(o outcome) bool {
	p.resumed <- o
	return <-p.stopped
}

// kill ends the process where it stands.
func (p *process) kill() {
	p.die()
	for p.resume(crashBefore) {
	}
}

// checkHeads compares what a reader sees of a process' heads with what was
// sent. The process must be idle.
func (p *process) checkHeads() {
	w := p.world
	for _, h := range p.runner.inOrder() {
		s := h.snapshot()
		raw := w.journal(h.id)
		for i, c := range s.Commits {
			if i >= len(raw.commits) || raw.commits[i].position != c.Position {
				w.violate(1, "the head of %s tells a commit at %d that its journal does not have there", h.id, c.Position)
				return
			}
		}
		named := map[string]bool{}
		for _, c := range raw.commits[:len(s.Commits)] {
			for _, m := range c.messages {
				named[fmt.Sprint(m.message.ID())] = true
			}
		}
		for i := range s.Pending {
			m := &s.Pending[i].Message
			truth := w.truths[m.ID()]
			switch {
			case named[fmt.Sprint(m.ID())]:
				w.violate(1, "message %v is in the head of %s and named by it at once", m.ID(), h.id)
			case truth == nil || truth.poison:
				w.violate(1, "message %v is in a head, and must not", m.ID())
			case i > 0 && compareMessages(&s.Pending[i-1].Message, m) >= 0:
				w.violate(6, "the head of %s is not in order", h.id)
			default:
				stored, refused := truth.divided(raw)
				if uint64(len(refused)) != s.Pending[i].Refused || len(stored) != s.Pending[i].Batch.Samples() {
					w.violate(1, "message %v has %d samples and %d refused ones in the head; %d and %d were sent", m.ID(),
						s.Pending[i].Batch.Samples(), s.Pending[i].Refused, len(stored), len(refused))
				}
			}
		}
	}
}

package worker

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"weir/internal/worker/autoscale"
)

// Pool runs as many workers as the autoscale policy wants, from one to one a
// queue, each a worker with a name and leases of its own. They share the
// queues evenly. When a worker is added, others drain a queue each and give it
// up; one that is taken away drains what it holds; one that dies is replaced,
// and what it held comes again. Readers ask the pool, and need not know which
// worker holds what. Safe for concurrent use.
type Pool struct {
	*readers
	options Options
	scale   autoscale.Config
	claims  *claims
	ended   chan *member

	mu       sync.Mutex
	members  []*member // that run
	numbered int       // workers so far
	decision autoscale.Decision
}

// member is a worker of the pool.
type member struct {
	worker           *Worker
	cancel           context.CancelCauseFunc
	err              error         // once it has ended
	handled, flushed time.Duration // of its turns, when last looked at
}

// NewPool makes a pool; Run starts it. Workers are named after o.Name.
func NewPool(o Options, scale autoscale.Config) *Pool {
	queues := o.Buffer.Queues()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Pool{
		readers: newReaders(queues), options: o, scale: scale, claims: newClaims(queues, o.Now), ended: make(chan *member),
	}
}

// State is how the pool is sized, and why.
type State struct {
	Running  int
	Decision autoscale.Decision
}

// State tells how many workers run and what was decided last.
func (p *Pool) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return State{len(p.members), p.decision}
}

// Run works until ctx ends; then all workers flush what they hold, and it
// returns nil.
func (p *Pool) Run(ctx context.Context) error {
	policy, watch := autoscale.New(p.scale), newWatch(p)
	tick := time.NewTicker(p.scale.Every)
	defer tick.Stop()
	p.apply(ctx, policy.Decide(watch.first()))
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case m := <-p.ended:
			p.remove(m)
			if m.err != nil {
				p.options.Logger.Error("a worker died; what it held comes again, and another takes its place", "worker", m.worker.name, "error", m.err)
			}
		case <-tick.C:
			o, err := watch.look(ctx)
			if err != nil {
				if ctx.Err() == nil {
					p.options.Logger.Warn("the queues don't tell how full they are; the workers stay as many as they are", "error", err)
				}
				p.apply(ctx, p.State().Decision) // the dead are replaced all the same
				continue
			}
			p.apply(ctx, policy.Decide(o))
		}
	}
	for range p.State().Running {
		p.remove(<-p.ended)
	}
	return nil
}

// apply starts and retires workers until as many run as are desired.
func (p *Pool) apply(ctx context.Context, d autoscale.Decision) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.decision
	p.decision = d
	active := slices.DeleteFunc(slices.Clone(p.members), func(m *member) bool { return m.cancel == nil })
	if d.Desired != before.Desired {
		p.options.Logger.Info("workers", "desired", d.Desired, "running", len(active), "reason", d.Reason)
	}
	for _, w := range d.Warnings {
		if !slices.Contains(before.Warnings, w) {
			p.options.Logger.Warn(w, "desired", d.Desired)
		}
	}
	for len(active) < d.Desired {
		active = append(active, p.start(ctx))
	}
	for _, m := range active[d.Desired:] {
		p.claims.leave(m.worker) // first, so that others may take what it gives
		m.cancel(errYield)
		m.cancel = nil
	}
}

// start starts one worker more. The caller holds mu.
func (p *Pool) start(ctx context.Context) *member {
	p.numbered++
	o := p.options
	o.Name = fmt.Sprintf("%s-%d", p.options.Name, p.numbered)
	working, cancel := context.WithCancelCause(ctx)
	m := &member{worker: newWorker(o, p.readers, p.claims), cancel: cancel}
	p.members = append(p.members, m)
	go func() {
		defer cancel(nil)
		m.err = m.worker.Run(working)
		p.ended <- m
	}()
	return m
}

func (p *Pool) remove(ended *member) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.members = slices.DeleteFunc(p.members, func(m *member) bool { return m == ended })
}

package crash

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"weir/test/harness"
)

// Victim is what is killed: a data folder and the processes that serve it.
type Victim interface {
	Server
	Auditor
}

// Server is the processes that serve a folder, one after the other.
type Server interface {
	Start(flags ...string) error
	WaitReady(ctx context.Context) error
	// Kill ends the process by SIGKILL. It is an error when that had ended
	// by itself.
	Kill() error
	Signal(signal os.Signal)
	Stop() error
	URL() string
}

// Auditor counts what a folder holds.
type Auditor interface {
	// Items hands over `weir doctor --items --output json` of the folder,
	// while no process serves it.
	Items(ctx context.Context, read func(io.Reader) error) error
}

// Plan is what a run does.
type Plan struct {
	Kills   int
	Seed    uint64
	Clients int
	Resend  bool                 // send unanswered requests again with the same samples
	Flags   func(n int) []string // of the n-th start; the last one is started as the first was
	Uptime  [2]time.Duration     // of a process between ready and its end
	Settle  time.Duration        // how long the last process has until nothing is in flight
}

type run struct {
	plan    Plan
	victim  Victim
	random  *rand.Rand
	record  *Record
	monday  int64
	hand    *hand
	summary Summary
	usual   time.Duration // what the last start took until ready
}

// Run starts the victim, sends, kills as often as the plan says, and checks.
// The error names all that does not hold.
func Run(ctx context.Context, victim Victim, plan Plan) (Summary, error) {
	r := &run{
		plan: plan, victim: victim, record: &Record{},
		random:  rand.New(rand.NewPCG(plan.Seed, 0)),
		summary: Summary{Plan: plan},
		usual:   200 * time.Millisecond,
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := make(chan struct{})
	wait := r.clients(ctx, stop)
	err := r.kills(ctx)
	close(stop)
	if err != nil {
		cancel()
		wait()
		return r.summary, err
	}
	return r.summary, r.finish(ctx, wait)
}

// clients starts the senders and gives a function that waits for their end.
func (r *run) clients(ctx context.Context, stop <-chan struct{}) func() {
	var number atomic.Uint64
	now := time.Now()
	var group sync.WaitGroup
	for i := range r.plan.Clients {
		source := NewSource(r.plan.Seed, i, now, func() uint64 { return number.Add(1) })
		r.monday = source.monday
		s := &sender{
			next: source.Make, random: rand.New(rand.NewPCG(r.plan.Seed, uint64(i)+1000)),
			client: harness.NewClient(r.victim.URL()), record: r.record, resend: r.plan.Resend, stop: stop,
		}
		group.Go(func() {
			defer s.client.Close()
			s.run(ctx)
		})
	}
	source := NewSource(r.plan.Seed, r.plan.Clients, now, func() uint64 { return number.Add(1) })
	r.hand = &hand{
		source: source,
		sender: &sender{
			random: rand.New(rand.NewPCG(r.plan.Seed, 2000)),
			client: harness.NewClient(r.victim.URL()), record: r.record, stop: stop,
		},
		random: rand.New(rand.NewPCG(r.plan.Seed, 2001)), monday: r.monday,
	}
	group.Go(func() { r.hand.run(ctx) })
	return group.Wait
}

// kills starts and kills the victim until the plan is done.
func (r *run) kills(ctx context.Context) error {
	for n := 0; r.summary.Kills < r.plan.Kills; n++ {
		if err := r.victim.Start(r.plan.Flags(n)...); err != nil {
			return err
		}
		r.hand.left.Store(sealsALife)
		end := r.life
		if n > 0 && r.random.IntN(5) == 0 {
			end = r.killStarting
		}
		if err := end(ctx); err != nil {
			return fmt.Errorf("start %d, after %d kills: %w", n+1, r.summary.Kills, err)
		}
		_, refusal := r.hand.told()
		if err := errors.Join(r.record.Refusal(), refusal); err != nil {
			return fmt.Errorf("a good request was refused: %w", err)
		}
	}
	return nil
}

// killStarting kills the process before, or just when, it is ready.
func (r *run) killStarting(ctx context.Context) error {
	pauseFor(ctx, r.upTo(0, r.usual))
	r.summary.Kills++
	r.summary.Starting++
	return errors.Join(r.victim.Kill(), ctx.Err())
}

// life waits until the process is ready, reads back what was answered, lets
// the process run a while and ends it.
func (r *run) life(ctx context.Context) error {
	if err := r.ready(ctx); err != nil {
		return err
	}
	if err := r.readBack(ctx); err != nil && overtaken(err) {
		return r.lookForItems(ctx, err)
	} else if err != nil {
		return fmt.Errorf("right after /readyz answered 200: %w", err)
	}
	pauseFor(ctx, r.upTo(r.plan.Uptime[0], r.plan.Uptime[1]))
	r.summary.Merges += r.hand.merges(ctx)
	if r.random.IntN(8) == 0 {
		// Killed while draining, or gone by itself: no kill that counts.
		r.victim.Signal(syscall.SIGTERM)
		pauseFor(ctx, r.upTo(0, 300*time.Millisecond))
		r.summary.Draining++
		_ = r.victim.Kill()
		return ctx.Err()
	}
	r.summary.Kills++
	return errors.Join(r.victim.Kill(), ctx.Err())
}

func (r *run) ready(ctx context.Context) error {
	started := time.Now()
	if err := r.victim.WaitReady(ctx); err != nil {
		return err
	}
	r.usual = time.Since(started)
	r.summary.Slowest = max(r.summary.Slowest, r.usual)
	return nil
}

func (r *run) upTo(least, most time.Duration) time.Duration {
	return least + time.Duration(r.random.Int64N(int64(most-least)+1))
}

func pauseFor(ctx context.Context, d time.Duration) { pause(ctx, int(d/time.Millisecond)) }

// readBack reads some answered attempts by queries of their slots alone.
func (r *run) readBack(ctx context.Context) error {
	client := harness.NewClient(r.victim.URL())
	defer client.Close()
	for _, a := range r.record.Some(r.random, 6, 4) {
		tally := NewTally()
		match := fmt.Sprintf(`{lane=~"c%d-.+"}`, a.Client)
		for _, ago := range a.Weeks {
			start := slotStart(r.monday, ago, a.Number)
			lines, err := r.selectLines(ctx, client, match, start, start+slot)
			if err != nil {
				return err
			}
			tally.AddLines(lines)
		}
		if err := Check(readRule(), []*Attempt{a}, tally).Err(); err != nil {
			return err
		}
	}
	return nil
}

// selectLines reads a range. Merging with next to no grace may take away what
// a slow query is about to read, and where many revisions lie the workers may
// need long for what the process before left them: a query says so, and is
// asked again. What is missing for good is missed again.
func (r *run) selectLines(ctx context.Context, client *harness.Client, match string, start, end int64) ([]harness.Line, error) {
	for try := 0; ; try++ {
		began := time.Now()
		lines, err := client.Lines(ctx, "/api/v1/select", "match", match, "start", fmt.Sprint(start), "end", fmt.Sprint(end))
		r.summary.SlowestRead = max(r.summary.SlowestRead, time.Since(began))
		if err == nil || try == 5 || !mayPass(err) {
			return lines, err
		}
		r.summary.Retaken++
		pause(ctx, 200)
	}
}

func mayPass(err error) bool {
	return overtaken(err) || strings.Contains(err.Error(), ": 503 ") || strings.Contains(err.Error(), ": 504 ")
}

func overtaken(err error) bool {
	return strings.Contains(err.Error(), "it may have been merged, or dropped, since")
}

// lookForItems tells a read that merging overtook again and again from an item
// that is lost: the process is killed, and the doctor has to find every item
// that a journal names.
func (r *run) lookForItems(ctx context.Context, read error) error {
	r.summary.Kills++
	r.summary.Overtaken++
	if err := r.victim.Kill(); err != nil {
		return err
	}
	if err := r.victim.Items(ctx, NewTally().ReadItems); err != nil {
		return fmt.Errorf("an item is lost: %w", errors.Join(err, read))
	}
	return nil
}

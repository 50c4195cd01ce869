package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/client"
	"weir/test/harness"
)

// PipelineSummary is what a run with pipelines did, and what its check found.
type PipelineSummary struct {
	Plan      Plan
	Kills     int
	Starting  int // of the kills: before the process was ready
	Attempts  int
	Samples   int64 // that the rollups count
	Runs      int   // revisions of all windows
	Failed    int   // runs that were seen failed, and went on when asked
	Windows   int
	Rows      int64
	Exports   int
	Bare      int // exported files seen without a manifest after a kill
	Partials  int // half files seen after a kill
	Archived  int // revisions of weeks
	Dropped   int // of these
	Found     Differences
	Slowest   time.Duration // from start to ready
	SettledIn time.Duration
}

// String is the run's closing line.
func (s PipelineSummary) String() string {
	return fmt.Sprintf("crash: %d kills, %d runs, %d windows, %d rows, %d samples, lost %d, doubled %d, seed %d",
		s.Kills, s.Runs, s.Windows, s.Rows, s.Samples, s.Found.Lost, s.Found.Doubled, s.Plan.Seed)
}

// pipelineRun is one run of the test with pipelines.
type pipelineRun struct {
	plan     Plan
	server   *harness.Server
	client   *client.Client
	calendar calendar
	random   *rand.Rand
	record   *Record
	usual    time.Duration
	summary  PipelineSummary
}

// RunPipelines starts weir with pipelines, sends, kills as often as the plan
// says, and checks. The error names all that does not hold.
func RunPipelines(ctx context.Context, server *harness.Server, plan Plan) (PipelineSummary, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A call that a kill cut short ends with its connection; none may hang.
	over := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	asker, err := client.New(server.URL(), over)
	if err != nil {
		return PipelineSummary{}, err
	}
	r := &pipelineRun{
		plan: plan, server: server, client: asker, calendar: newCalendar(time.Now()), record: &Record{},
		random: rand.New(rand.NewPCG(plan.Seed, 0)), usual: 200 * time.Millisecond, summary: PipelineSummary{Plan: plan},
	}
	stop := make(chan struct{})
	wait := r.people(ctx, stop)
	err = r.kills(ctx)
	close(stop)
	if err != nil {
		cancel()
		wait()
		return r.summary, err
	}
	return r.summary, r.finish(ctx, wait)
}

// people starts the senders and who asks for runs, and gives a function that
// waits for their end.
func (r *pipelineRun) people(ctx context.Context, stop <-chan struct{}) func() {
	var number atomic.Uint64
	var group sync.WaitGroup
	for i := range r.plan.Clients {
		source := &windowSource{
			random: rand.New(rand.NewPCG(r.plan.Seed, uint64(i)+1)), client: i, calendar: r.calendar,
			now: time.Now, next: func() uint64 { return number.Add(1) },
		}
		s := &sender{
			next: source.Make, random: rand.New(rand.NewPCG(r.plan.Seed, uint64(i)+1000)),
			client: harness.NewClient(r.server.URL()), record: r.record, resend: true, stop: stop,
		}
		group.Go(func() {
			defer s.client.Close()
			s.run(ctx)
		})
	}
	for i := range 2 {
		random := rand.New(rand.NewPCG(r.plan.Seed, uint64(i)+2000))
		group.Go(func() { r.askOn(ctx, random, stop) })
	}
	return group.Wait
}

// askOn asks for runs of old weeks until it is to stop, whatever becomes of them.
func (r *pipelineRun) askOn(ctx context.Context, random *rand.Rand, stop <-chan struct{}) {
	windows := r.calendar.oldWindows()
	for {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		default:
		}
		if err := r.askFor(ctx, windows[random.IntN(len(windows))]); err != nil {
			r.record.Refuse(err)
		}
		pause(ctx, random.IntN(1000))
	}
}

// askFor asks for a run of an old window. A run that is stale is followed by
// the next, one that failed goes on. The error is an answer that a good request
// must not get.
func (r *pipelineRun) askFor(ctx context.Context, w window) error {
	_, err := r.client.RunPipeline(ctx, w.key(), oldText())
	if told := new(client.Error); errors.As(err, &told) && !told.Temporary() && ctx.Err() == nil {
		return fmt.Errorf("run %v: %w", w, err)
	}
	return nil
}

// kills starts and kills the process until the plan is done.
func (r *pipelineRun) kills(ctx context.Context) error {
	for n := 0; r.summary.Kills < r.plan.Kills; n++ {
		if err := r.life(ctx, n); err != nil {
			return fmt.Errorf("start %d, after %d kills: %w", n+1, r.summary.Kills, err)
		}
		if err := r.record.Refusal(); err != nil {
			return fmt.Errorf("a good request was refused: %w", err)
		}
	}
	return nil
}

// life starts the process, lets it run a while, kills it and looks at what it
// has exported.
func (r *pipelineRun) life(ctx context.Context, n int) error {
	half, err := partials(r.server.Data)
	if err != nil {
		return err
	}
	r.summary.Partials += len(half)
	if err := r.server.Start(r.plan.Flags(n)...); err != nil {
		return err
	}
	if n > 0 && r.random.IntN(5) == 0 {
		r.summary.Starting++
		pause(ctx, int(r.random.Int64N(int64(r.usual))/int64(time.Millisecond)))
	} else {
		if err := errors.Join(r.ready(ctx), stillThere(half)); err != nil {
			return err
		}
		if n == 0 {
			if _, err := r.client.ApplyPipeline(ctx, "live.yaml", liveText(time.Unix(0, r.calendar.begin))); err != nil {
				return err
			}
		}
		least, most := r.plan.Uptime[0], r.plan.Uptime[1]
		pauseFor(ctx, least+time.Duration(r.random.Int64N(int64(most-least)+1)))
	}
	r.summary.Kills++
	if err := errors.Join(r.server.Kill(), ctx.Err()); err != nil {
		return err
	}
	_, bare, err := readExports(r.exports())
	r.summary.Bare += bare
	return err
}

func (r *pipelineRun) exports() string { return filepath.Join(r.server.Data, "exports") }

func (r *pipelineRun) ready(ctx context.Context) error {
	started := time.Now()
	if err := r.server.WaitReady(ctx); err != nil {
		return err
	}
	r.usual = time.Since(started)
	r.summary.Slowest = max(r.summary.Slowest, r.usual)
	return nil
}

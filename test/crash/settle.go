package crash

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"weir/internal/client"
	"weir/test/harness"
)

// allRuns is more than a run of the test makes.
const allRuns = 50_000

// finish lets the process settle: no window is without a run, none stale. Then
// it holds warehouse, exports, archive, queries and ledger against what was sent.
func (r *pipelineRun) finish(ctx context.Context, wait func()) error {
	if err := r.server.Start(r.plan.Flags(0)...); err != nil {
		return err
	}
	if err := r.ready(ctx); err != nil {
		return fmt.Errorf("the last start: %w", err)
	}
	wait()
	if err := r.record.Refusal(); err != nil {
		return fmt.Errorf("a good request was refused: %w", err)
	}
	attempts := r.record.All()
	r.summary.Attempts = len(attempts)
	want, err := expect(r.calendar, attempts)
	if err != nil {
		return err
	}
	newest, err := r.settle(ctx, want)
	if err != nil {
		return err
	}
	if _, err := r.client.PausePipeline(ctx, livePipeline, true); err != nil {
		return err
	}
	wrong := []error{r.checkArchives(ctx), r.checkReads(ctx, attempts), r.server.Stop()}
	whole, bare, err := readExports(r.exports())
	r.summary.Exports = len(whole)
	if bare > 0 {
		err = errors.Join(err, fmt.Errorf("%d exported files have no manifest", bare))
	}
	half, partialErr := partials(r.server.Data)
	return errors.Join(append(wrong, err, partialErr, stillThere(half), checkExports(whole, newest, want.windows))...)
}

// settle has runs made until all that clients sent is in the warehouse. It gives
// what the warehouse has of each window that is due.
func (r *pipelineRun) settle(ctx context.Context, want expectation) (map[window]loaded, error) {
	began := time.Now()
	due := windowsDue(r.calendar, want.last)
	for {
		loads, err := r.look(ctx, want, due)
		r.summary.SettledIn = time.Since(began)
		if err == nil {
			maps.DeleteFunc(loads, func(w window, _ loaded) bool { return !slices.Contains(due, w) })
			return loads, nil
		}
		if r.summary.SettledIn > r.plan.Settle || ctx.Err() != nil {
			return nil, fmt.Errorf("not settled within %v: %w", r.plan.Settle, err)
		}
		if err := r.mend(ctx, due); err != nil {
			return nil, err
		}
		pause(ctx, 500)
	}
}

// look says what is not yet as it should be.
func (r *pipelineRun) look(ctx context.Context, want expectation, due []window) (map[window]loaded, error) {
	asker := harness.NewClient(r.server.URL())
	defer asker.Close()
	ledger, err := asker.Ledger(ctx)
	if err != nil {
		return nil, err
	}
	if !ledger.Balanced() || ledger.InFlight+ledger.DeadLettered+ledger.Quarantined+ledger.Rejected != 0 {
		return nil, fmt.Errorf("the ledger is not balanced, or has what was refused or is in flight: %+v", ledger)
	}
	runs, err := r.client.Runs(ctx, "", "", allRuns)
	if err != nil {
		return nil, err
	}
	bins, err := askBins(ctx, r.client)
	if err != nil {
		return nil, err
	}
	loads, err := askLoads(ctx, r.client)
	if err != nil {
		return nil, err
	}
	newest, err := newestOf(runs)
	s := &r.summary
	s.Found, s.Runs, s.Windows, s.Rows, s.Samples = compare(want.bins, bins), len(runs), len(due), 0, 0
	for _, b := range bins {
		s.Rows, s.Samples = s.Rows+b.rows, s.Samples+b.count
	}
	return loads, errors.Join(err, checkRuns(r.calendar, due, newest, loads), s.Found.Err())
}

// mend asks for what does not come by itself: runs of old windows, and that
// failed runs go on.
func (r *pipelineRun) mend(ctx context.Context, due []window) error {
	for _, w := range due {
		if w.pipeline == oldPipeline {
			if err := r.askFor(ctx, w); err != nil {
				return err
			}
		}
	}
	failed, err := r.client.Runs(ctx, livePipeline, "failed", allRuns)
	if err != nil {
		return err
	}
	for _, run := range failed {
		r.summary.Failed++
		_, err := r.client.RerunPipeline(ctx, run.RunKey)
		var told *client.Error
		// What has a newer revision meanwhile stays failed.
		if errors.As(err, &told) && told.Status != 409 && !told.Temporary() {
			return err
		}
	}
	return nil
}

// checkArchives wants each dropped volume to have an archive that reads back
// as its manifest says, and no other week to be dropped.
func (r *pipelineRun) checkArchives(ctx context.Context) error {
	list, err := r.client.Archives(ctx)
	if err != nil {
		return err
	}
	dropped := map[string]bool{}
	for _, a := range list {
		if a.Manifest != "" {
			r.summary.Archived++
		}
		if a.State != "dropped" {
			continue
		}
		r.summary.Dropped++
		dropped[a.Week] = true
		if _, err := os.Stat(filepath.Join(r.server.Data, "archive", filepath.FromSlash(a.Manifest))); a.Manifest == "" || err != nil {
			return fmt.Errorf("revision %d of %s is dropped, and its manifest %q is not there: %w", a.Revision, a.Week, a.Manifest, err)
		}
	}
	old := map[string]bool{}
	for _, ago := range oldWeeksAgo() {
		old[(&hand{monday: r.calendar.monday}).week(ago)] = ago > keptWeeks
	}
	for week := range dropped {
		if !old[week] {
			return fmt.Errorf("week %s is dropped, which is too new, or has no samples", week)
		}
		result, err := r.server.Command(ctx, "archive", "verify", week)
		if err != nil || result.Code != 0 {
			return fmt.Errorf("weir archive verify %s: %w, %s", week, err, result)
		}
	}
	return nil
}

// checkReads wants a query to read each sample once, from wherever it lies.
func (r *pipelineRun) checkReads(ctx context.Context, attempts []*Attempt) error {
	asker := harness.NewClient(r.server.URL())
	defer asker.Close()
	ranges := [][2]int64{{r.calendar.begin, time.Now().Add(time.Minute).UnixNano()}}
	for _, ago := range oldWeeksAgo() {
		week := slotStart(r.calendar.monday, ago, 0)
		ranges = append(ranges, [2]int64{week, week + int64(7*24*time.Hour)})
	}
	read := NewTally()
	for _, each := range ranges {
		lines, err := selectLines(ctx, asker, each[0], each[1])
		if err != nil {
			return err
		}
		read.AddLines(lines)
	}
	return Check(readRule(), attempts, read).Err()
}

// selectLines reads all of a range; what may pass is asked again.
func selectLines(ctx context.Context, asker *harness.Client, start, end int64) ([]harness.Line, error) {
	for try := 0; ; try++ {
		lines, err := asker.Lines(ctx, "/api/v1/select", "match", "{}", "start", fmt.Sprint(start), "end", fmt.Sprint(end))
		if err == nil || try == 5 || !mayPass(err) {
			return lines, err
		}
		pause(ctx, 200)
	}
}

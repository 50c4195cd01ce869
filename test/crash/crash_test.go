package crash

import (
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"weir/test/harness"
)

var (
	killsFlag = flag.Int("kills", 50, "how often each test kills weir (5 with -short)")
	seedFlag  = flag.Uint64("seed", 0, "seed of what is sent and when is killed; 0: a random one")
)

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(harness.Main(m))
}

// victim is the real weir.
type victim struct{ *harness.Server }

func (v victim) Items(ctx context.Context, read func(io.Reader) error) error {
	result, err := v.Stream(ctx, read, "doctor", "--items", "--data", v.Data, "--output", "json")
	if err == nil && result.Code != 0 {
		err = fmt.Errorf("weir doctor --items: %s", result)
	}
	return err
}

// flags are what the processes of a run have: some commit while they live,
// some leave all to the next one; all merge and sweep as often as they can.
func flags(n int) []string {
	ages := [...]string{"200ms", "50ms", "60s", "1s"}
	return []string{
		"--set", "worker.flush_age=" + ages[n%len(ages)],
		"--set", "merge.every=50ms", "--set", "merge.settle=200ms", "--set", "merge.grace=200ms",
	}
}

func realPlan(t *testing.T, resend bool) Plan {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(rand.Uint32())
	}
	kills := *killsFlag
	if testing.Short() {
		kills = 5
	}
	fmt.Printf("%s: %d kills, seed %d\n", t.Name(), kills, seed)
	return Plan{
		Kills: kills, Seed: seed, Clients: 4, Resend: resend, Flags: flags,
		Uptime: [2]time.Duration{50 * time.Millisecond, 1500 * time.Millisecond},
		Settle: 60 * time.Second,
	}
}

func crash(t *testing.T, resend bool) {
	plan := realPlan(t, resend)
	server := harness.NewServer(t)
	summary, err := Run(t.Context(), victim{server}, plan)
	t.Logf("kills while starting %d, while draining %d more; slowest start %v; ledger %+v; %d copies in items",
		summary.Starting, summary.Draining, summary.Slowest, summary.Ledger, summary.Copies)
	fmt.Println(summary)
	t.Logf("%d seals, %d discards that dropped %d samples, %d attempts, %d merges, slowest read %v, %d asked again, %d overtaken",
		summary.Seals, summary.Discards, summary.Dropped, summary.Attempts, summary.Merges, summary.SlowestRead, summary.Retaken, summary.Overtaken)
	if keep := os.Getenv("WEIR_TEST_KEEP"); err != nil && keep != "" {
		_ = server.Kill() // it may be gone already
		t.Logf("the data folder is kept in %s: %v", keep, os.CopyFS(keep, os.DirFS(server.Data)))
	}
	if err != nil {
		t.Errorf("seed %d: %v", plan.Seed, err)
	}
	if err == nil && (summary.Seals == 0 || summary.Dropped == 0 || summary.Merges == 0) {
		t.Errorf("seed %d: nothing was sealed, dropped or merged: the run shows less than it should", plan.Seed)
	}
}

// Each attempt carries samples of its own and is sent once: answered 204,
// they are stored exactly once; not answered, at most once.
func TestCrash(t *testing.T) { crash(t, false) }

// Unanswered requests are sent again with the same samples until they are
// answered: each sample is read exactly once.
func TestCrashResend(t *testing.T) { crash(t, true) }

// Pipelines run while samples arrive: what clients sent is in the warehouse
// once, and nothing is half exported, or dropped without an archive.
func TestCrashPipelines(t *testing.T) {
	plan := realPlan(t, true)
	plan.Uptime = [2]time.Duration{300 * time.Millisecond, 3 * time.Second}
	plan.Settle = 2 * time.Minute
	server := harness.NewServer(t)
	summary, err := RunPipelines(t.Context(), server, plan)
	fmt.Println(summary)
	t.Logf("kills while starting %d; slowest start %v; %d attempts; settled in %v, %d runs failed and went on; %d exports, %d half files and %d files without manifest seen after kills; %d archived, %d dropped",
		summary.Starting, summary.Slowest, summary.Attempts, summary.SettledIn, summary.Failed, summary.Exports, summary.Partials, summary.Bare, summary.Archived, summary.Dropped)
	if keep := os.Getenv("WEIR_TEST_KEEP"); err != nil && keep != "" {
		_ = server.Kill() // it may be gone already
		t.Logf("the data folder is kept in %s: %v", keep, os.CopyFS(keep, os.DirFS(server.Data)))
	}
	if err != nil {
		t.Errorf("seed %d: %v", plan.Seed, err)
	}
	if err == nil && summary.Dropped == 0 {
		t.Errorf("seed %d: nothing was dropped: the run shows less than it should", plan.Seed)
	}
}

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"weir/test/harness"
)

// lifelong is an instance that is written to, and that computes and archives,
// while it is backed up.
type lifelong struct {
	*plant
	backups string
}

// tickWeeks are the first times of the weeks that ticks go to.
func tickWeeks() []time.Time {
	monday := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	return []time.Time{monday.AddDate(0, 0, 7), monday.AddDate(0, 0, 14), monday.AddDate(0, 0, 21)}
}

// ticks sends numbered samples, each once, until ctx ends. A request that failed
// may have been kept or not, so that what counts as sure ends with the first.
func (l *lifelong) ticks(ctx context.Context, acknowledged map[int64]bool, mu *sync.Mutex) {
	const batch = 50
	for n := int64(0); ctx.Err() == nil; n += batch {
		var body strings.Builder
		for i := n; i < n+batch; i++ {
			at := tickWeeks()[i%3].Add(time.Duration(i) * time.Second)
			fmt.Fprintf(&body, "tick,host=h%d value=%d %d\n", i%7, i, at.UnixNano())
		}
		answer, err := l.client.Post(ctx, "/write", harness.Identity, []byte(body.String()))
		if err == nil && answer.Status == http.StatusNoContent {
			mu.Lock()
			for i := n; i < n+batch; i++ {
				acknowledged[i] = true
			}
			mu.Unlock()
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// still writes what no one changes later: some megabytes of a week that is archived.
func (l *lifelong) still() {
	l.t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	monday := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	for part := range 20 {
		var body strings.Builder
		for i := range 10_000 {
			fmt.Fprintf(&body, "noise,host=h%d value=%v %d\n", i%50, random.Float64(), monday.Add(time.Duration(part*10_000+i)*time.Second).UnixNano())
		}
		write(l.t, l.client, body.String())
	}
	l.samples()
	l.weir("archive", "2026-W02")
	l.weir("archive", "drop", "2026-W02")
}

// taken is a line of weir backup --output json.
type taken struct {
	Backup string `json:"backup"`
	Files  int64  `json:"files"`
	Bytes  int64  `json:"bytes"`
	Copied int64  `json:"copied"`
}

func (l *lifelong) backup() taken {
	l.t.Helper()
	var list []taken
	text := l.weir("backup", l.backups, "--output", "json")
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) != 1 {
		l.t.Fatalf("weir backup says %s, %v", text, err)
	}
	return list[0]
}

// listed gives the names of the backups that there are.
func (l *lifelong) listed() []string {
	l.t.Helper()
	var list []taken
	if err := json.Unmarshal([]byte(l.weir("backup", "list", l.backups, "--output", "json")), &list); err != nil {
		l.t.Fatal(err)
	}
	var names []string
	for _, b := range list {
		names = append(names, b.Backup)
	}
	return names
}

// quiet gives the answer to a query of what was there before all backups.
func quiet(t *testing.T, c *harness.Client) string {
	t.Helper()
	answer, err := c.Do(t.Context(), harness.Request{Path: harness.Query("/api/v1/select", "match", "noise", "start", firstTime, "end", endTime)})
	if err != nil || answer.Status != http.StatusOK {
		t.Fatalf("%.200s, %v", answer, err)
	}
	return string(answer.Body)
}

// restored brings a backup back and compares it with what was acknowledged before
// it was begun.
func (l *lifelong) restored(name string, sure map[int64]bool, want string) {
	t := l.t
	t.Helper()
	server := harness.NewServer(t)
	server.Data = filepath.Join(t.TempDir(), "restored")
	l.weir("backup", "restore", l.backups, name, server.Data)
	client := server.Up(t, flushSoon()...)
	ledger := settled(t, client)
	if got := quiet(t, client); got != want {
		t.Errorf("%s: what was there before is answered by %d bytes; want %d, the same", name, len(got), len(want))
	}
	seen := map[string]int{}
	for _, line := range read(t, client, "tick") {
		for _, v := range line.Values {
			seen[string(v)]++
		}
	}
	missing := 0
	for n := range sure {
		if seen[itoa(n)] != 1 {
			missing++
		}
	}
	if missing > 0 || len(sure) == 0 {
		t.Errorf("%s: %d of %d samples that were acknowledged before it are not there once", name, missing, len(sure))
	}
	p := &plant{t: t, server: server, client: client}
	loaded := p.weir("sql", "--rows", "0", "--output", "csv", "select distinct window_start from loads")
	done := 0
	for _, r := range p.runs() {
		if r.State != "done" {
			continue
		}
		done++
		if day := r.Start[:10]; !strings.Contains(loaded, day) {
			t.Errorf("%s: the run of %s is done, and the warehouse has no load of it: %s", name, day, loaded)
		}
	}
	if done == 0 {
		t.Errorf("%s: no run is done", name)
	}
	p.weir("sql", "select sum(count), sum(mean) from rollup")
	write(t, client, fmt.Sprintf("after value=1 %d", tickWeeks()[0].UnixNano())) // it goes on
	p.weir("archive", "verify", "2026-W02")
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	stored := map[string]int{}
	for _, i := range items(t, server, "tick") {
		stored[string(i.Value)]++
	}
	for n, times := range stored {
		if times != 1 {
			t.Errorf("%s: sample %s is stored %d times", name, n, times)
		}
	}
	if len(stored) != len(seen) || ledger.Stored < uint64(len(stored)) {
		t.Errorf("%s: %d ticks are stored and %d are read; ledger %+v", name, len(stored), len(seen), ledger)
	}
	run(t, server, 0, "doctor", "--data", server.Data)
}

// TestBackupsOfALivingInstance takes backups while clients send, pipelines run,
// and weeks are merged and archived, kills the client and the server within some,
// restores each that counts, and compares.
func TestBackupsOfALivingInstance(t *testing.T) {
	t.Parallel()
	l := &lifelong{backups: filepath.Join(t.TempDir(), "backups"), plant: &plant{t: t, file: filepath.Join(t.TempDir(), "rollups.yaml")}}
	if err := os.WriteFile(l.file, []byte(rollups), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := append(flushSoon(), "--set", "merge.every=100ms", "--set", "merge.settle=100ms", "--set", "merge.grace=100ms")
	l.server = harness.NewServer(t, flags...)
	l.client = l.server.Up(t)
	l.still()
	before := quiet(t, l.client)
	l.weir("pipeline", "run", l.file, "--window", days()[0])

	ctx, stop := context.WithCancel(t.Context())
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	var mu sync.Mutex
	acknowledged := map[int64]bool{}
	work.Go(func() { l.ticks(ctx, acknowledged, &mu) })
	work.Go(func() {
		for i := 0; ctx.Err() == nil; i++ { // they fail while the server is down
			_, _ = l.server.Command(ctx, "pipeline", "run", l.file, "--window", days()[1+i%5])
			_, _ = l.server.Command(ctx, "archive", []string{"2026-W03", "2026-W04"}[i%2])
		}
	})
	now := func() map[int64]bool {
		mu.Lock()
		defer mu.Unlock()
		sure := make(map[int64]bool, len(acknowledged))
		for n := range acknowledged {
			sure[n] = true
		}
		return sure
	}
	sure := map[string]map[int64]bool{}
	take := func() taken {
		acknowledgedBefore := now()
		b := l.backup()
		sure[b.Backup] = acknowledgedBefore
		return b
	}
	eventually(t, "some ticks", func() bool { return len(now()) > 500 })
	first := take()
	second := take()
	if second.Copied*2 > first.Copied {
		t.Errorf("the second backup copied %d bytes, the first %d", second.Copied, first.Copied)
	}

	// The client is killed while it copies, and then the server while it lends.
	killed, kill := context.WithCancel(t.Context())
	fresh := filepath.Join(t.TempDir(), "fresh")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = l.server.Command(killed, "backup", fresh)
	}()
	eventually(t, "content of a backup", func() bool {
		found, err := filepath.Glob(filepath.Join(fresh, "content", "*"))
		return err == nil && len(found) > 0
	})
	kill()
	<-ended
	gone := func() bool { _, err := os.Stat(filepath.Join(l.server.Data, "lent")); return os.IsNotExist(err) }
	eventually(t, "the end of what was lent to a client that was killed", gone)
	l.weir("backup", fresh) // takes on what the other left
	l.weir("backup", "verify", fresh)
	acknowledgedBefore, cut := now(), make(chan harness.Result, 1)
	go func() {
		result, _ := l.server.Command(t.Context(), "backup", l.backups)
		cut <- result
	}()
	eventually(t, "a copy that is made", func() bool { return !gone() })
	if err := l.server.Kill(); err != nil {
		t.Fatal(err)
	}
	result := <-cut
	l.server.Up(t)
	if !gone() {
		t.Error("what a killed server had lent is there after its next start")
	}
	names := l.listed()
	switch whole := result.Code == 0; { // on a machine that is very busy
	case whole && len(names) == 3:
		sure[names[2]] = acknowledgedBefore
	case whole || len(names) != 2:
		t.Errorf("after a backup that was cut short, %v, there are %v", result, names)
	}
	count := len(now())
	eventually(t, "more ticks", func() bool { return len(now()) > count+500 })
	take()
	stop()
	work.Wait()

	names = l.listed()
	if len(names) != len(sure) || !slices.Equal(names, slices.Sorted(slices.Values(names))) {
		t.Fatalf("there are %v; want %d backups", names, len(sure))
	}
	for _, name := range names {
		l.restored(name, sure[name], before)
	}
	l.weir("backup", "verify", l.backups, names[0])
	l.weir("backup", "verify", l.backups)
	l.weir("backup", "prune", l.backups, "--keep", "1")
	l.weir("backup", "verify", l.backups)
	if names := l.listed(); len(names) != 1 {
		t.Errorf("after a prune there are %v", names)
	}
	settled(t, l.client)
}

// TestAHalfRestoredFolderIsRefused cuts a restore short and starts on what it left.
func TestAHalfRestoredFolderIsRefused(t *testing.T) {
	t.Parallel()
	p := newPlant(t)
	write(t, p.client, "kept value=1 1767600000000000000")
	backups, data := filepath.Join(t.TempDir(), "backups"), filepath.Join(t.TempDir(), "data")
	p.weir("backup", backups, "--verify")
	p.weir("backup", "restore", backups, data)
	if got := run(t, p.server, 1, "backup", "restore", backups, data); !strings.Contains(got.Stderr, "not empty") {
		t.Errorf("a restore over data says %s", got.Stderr)
	}
	if err := os.WriteFile(filepath.Join(data, "RESTORING"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"up", "doctor"} {
		if got := run(t, p.server, 1, command, "--data", data); !strings.Contains(got.Stderr, "not whole") {
			t.Errorf("weir %s on a half restored folder says %s", command, got.Stderr)
		}
	}
	p.weir("backup", "restore", backups, data)
	restored := harness.NewServer(t)
	restored.Data = data
	expect(t, restored.Up(t), "kept", "kept{} 1767600000000000000=1")
}

// TestABackupToAFullDisk fills the disk of the backups: the backup says so, what
// was there stays whole, and the instance does not notice.
func TestABackupToAFullDisk(t *testing.T) {
	t.Parallel()
	p := newPlant(t)
	backups := smallDisk(t, 8)
	write(t, p.client, "kept value=1 1767600000000000000")
	p.weir("backup", backups)
	if err := os.WriteFile(filepath.Join(backups, "lost+found"), make([]byte, 7<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &full{client: p.client}
	for range 40 { // 2.4 MB
		f.send(t)
	}
	if got := run(t, p.server, 1, "backup", backups); !strings.Contains(got.Stderr, "too little room") || !strings.Contains(got.Stderr, "prune") {
		t.Errorf("a backup to a full disk says %s", got.Stderr)
	}
	f.there(t, 0, 39)
	if err := os.Remove(filepath.Join(backups, "lost+found")); err != nil {
		t.Fatal(err)
	}
	p.weir("backup", "verify", backups)
	p.weir("backup", backups)
	p.weir("backup", "verify", backups)
}

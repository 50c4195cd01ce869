package e2e

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/test/harness"
)

// archiving is a pipeline whose one step archives what is over.
const archiving = `
pipeline: archiving
retries: {attempts: 2, backoff: 100ms, most: 100ms}
steps:
  - name: old
    archive: {older_than: 1h}
`

// TestFullDiskAtArchive: the archive's disk is full, from the start or while a
// part is written. The command and the pipeline's run say so, the week is not
// verified and not dropped, and samples come and are read. Once there is room both
// go on, and nothing is left of what was begun.
func TestFullDiskAtArchive(t *testing.T) {
	for name, room := range map[string]int64{"no room": 0, "room for half": 400 << 10} {
		t.Run(name, func(t *testing.T) { fullDiskAtArchive(t, room) })
	}
}

func fullDiskAtArchive(t *testing.T, room int64) {
	p := &plant{t: t, file: filepath.Join(t.TempDir(), "archiving.yaml")}
	if err := os.WriteFile(p.file, []byte(archiving), 0o600); err != nil {
		t.Fatal(err)
	}
	p.server, p.client = start(t, append(flushSoon(), "--set", "partitions=2")...)
	monday := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC)
	var body strings.Builder
	for n := range 40 { // 1.2 MB a week, when packed
		fmt.Fprintf(&body, "full,n=%d value=\"%s\" %d\n", n, noise(n), monday.Add(time.Duration(n%2*7*24)*time.Hour+time.Duration(n)*time.Hour).UnixNano())
	}
	write(t, p.client, body.String())
	settled(t, p.client)
	const all = "full"
	ask := harness.Query("/api/v1/select", "match", all, "start", "2026-01-05", "end", "2026-01-19")
	before := get(t, p.client, ask, 200)
	if err := p.server.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(p.server.Data, "archive"), 0o755); err != nil {
		t.Fatal(err)
	}
	disk := onSmallDisk(t, p.server, "archive")
	empty := fill(t, disk)
	if room > 0 {
		ballast := filepath.Join(disk, "ballast")
		info, err := os.Stat(ballast)
		if err == nil {
			err = os.Truncate(ballast, info.Size()-room)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	p.client = p.server.Up(t, flushSoon()...)

	full := []string{"no space left on device", "the disk is full: free space on it and try again"}
	p.fails(append(full, "2026-W02, revision 0"), "archive", "2026-W02")
	p.fails([]string{"not verified", "archive it first"}, "archive", "drop", "2026-W02")
	p.fails(append(full, "step old", "week 2026-W02"), "pipeline", "run", p.file, "--window", "2026-01-12/2026-01-26")
	if got := get(t, p.client, ask, 200); got != before {
		t.Error("a full disk of the archive changes what is read")
	}
	write(t, p.client, fmt.Sprintf("late value=1 %d\n", monday.UnixNano()))
	expect(t, p.client, "late", fmt.Sprintf("late{} %d=1", monday.UnixNano()))
	if left := p.uncounted(); len(left) != 0 {
		t.Errorf("attempts that failed left %s", left)
	}

	empty()
	p.weir("archive", "2026-W02")
	p.weir("pipeline", "rerun", "archiving", "--window", "2026-01-12/2026-01-26")
	for _, a := range p.archives() {
		if (a.Week == "2026-W02" || a.Week == "2026-W03") && a.State != "verified" {
			t.Errorf("once there is room, %s, revision %d, is %s", a.Week, a.Revision, a.State)
		}
	}
	p.weir("archive", "drop", "2026-W02")
	p.weir("archive", "drop", "2026-W03")
	if got := get(t, p.client, ask, 200); got != before {
		t.Error("the archive answers otherwise than the weeks did")
	}
	expect(t, p.client, "late", fmt.Sprintf("late{} %d=1", monday.UnixNano()))
	if left := p.uncounted(); len(left) != 0 {
		t.Errorf("what is left of attempts that failed is %s", left)
	}
	wholeAgain(t, p.server, p.client)
}

// uncounted gives the files of the archive that no week's record names.
func (p *plant) uncounted() (left []string) {
	p.t.Helper()
	root, err := filepath.EvalSymlinks(filepath.Join(p.server.Data, "archive"))
	if err != nil {
		p.t.Fatal(err)
	}
	var named []string
	for _, a := range p.archives() {
		if a.Manifest == "" {
			continue
		}
		named = append(named, a.Manifest)
		body, err := os.ReadFile(filepath.Join(root, a.Manifest))
		if err != nil {
			p.t.Fatal(err)
		}
		var m struct{ Files []struct{ Name string } }
		if err := json.Unmarshal(body, &m); err != nil {
			p.t.Fatal(err)
		}
		for _, f := range m.Files {
			named = append(named, f.Name)
		}
	}
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(root, path)
		if !slices.Contains(named, filepath.ToSlash(name)) {
			left = append(left, name)
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return left
}

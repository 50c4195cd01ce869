package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestOldWeeksEnd: a dropped week past its retention is told to have ended, also after
// a kill, and reads as empty; one with a table is not touched; what a killed attempt
// left goes, and what a run left stays.
func TestOldWeeksEnd(t *testing.T) {
	t.Parallel()
	p := newPlant(t)
	p.samples()
	p.weir("pipeline", "run", p.file, "--window", "2026-01-05/2026-01-06")
	for _, week := range []string{"2026-W02", "2026-W03"} {
		p.weir("archive", week)
	}
	p.weir("archive", "drop", "2026-W02")
	left := filepath.Join(p.server.Data, "results", "rollups", "hourly", "20260105T000000Z_20260106T000000Z", "rev=0", "killed", "part-0000.parquet")
	err := os.MkdirAll(filepath.Dir(left), 0o755)
	if err == nil {
		err = os.WriteFile(left, []byte("half"), 0o600)
	}
	if old := time.Now().Add(-48 * time.Hour); err == nil {
		err = os.Chtimes(left, old, old)
	}
	if err == nil {
		err = p.server.Kill()
	}
	if err != nil {
		t.Fatal(err)
	}
	p.client = p.server.Up(t, "--set", "retention.archives=1w", "--set", "retention.results=30d", "--set", "retention.every=1s")
	limit, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var list string
	for {
		list = p.weir("archive", "list", "--output", "csv")
		_, err := os.Stat(left)
		if strings.Contains(list, "2026-W02,0,ended,0,0,") && os.IsNotExist(err) {
			break
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-limit.Done():
			t.Fatalf("the leftover is there (%v), or the week has not ended:\n%s", err == nil, list)
		}
	}
	if !strings.Contains(list, "2026-W03,0,verified,") {
		t.Errorf("a week that has its table is\n%s", list)
	}
	for range 2 {
		if got := p.weir("query", "load", "--start", "2026-01-05", "--end", "2026-01-12", "--output", "csv"); strings.Count(got, "\n") > 1 {
			t.Errorf("the week that has ended reads as\n%.300s", got)
		}
		if got := p.weir("query", "load", "--start", "2026-01-12", "--end", "2026-01-19", "--output", "csv"); strings.Count(got, "\n") < 400 {
			t.Errorf("the week after reads as\n%.300s", got)
		}
		if got := p.table(); strings.Count(got, "\n") != 1+2*24 {
			t.Errorf("the warehouse holds\n%s", got)
		}
		if err := p.server.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := p.server.Start(); err != nil {
			t.Fatal(err)
		}
		if err := p.server.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if files, err := filepath.Glob(filepath.Join(p.server.Data, "results", "rollups", "hourly", "*", "*", "*", "manifest.json")); err != nil || len(files) != 1 {
		t.Errorf("results of the run are %v, %v; want its manifest", files, err)
	}
	if result, err := p.server.Command(t.Context(), "archive", "restore", "2026-W02"); err != nil || result.Code == 0 {
		t.Errorf("a week that has ended is restored: %v, %v", result, err)
	}
}

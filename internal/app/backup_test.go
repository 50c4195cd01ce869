package app

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/internal/warehouse"
)

// A copy that is lent is tried as it is and with parts of it spoilt.
func TestATrialTellsWhatIsWrong(t *testing.T) {
	i := start(t, t.TempDir(), func(c *Config) { c.Worker.FlushAge = time.Hour })
	i.want(http.StatusNoContent, "POST", "/write", "m,i=1 value=1.5 1700000000000000000\nm,i=2 value=t 1700000001000000000\n", "")
	i.want(http.StatusOK, "POST", "/api/v1/archive/2023-W46", "", `{"finished":true}`)
	i.want(http.StatusNoContent, "POST", "/write", "m,i=1 value=2.5 1760000000000000000\n", "") // is in a queue only
	_, giveBack, err := i.app.lender.Lend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer giveBack()
	lent := filepath.Join(i.app.config.Data, "lent")
	for what, spoil := range map[string]struct {
		files string // a pattern
		part  string // of a problem, or of the error
	}{
		"nothing":          {},
		"an archived part": {"archive/week=*/rev=*/*/*.parquet", "archive of 2023-W46"},
		"a table's log":    {"store/weeks/samples_2023_w46/*.log", "2023_w46"},
		"the warehouse":    {"warehouse/weir.duckdb", "warehouse"},
	} {
		dir := filepath.Join(t.TempDir(), "restored")
		if err := os.CopyFS(dir, os.DirFS(lent)); err != nil {
			t.Fatal(err)
		}
		if spoil.part == "warehouse" {
			if err := errors.Join(os.MkdirAll(filepath.Join(dir, "warehouse"), 0o755), os.WriteFile(filepath.Join(dir, "warehouse", "weir.duckdb"), nil, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		found, err := filepath.Glob(filepath.Join(dir, spoil.files))
		if err != nil || spoil.files != "" && len(found) == 0 {
			t.Fatalf("%s: %v, %v", what, found, err)
		}
		for _, name := range found {
			if info, err := os.Stat(name); err != nil || info.IsDir() {
				continue
			}
			if err := os.WriteFile(name, []byte("spoilt"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r, err := TryRestored(t.Context(), dir, "test")
		if spoil.part == "" && (err != nil || len(r.Problems) > 0 || r.Samples != 3 || r.Queued != 0) {
			t.Errorf("as it was lent it gives %+v, %v", r, err)
		}
		told := strings.Join(r.Problems, "\n")
		if err != nil {
			told += err.Error()
		}
		if !strings.Contains(told, spoil.part) {
			t.Errorf("with %s spoilt it tells %q", what, told)
		}
	}
	i.want(http.StatusOK, "GET", "/api/v1/select?match=m&start=0&end=now", "", `1760000000000000000`)
}

// Whoever keeps data in a folder of its own has to say how that is backed up.
func TestEveryFolderIsInABackup(t *testing.T) {
	i := start(t, t.TempDir(), nil)
	if err := i.app.warehouse.PutSeries(t.Context(), nil); errors.Is(err, warehouse.ErrUnsupported) {
		t.Skip("this build has no warehouse, nor its folder")
	}
	i.want(http.StatusOK, "POST", "/api/v1/sql", `{"sql":"select 1"}`, "")
	entries, err := os.ReadDir(i.app.config.Data)
	if err != nil {
		t.Fatal(err)
	}
	copied := map[string]bool{}
	for _, p := range i.app.lender.Parts {
		copied[p.Folder] = p.Copier != nil
	}
	folders := 0
	for _, e := range entries {
		if e.IsDir() {
			folders++
			if !copied[e.Name()] {
				t.Errorf("folder %s is in no backup: add it to the parts in openLender", e.Name())
			}
		}
	}
	if folders != len(copied) {
		t.Errorf("there are %d folders, and %d parts", folders, len(copied))
	}
}

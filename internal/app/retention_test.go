package app

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"weir/internal/journal"
	"weir/internal/retention"
)

func TestRetentionIsConfigured(t *testing.T) {
	if _, err := Load(writeFile(t, "retention: {archives: 520}\n"), nil); err == nil {
		t.Error("a length of time without a unit is taken")
	}
	c, err := Load(writeFile(t, "retention: {archives: 520w, runs: 90d}\n"), []string{"retention.results=30d"})
	if err != nil || c.Retention.Archives.String() != "520w" || c.Retention.Runs.String() != "90d" || c.Retention.Results.String() != "30d" || c.Retention.Exports != 0 {
		t.Errorf("%+v, %v", c.Retention, err)
	}
	c.Retention.Every = 0
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "retention.every") {
		t.Error(err)
	}
}

// TestOldWeekEnds: a dropped week that is older than its retention reads as empty,
// is listed so, and takes late data in a further revision.
func TestOldWeekEnds(t *testing.T) {
	dir := t.TempDir()
	i := start(t, dir, nil)
	i.want(http.StatusNoContent, "POST", "/write", "m,i=1 value=1.5 1700000000000000000\nm,i=2 value=t 1700000001000000000\n", "")
	i.want(http.StatusOK, "POST", "/api/v1/archive/2023-W46", "", `{"finished":true}`)
	i.want(http.StatusOK, "POST", "/api/v1/archive/2023-W46/drop", "", `{"finished":true}`)
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	i = start(t, dir, func(c *Config) { c.Retention.Archives = retention.Age(100_000 * time.Hour) }) // far from over
	if err := i.app.retention.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	list := func() []archiveAnswer {
		t.Helper()
		var list []archiveAnswer
		i.get("/api/v1/archive", &list)
		return list
	}
	if l := list(); l[0].State != "dropped" || l[0].Ends == nil || !l[0].Ends.Equal(time.Date(2023, 11, 20, 0, 0, 0, 0, time.UTC).Add(100_000*time.Hour)) {
		t.Errorf("%+v; want when it ends", l[0])
	}
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	i = start(t, dir, func(c *Config) { c.Retention.Archives = retention.Age(7 * 24 * time.Hour) })
	if err := i.app.retention.Look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l := list(); l[0].State != "ended" || l[0].Ends == nil || l[0].Rows != 0 || l[0].Manifest != "" {
		t.Errorf("%+v; want it ended", l[0])
	}
	i.want(http.StatusOK, "GET", "/api/v1/select?match=m&start=0&end=now", "", ``)
	if _, text := i.send("GET", "/api/v1/select?match=m&start=0&end=now", ""); strings.Contains(text, "values") {
		t.Errorf("a week that has ended reads as %s", text)
	}
	i.want(http.StatusConflict, "POST", "/api/v1/archive/2023-W46/restore", "", "retention is over")
	i.want(http.StatusNoContent, "POST", "/write", "m,i=1 value=2.5 1700000002000000000\n", "")
	i.want(http.StatusOK, "GET", "/api/v1/select?match=m&start=0&end=now", "", `"values":[2.5]`)
	i.want(http.StatusOK, "POST", "/api/v1/archive/2023-W46", "", `{"finished":true}`)
	if l := list(); len(l) < 2 || l[0].State != "ended" || l[1].Revision != 1 || l[1].State != "verified" || l[1].Rows != 1 {
		t.Errorf("%+v; want late data in a further revision", l)
	}
	if _, text := i.send("GET", "/metrics", ""); !strings.Contains(text, "weir_retention_ended_volumes_total 1\n") || !strings.Contains(text, `weir_retention_files_total{of="archive"} 0`) {
		t.Error("the metrics do not count what ended")
	}
	v, err := i.app.book.Volume(t.Context(), 2811, 0)
	if err != nil || v.State != journal.VolumeEnded {
		t.Errorf("%+v, %v", v, err)
	}
}

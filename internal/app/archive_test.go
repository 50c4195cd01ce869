package app

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"weir/internal/journal"
	"weir/internal/pipeline/cuts"
	"weir/internal/sample"
)

// TestArchiveCommitsWhatWasAccepted: what is answered 204 before is in the
// archive, however long it would have waited.
func TestArchiveCommitsWhatWasAccepted(t *testing.T) {
	dir := t.TempDir()
	i := start(t, dir, func(c *Config) { c.Worker.FlushAge = time.Hour })
	i.want(http.StatusNoContent, "POST", "/write", "m,i=1 value=1.5 1700000000000000000\nm,i=2 value=t 1700000001000000000\n", "")
	i.want(http.StatusOK, "POST", "/api/v1/archive/2023-W46", "", `{"finished":true}`)
	var list []archiveAnswer
	i.get("/api/v1/archive", &list)
	if len(list) == 0 || list[0].Week != "2023-W46" || list[0].State != "verified" || list[0].Rows != 2 || list[0].BytesPerSample == nil {
		t.Fatalf("%+v", list)
	}
	i.want(http.StatusOK, "POST", "/api/v1/archive/2023-W46/verify", "", `"step":"verify"`)
	i.want(http.StatusOK, "POST", "/api/v1/archive/2023-W46/drop", "", `{"finished":true}`)
	i.want(http.StatusOK, "GET", "/api/v1/select?match=m&start=0&end=now", "", `"values":[1.5]`)
	i.want(http.StatusNoContent, "POST", "/write", "m,i=1 value=2.5 1700000000000000000\n", "")
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	i = start(t, dir, nil)
	i.want(http.StatusOK, "GET", "/api/v1/select?match=m&start=0&end=now", "", `"values":[2.5]`)
	i.want(http.StatusOK, "POST", "/api/v1/archive/2023-W46/restore", "", `{"finished":true}`)
	i.want(http.StatusOK, "POST", "/api/v1/archive/2023-W46", "", `{"finished":true}`)
	i.want(http.StatusOK, "GET", "/api/v1/select?match=m&start=0&end=now", "", `"values":[2.5]`)
	i.want(http.StatusNotFound, "POST", "/api/v1/archive/2001-W01", "", "no such")
	i.want(http.StatusBadRequest, "POST", "/api/v1/archive/soon", "", "week")
	i.want(http.StatusBadRequest, "POST", "/api/v1/archive/2023-W46?force=1", "", "unknown parameter")
	i.want(http.StatusConflict, "POST", "/api/v1/weeks/2023-W46/discard?confirm=2023-W46", "", "archive")
	if _, text := i.send("GET", "/api/v1/weeks", ""); !strings.Contains(text, `"state": "verified"`) {
		t.Error(text)
	}
}

// What a process held that was killed while it archived keeps no week from being
// dropped by the next one; what runs hold does.
func TestKilledArchiverHoldsNoWeek(t *testing.T) {
	dir := t.TempDir()
	i := start(t, dir, nil)
	i.want(http.StatusNoContent, "POST", "/write", "m,i=1 value=1.5 1700000000000000000\n", "")
	i.want(http.StatusOK, "POST", "/api/v1/archive/2023-W46", "", `{"finished":true}`)
	week, err := sample.ParseWeek("2023-W46")
	if err != nil {
		t.Fatal(err)
	}
	const run = cuts.OfRun + "p"
	cut := []uint64{1 << 30, 1 << 30}
	for _, holder := range []string{run, "verify 20260101T000000Z-1", "archive 20260101T000000Z-2"} {
		now := time.Now()
		if err := i.app.book.Pin(t.Context(), week, 0, journal.Pin{Holder: holder, Cut: cut, Expires: now.Add(time.Hour)}, now); err != nil {
			t.Fatal(err)
		}
	}
	if err := i.stop(); err != nil {
		t.Fatal(err)
	}
	i = start(t, dir, nil)
	v, err := i.app.book.Volume(t.Context(), week, 0)
	if err != nil || len(v.Pins) != 1 || v.Pins[0].Holder != run {
		t.Fatalf("held by %v, %v", v.Pins, err)
	}
}

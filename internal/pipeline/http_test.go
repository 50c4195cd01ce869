package pipeline

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/store"
)

// call gives an answer's status and body.
func call(t *testing.T, s *Scheduler, method, target, body string) (int, string) {
	t.Helper()
	mux := http.NewServeMux()
	s.Register(mux)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, "/api/v1/pipelines"+target, strings.NewReader(body)))
	kind := "application/json"
	if w.Code >= 400 {
		kind = "application/problem+json"
	}
	if got := w.Result().Header.Get("Content-Type"); w.Code != http.StatusMethodNotAllowed && got != kind {
		t.Errorf("%s %s is answered %d as %s", method, target, w.Code, got)
	}
	return w.Code, w.Body.String()
}

const firstHour = "start=2026-01-01T00:00:00Z&end=2026-01-01T01:00:00Z"

func TestHTTP(t *testing.T) {
	synctest.Test(t, scheduled(func(t *testing.T, r *rig, s *Scheduler) {
		r.worker.set(func(l *labour) { l.refuse["b"] = ErrPermanent })
		steps := []struct {
			method, target, body string
			status               int
			want                 string
		}{
			{"GET", "", "", 200, "[]"},
			{"POST", "?check=1&file=p.yaml", hourly(), 200, `"pipeline":"p"`},
			{"GET", "/p", "", 404, "pipeline p: not found"},
			{"POST", "?file=p.yaml", "pipeline: p\nshedule: 1" + oneStep, 422, `p.yaml:2:1: the definition has no key \"shedule\"; did you mean \"schedule\"?`},
			{"POST", "?check=1", "pipeline: P", 422, "definition:1:11: pipeline: name"},
			{"POST", "", strings.Repeat("#", maxBody+1), 413, "too large"},
			{"POST", "", hourly(), 200, `"scheduled":true`},
			{"GET", "/p", "", 200, `"next":"2026-01-01T02:00:00Z"`},
			{"GET", "/p/run?" + firstHour, "", 200, `"error":"step b: another attempt would not help"`},
			{"GET", "/p/run?" + firstHour + "&revision=1", "", 404, "not found"},
			{"GET", "/p/run?" + firstHour + "&revision=x", "", 400, "give a number from 0"},
			{"GET", "/p/run?start=yesterday&end=now", "", 400, "write it as RFC 3339"},
			{"GET", "/runs", "", 200, `"state":"failed"`},
			{"GET", "/runs?pipeline=p&state=done", "", 200, "[]"},
			{"GET", "/runs?limit=0", "", 400, "give a number above 0"},
			{"POST", "/p/pause", "", 200, `"paused":true`},
			{"POST", "/p/rerun?" + firstHour, "", 409, "resume it first"},
			{"POST", "/p/resume", "", 200, `"paused":false`},
			{"POST", "/q/resume", "", 404, "not found"},
			{"POST", "/p/rerun?" + firstHour, "", 200, `"state":"waiting"`},
			{"POST", "/p/rerun", "", 400, "start and end"},
			{"POST", "/p/cancel?" + firstHour, "", 409, "is failed"},
			{"POST", "/p/backfill?" + firstHour, "", 200, `{"window_start":"2026-01-01T00:00:00Z","window_end":"2026-01-01T01:00:00Z"}`},
			{"POST", "/p/backfill?x", "", 400, "start and end"},
			{"POST", "/p/runs", "", 400, "start and end"},
			{"POST", "/p/runs?start=2025-01-01T00:00:00Z&end=2025-01-02T00:00:00Z", "", 200, `"why":"hand"`},
			{"POST", "/r/runs?" + firstHour, "", 404, "not found"},
			{"POST", "/r/runs?" + firstHour, hourly(), 400, `the definition is of pipeline \"p\", the path of \"r\"`},
			{"POST", "/r/runs?" + firstHour, strings.Replace(hourly(), "pipeline: p", "pipeline: r", 1), 200, `"pipeline":"r"`},
			{"POST", "/r/runs?" + firstHour, "", 409, "has no definition"},
			{"POST", "/p/jump", "", 404, "but pause, resume, backfill"},
			{"DELETE", "/p", "", 405, ""},
		}
		for _, c := range steps {
			status, body := call(t, s, c.method, c.target, c.body)
			if status != c.status || !strings.Contains(body, c.want) {
				t.Errorf("%s %s is answered %d %s; want %d with %s", c.method, c.target, status, body, c.status, c.want)
			}
			time.Sleep(time.Second)
		}
	}))
}

// TestHTTPStatusIsTheContract: the keys that others rely on.
func TestHTTPStatusIsTheContract(t *testing.T) {
	synctest.Test(t, scheduled(func(t *testing.T, r *rig, s *Scheduler) {
		r.apply(s, hourly())
		time.Sleep(time.Minute)
		_, body := call(t, s, "GET", "/runs", "")
		var runs []map[string]any
		if err := json.Unmarshal([]byte(body), &runs); err != nil || len(runs) != 1 {
			t.Fatalf("%s: %v", body, err)
		}
		for key, want := range map[string]any{
			"pipeline": "p", "window_start": "2026-01-01T00:00:00Z", "window_end": "2026-01-01T01:00:00Z",
			"revision": 0.0, "state": "done", "attempts": 1.0, "error": "", "stale": false,
		} {
			if got, ok := runs[0][key]; !ok || got != want {
				t.Errorf("%s is %v; want %v", key, got, want)
			}
		}
	}))
}

func TestHTTPOfABrokenStore(t *testing.T) {
	r := newRig(t, "2026-01-01T01:30:00Z")
	s := r.scheduler(shut{r.records, &store.Error{Op: "scan", Err: store.ErrUnavailable}})
	if status, body := call(t, s, "GET", "", ""); status != 503 {
		t.Errorf("%d %s", status, body)
	}
	s = r.scheduler(shut{r.records, &store.Error{Op: "scan", Err: store.ErrCorrupt}})
	if status, body := call(t, s, "GET", "", ""); status != 500 || !strings.Contains(body, "corrupt") {
		t.Errorf("%d %s", status, body)
	}
}

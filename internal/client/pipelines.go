package client

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// Pipeline is what is known of a pipeline besides its runs.
type Pipeline struct {
	Name       string `json:"pipeline"`
	Definition string `json:"definition"` // hash of its text
	Scheduled  bool   `json:"scheduled"`
	Paused     bool   `json:"paused"`
	Open       int    `json:"open"`  // runs that are carried out
	Asked      int    `json:"asked"` // runs that wait for their turn
	Next       string `json:"next"`  // tick
	Error      string `json:"error"` // why it is not scheduled

	Warnings []string `json:"warnings"` // of a definition that was given
}

// RunKey names a run. Times are RFC 3339.
type RunKey struct {
	Pipeline string `json:"pipeline"`
	Start    string `json:"window_start"`
	End      string `json:"window_end"`
	Revision int    `json:"revision"`
}

// Run is one run of a pipeline over a window.
type Run struct {
	RunKey
	State    string     `json:"state"` // waiting, running, done, failed or cancelled
	Stale    bool       `json:"stale"` // samples of its window came after it had read them
	Attempts int        `json:"attempts"`
	Error    string     `json:"error"`
	Why      string     `json:"why"`
	Late     bool       `json:"late"`
	Started  string     `json:"started"`
	Ended    string     `json:"ended"`
	Steps    []RunStep  `json:"steps"`
	Events   []RunEvent `json:"events"`
}

// RunStep is a step of a run.
type RunStep struct {
	Name     string          `json:"name"`
	State    string          `json:"state"`
	Attempts int             `json:"attempts"`
	Error    string          `json:"error"`
	Output   json.RawMessage `json:"output"`
	Started  string          `json:"started"`
	Ended    string          `json:"ended"`
}

// RunEvent is something that happened to a run.
type RunEvent struct {
	At   string `json:"at"`
	Step string `json:"step"`
	Text string `json:"text"`
}

// Finished says whether nothing more will happen to a run by itself.
func (r *Run) Finished() bool {
	return r.State == "done" || r.State == "failed" || r.State == "cancelled"
}

const pipelinesPath = "/api/v1/pipelines"

// Pipelines lists the pipelines.
func (c *Client) Pipelines(ctx context.Context) ([]Pipeline, error) {
	return read[[]Pipeline](ctx, c, request{method: http.MethodGet, path: pipelinesPath})
}

// ApplyPipeline stores a definition and schedules it. file is its name, for errors.
func (c *Client) ApplyPipeline(ctx context.Context, file string, text []byte) (Pipeline, error) {
	return read[Pipeline](ctx, c, request{
		method: http.MethodPost, path: pipelinesPath, query: url.Values{"file": {file}}, body: bytes.NewReader(text),
	})
}

// Runs lists runs, those of the newest windows first; of all pipelines for "",
// and as many as the server likes for 0.
func (c *Client) Runs(ctx context.Context, pipeline, state string, limit int) ([]Run, error) {
	query := url.Values{}
	for name, value := range map[string]string{"pipeline": pipeline, "state": state} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if limit > 0 {
		query.Set("limit", strconv.Itoa(limit))
	}
	return read[[]Run](ctx, c, request{method: http.MethodGet, path: pipelinesPath + "/runs", query: query})
}

// Run gives one run.
func (c *Client) Run(ctx context.Context, k RunKey) (Run, error) {
	return read[Run](ctx, c, request{method: http.MethodGet, path: k.path("run"), query: k.query()})
}

// RunPipeline asks for a run of a definition, nil for the one that is scheduled.
func (c *Client) RunPipeline(ctx context.Context, k RunKey, text []byte) (Run, error) {
	var body io.Reader
	if text != nil {
		body = bytes.NewReader(text)
	}
	return read[Run](ctx, c, request{method: http.MethodPost, path: k.path("runs"), query: k.query(), body: body})
}

// RerunPipeline runs a window once more, or lets a failed run go on.
func (c *Client) RerunPipeline(ctx context.Context, k RunKey) (Run, error) {
	return read[Run](ctx, c, request{method: http.MethodPost, path: k.path("rerun"), query: k.query()})
}

// CancelRun ends a run that is not finished.
func (c *Client) CancelRun(ctx context.Context, k RunKey) (Run, error) {
	return read[Run](ctx, c, request{method: http.MethodPost, path: k.path("cancel"), query: k.query()})
}

// BackfillPipeline asks for the windows of the schedule within a range.
func (c *Client) BackfillPipeline(ctx context.Context, k RunKey) (RunKey, error) {
	return read[RunKey](ctx, c, request{method: http.MethodPost, path: k.path("backfill"), query: k.query()})
}

// PausePipeline pauses a pipeline, or lets it go on.
func (c *Client) PausePipeline(ctx context.Context, name string, pause bool) (Pipeline, error) {
	action := "resume"
	if pause {
		action = "pause"
	}
	return read[Pipeline](ctx, c, request{method: http.MethodPost, path: RunKey{Pipeline: name}.path(action)})
}

// Task carries out one attempt of one step of a run, and gives its output.
func (c *Client) Task(ctx context.Context, k RunKey, step, attempt string) (json.RawMessage, error) {
	query := k.query()
	query.Set("step", step)
	query.Set("attempt", attempt)
	return read[json.RawMessage](ctx, c, request{method: http.MethodPost, path: k.path("task"), query: query})
}

func (k RunKey) path(action string) string {
	return pipelinesPath + "/" + url.PathEscape(k.Pipeline) + "/" + action
}

func (k RunKey) query() url.Values {
	return url.Values{"start": {k.Start}, "end": {k.End}, "revision": {strconv.Itoa(k.Revision)}}
}

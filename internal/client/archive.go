package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
)

// Archived is what is known of a revision and its archive.
type Archived struct {
	Week           string   `json:"week"`
	Revision       int      `json:"revision"`
	State          string   `json:"state"`
	Rows           int64    `json:"rows"`
	Bytes          int64    `json:"bytes"`
	BytesPerSample *float64 `json:"bytes_per_sample"` // nil: no rows
	Manifest       string   `json:"manifest"`         // empty: no archive
	Ends           string   `json:"ends"`             // when its retention ends, or ended; empty: never, or it is not dropped
}

// Archives lists the revisions of all weeks.
func (c *Client) Archives(ctx context.Context) ([]Archived, error) {
	return read[[]Archived](ctx, c, request{method: http.MethodGet, path: "/api/v1/archive"})
}

// ArchiveStep is how far a step of archiving a revision has come.
type ArchiveStep struct {
	Step     string `json:"step"`
	Revision int    `json:"revision"`
	Done     int64  `json:"done"` // samples, of Total
	Total    int64  `json:"total"`
	Bytes    int64  `json:"bytes"`
}

// ArchiveWeek archives a week, or does what else is to be done with its archive:
// "verify", "drop" or "restore". It calls progress now and then, and returns nil
// only when all is done.
func (c *Client) ArchiveWeek(ctx context.Context, week, action string, progress func(ArchiveStep)) error {
	r := request{method: http.MethodPost, path: "/api/v1/archive/" + url.PathEscape(week)}
	if action != "" {
		r.path += "/" + action
	}
	finished := false
	err := c.lines(ctx, r, func(w *wireLine) error {
		var line struct {
			ArchiveStep
			Finished bool `json:"finished"`
		}
		if err := json.Unmarshal(w.json, &line); err != nil {
			return err
		}
		if finished = finished || line.Finished; !line.Finished {
			progress(line.ArchiveStep)
		}
		return nil
	})
	if err == nil && !finished {
		return c.lost(r.op(), errors.New("the answer ends before the work does; ask again, and it goes on"))
	}
	return err
}

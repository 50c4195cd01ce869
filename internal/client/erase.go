package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// Erasure asks for an erasure: of the series that Match takes, or of the one with
// the id Series.
type Erasure struct {
	Match, Series string
	Start, End    string // as in Selection
	Confirm       bool   // else it is only counted
}

// Erased is the report of an erasure.
type Erased struct {
	ID       string       `json:"id"`
	State    string       `json:"state"` // "dry run", "unfinished", "proven"
	Selector string       `json:"selector"`
	From     *time.Time   `json:"from"` // nil: from the first
	To       *time.Time   `json:"to"`   // nil: to the last
	Asked    time.Time    `json:"asked"`
	Series   []string     `json:"series"` // hashes
	Places   []ErasedFrom `json:"places"`
	Notes    []string     `json:"notes"`
	Error    string       `json:"error"`

	JSON json.RawMessage `json:"-"` // the report as the server gave it
}

// ErasedFrom is what was in a place.
type ErasedFrom struct {
	Place   string `json:"place"`
	Unit    string `json:"unit"`
	Found   int64  `json:"found"`
	Removed int64  `json:"removed"`
	Left    int64  `json:"left"`
}

// EraseStep is how far an erasure is.
type EraseStep struct {
	Step  string `json:"step"`
	Done  int64  `json:"done"`
	Total int64  `json:"total"`
}

// UnmarshalJSON keeps the text too.
func (e *Erased) UnmarshalJSON(text []byte) error {
	type plain Erased
	e.JSON = append(json.RawMessage{}, text...)
	return json.Unmarshal(text, (*plain)(e))
}

// Erase erases, or counts what it would, and gives the report, which says whether it
// is proven. It calls progress now and then.
func (c *Client) Erase(ctx context.Context, e Erasure, progress func(EraseStep)) (*Erased, error) {
	q := url.Values{}
	for name, value := range map[string]string{"match": e.Match, "series": e.Series, "start": e.Start, "end": e.End} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if e.Confirm {
		q.Set("confirm", "yes")
	}
	return c.erase(ctx, request{method: http.MethodPost, path: "/api/v1/erasures", query: q}, progress)
}

// ResumeErasure goes on with an erasure that was cut short.
func (c *Client) ResumeErasure(ctx context.Context, id string, progress func(EraseStep)) (*Erased, error) {
	return c.erase(ctx, request{method: http.MethodPost, path: "/api/v1/erasures/" + url.PathEscape(id) + "/resume"}, progress)
}

func (c *Client) erase(ctx context.Context, r request, progress func(EraseStep)) (report *Erased, err error) {
	err = c.lines(ctx, r, func(w *wireLine) error {
		var line struct {
			EraseStep
			Report *Erased `json:"report"`
		}
		if err := json.Unmarshal(w.json, &line); err != nil {
			return err
		}
		if report = line.Report; report == nil {
			progress(line.EraseStep)
		}
		return nil
	})
	if err == nil && report == nil {
		err = c.lost(r.op(), errors.New("the answer ends before the erasure does; ask again, and it goes on"))
	}
	return report, err
}

// Erasures lists the records of erasures, oldest first.
func (c *Client) Erasures(ctx context.Context) ([]Erased, error) {
	return read[[]Erased](ctx, c, request{method: http.MethodGet, path: "/api/v1/erasures"})
}

package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Tail is what of the committed samples is followed, and from where. An empty
// Match is every series; without a Token it is what is committed from now on,
// or with Oldest all that there is.
type Tail struct {
	Match  string
	Token  string
	Oldest bool
	MaxLag time.Duration // what is older is passed over, and told; 0: nothing is
}

// TailEvent is one line of the feed: one of the three is set.
type TailEvent struct {
	Line *Line
	Gap  *Gap
	// Token is where to go on once all before it is dealt with.
	Token string

	Accepted time.Time // of a token that ends a commit: when its samples were accepted
	JSON     []byte    // as in Line
}

// Gap is commits that were not read.
type Gap struct {
	Reason    string `json:"reason"` // dropped, slow, damaged
	Week      string `json:"week"`
	Partition int    `json:"partition"`
	From      uint64 `json:"from"` // positions in the journal
	To        uint64 `json:"to"`
	Commits   int    `json:"commits"`
	Samples   uint64 `json:"samples"` // of all series
}

// Tail calls yield with what is committed, as it happens, until ctx ends, yield
// gives an error, or the answer ends: with nil where the instance stopped, else
// with an error. Then the last token is where the next call goes on.
func (c *Client) Tail(ctx context.Context, t Tail, yield func(*TailEvent) error) error {
	query := url.Values{}
	if t.Match != "" {
		query.Set("match", t.Match)
	}
	switch {
	case t.Token != "":
		query.Set("token", t.Token)
	case t.Oldest:
		query.Set("from", "oldest")
	}
	if t.MaxLag > 0 {
		query.Set("max_lag", t.MaxLag.String())
	}
	return c.lines(ctx, request{method: http.MethodGet, path: "/api/v1/tail", query: query}, func(w *wireLine) error {
		e := &TailEvent{Token: w.Token, Gap: w.Gap, JSON: w.json}
		if w.Accepted != 0 {
			e.Accepted = time.Unix(0, w.Accepted)
		}
		if e.Token == "" && e.Gap == nil {
			var err error
			if e.Line, err = w.line(); err != nil {
				return err
			}
		}
		return yield(e)
	})
}

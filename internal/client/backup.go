package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// LentFile is a file of a copy of an instance.
type LentFile struct {
	Path     string `json:"path"`
	Bytes    int64  `json:"bytes"`
	Modified int64  `json:"modified"` // ns
	Fixed    bool   `json:"fixed"`    // no other ever has this path, size and time
}

// Lent is a copy of an instance that it lends.
type Lent struct {
	ID      string     `json:"id"`
	Begun   time.Time  `json:"begun"`
	Taken   time.Time  `json:"taken"`
	Version string     `json:"version"`
	Folders []string   `json:"folders"`
	Files   []LentFile `json:"files"`

	client *Client
}

// Lend has the server lend a copy of itself as long as use runs, and says when it
// was taken back before that: then the context given to use has ended.
func (c *Client) Lend(ctx context.Context, use func(context.Context, *Lent) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := request{method: http.MethodPost, path: "/api/v1/copy"}
	body, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	defer body.Close() //nolint:errcheck // nothing was written
	lines := json.NewDecoder(body)
	lent := &Lent{client: c}
	if err := lines.Decode(lent); err != nil {
		return c.lost(r.op(), err)
	}
	go func() {
		_, err := io.Copy(io.Discard, io.MultiReader(lines.Buffered(), body))
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		cancel(c.lost(r.op(), fmt.Errorf("the instance took its copy back: %w", err)))
	}()
	err = use(ctx, lent)
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// Open gives a file of the copy.
func (l *Lent) Open(ctx context.Context, path string) (io.ReadCloser, error) {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return l.client.do(ctx, request{method: http.MethodGet, path: "/api/v1/copy/" + url.PathEscape(l.ID) + "/" + strings.Join(segments, "/")})
}

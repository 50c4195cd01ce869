package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Status is what a server says of itself.
type Status struct {
	Version    string    `json:"version"`
	Started    time.Time `json:"started"`
	Profile    string    `json:"profile"`
	Queues     int       `json:"queues"`
	Series     int64     `json:"series"`
	Life       string    `json:"life"`
	DataFormat int       `json:"data_format"`
	Ready      bool      `json:"ready"`
}

// Status asks the server for its status.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return read[Status](ctx, c, request{method: http.MethodGet, path: "/api/v1/status"})
}

// Ready gives nil when the server is ready to write and read.
func (c *Client) Ready(ctx context.Context) error {
	return c.send(ctx, request{method: http.MethodGet, path: "/readyz"})
}

// Week is a volume of a week.
type Week struct {
	Week       string    `json:"week"`
	Revision   int       `json:"revision"`
	State      string    `json:"state"`
	Table      string    `json:"table"`
	Partitions int       `json:"partitions"`
	Series     int64     `json:"series"`
	Samples    int64     `json:"samples"`
	Items      int64     `json:"items"`
	Bytes      int64     `json:"bytes"`
	First      time.Time `json:"first"` // of its samples; zero when there are none
	Last       time.Time `json:"last"`
}

// Weeks lists the volumes.
func (c *Client) Weeks(ctx context.Context) ([]Week, error) {
	return read[[]Week](ctx, c, request{method: http.MethodGet, path: "/api/v1/weeks"})
}

// Seal ends the open revision of a week, and gives the week's volumes.
func (c *Client) Seal(ctx context.Context, week string) ([]Week, error) {
	return read[[]Week](ctx, c, request{method: http.MethodPost, path: "/api/v1/weeks/" + url.PathEscape(week) + "/seal"})
}

// Discard drops the sealed volumes of a week for good, and gives what is left.
func (c *Client) Discard(ctx context.Context, week string) ([]Week, error) {
	return read[[]Week](ctx, c, request{
		method: http.MethodPost, path: "/api/v1/weeks/" + url.PathEscape(week) + "/discard", query: url.Values{"confirm": {week}},
	})
}

// Balance is what became of accepted samples.
type Balance struct {
	Accepted     int64 `json:"accepted"`
	Stored       int64 `json:"stored"`
	InFlight     int64 `json:"in_flight"`
	DeadLettered int64 `json:"dead_lettered"`
	Quarantined  int64 `json:"quarantined"`
}

// Ledger proves what became of the samples accepted in a range of time.
type Ledger struct {
	Balance
	Start       *time.Time   `json:"start"` // what the range was widened to; nil: open
	End         *time.Time   `json:"end"`
	Rejected    int64        `json:"rejected"`
	Unproven    int64        `json:"unproven"`
	Balanced    bool         `json:"balanced"`
	Overwritten int64        `json:"overwritten"`
	Erased      int64        `json:"erased"` // of all that is stored, whatever the range
	Lives       []LedgerLife `json:"lives"`
}

// LedgerLife is the part of one gateway life in one queue.
type LedgerLife struct {
	Balance
	Life     string `json:"life"`
	Queue    int    `json:"queue"`
	Instance string `json:"instance"`
	State    string `json:"state"`    // open, closed or ended
	Unproven string `json:"unproven"` // why its tail is unproven, or empty
}

// Ledger asks for the ledger of a range of accept time; empty ends are open.
func (c *Client) Ledger(ctx context.Context, start, end string) (Ledger, error) {
	query := url.Values{}
	if start != "" {
		query.Set("start", start)
	}
	if end != "" {
		query.Set("end", end)
	}
	return read[Ledger](ctx, c, request{method: http.MethodGet, path: "/api/v1/ledger", query: query})
}

// Queue is the state of one queue.
type Queue struct {
	Queue       int        `json:"queue"`
	Messages    int64      `json:"messages"`
	InFlight    int64      `json:"in_flight"`
	Bytes       int64      `json:"bytes"`
	Oldest      *time.Time `json:"oldest"`
	DeadLetters int64      `json:"dead_letters"`
}

// Queues lists the queues.
func (c *Client) Queues(ctx context.Context) ([]Queue, error) {
	return read[[]Queue](ctx, c, request{method: http.MethodGet, path: "/api/v1/queues"})
}

// DeadLetter is one message that could not be handled.
type DeadLetter struct {
	ID      string    `json:"id"`
	Queue   int       `json:"queue"`
	Reason  string    `json:"reason"`
	Buried  time.Time `json:"buried"`
	Bytes   int64     `json:"bytes"`
	Life    string    `json:"life"`
	Number  uint64    `json:"number"`
	Week    string    `json:"week"`
	Samples int64     `json:"samples"`
}

// DeadLetters lists a queue's dead letters that come after the one of an id,
// "" for the first, at most a number of them; 0 leaves that to the server.
func (c *Client) DeadLetters(ctx context.Context, queue int, after string, most int) ([]DeadLetter, error) {
	query := url.Values{}
	if after != "" {
		query.Set("after", after)
	}
	if most > 0 {
		query.Set("max", strconv.Itoa(most))
	}
	return read[[]DeadLetter](ctx, c, request{method: http.MethodGet, path: deadLetters(queue), query: query})
}

// Redrive puts one dead letter back into its queue.
func (c *Client) Redrive(ctx context.Context, queue int, id string) error {
	return c.send(ctx, request{method: http.MethodPost, path: deadLetters(queue) + "/" + url.PathEscape(id) + "/redrive"})
}

// RedriveAll puts all dead letters of a queue back, and gives their number.
func (c *Client) RedriveAll(ctx context.Context, queue int) (int, error) {
	done, err := read[struct {
		Redriven int `json:"redriven"`
	}](ctx, c, request{method: http.MethodPost, path: deadLetters(queue) + "/redrive"})
	return done.Redriven, err
}

func deadLetters(queue int) string {
	return "/api/v1/queues/" + strconv.Itoa(queue) + "/dead-letters"
}

// Write sends line protocol and returns when it is durable. The precision is
// ns, us, ms or s, "" for ns; the encoding is that of the body, "" for none.
// When lines were rejected the error is an *Error that lists them, and the
// other lines are kept.
func (c *Client) Write(ctx context.Context, body io.Reader, precision, encoding string) error {
	query := url.Values{}
	if precision != "" {
		query.Set("precision", precision)
	}
	return c.send(ctx, request{method: http.MethodPost, path: "/write", query: query, body: body,
		header: map[string]string{"Content-Type": "text/plain; charset=utf-8", "Content-Encoding": encoding}})
}

// WriteSamples is like Write for JSON: an object, an array, or lines.
func (c *Client) WriteSamples(ctx context.Context, body io.Reader, encoding string) error {
	return c.send(ctx, request{method: http.MethodPost, path: "/api/v1/samples", body: body,
		header: map[string]string{"Content-Type": "application/json", "Content-Encoding": encoding}})
}

// Package client owns the HTTP client of a running Weir: what the command line
// asks, and how what was answered reads in Go.
//
// It refuses to print, to retry, and to know how a server works. It imports
// sample alone. A Client is safe for concurrent use.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Client asks one running Weir.
type Client struct {
	base *url.URL
	http *http.Client
}

// New makes a client of a server, named by its URL or by host:port. The HTTP
// client may be nil, which is one without a timeout: each call has its ctx.
func New(server string, over *http.Client) (*Client, error) {
	text := server
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	base, err := url.Parse(text)
	if err != nil || base.Host == "" || base.Scheme != "http" && base.Scheme != "https" ||
		base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("server %q: name it by a URL such as http://127.0.0.1:8480", server)
	}
	if over == nil {
		over = &http.Client{}
	}
	return &Client{base: base, http: over}, nil
}

// Server gives the server's URL.
func (c *Client) Server() string { return strings.TrimSuffix(c.base.String(), "/") }

// Error says why a call failed.
type Error struct {
	Op     string // method and path
	Status int    // of the answer; 0 when there was none
	Title  string // the kind of problem
	Detail string // what is wrong, and often how to mend it
	Hint   string // what the user of the command line can do; may be empty
	// RetryAfter is how long the server asks to wait, 0 when it didn't say.
	RetryAfter time.Duration
	// Lines are the lines of a write that were rejected, the first of them
	// where they are many; its others are kept.
	Lines    []RejectedLine
	Accepted int64 // how many samples of a partly rejected write are kept
	Rejected int64 // how many lines or values of it are not
	Err      error // when there was no answer, or no whole one
}

// RejectedLine is one line of a write that the server did not take.
type RejectedLine struct {
	Line   int    `json:"line"` // from 1; in a JSON array the number of the element
	Reason string `json:"reason"`
	Column int    `json:"column"` // from 1, 0 where the server doesn't say
	Text   string `json:"text"`   // what was sent, perhaps cut short
}

func (e *Error) Error() string {
	var parts []string
	for _, part := range []string{e.Title, e.Detail} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	if len(parts) == 0 {
		parts = []string{strconv.Itoa(e.Status) + " " + http.StatusText(e.Status)}
	}
	text := strings.Join(parts, ": ")
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// Temporary says that the same call may succeed later: there was no answer, or
// one that says so. A write whose answer was lost may have been stored.
func (e *Error) Temporary() bool {
	switch e.Status {
	case 0:
		return !errors.Is(e.Err, context.Canceled)
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// request is one call.
type request struct {
	method string
	path   string
	query  url.Values
	body   io.Reader
	header map[string]string
}

func (r *request) op() string { return r.method + " " + r.path }

// do sends a request and gives the answer's body when its status is 2xx; any
// other is an *Error.
func (c *Client) do(ctx context.Context, r request) (io.ReadCloser, error) {
	target := c.base.JoinPath(r.path)
	target.RawQuery = r.query.Encode()
	req, err := http.NewRequestWithContext(ctx, r.method, target.String(), r.body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.op(), err)
	}
	for name, value := range r.header {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.lost(r.op(), err)
	}
	if res.StatusCode/100 == 2 {
		return res.Body, nil
	}
	defer res.Body.Close() //nolint:errcheck // nothing was written
	return nil, refusal(r.op(), res)
}

// lost makes the error of a call without a whole answer.
func (c *Client) lost(op string, err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err // the URL's query is long, and the hint names the server
	}
	e := &Error{Op: op, Err: err}
	var dial *net.OpError
	var name *net.DNSError
	switch {
	case errors.Is(err, context.Canceled):
	case errors.As(err, &name), errors.As(err, &dial) && dial.Op == "dial":
		e.Title = "no Weir answers at " + c.Server()
		e.Hint = "start one with `weir up`, or name it with --server or WEIR_SERVER"
	case errors.Is(err, context.DeadlineExceeded):
		e.Title = "no answer from " + c.Server() + " in time"
	default:
		e.Title = "the connection to " + c.Server() + " broke"
		e.Hint = "if it stopped, start it again with `weir up`; its log says why"
	}
	return e
}

// maxRefusal bounds what is read of an answer that is an error.
const maxRefusal = 4 << 20

// details is a problem as RFC 9457 has it, with the lines of a write.
type details struct {
	Title    string         `json:"title"`
	Status   int            `json:"status"`
	Detail   string         `json:"detail"`
	Accepted int64          `json:"accepted"`
	Rejected int64          `json:"rejected"`
	Errors   []RejectedLine `json:"errors"`
}

// refusal makes the error of an answer whose status is not 2xx.
func refusal(op string, res *http.Response) error {
	e := &Error{Op: op, Status: res.StatusCode, RetryAfter: retryAfter(res)}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxRefusal))
	var d details
	if err == nil && json.Unmarshal(body, &d) == nil && (d.Title != "" || d.Detail != "" || d.Errors != nil) {
		e.Title, e.Detail, e.Lines = d.Title, d.Detail, d.Errors
		e.Accepted, e.Rejected = d.Accepted, d.Rejected
		return e
	}
	e.Title = res.Status
	e.Detail = firstLine(body)
	if res.StatusCode == http.StatusNotFound {
		e.Hint = "is that a Weir, and of this version? " + op + " is not there"
	}
	return e
}

func firstLine(body []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(body), []byte("\n"))
	if len(line) > 200 {
		line = line[:200]
	}
	return strings.ToValidUTF8(string(line), "\ufffd")
}

func retryAfter(res *http.Response) time.Duration {
	seconds, err := strconv.Atoi(res.Header.Get("Retry-After"))
	if err != nil || seconds < 0 || seconds > 86400 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// read sends a request and reads its answer's JSON.
func read[T any](ctx context.Context, c *Client, r request) (T, error) {
	var into T
	body, err := c.do(ctx, r)
	if err != nil {
		return into, err
	}
	defer body.Close() //nolint:errcheck // nothing was written
	data, err := io.ReadAll(body)
	if err != nil {
		return into, c.lost(r.op(), err)
	}
	if err := json.Unmarshal(data, &into); err != nil {
		return into, &Error{Op: r.op(), Title: "the answer can't be read", Err: err, Status: http.StatusOK}
	}
	return into, nil
}

// send sends a request whose answer, when all went well, says nothing more.
func (c *Client) send(ctx context.Context, r request) error {
	body, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	defer body.Close() //nolint:errcheck // nothing was written
	// Read to its end, so that the connection can be used again.
	if _, err := io.Copy(io.Discard, body); err != nil {
		return c.lost(r.op(), err)
	}
	return nil
}

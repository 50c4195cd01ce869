package harness

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// answerWithin bounds every request of a Client.
const answerWithin = 30 * time.Second

// Client speaks to one server over HTTP. Safe for concurrent use.
type Client struct {
	base string
	http *http.Client
}

// NewClient makes a client of the server at a base URL.
func NewClient(base string) *Client {
	return &Client{base: base, http: &http.Client{Transport: &http.Transport{}, Timeout: answerWithin}}
}

// Close drops the client's idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Answer is a response that was read to its end.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// String shows the answer for a test's failure.
func (a Answer) String() string {
	return fmt.Sprintf("%d %s %s", a.Status, a.Header.Get("Content-Type"), a.Body)
}

// Request is one request, path with query.
type Request struct {
	Method string // GET when empty, POST when there is a body
	Path   string
	Body   []byte
	Header map[string]string
}

// Do sends a request once and reads its answer. It never sends one again: a
// request whose answer is lost is an error. A reused connection that turns
// out to be dead is an error, too.
func (c *Client) Do(ctx context.Context, r Request) (Answer, error) {
	method := r.Method
	if method == "" {
		method = http.MethodGet
		if r.Body != nil {
			method = http.MethodPost
		}
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+r.Path, nil)
	if err != nil {
		return Answer{}, err
	}
	if r.Body != nil {
		request.ContentLength = int64(len(r.Body))
		// Without GetBody the transport can't send the body a second time.
		request.Body = io.NopCloser(bytes.NewReader(r.Body))
		request.GetBody = nil
	}
	for name, value := range r.Header {
		request.Header.Set(name, value)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	answer := Answer{Status: response.StatusCode, Header: response.Header, Body: body}
	if err != nil {
		return answer, fmt.Errorf("answer %s is cut short: %w", response.Status, err)
	}
	return answer, nil
}

// Encodings of a request's body.
const (
	Identity = ""
	Gzip     = "gzip"
	Zstd     = "zstd"
)

// Post sends a body, packed as the encoding says.
func (c *Client) Post(ctx context.Context, path, encoding string, body []byte) (Answer, error) {
	packed, err := Pack(encoding, body)
	if err != nil {
		return Answer{}, err
	}
	header := map[string]string{}
	if encoding != Identity {
		header["Content-Encoding"] = encoding
	}
	return c.Do(ctx, Request{Path: path, Body: packed, Header: header})
}

// Pack compresses a body.
func Pack(encoding string, body []byte) ([]byte, error) {
	var packed bytes.Buffer
	var writer io.WriteCloser
	switch encoding {
	case Identity:
		return body, nil
	case Gzip:
		writer = gzip.NewWriter(&packed)
	case Zstd:
		encoder, err := zstd.NewWriter(&packed, zstd.WithEncoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		writer = encoder
	default:
		return nil, fmt.Errorf("harness: unknown encoding %q", encoding)
	}
	if _, err := writer.Write(body); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

// Line is one series of an answer to select or aggregate. Values are kept as
// they were written, so that a test can tell 1 from 1.0.
type Line struct {
	Metric  string            `json:"metric"`
	Tags    map[string]string `json:"tags"`
	Kind    string            `json:"kind"`
	Times   []int64           `json:"times"`
	Values  []json.RawMessage `json:"values"`
	Quality []uint32          `json:"quality"`
}

// Query gives the path of a query from pairs of parameter and value.
func Query(path string, pairs ...string) string {
	values := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return path + "?" + values.Encode()
}

// Lines sends a GET for JSON lines, and reads them. An answer that is not 200
// is an error, and so is a line that says that the answer broke off.
func (c *Client) Lines(ctx context.Context, path string, pairs ...string) ([]Line, error) {
	answer, err := c.Do(ctx, Request{Path: Query(path, pairs...)})
	if err != nil {
		return nil, err
	}
	if answer.Status != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", Query(path, pairs...), answer)
	}
	var lines []Line
	for text := range strings.Lines(string(answer.Body)) {
		line, err := parseLine(text)
		if err != nil {
			return lines, fmt.Errorf("GET %s: %w", Query(path, pairs...), err)
		}
		lines = append(lines, line)
	}
	return lines, nil
}

func parseLine(text string) (Line, error) {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	var line Line
	if err := decoder.Decode(&line); err != nil {
		return line, fmt.Errorf("line %q: %w", text, err)
	}
	if len(line.Times) != len(line.Values) || line.Quality != nil && len(line.Quality) != len(line.Times) {
		return line, fmt.Errorf("line %q: %d times, %d values, %d qualities",
			text, len(line.Times), len(line.Values), len(line.Quality))
	}
	return line, nil
}

// JSON sends a GET and decodes the JSON of a 200 into target.
func (c *Client) JSON(ctx context.Context, path string, target any) error {
	answer, err := c.Do(ctx, Request{Path: path})
	if err != nil {
		return err
	}
	if answer.Status != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, answer)
	}
	if err := json.Unmarshal(answer.Body, target); err != nil {
		return fmt.Errorf("GET %s: %w in %s", path, err, answer.Body)
	}
	return nil
}

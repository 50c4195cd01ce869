package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"weir/internal/sample"
)

// Selection is which samples: a selector, and a range of time as the server
// reads it: RFC 3339, ns, "now", "-1h". An empty Start or End leaves it to the
// server: an hour ago and now, or all time where series are listed.
type Selection struct {
	Match      string
	Start, End string
}

func (s Selection) values() url.Values {
	v := url.Values{"match": {s.Match}}
	if s.Start != "" {
		v.Set("start", s.Start)
	}
	if s.End != "" {
		v.Set("end", s.End)
	}
	return v
}

// Aggregation is a selection cut into windows.
type Aggregation struct {
	Selection
	Window   string // "5m"
	Function string // "mean"
	// Grouped combines the series of equal tags By, all when By is empty; else
	// there is a line a series.
	Grouped bool
	By      []string
}

// Line is the samples of one series or group. Its metric is empty for a group
// of several metrics.
type Line struct {
	Series    sample.Series
	Kind      sample.Kind
	Times     []int64 // ns
	Values    []sample.Value
	Qualities []sample.Quality // nil when all are Good
	Reason    string           // in the quarantine: why they are there
	// JSON is the line as the server sent it, without its line end. It is
	// valid only during the call.
	JSON []byte
}

// SeriesLine is what is known of one series.
type SeriesLine struct {
	ID     string
	Series sample.Series
	Kind   sample.Kind
	Weeks  []string // "2026-W03"
	JSON   []byte   // as in Line
}

// Select calls yield for each series that has samples in the selection.
func (c *Client) Select(ctx context.Context, s Selection, yield func(*Line) error) error {
	return c.samples(ctx, request{method: http.MethodGet, path: "/api/v1/select", query: s.values()}, yield)
}

// Aggregate calls yield for each series, or group, that has samples.
func (c *Client) Aggregate(ctx context.Context, a Aggregation, yield func(*Line) error) error {
	query := a.values()
	query.Set("window", a.Window)
	query.Set("fn", a.Function)
	if a.Grouped {
		query.Set("by", strings.Join(a.By, ","))
	}
	return c.samples(ctx, request{method: http.MethodGet, path: "/api/v1/aggregate", query: query}, yield)
}

// Quarantine calls yield for each series that has samples in the quarantine. An
// empty Match is every series.
func (c *Client) Quarantine(ctx context.Context, s Selection, yield func(*Line) error) error {
	query := s.values()
	if s.Match == "" {
		query.Del("match")
	}
	return c.samples(ctx, request{method: http.MethodGet, path: "/api/v1/quarantine", query: query}, yield)
}

// Series calls yield for each series that matches. An empty Match is every one.
func (c *Client) Series(ctx context.Context, s Selection, yield func(*SeriesLine) error) error {
	return c.lines(ctx, request{method: http.MethodGet, path: "/api/v1/series", query: s.values()}, func(w *wireLine) error {
		series, kind, err := w.series()
		if err != nil {
			return err
		}
		return yield(&SeriesLine{ID: w.ID, Series: series, Kind: kind, Weeks: w.Weeks, JSON: w.json})
	})
}

func (c *Client) samples(ctx context.Context, r request, yield func(*Line) error) error {
	return c.lines(ctx, r, func(w *wireLine) error {
		line, err := w.line()
		if err != nil {
			return err
		}
		return yield(line)
	})
}

// wireLine is a line of an answer, of any kind.
type wireLine struct {
	ID      string            `json:"id"`
	Metric  string            `json:"metric"`
	Tags    map[string]string `json:"tags"`
	Kind    string            `json:"kind"`
	Weeks   []string          `json:"weeks"`
	Times   []int64           `json:"times"`
	Values  json.RawMessage   `json:"values"`
	Quality []sample.Quality  `json:"quality"`
	Reason  string            `json:"reason"`
	Error   *details          `json:"error"`
	json    []byte

	// Of the warehouse.
	Columns []SQLColumn `json:"columns"`

	// Of the feed.
	Token    string `json:"token"`
	Accepted int64  `json:"accepted"`
	Gap      *Gap   `json:"gap"`
}

// lines sends a request and calls yield for each line of its answer. An answer
// that breaks off is an error, even after a whole line.
func (c *Client) lines(ctx context.Context, r request, yield func(*wireLine) error) error {
	body, err := c.do(ctx, r)
	if err != nil {
		return err
	}
	defer body.Close() //nolint:errcheck // nothing was written
	in := bufio.NewReaderSize(body, 64<<10)
	var buf []byte
	var unread error // what is wrong with a line that could not be read
	for end := false; !end; {
		buf, err = readLine(in, buf[:0])
		if end = errors.Is(err, io.EOF); err != nil && !end {
			return c.lost(r.op(), err)
		}
		w := wireLine{json: bytes.TrimSpace(buf)}
		if len(w.json) == 0 {
			continue
		}
		fault := json.Unmarshal(w.json, &w)
		switch {
		case fault == nil && w.Error != nil:
			return &Error{Op: r.op(), Status: w.Error.Status, Title: w.Error.Title, Detail: w.Error.Detail}
		case unread != nil:
			return unread
		case fault != nil:
			// A line that an error cut short is followed by one that says why.
			unread = &Error{Op: r.op(), Status: http.StatusOK, Title: "the answer can't be read", Err: fault}
			continue
		}
		if err := yield(&w); err != nil {
			return err
		}
	}
	return unread
}

// readLine reads to the next line end, however far that is.
func readLine(in *bufio.Reader, buf []byte) ([]byte, error) {
	for {
		part, err := in.ReadSlice('\n')
		buf = append(buf, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return buf, err
		}
	}
}

func (w *wireLine) series() (sample.Series, sample.Kind, error) {
	kind, err := sample.ParseKind(w.Kind)
	if err != nil {
		return sample.Series{}, 0, fmt.Errorf("series %s: %w", w.Metric, err)
	}
	// Not NewSeries: a group may have no metric.
	series := sample.Series{Metric: w.Metric}
	for name, value := range w.Tags {
		series.Tags = append(series.Tags, sample.Tag{Name: name, Value: value})
	}
	slices.SortFunc(series.Tags, func(a, b sample.Tag) int { return strings.Compare(a.Name, b.Name) })
	return series, kind, nil
}

func (w *wireLine) line() (*Line, error) {
	series, kind, err := w.series()
	if err != nil {
		return nil, err
	}
	values, err := parseValues(w.Values, kind, len(w.Times))
	if err != nil {
		return nil, fmt.Errorf("series %s: %w", series, err)
	}
	if len(values) != len(w.Times) || w.Quality != nil && len(w.Quality) != len(w.Times) {
		return nil, fmt.Errorf("series %s: %d times, %d values, %d qualities", series, len(w.Times), len(values), len(w.Quality))
	}
	return &Line{Series: series, Kind: kind, Times: w.Times, Values: values,
		Qualities: w.Quality, Reason: w.Reason, JSON: w.json}, nil
}

// parseValues reads a JSON array of values of one kind, which encoding/json has
// checked already.
func parseValues(array json.RawMessage, kind sample.Kind, size int) ([]sample.Value, error) {
	rest := bytes.TrimSpace(array)
	if len(rest) < 2 || rest[0] != '[' {
		return nil, errors.New("values are not an array")
	}
	rest = bytes.TrimSpace(rest[1 : len(rest)-1])
	values := make([]sample.Value, 0, size)
	for len(rest) > 0 {
		end := elementEnd(rest)
		value, err := parseValue(bytes.TrimSpace(rest[:end]), kind)
		if err != nil {
			return nil, fmt.Errorf("value %d: %w", len(values)+1, err)
		}
		values = append(values, value)
		rest = rest[min(end+1, len(rest)):]
	}
	return values, nil
}

// elementEnd gives where the first of some JSON scalars ends.
func elementEnd(rest []byte) int {
	quoted := false
	for i := 0; i < len(rest); i++ {
		switch {
		case rest[i] == '"':
			quoted = !quoted
		case quoted && rest[i] == '\\':
			i++
		case !quoted && rest[i] == ',':
			return i
		}
	}
	return len(rest)
}

func parseValue(text []byte, kind sample.Kind) (sample.Value, error) {
	switch kind {
	case sample.Int64:
		i, err := strconv.ParseInt(string(text), 10, 64)
		return sample.IntValue(i), err
	case sample.Bool:
		b, err := strconv.ParseBool(string(text))
		return sample.BoolValue(b), err
	case sample.String:
		var s string
		err := json.Unmarshal(text, &s)
		return sample.StringValue(s), err
	}
	if len(text) > 1 && text[0] == '"' {
		text = text[1 : len(text)-1] // "NaN", "+Inf", "-Inf"
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		f = math.NaN()
	}
	return sample.FloatValue(f), err
}

package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"time"

	"weir/test/harness"
)

// reader answers the questions that both systems are asked.
type reader interface {
	// ask gives the URL of a question.
	ask(q question) string
	// understand gives what an answer to it says.
	understand(q question, body []byte) (answer, error)
	// raw gives every sample of a host in a range, as it was sent.
	raw(ctx context.Context, host string, start, end int64) (answer, error)
}

// question is a windowed aggregate of every series of one metric and host, or
// of all of them, over [start, end).
type question struct {
	metric     string // "": all of the hosts' metrics
	host       string // "": all hosts
	function   string // count, max or mean
	window     time.Duration
	start, end int64 // whole windows, in ns
}

// cell is one value of an answer: a series and a time, that of a window being
// its start.
type cell struct {
	metric, host string
	at           int64
}

type answer map[cell]float64

// tolerance is how far two means may be apart, relatively: the systems add up
// in different orders.
const tolerance = 1e-9

// differs says where two answers are not equal, "" where they are.
func (a answer) differs(b answer) string {
	if len(a) == 0 {
		return "the answer is empty"
	}
	if len(a) != len(b) {
		return fmt.Sprintf("%d values beside %d", len(a), len(b))
	}
	for at, x := range a {
		y, there := b[at]
		if !there {
			return fmt.Sprintf("%v is missing", at)
		}
		if x != y && !(math.Abs(x-y) <= tolerance*max(math.Abs(x), math.Abs(y))) {
			return fmt.Sprintf("%v is %v beside %v", at, x, y)
		}
	}
	return ""
}

// matcher writes a selector that both systems read.
func (q question) matcher() string {
	metric := `__name__="` + q.metric + `"`
	if q.metric == "" {
		metric = `__name__=~"cpu_.+"`
	}
	if q.host == "" {
		return "{" + metric + "}"
	}
	return "{" + metric + `,hostname="` + q.host + `"}`
}

func (w *weir) ask(q question) string {
	return w.server.URL() + harness.Query("/api/v1/aggregate", "match", q.matcher(), "fn", q.function,
		"window", q.window.String(), "start", strconv.FormatInt(q.start, 10), "end", strconv.FormatInt(q.end, 10))
}

func (w *weir) understand(_ question, body []byte) (answer, error) { return linesOf(body) }

func linesOf(body []byte) (answer, error) {
	out := answer{}
	return out, jsonLines(body, func(line harness.Line) error {
		for i, at := range line.Times {
			if err := out.add(cell{line.Metric, line.Tags["hostname"], at}, string(line.Values[i])); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a answer) add(at cell, text string) error {
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return err
	}
	if _, there := a[at]; there {
		return fmt.Errorf("%v is there twice", at)
	}
	a[at] = value
	return nil
}

func (w *weir) raw(ctx context.Context, host string, start, end int64) (answer, error) {
	q := question{host: host}
	body, _, err := fetch(ctx, w.server.URL()+harness.Query("/api/v1/select", "match", q.matcher(),
		"start", strconv.FormatInt(start, 10), "end", strconv.FormatInt(end, 10)))
	if err != nil {
		return nil, err
	}
	return linesOf(body)
}

// ask shifts the times, since the windows of the two systems lie differently.
// Weir's window of a start t is [t, t+w). PromQL's of an evaluation at t is
// (t-w, t]. VictoriaMetrics keeps times in ms, so that (t-w, t] for t one ms
// before a window's end holds what [t+1ms-w, t+1ms) holds: the same samples.
// nocache=1 turns off the cache of answers; without it, start and end would
// also be rounded to whole steps. A window given in brackets is taken as it
// is, without any look-back, and empty windows are left out by both.
func (v *victoria) ask(q question) string {
	name := map[string]string{"count": "count_over_time", "max": "max_over_time", "mean": "avg_over_time"}[q.function]
	expression := fmt.Sprintf("%s(%s[%dms])", name, q.matcher(), q.window.Milliseconds())
	if q.function == "count" {
		// Of these three, count alone drops the metric.
		expression += " keep_metric_names"
	}
	if q.host == "" {
		expression = "max(" + expression + ") by (__name__, hostname)"
	}
	window := int64(q.window)
	return v.where.url + "/api/v1/query_range?" + url.Values{
		"query": {expression}, "step": {fmt.Sprintf("%dms", q.window.Milliseconds())},
		"start": {milliseconds(q.start + window)}, "end": {milliseconds(q.end)}, "nocache": {"1"},
	}.Encode()
}

// milliseconds gives a time in seconds, one ms before it.
func milliseconds(ns int64) string {
	ms := ns/int64(time.Millisecond) - 1
	return fmt.Sprintf("%d.%03d", ms/1000, ms%1000)
}

type named struct {
	Metric string `json:"__name__"`
	Host   string `json:"hostname"`
}

func (v *victoria) understand(q question, body []byte) (answer, error) {
	var whole struct {
		Data struct {
			Result []struct {
				Metric named    `json:"metric"`
				Values [][2]any `json:"values"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &whole); err != nil {
		return nil, err
	}
	out := answer{}
	for _, series := range whole.Data.Result {
		for _, pair := range series.Values {
			at, isTime := pair[0].(float64)
			text, isText := pair[1].(string)
			if !isTime || !isText {
				return nil, fmt.Errorf("a value reads %v", pair)
			}
			end := (int64(math.Round(at*1000)) + 1) * int64(time.Millisecond)
			if err := out.add(cell{series.Metric.Metric, series.Metric.Host, end - int64(q.window)}, text); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func (v *victoria) raw(ctx context.Context, host string, start, end int64) (answer, error) {
	q := question{host: host}
	body, _, err := fetch(ctx, v.where.url+"/api/v1/export?"+url.Values{
		"match[]": {q.matcher()}, "start": {milliseconds(start + int64(time.Millisecond))}, "end": {milliseconds(end)},
	}.Encode())
	if err != nil {
		return nil, err
	}
	type exported struct {
		Metric     named         `json:"metric"`
		Values     []json.Number `json:"values"`
		Timestamps []int64       `json:"timestamps"`
	}
	out := answer{}
	return out, jsonLines(body, func(line exported) error {
		for i, at := range line.Timestamps {
			if err := out.add(cell{line.Metric.Metric, line.Metric.Host, at * int64(time.Millisecond)}, string(line.Values[i])); err != nil {
				return err
			}
		}
		return nil
	})
}

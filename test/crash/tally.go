package crash

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"weir/test/harness"
)

// place is where a sample belongs: a series and a time.
type place struct {
	series Series
	time   int64
}

// Tally counts the samples that were found, by series and time.
type Tally struct {
	found  map[place][]string // the values found there
	others int                // samples of series that the clients don't have
	total  int
}

// NewTally makes an empty tally.
func NewTally() *Tally { return &Tally{found: map[place][]string{}} }

// Add counts one sample that was found.
func (t *Tally) Add(metric string, tags map[string]string, time int64, value string) {
	t.total++
	field, ours := strings.CutPrefix(metric, measurement+"_")
	if !ours || len(tags) != 1 || tags["lane"] == "" {
		t.others++
		return
	}
	at := place{series: Series{Field: field, Lane: tags["lane"]}, time: time}
	t.found[at] = append(t.found[at], value)
}

// AddLines counts what a query answered.
func (t *Tally) AddLines(lines []harness.Line) {
	for _, line := range lines {
		for i, at := range line.Times {
			t.Add(line.Metric, line.Tags, at, string(line.Values[i]))
		}
	}
}

// item is a line of `weir doctor --items --output json`.
type item struct {
	Metric string            `json:"metric"`
	Tags   map[string]string `json:"tags"`
	Time   int64             `json:"time"`
	Value  json.RawMessage   `json:"value"`
}

// ReadItems counts the lines of `weir doctor --items --output json`: every
// sample of every item that a journal names, none left out for being there
// twice.
func (t *Tally) ReadItems(lines io.Reader) error {
	decoder := json.NewDecoder(lines)
	for {
		var one item
		if err := decoder.Decode(&one); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read the doctor's items: %w", err)
		}
		if one.Metric == "" || one.Value == nil {
			return fmt.Errorf("read the doctor's items: a line without a metric or value after %d", t.total)
		}
		t.Add(one.Metric, one.Tags, one.Time, string(bytes.TrimSpace(one.Value)))
	}
}

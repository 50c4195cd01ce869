package crash

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"weir/internal/client"
)

// binKey names the rows of one metric and one bin of a pipeline's rollups.
type binKey struct {
	pipeline, metric string
	start            int64
}

// binSum is what the rows of a bin say together.
type binSum struct {
	rows, series, count int64
	sum                 float64
}

// windowSum is what the rows of a run's window say together.
type windowSum struct{ rows, count int64 }

// expectation is what the warehouse has to hold by what clients sent.
type expectation struct {
	bins    map[binKey]binSum
	windows map[window]windowSum
	last    window // the newest live one that has samples
}

// expect adds up the numbers of answered attempts. Each sum is exact: numbers
// are multiples of 1/64, and far from 2^53.
func expect(c calendar, attempts []*Attempt) (expectation, error) {
	e := expectation{bins: map[binKey]binSum{}, windows: map[window]windowSum{}}
	type rowKey struct {
		binKey
		lane string
	}
	seen := map[rowKey]bool{}
	for _, a := range attempts {
		if a.Outcome != Answered || a.Number > maxTimed {
			return e, fmt.Errorf("attempt %d, sent %d times, was never answered, or has no time of its own", a.Number, a.Sends)
		}
		for _, s := range a.Samples {
			if s.Series.Field != "number" && s.Series.Field != "count" {
				continue
			}
			var value float64
			if err := json.Unmarshal([]byte(s.Value), &value); err != nil {
				return e, err
			}
			w, bin := c.place(s.Time)
			k := binKey{w.pipeline, measurement + "_" + s.Series.Field, bin}
			b, all := e.bins[k], e.windows[w]
			if row := (rowKey{k, s.Series.Lane}); !seen[row] {
				seen[row] = true
				b.rows, b.series, all.rows = b.rows+1, b.series+1, all.rows+1
			}
			b.count, b.sum, all.count = b.count+1, b.sum+value, all.count+1
			e.bins[k], e.windows[w] = b, all
			if w.pipeline == livePipeline && w.start > e.last.start {
				e.last = w
			}
		}
	}
	if len(e.bins) == 0 {
		return e, errNothingSent
	}
	return e, nil
}

// Differences counts what the warehouse has otherwise than it should.
type Differences struct {
	Lost, Doubled, Wrong, Strangers int
	Examples                        []string
}

// Err gives an error unless there are none.
func (d Differences) Err() error {
	if d.Lost+d.Doubled+d.Wrong+d.Strangers == 0 {
		return nil
	}
	return fmt.Errorf("warehouse: %d bins lack rows or samples, %d have rows twice or samples too many, %d have another sum, %d nobody sent\n    %s",
		d.Lost, d.Doubled, d.Wrong, d.Strangers, strings.Join(d.Examples, "\n    "))
}

// compare holds what the warehouse has against what it should have.
func compare(want, got map[binKey]binSum) Differences {
	var d Differences
	note := func(counter *int, k binKey) {
		*counter++
		if len(d.Examples) < maxExamples {
			d.Examples = append(d.Examples, fmt.Sprintf("%+v: %+v, should be %+v", k, got[k], want[k]))
		}
	}
	for k, w := range want {
		switch g := got[k]; {
		case g == w:
		case g.rows != g.series, g.rows > w.rows, g.count > w.count:
			note(&d.Doubled, k)
		case g.rows < w.rows, g.count < w.count:
			note(&d.Lost, k)
		default:
			note(&d.Wrong, k)
		}
	}
	for k := range got {
		if _, there := want[k]; !there {
			note(&d.Strangers, k)
		}
	}
	return d
}

// askBins reads the table of rollups.
func askBins(ctx context.Context, c *client.Client) (map[binKey]binSum, error) {
	got := map[binKey]binSum{}
	const statement = `select pipeline, metric, epoch_ns(window_start), count(*),
		count(distinct series || ' ' || step), sum(count)::bigint, sum(sum) from rollup group by 1, 2, 3`
	err := ask(ctx, c, statement, func(values []json.RawMessage) error {
		var k binKey
		var b binSum
		err := scan(values, &k.pipeline, &k.metric, &k.start, &b.rows, &b.series, &b.count, &b.sum)
		got[k] = b
		return err
	})
	return got, err
}

// loaded is which revision's rows the warehouse has of a window.
type loaded struct{ revision, rows int64 }

// askLoads reads the table of loads. No window may be there twice.
func askLoads(ctx context.Context, c *client.Client) (map[window]loaded, error) {
	got := map[window]loaded{}
	const statement = `select pipeline, epoch_ns(window_start), epoch_ns(window_end), revision, row_count from loads`
	err := ask(ctx, c, statement, func(values []json.RawMessage) error {
		var w window
		var l loaded
		if err := scan(values, &w.pipeline, &w.start, &w.end, &l.revision, &l.rows); err != nil {
			return err
		}
		if _, twice := got[w]; twice {
			return fmt.Errorf("%v is loaded twice", w)
		}
		got[w] = l
		return nil
	})
	return got, err
}

func ask(ctx context.Context, c *client.Client, statement string, row func([]json.RawMessage) error) error {
	if err := c.SQL(ctx, statement, func([]client.SQLColumn) error { return nil }, row); err != nil {
		return fmt.Errorf("weir sql: %w", err)
	}
	return nil
}

func scan(values []json.RawMessage, targets ...any) error {
	var wrong []error
	for i, target := range targets {
		wrong = append(wrong, json.Unmarshal(values[i], target))
	}
	return errors.Join(wrong...)
}

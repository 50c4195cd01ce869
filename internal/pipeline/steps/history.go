package steps

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"

	"weir/internal/analysis"
	"weir/internal/compute"
	"weir/internal/objects"
	"weir/internal/pipeline"
	"weir/internal/result"
	"weir/internal/sample"
	"weir/internal/warehouse"
)

// Imported is what an import-history step hands on.
type Imported struct {
	First   string `json:"first_week"`
	Last    string `json:"last_week"`
	Weeks   int    `json:"weeks"`
	Applied int    `json:"applied"` // weeks; others were imported before, by this revision or a newer
	Rows    uint64 `json:"rows"`
	Read    *Read  `json:"read"`
}

// importHistory brings the whole weeks of a window into the warehouse, week by
// week: a kill between two leaves the first, which is not imported again.
func (w *Worker) importHistory(ctx context.Context, t pipeline.Task) (any, error) {
	first, last, err := wholeWeeks(t.Window)
	if err != nil {
		return nil, err
	}
	selector := t.Step.ImportHistory.Select
	out := Imported{
		First: first.String(), Last: last.String(), Weeks: int(last-first) + 1,
		Read: &Read{Select: selector, From: first.Start(), To: last.End()},
	}
	series, err := w.Inputs.Series(ctx, selector, first.Start(), last.End())
	if err == nil {
		err = w.Warehouse.PutSeries(ctx, series)
	}
	if err != nil {
		return nil, err
	}
	for week := first; week <= last; week++ {
		rows, applied, err := w.importWeek(ctx, t, week)
		if err != nil {
			return nil, fmt.Errorf("week %s: %w", week, err)
		}
		out.Rows += rows
		if applied {
			out.Applied++
		}
	}
	return out, nil
}

// wholeWeeks gives the first and the last week that lie in a window.
func wholeWeeks(w pipeline.Window) (first, last sample.Week, err error) {
	first, last = sample.WeekOf(int64(w.Start)), sample.WeekOf(int64(w.End))-1
	if first.Start() < int64(w.Start) {
		first++
	}
	if first > last {
		return 0, 0, fmt.Errorf("%w: no whole week lies in the window %s: give one that does, such as from %s to %s", pipeline.ErrPermanent,
			w, pipeline.Instant(first.Start()), pipeline.Instant(first.End()))
	}
	return first, last, nil
}

func (w *Worker) importWeek(ctx context.Context, t pipeline.Task, week sample.Week) (rows uint64, applied bool, err error) {
	in, err := w.Inputs.Input(ctx, t.Step.ImportHistory.Select, week.Start(), week.End(), t.Cut)
	if err != nil {
		return 0, false, err
	}
	h := &warehouse.History{Pipeline: t.Pipeline, Step: t.Step.Name, Week: week, Revision: t.Revision, Cut: in.Cut()}
	f, err := w.writeWeek(ctx, in, week, fmt.Sprintf("%s%s.parquet", prefix(t), week))
	if err != nil {
		return 0, false, err
	}
	if f.Rows > 0 {
		h.Files, h.Rows = []result.File{f}, f.Rows
		// The warehouse has copied it; what a kill leaves is swept with old results.
		defer func() {
			if e := w.Results.Delete(context.WithoutCancel(ctx), f.Name); err == nil && !errors.Is(e, objects.ErrNotFound) {
				err = e
			}
		}()
	}
	applied, err = w.Warehouse.Import(ctx, h, w.Results)
	return h.Rows, applied, err
}

// historyColumns are those of a part of history, in order.
func historyColumns() []result.Column {
	return []result.Column{
		{Name: "series", Type: result.Text}, {Name: "time", Type: result.Time},
		{Name: "value", Type: result.Float}, {Name: "int_value", Type: result.Int}, {Name: "bool_value", Type: result.Bool}, {Name: "text_value", Type: result.Text},
		{Name: "quality", Type: result.Int}, {Name: "version", Type: result.Int}, {Name: "position", Type: result.Int},
	}
}

// Bounds of what is held at once, in samples.
const (
	historyRead = 1 << 20   // about, of a range of shards
	historyRows = 256 << 10 // of a row group
)

// writeWeek writes a week's samples as one part, in order of series and time. One
// without rows is not there.
func (w *Worker) writeWeek(ctx context.Context, in compute.Input, week sample.Week, name string) (f result.File, err error) {
	samples, err := in.Estimate(ctx, week.Start(), week.End())
	if err != nil {
		return f, err
	}
	part := historyPart{w: w, name: name, rows: result.NewRows(historyColumns())}
	defer func() {
		if part.file != nil {
			part.file.Abort()
		}
	}()
	ranges := min(1<<bits.Len64(samples/historyRead), sample.Shards)
	for i := range ranges {
		p := compute.Part{First: i * sample.Shards / ranges, End: (i + 1) * sample.Shards / ranges, From: week.Start(), To: week.End(), Versions: true}
		if in.Series(p.First, p.End) == 0 {
			continue
		}
		if err := in.Read(ctx, p, func(s *analysis.Samples) error { return part.add(ctx, s) }); err != nil {
			return f, err
		}
	}
	if err := part.flush(ctx); err != nil || part.file == nil {
		return f, err
	}
	return part.file.Close()
}

// historyPart is a part under way.
type historyPart struct {
	w    *Worker
	name string
	rows *result.Rows
	file *result.Writer // nil: it has no rows yet
}

func (p *historyPart) flush(ctx context.Context) (err error) {
	if p.rows.Len() == 0 {
		return nil
	}
	if p.file == nil {
		if p.file, err = result.NewWriter(ctx, p.w.Results, p.name, historyColumns()); err != nil {
			return err
		}
	}
	err = p.file.Write(p.rows)
	p.rows.Reset()
	return err
}

// add appends the samples of one series.
func (p *historyPart) add(ctx context.Context, s *analysis.Samples) error {
	for i, at := range s.Times {
		c := p.rows.Columns
		c[0].Text(s.Series.ID)
		c[1].Int(at)
		addValue(c[2:6], s, i)
		quality := sample.Good
		if s.Qualities != nil {
			quality = s.Qualities[i]
		}
		c[6].Int(int64(quality))
		c[7].Int(int64(s.Versions[i])) // a stamp: ns since 1970
		c[8].Int(int64(s.Positions[i]))
		p.rows.EndRow()
		if p.rows.Len() == historyRows {
			if err := p.flush(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// addValue puts a value into the one of four columns that has its kind.
func addValue(c []result.Values, s *analysis.Samples, i int) {
	for k := range c {
		switch {
		case k == 0 && s.Series.Kind == sample.Float64:
			c[k].Float(math.Float64frombits(s.Bits[i]))
		case k == 1 && s.Series.Kind == sample.Int64:
			c[k].Int(int64(s.Bits[i]))
		case k == 2 && s.Series.Kind == sample.Bool:
			c[k].Bool(s.Bits[i] != 0)
		case k == 3 && s.Series.Kind == sample.String:
			c[k].Text(s.Texts[i])
		default:
			c[k].None()
		}
	}
}

package query

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"weir/internal/sample"
)

// Aggregation is a selection cut into windows of which each gives one value.
//
// Windows are aligned to the epoch, floored for times before it, so a week
// begins on a Thursday. The first and the last one of a range count only what
// lies in the range. Windows without samples are left out.
type Aggregation struct {
	Selection
	Function Function
	Window   int64 // ns, above 0
	// Grouped combines the series that have equal values of the tags By, all
	// of them when By is empty; else each series is a group of its own.
	// MetricName in By stands for the metric.
	Grouped bool
	By      []string
}

// Aggregate calls yield for each group that has samples, in the order of
// Compare, with the starts of its windows as times. A group that is a series
// is named as it is; any other has the tags By alone, and the metric if that
// is the same in all its series that have samples, else none. The series of a
// group are combined in the order of Compare: First and Last take the earlier
// series and the later one among equal times. Sums are exact and rounded once,
// so they hang on no order. Where int64 and float64 series meet in a group, sums
// add the integers as they are; else int64 values become the nearest float64.
// The Points are valid only during the call.
func (e *Engine) Aggregate(ctx context.Context, a Aggregation, yield func(*Points) error) error {
	if a.Window <= 0 {
		return errors.New("the window of an aggregate must be above 0")
	}
	if a.Function < Count || a.Function > Last {
		return fmt.Errorf("%s is not a function", a.Function)
	}
	list, err := e.Series(ctx, a.Selection)
	if err != nil {
		return err
	}
	if a.Grouped {
		return e.aggregateGroups(ctx, a, list, yield)
	}
	return e.aggregateSeries(ctx, a, list, yield)
}

func (e *Engine) aggregateSeries(ctx context.Context, a Aggregation, list []SeriesInfo, yield func(*Points) error) error {
	kinds := make([]sample.Kind, len(list))
	for i := range list {
		var err error
		if kinds[i], err = a.Function.inputKind(list, []int{i}); err != nil {
			return err
		}
	}
	var converted []Cell
	var named SeriesInfo
	out := Points{Info: &named}
	place := follow(list)
	return e.windows(ctx, a, list, NewBudget(e.limits), func(info *SeriesInfo, cells []Cell) error {
		at, err := place(info)
		if err != nil {
			return err
		}
		if kinds[at] != info.Kind {
			converted = append(converted[:0], cells...)
			cells = converted
			for i := range cells {
				a.Function.convert(&cells[i], info.Kind, kinds[at])
			}
		}
		named = SeriesInfo{Series: info.Series, ID: info.ID}
		if err := a.Function.write(kinds[at], cells, &out); err != nil {
			return err
		}
		return yield(&out)
	})
}

// follow gives a function that gives the place in a list of one of its series
// after the other.
func follow(list []SeriesInfo) func(*SeriesInfo) (int, error) {
	at := 0
	return func(info *SeriesInfo) (int, error) {
		for ; at < len(list); at++ {
			if &list[at] == info || Compare(list[at].Series, info.Series) == 0 {
				return at, nil
			}
		}
		return 0, fmt.Errorf("the source gave %s, which was not asked for, or out of order", info.Series)
	}
}

func (e *Engine) aggregateGroups(ctx context.Context, a Aggregation, list []SeriesInfo, yield func(*Points) error) error {
	groups, of, err := makeGroups(a, list)
	if err != nil {
		return err
	}
	left := e.limits.MaxWindows
	budget := NewBudget(e.limits)
	place := follow(list)
	err = e.windows(ctx, a, list, budget, func(info *SeriesInfo, cells []Cell) error {
		at, err := place(info)
		if err != nil {
			return err
		}
		g := of[at]
		if len(g.cells) == 0 {
			g.series.Metric = info.Series.Metric
		} else if g.series.Metric != info.Series.Metric {
			g.series.Metric = ""
		}
		had := len(g.cells)
		if !g.add(a.Function, info.Kind, cells, left) {
			return &LimitError{"max_windows", int64(e.limits.MaxWindows),
				"give a longer window, a shorter range, or group by fewer tags"}
		}
		left -= len(g.cells) - had
		return budget.Hold((len(g.cells) - had) * CellSize)
	})
	if err != nil {
		return err
	}
	groups = slices.DeleteFunc(groups, func(g *group) bool { return len(g.cells) == 0 })
	slices.SortFunc(groups, func(x, y *group) int { return Compare(x.series, y.series) })
	var out Points
	for _, g := range groups {
		if err := ctx.Err(); err != nil {
			return err
		}
		out.Info = &SeriesInfo{Series: g.series}
		if err := g.write(a.Function, &out); err != nil {
			return err
		}
		if err := yield(&out); err != nil {
			return err
		}
	}
	return nil
}

// windows reads the windows of listed series.
func (e *Engine) windows(ctx context.Context, a Aggregation, list []SeriesInfo, budget *Budget, yield func(*SeriesInfo, []Cell) error) error {
	if len(list) == 0 {
		return nil
	}
	return guard(func(keep func(error) error) error {
		return e.source.Windows(ctx, Reading{list, a.Start, a.End, budget}, Windowing{a.Function, a.Window}, func(info *SeriesInfo, cells []Cell) error {
			if err := ctx.Err(); err != nil {
				return keep(err)
			}
			return keep(yield(info, cells))
		})
	})
}

// makeGroups divides series into groups, and gives that of each series too.
func makeGroups(a Aggregation, list []SeriesInfo) (groups, of []*group, err error) {
	var members [][]int
	places := map[string]int{} // by the values of the tags
	of = make([]*group, len(list))
	var key []byte
	for i := range list {
		series := list[i].Series
		key = key[:0]
		for _, name := range a.By {
			value := valueOf(series, name)
			key = binary.AppendUvarint(key, uint64(len(value)))
			key = append(key, value...)
		}
		place, ok := places[string(key)]
		if !ok {
			place = len(groups)
			places[string(key)] = place
			groups = append(groups, &group{series: sample.Series{Tags: groupTags(series, a.By)}})
			members = append(members, nil)
		}
		members[place] = append(members[place], i)
		of[i] = groups[place]
	}
	for place, g := range groups {
		kind, err := a.Function.inputKind(list, members[place])
		if err != nil {
			return nil, nil, err
		}
		g.reset(kind)
	}
	return groups, of, nil
}

func valueOf(series sample.Series, name string) string {
	if name == MetricName {
		return series.Metric
	}
	return series.Tag(name)
}

func groupTags(series sample.Series, by []string) []sample.Tag {
	var tags []sample.Tag
	for _, name := range by {
		if value := series.Tag(name); value != "" && name != MetricName {
			tags = append(tags, sample.Tag{Name: name, Value: value})
		}
	}
	slices.SortFunc(tags, func(x, y sample.Tag) int { return strings.Compare(x.Name, y.Name) })
	return slices.Compact(tags)
}

package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"weir/internal/client"
	"weir/internal/output"
	"weir/internal/sample"
)

type queryFlags struct {
	selection client.Selection
	window    string
	function  string
	by        []string
	grouped   bool
	chart     bool
	rows      int
}

// defaultFunction is what is made of windows when nothing is said.
const defaultFunction = "mean"

func functions() []string { return []string{"count", "min", "max", "mean", "sum", "first", "last"} }

func newQuery(g *global) *cobra.Command {
	var f queryFlags
	cmd := &cobra.Command{
		Use:   "query SELECTOR",
		Short: "Show samples, or what windows of them come to",
		Long: `Show the samples of the series that match a selector, or with --window what
each window of time comes to. A selector names a metric, tags or both, as in
PromQL: cpu_usage_user{hostname="host_1"}, {site=~"s0[12]"}.

Without --start and --end it shows the last hour; the start is inclusive, the
end exclusive. --output json writes a line for each series as the server sent
it, csv a row for each sample.`,
		Example: `  weir query 'cpu_usage_user{hostname="host_1"}' --start -1h --chart
  weir query 'energy_kwh{site="s01"}' --start 2026-01-05 --end 2026-01-06 --output csv
  weir query cpu_usage_user --window 5m --fn max --by region,datacenter
  weir query cpu_usage_user --window 1h --by ''            # all series together`,
		Args:              arguments(cobra.ExactArgs(1), "one selector"),
		ValidArgsFunction: g.completeMetrics,
		RunE: func(cmd *cobra.Command, args []string) error {
			f.selection.Match, f.grouped = args[0], cmd.Flags().Changed("by")
			return g.query(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	addRange(cmd, &f.selection.Start, &f.selection.End, "an hour ago", "now")
	flags.StringVar(&f.window, "window", "", "length of the windows, such as 5m or 1d, aligned to 1970")
	flags.StringVar(&f.function, "fn", "", "what windows come to: count, min, max, mean, sum, first or last (default "+defaultFunction+")")
	flags.StringSliceVar(&f.by, "by", nil, "tags to group by; '' puts all series together")
	flags.BoolVar(&f.chart, "chart", false, "draw it")
	flags.IntVar(&f.rows, "rows", 200, "samples in a table, at most; 0 means all")
	completeFlag(cmd, "fn", choices(functions()...))
	return cmd
}

// addRange adds the flags start and end.
func addRange(cmd *cobra.Command, start, end *string, from, to string) {
	cmd.Flags().StringVar(start, "start", "", timeHelp+" (default "+from+")")
	cmd.Flags().StringVar(end, "end", "", "likewise (default "+to+")")
}

func (g *global) query(ctx context.Context, f queryFlags) error {
	if f.window == "" && (f.function != "" || f.grouped) {
		return usagef("--fn and --by are for windows: give --window, such as --window 5m")
	}
	if f.chart && g.format != output.FormatTable {
		return usagef("--chart draws, so --output %s has no meaning beside it", g.format)
	}
	var err error
	if f.selection.Start, f.selection.End, err = g.rangeOf(f.selection.Start, f.selection.End); err != nil {
		return err
	}
	ask, err := g.ask(f)
	if err != nil {
		return err
	}
	switch {
	case f.chart:
		return g.drawChart(ctx, f, ask)
	case g.format == output.FormatJSON:
		return g.writeLines(ctx, ask)
	case g.format == output.FormatCSV:
		return g.writeRows(ctx, ask)
	}
	return g.showSamples(ctx, f.rows, ask)
}

// asking calls yield for each line of an answer.
type asking func(ctx context.Context, yield func(*client.Line) error) error

func (g *global) ask(f queryFlags) (asking, error) {
	c, err := g.client()
	if err != nil {
		return nil, err
	}
	if f.window == "" {
		return func(ctx context.Context, yield func(*client.Line) error) error {
			return c.Select(ctx, f.selection, yield)
		}, nil
	}
	window, err := parseDuration(f.window)
	if err != nil || window <= 0 {
		return nil, usagef("--window %q: give a duration such as 30s, 5m, 1h or 1d", f.window)
	}
	a := client.Aggregation{Selection: f.selection, Window: window.String(), Function: f.function, Grouped: f.grouped, By: f.by}
	if a.Function == "" {
		a.Function = defaultFunction
	}
	return func(ctx context.Context, yield func(*client.Line) error) error {
		return c.Aggregate(ctx, a, yield)
	}, nil
}

// writeLines passes the server's JSON on.
func (g *global) writeLines(ctx context.Context, ask asking) error {
	out := bufio.NewWriter(g.out)
	err := ask(ctx, func(l *client.Line) error {
		_, _ = out.Write(l.JSON)
		return out.WriteByte('\n') // a buffered writer keeps its first error
	})
	return errors.Join(err, out.Flush())
}

// writeRows writes a row of CSV for each sample.
func (g *global) writeRows(ctx context.Context, ask asking) error {
	out := csv.NewWriter(g.out)
	if err := out.Write([]string{"series", "time", "value", "quality"}); err != nil {
		return err
	}
	row := make([]string, 4)
	err := ask(ctx, func(l *client.Line) error {
		row[0] = l.Series.String()
		for i, at := range l.Times {
			row[1], row[2], row[3] = formatTime(at), formatValue(l.Values[i]), quality(l, i)
			if err := out.Write(row); err != nil {
				return err
			}
		}
		return nil
	})
	out.Flush()
	return errors.Join(err, out.Error())
}

// errEnough ends an answer of which no more is wanted.
var errEnough = errors.New("enough")

// showSamples writes a table, of a person's size.
func (g *global) showSamples(ctx context.Context, most int, ask asking) error {
	list := &output.Table{
		Columns: []output.Column{{Name: "series"}, {Name: "time"}, {Name: "value", Right: true}, {Name: "quality"}},
		Empty:   "no samples",
	}
	plain := true // no sample has a quality other than Good
	err := ask(ctx, func(l *client.Line) error {
		plain = plain && l.Qualities == nil
		for i, at := range l.Times {
			if most > 0 && len(list.Rows) == most {
				return errEnough
			}
			list.Rows = append(list.Rows, []any{l.Series.String(), formatTime(at), formatValue(l.Values[i]), quality(l, i)})
		}
		return nil
	})
	more := errors.Is(err, errEnough)
	if err != nil && !more {
		return err
	}
	if plain {
		list.Columns = list.Columns[:3]
		for i := range list.Rows {
			list.Rows[i] = list.Rows[i][:3]
		}
	}
	if err := g.print(list); err != nil {
		return err
	}
	if more {
		fmt.Fprintf(g.err, "only the first %d samples are shown: --rows shows more, --output csv or json all\n", most)
	}
	return nil
}

func formatTime(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339Nano) }

func quality(l *client.Line, i int) string {
	if l.Qualities == nil {
		return ""
	}
	return strconv.FormatUint(uint64(l.Qualities[i]), 10)
}

func formatValue(v sample.Value) string {
	switch v.Kind {
	case sample.Int64:
		return strconv.FormatInt(v.Int(), 10)
	case sample.Bool:
		return strconv.FormatBool(v.Bool())
	case sample.String:
		return v.Text
	}
	f := v.Float()
	if size := math.Abs(f); size != 0 && (size >= 1e15 || size < 1e-6) {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

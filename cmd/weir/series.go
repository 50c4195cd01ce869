package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"weir/internal/client"
	"weir/internal/output"
)

func newSeries(g *global) *cobra.Command {
	var selection client.Selection
	var limit int
	cmd := &cobra.Command{
		Use:   "series [SELECTOR]",
		Short: "List series",
		Long: `List the series that match a selector, or all: their kind, and the weeks in
which they have samples.`,
		Example: `  weir series
  weir series 'cpu_usage_user{region=~"eu-.*"}' --output json
  weir series --start 2026-01-05 --end 2026-01-12`,
		Args:              arguments(cobra.MaximumNArgs(1), "at most one selector"),
		ValidArgsFunction: g.completeMetrics,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				selection.Match = args[0]
			}
			return g.series(cmd.Context(), selection, limit)
		},
	}
	addRange(cmd, &selection.Start, &selection.End, "the first there is", "the last there is")
	cmd.Flags().IntVar(&limit, "limit", 1000, "series, at most; 0 means all")
	return cmd
}

func (g *global) series(ctx context.Context, s client.Selection, limit int) error {
	var err error
	if s.Start, s.End, err = g.rangeOf(s.Start, s.End); err != nil {
		return err
	}
	c, err := g.client()
	if err != nil {
		return err
	}
	list := &output.Table{
		Columns: []output.Column{{Name: "series"}, {Name: "kind"}, {Name: "weeks", Show: showWeeks}, {Name: "id"}},
		Empty:   "no series",
	}
	err = c.Series(ctx, s, func(l *client.SeriesLine) error {
		if limit > 0 && len(list.Rows) == limit {
			return errEnough
		}
		list.Rows = append(list.Rows, []any{l.Series.String(), l.Kind.String(), l.Weeks, l.ID})
		return nil
	})
	more := errors.Is(err, errEnough)
	if err != nil && !more {
		return err
	}
	if err := g.print(list); err != nil {
		return err
	}
	if more {
		fmt.Fprintf(g.err, "only the first %d series are shown: --limit shows more\n", limit)
	}
	return nil
}

// showWeeks keeps a table narrow: of many weeks it names the ends.
func showWeeks(cell any) string {
	weeks, ok := cell.([]string)
	if !ok || len(weeks) <= 3 {
		return strings.Join(weeks, " ")
	}
	return fmt.Sprintf("%s to %s (%d)", weeks[0], weeks[len(weeks)-1], len(weeks))
}

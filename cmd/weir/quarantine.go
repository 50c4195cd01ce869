package main

import (
	"context"

	"github.com/spf13/cobra"

	"weir/internal/client"
	"weir/internal/output"
)

func newQuarantine(g *global) *cobra.Command {
	var selection client.Selection
	cmd := &cobra.Command{
		Use:   "quarantine [SELECTOR]",
		Short: "List samples that were accepted but could not be stored, and why",
		Long: `List the samples in the quarantine: accepted, but not to be stored as they are,
such as those that lost a race for their series' kind. Nothing accepted is
thrown away; each is here with its reason.`,
		Example: `  weir quarantine
  weir quarantine 'cpu_usage_user{hostname="host_1"}' --output csv`,
		Args:              arguments(cobra.MaximumNArgs(1), "at most one selector"),
		ValidArgsFunction: g.completeMetrics,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				selection.Match = args[0]
			}
			return g.quarantine(cmd.Context(), selection)
		},
	}
	addRange(cmd, &selection.Start, &selection.End, "the first there is", "the last there is")
	return cmd
}

func (g *global) quarantine(ctx context.Context, s client.Selection) error {
	var err error
	if s.Start, s.End, err = g.rangeOf(s.Start, s.End); err != nil {
		return err
	}
	c, err := g.client()
	if err != nil {
		return err
	}
	ask := func(ctx context.Context, yield func(*client.Line) error) error { return c.Quarantine(ctx, s, yield) }
	if g.format == output.FormatJSON {
		return g.writeLines(ctx, ask)
	}
	list := &output.Table{
		Columns: []output.Column{{Name: "series"}, {Name: "kind"}, {Name: "time"}, {Name: "value", Right: true}, {Name: "reason"}},
		Empty:   "the quarantine is empty",
	}
	err = ask(ctx, func(l *client.Line) error {
		for i, at := range l.Times {
			list.Rows = append(list.Rows, []any{l.Series.String(), l.Kind.String(), formatTime(at), formatValue(l.Values[i]), l.Reason})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return g.print(list)
}

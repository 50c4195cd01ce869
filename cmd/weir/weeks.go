package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"weir/internal/client"
	"weir/internal/output"
)

func newWeeks(g *global) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "weeks",
		Short: "List the weeks and what each holds",
		Long: `List the volumes: each ISO week (in UTC) with its revisions, its state, and what
it holds. A sample belongs to the week of its own time.`,
		Example: `  weir weeks
  weir weeks --output csv`,
		Args: arguments(cobra.NoArgs, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			weeks, err := c.Weeks(cmd.Context())
			if err != nil {
				return err
			}
			return g.printWeeks(weeks)
		},
	}
	cmd.AddCommand(newSeal(g), newDiscard(g))
	return cmd
}

func (g *global) printWeeks(weeks []client.Week) error {
	number := func(name string) output.Column {
		return output.Column{Name: name, Right: true, Show: output.Thousands}
	}
	list := &output.Table{
		Columns: []output.Column{
			{Name: "week"}, {Name: "revision", Right: true}, {Name: "state"}, {Name: "table"},
			{Name: "partitions", Right: true}, number("series"), number("samples"), number("items"),
			{Name: "bytes", Right: true, Show: output.Bytes},
			{Name: "bytes_per_sample", Title: "B/SAMPLE", Right: true, Show: func(cell any) string { return fmt.Sprintf("%.2f", cell) }},
			{Name: "first"}, {Name: "last"},
		},
		Empty: "no weeks: nothing has been stored yet",
	}
	for _, w := range weeks {
		var each any
		if w.Samples > 0 {
			each = float64(w.Bytes) / float64(w.Samples)
		}
		list.Rows = append(list.Rows, []any{
			w.Week, w.Revision, w.State, w.Table, w.Partitions, w.Series, w.Samples, w.Items, w.Bytes, each, w.First, w.Last,
		})
	}
	return g.print(list)
}

func newSeal(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "seal WEEK",
		Short: "End a week's open revision",
		Long: `End a week's open revision: its volume takes nothing more. Samples that still
come for the week are kept all the same, in its next revision, and read with it.`,
		Example: "  weir weeks seal 2026-W03",
		Args:    arguments(cobra.ExactArgs(1), "one week"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			weeks, err := c.Seal(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return g.printWeeks(weeks)
		},
	}
}

func newDiscard(g *global) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "discard WEEK",
		Short: "Remove a sealed week's samples for good",
		Long: `Remove a sealed week's samples for good, without an archive. The journals stay:
the ledger still knows what became of each sample, and one that is delivered
again is not stored again.`,
		Example: "  weir weeks seal 2026-W03 && weir weeks discard 2026-W03 --yes",
		Args:    arguments(cobra.ExactArgs(1), "one week"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				return usagef("the samples of %s would be gone for good: give --yes if that is meant", args[0])
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			weeks, err := c.Discard(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return g.printWeeks(weeks)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "remove the samples; nothing brings them back")
	return cmd
}

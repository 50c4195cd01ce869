package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"weir/internal/output"
)

func newWeeks(g *global) *cobra.Command {
	return &cobra.Command{
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
		},
	}
}

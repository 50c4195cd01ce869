package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weir/internal/client"
	"weir/internal/output"
)

type eraseFlags struct {
	client.Erasure
	from, to string
}

func newErase(g *global) *cobra.Command {
	f := &eraseFlags{}
	cmd := &cobra.Command{
		Use:   "erase SELECTOR",
		Short: "Remove a series' samples everywhere, and prove it",
		Long: `Remove the samples of the series that a selector matches from every place: the
weeks, open, sealed or dropped, their archives, the quarantine, and the rows of
results, exports and warehouse tables that name these series. Then read all of it
again, and report what was removed where, and that nothing is left.

Without --yes nothing is removed: it shows what would be. It may be cut short: the
same command goes on. It exits with 0 only where it is proven. The report is kept
in DIR/erasures, without samples.

The series stay registered, and samples that come later are new ones: see
docs/guides/erase.md.`,
		Example: `  weir erase 'meter_power{site="x"}'               # what would be removed
  weir erase 'meter_power{site="x"}' --yes
  weir erase --series 6d1f6fd2039f7d50737acd54f2f9a824 --from 2026-01-05 --to 2026-01-12 --yes
  weir erase list`,
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: g.completeMetrics,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 == (f.Series != "") {
				return usagef("give one selector, or --series and an id")
			}
			f.Match = strings.Join(args, "")
			return g.erase(cmd.Context(), *f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.Series, "series", "", "the id of one series, 32 hex digits, instead of a selector")
	flags.StringVar(&f.from, "from", "", timeHelp+" (default the first sample)")
	flags.StringVar(&f.to, "to", "", "likewise, exclusive (default the last sample)")
	flags.BoolVar(&f.Confirm, "yes", false, "remove it, and do not only show what would be")
	cmd.AddCommand(newEraseList(g), newEraseResume(g))
	return cmd
}

func newEraseList(g *global) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the erasures and where they stand",
		Long:    `List the records of erasures. One that is unfinished was cut short: resume it.`,
		Example: "  weir erase list\n  weir erase list --output json",
		Args:    arguments(cobra.NoArgs, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			all, err := c.Erasures(cmd.Context())
			if err != nil {
				return err
			}
			list := &output.Table{
				Columns: []output.Column{
					{Name: "id"}, {Name: "state"}, {Name: "asked"}, {Name: "selector"}, {Name: "from"}, {Name: "to"},
					{Name: "series", Right: true, Show: output.Thousands}, {Name: "removed", Right: true, Show: output.Thousands}, {Name: "error"},
				},
				Empty: "no erasures",
			}
			for _, e := range all {
				removed := int64(0)
				for _, p := range e.Places {
					removed += p.Removed
				}
				list.Rows = append(list.Rows, []any{
					e.ID, e.State, e.Asked.Format(time.RFC3339), e.Selector, timeCell(e.From), timeCell(e.To), int64(len(e.Series)), removed, e.Error,
				})
			}
			return g.print(list)
		},
	}
}

func timeCell(t *time.Time) any {
	if t == nil {
		return nil
	}
	return t.Format(time.RFC3339)
}

func newEraseResume(g *global) *cobra.Command {
	return &cobra.Command{
		Use:     "resume ID",
		Short:   "Go on with an erasure that was cut short",
		Long:    `Go on with an erasure that was cut short, of the series that it was begun with.`,
		Example: "  weir erase resume 20261126T050000Z-0123abcd",
		Args:    arguments(cobra.ExactArgs(1), "one id"),
		ValidArgsFunction: func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
			var ids []string
			if c, err := g.client(); err == nil {
				all, _ := c.Erasures(cmd.Context()) // no completion then
				for _, e := range all {
					if e.State == "unfinished" {
						ids = append(ids, e.ID)
					}
				}
			}
			return ids, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			return g.eraseWork(func(told func(client.EraseStep)) (*client.Erased, error) {
				return c.ResumeErasure(cmd.Context(), args[0], told)
			})
		},
	}
}

func (g *global) erase(ctx context.Context, f eraseFlags) error {
	var err error
	for _, t := range []struct {
		flag, text string
		to         *string
	}{{"from", f.from, &f.Start}, {"to", f.to, &f.End}} {
		if t.text == "" {
			continue
		}
		at, err := parseTime(t.flag, t.text, g.now())
		if err != nil {
			return err
		}
		*t.to = at.Format(time.RFC3339Nano)
	}
	c, err := g.client()
	if err != nil {
		return err
	}
	return g.eraseWork(func(told func(client.EraseStep)) (*client.Erased, error) { return c.Erase(ctx, f.Erasure, told) })
}

// eraseWork shows how far an erasure is, and its report.
func (g *global) eraseWork(do func(func(client.EraseStep)) (*client.Erased, error)) error {
	var shown *progress
	step := ""
	end := func(done bool) {
		if shown != nil {
			shown.end(done)
		}
	}
	report, err := do(func(s client.EraseStep) {
		if shown == nil || s.Step != step {
			end(true)
			shown, step = g.newProgress(map[string]string{"count": "count", "erase": "erase", "check": "read again"}[s.Step], s.Total, false), s.Step
		}
		shown.set(s.Done, "")
	})
	end(err == nil)
	if err != nil {
		return err
	}
	if err := g.showErased(report); err != nil {
		return err
	}
	if report.Error != "" || report.State == "unfinished" {
		return fmt.Errorf("not proven: %w", errors.New(report.Error))
	}
	return nil
}

// showErased prints a report: as JSON it is what is kept.
func (g *global) showErased(e *client.Erased) error {
	if g.format == output.FormatJSON {
		_, err := fmt.Fprintf(g.out, "%s\n", e.JSON)
		return err
	}
	list := &output.Table{Columns: []output.Column{
		{Name: "place"}, {Name: "unit"}, {Name: "found", Right: true, Show: output.Thousands},
		{Name: "removed", Right: true, Show: output.Thousands}, {Name: "left", Right: true, Show: output.Thousands},
	}}
	for _, p := range e.Places {
		list.Rows = append(list.Rows, []any{p.Place, p.Unit, p.Found, p.Removed, p.Left})
	}
	if err := g.print(list); err != nil || g.format != output.FormatTable {
		return err
	}
	for _, note := range e.Notes {
		fmt.Fprintf(g.out, "note: %s\n", note)
	}
	switch e.State {
	case "dry run":
		fmt.Fprintf(g.out, "%d series; nothing was removed: add --yes to remove what was found\n", len(e.Series))
	case "proven":
		fmt.Fprintf(g.out, "%d series; proven: all places were read again, and none had any\nthe report is kept as erasures/%s.json\n", len(e.Series), e.ID)
	}
	return nil
}

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"weir/internal/client"
	"weir/internal/output"
)

func newArchive(g *global) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "archive WEEK",
		Short: "Write a week to Parquet, and read it back",
		Long: `Commit what was accepted of a week before, end its open revision, write its
samples as Parquet to DIR/archive, read them back and compare them with the week.
A week is dropped only once that was so. Samples that still come for the week are
its next revision's: archive it again, and that is written beside the first.

It may be cut short: called again, it goes on.`,
		Example: `  weir archive 2026-W03
  weir archive drop 2026-W03
  weir archive restore 2026-W03`,
		Args: arguments(cobra.ExactArgs(1), "one week"),
		RunE: func(cmd *cobra.Command, args []string) error { return g.archiveWork(cmd.Context(), args[0], "") },
	}
	for _, of := range []struct{ name, short, long string }{
		{"verify", "Read a week's archive back and compare it with the week",
			`Read a week's archive back: hashes, rows, their order and checksum, and as long
as the week's table is there, compare it with that, read anew.`},
		{"drop", "Remove a verified week's table",
			`Remove a week's table. Its archive stays. A week that is not verified in all of
its revisions is refused.`},
		{"restore", "Bring a dropped week back from its archive",
			`Write a dropped week's samples from its archive into a table again. The archive
stays, so the week may be dropped again at once.`},
	} {
		cmd.AddCommand(&cobra.Command{
			Use: of.name + " WEEK", Short: of.short, Long: of.long, Example: "  weir archive " + of.name + " 2026-W03",
			Args: arguments(cobra.ExactArgs(1), "one week"),
			RunE: func(cmd *cobra.Command, args []string) error { return g.archiveWork(cmd.Context(), args[0], of.name) },
		})
	}
	cmd.AddCommand(newArchiveList(g))
	return cmd
}

// archiveWork has long work done and shows how far it is.
func (g *global) archiveWork(ctx context.Context, week, action string) error {
	c, err := g.client()
	if err != nil {
		return err
	}
	var shown *progress
	var at client.ArchiveStep
	end := func(done bool) {
		if shown != nil {
			shown.end(done)
		}
	}
	err = c.ArchiveWeek(ctx, week, action, func(s client.ArchiveStep) {
		if shown == nil || s.Step != at.Step || s.Revision != at.Revision {
			end(true)
			shown = g.newProgress(fmt.Sprintf("%s %s, revision %d", s.Step, week, s.Revision), s.Total, false)
		}
		at = s
		shown.set(s.Done, fmt.Sprintf("%s samples, %s", output.Thousands(s.Done), output.Bytes(s.Bytes)))
	})
	end(err == nil)
	if err != nil {
		return err
	}
	return g.listArchives(ctx, week)
}

func newArchiveList(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the weeks and their archives",
		Long: `List the revisions of all weeks, their states, and what their archives hold:
rows, bytes, and bytes a sample. ENDS is when a dropped week's archive is removed, by
retention.archives of the config; a week whose state is ended reads as empty.`,
		Example: "  weir archive list\n  weir archive list --output json",
		Args:    arguments(cobra.NoArgs, "no arguments"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return g.listArchives(cmd.Context(), "") },
	}
}

// listArchives prints what is known of a week, or of all.
func (g *global) listArchives(ctx context.Context, week string) error {
	c, err := g.client()
	if err != nil {
		return err
	}
	archives, err := c.Archives(ctx)
	if err != nil {
		return err
	}
	list := &output.Table{
		Columns: []output.Column{
			{Name: "week"}, {Name: "revision", Right: true}, {Name: "state"},
			{Name: "rows", Right: true, Show: output.Thousands}, {Name: "bytes", Right: true, Show: output.Bytes},
			{Name: "bytes_per_sample", Title: "B/SAMPLE", Right: true, Show: func(cell any) string { return fmt.Sprintf("%.2f", cell) }},
			{Name: "ends", Show: func(cell any) string { return cell.(string)[:len(time.DateOnly)] }},
			{Name: "manifest"},
		},
		Empty: "no weeks: nothing has been stored yet",
	}
	for _, a := range archives {
		if week != "" && a.Week != week {
			continue
		}
		var each any
		if a.BytesPerSample != nil {
			each = *a.BytesPerSample
		}
		var ends any
		if len(a.Ends) >= len(time.DateOnly) {
			ends = a.Ends
		}
		list.Rows = append(list.Rows, []any{a.Week, a.Revision, a.State, a.Rows, a.Bytes, each, ends, a.Manifest})
	}
	return g.print(list)
}

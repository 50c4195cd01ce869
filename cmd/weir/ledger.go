package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"weir/internal/client"
	"weir/internal/output"
)

func newLedger(g *global) *cobra.Command {
	var start, end string
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Prove what became of every accepted sample",
		Long: `Show what became of the samples that were accepted in a range of time, by the
time of their acceptance:

  accepted = stored + in flight + dead-lettered + quarantined

The range is widened to whole flushes, and the answer says to what. Rejected
samples were refused in the answer and are counted apart. What a gateway that
crashed may have accepted last is unproven until the queue holds nothing as
old. A sample that a client sent twice was accepted twice; the second
overwrites the first.`,
		Example: `  weir ledger
  weir ledger --start -1h
  weir ledger --start 2026-01-05 --end 2026-01-12 --output json`,
		Args: arguments(cobra.NoArgs, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			from, to, err := g.rangeOf(start, end)
			if err != nil {
				return err
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			l, err := c.Ledger(cmd.Context(), from, to)
			if err != nil {
				return err
			}
			if g.format != output.FormatTable {
				return g.print(ledgerTotals(l))
			}
			return g.showLedger(l)
		},
	}
	addRange(cmd, &start, &end, "the first there is", "now")
	return cmd
}

// ledgerTotals is the ledger as one row, for other programs.
func ledgerTotals(l client.Ledger) *output.Table {
	list := &output.Table{}
	for _, name := range []string{
		"start", "end", "accepted", "stored", "in_flight", "dead_lettered", "quarantined",
		"rejected", "unproven", "balanced", "overwritten", "erased",
	} {
		list.Columns = append(list.Columns, output.Column{Name: name})
	}
	list.Rows = [][]any{{
		orZero(l.Start), orZero(l.End), l.Accepted, l.Stored, l.InFlight, l.DeadLettered, l.Quarantined,
		l.Rejected, l.Unproven, l.Balanced, l.Overwritten, l.Erased,
	}}
	return list
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// showLedger shows the lives, and below them the equation of all.
func (g *global) showLedger(l client.Ledger) error {
	number := func(name string) output.Column {
		return output.Column{Name: name, Right: true, Show: output.Thousands}
	}
	list := &output.Table{
		Columns: []output.Column{
			{Name: "life"}, {Name: "queue", Right: true}, {Name: "instance"}, {Name: "state"},
			number("accepted"), number("stored"), number("in_flight"), number("dead_lettered"), number("quarantined"), {Name: "proof"},
		},
		Empty: "no gateway has lived in that range",
	}
	for _, life := range l.Lives {
		proof := "✓"
		if life.Unproven != "" {
			proof = "unproven"
		}
		list.Rows = append(list.Rows, []any{
			life.Life[:min(8, len(life.Life))], life.Queue, life.Instance, life.State,
			life.Accepted, life.Stored, life.InFlight, life.DeadLettered, life.Quarantined, proof,
		})
	}
	if err := g.print(list); err != nil {
		return err
	}
	return writeEquation(g.out, l)
}

func writeEquation(w io.Writer, l client.Ledger) error {
	n := func(v int64) string { return output.Thousands(v) }
	mark := "✓"
	switch sum := l.Stored + l.InFlight + l.DeadLettered + l.Quarantined; {
	case !l.Balanced && sum != l.Accepted:
		mark = fmt.Sprintf("✗ it differs by %s", n(l.Accepted-sum))
	case !l.Balanced:
		mark = "✗ not proven"
	}
	_, err := fmt.Fprintf(w, `
accepted %s = stored %s + in flight %s + dead-lettered %s + quarantined %s  %s
accepted from %s to %s; rejected %s (refused in the answer); overwritten duplicates %s
`, n(l.Accepted), n(l.Stored), n(l.InFlight), n(l.DeadLettered), n(l.Quarantined), mark,
		rangeEnd(l.Start, "the first"), rangeEnd(l.End, "now"), n(l.Rejected), n(l.Overwritten))
	if err != nil {
		return err
	}
	if l.Erased > 0 {
		if _, err := fmt.Fprintf(w, "of all that is stored, erased since: %s\n", n(l.Erased)); err != nil {
			return err
		}
	}
	if l.Unproven > 0 {
		if _, err := fmt.Fprintf(w, "unproven: %s\n", n(l.Unproven)); err != nil {
			return err
		}
	}
	for _, life := range l.Lives {
		if life.Unproven == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "unproven, life %s in queue %d: %s\n", life.Life[:min(8, len(life.Life))], life.Queue, life.Unproven); err != nil {
			return err
		}
	}
	return nil
}

func rangeEnd(t *time.Time, open string) string {
	if t == nil {
		return open
	}
	return t.UTC().Format(time.RFC3339)
}

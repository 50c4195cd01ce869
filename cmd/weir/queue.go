package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"weir/internal/client"
	"weir/internal/output"
)

func newQueue(g *global) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "queue",
		Short: "Look into the buffer's queues and their dead letters",
		Long: `Look into the buffer's queues, and at the dead letters: messages whose handling
failed again and again. A redriven message goes back into its queue as it was,
and is stored once, whatever was done with it before.`,
		Example: `  weir queue list
  weir queue dead-letters
  weir queue redrive --all`,
	}
	asGroup(cmd)
	cmd.AddCommand(newQueueList(g), newDeadLetters(g), newRedrive(g))
	return cmd
}

func newQueueList(g *global) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the queues: what waits, and since when",
		Long:    "List the queues: the messages that wait or are being handled, their bytes, the oldest, and the dead letters.",
		Example: "  weir queue list --output json",
		Args:    arguments(cobra.NoArgs, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			queues, err := c.Queues(cmd.Context())
			if err != nil {
				return err
			}
			number := func(name string) output.Column {
				return output.Column{Name: name, Right: true, Show: output.Thousands}
			}
			list := &output.Table{Columns: []output.Column{
				{Name: "queue", Right: true}, number("messages"), number("in_flight"),
				{Name: "bytes", Right: true, Show: output.Bytes}, {Name: "oldest"}, number("dead_letters"),
			}}
			for _, q := range queues {
				list.Rows = append(list.Rows, []any{q.Queue, q.Messages, q.InFlight, q.Bytes, orZero(q.Oldest), q.DeadLetters})
			}
			return g.print(list)
		},
	}
}

// pageOfLetters is how many dead letters are asked for at once.
const pageOfLetters = 500

// letters calls yield for each dead letter of a queue, or of all with -1.
func letters(ctx context.Context, c *client.Client, queue int, yield func(client.DeadLetter) error) error {
	queues, err := queueNumbers(ctx, c, queue)
	if err != nil {
		return err
	}
	for _, q := range queues {
		for after := ""; ; {
			page, err := c.DeadLetters(ctx, q, after, pageOfLetters)
			if err != nil {
				return err
			}
			for _, l := range page {
				if err := yield(l); err != nil {
					return err
				}
				after = l.ID
			}
			if len(page) < pageOfLetters {
				break
			}
		}
	}
	return nil
}

func queueNumbers(ctx context.Context, c *client.Client, queue int) ([]int, error) {
	if queue >= 0 {
		return []int{queue}, nil
	}
	queues, err := c.Queues(ctx)
	var numbers []int
	for _, q := range queues {
		numbers = append(numbers, q.Queue)
	}
	return numbers, err
}

func newDeadLetters(g *global) *cobra.Command {
	var queue, most int
	cmd := &cobra.Command{
		Use:     "dead-letters",
		Aliases: []string{"dead"},
		Short:   "List messages whose handling failed again and again, and why",
		Long: `List the dead letters: which message of which gateway life each is, how many
samples of which week it holds, and why its handling failed.`,
		Example: "  weir queue dead-letters --queue 0",
		Args:    arguments(cobra.NoArgs, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			list := &output.Table{
				Columns: []output.Column{
					{Name: "queue", Right: true}, {Name: "id"}, {Name: "buried"}, {Name: "week"},
					{Name: "samples", Right: true, Show: output.Thousands}, {Name: "bytes", Right: true, Show: output.Bytes},
					{Name: "life"}, {Name: "number", Right: true}, {Name: "reason"},
				},
				Empty: "no dead letters",
			}
			err = letters(cmd.Context(), c, queue, func(l client.DeadLetter) error {
				if most > 0 && len(list.Rows) == most {
					return errEnough
				}
				list.Rows = append(list.Rows, []any{l.Queue, l.ID, l.Buried, l.Week, l.Samples, l.Bytes, l.Life, l.Number, l.Reason})
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
				fmt.Fprintf(g.err, "only the first %d are shown: --max shows more\n", most)
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&queue, "queue", -1, "the queue; -1 means all")
	cmd.Flags().IntVar(&most, "max", 1000, "dead letters, at most; 0 means all")
	return cmd
}

func newRedrive(g *global) *cobra.Command {
	var queue int
	var all bool
	cmd := &cobra.Command{
		Use:   "redrive [ID...]",
		Short: "Put dead letters back into their queue",
		Long: `Put dead letters back into their queue, those of the given ids or --all. They go
back as they were, so one that was stored after all is not stored again.`,
		Example: `  weir queue redrive --all
  weir queue redrive --queue 1 18`,
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case all == (len(args) > 0):
				return usagef("name dead letters by their id, or give --all; `weir queue dead-letters` lists them")
			case !all && queue < 0:
				return usagef("--queue says which queue's the ids are")
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			redriven := 0
			if all {
				redriven, err = redriveAll(cmd.Context(), c, queue)
			}
			for _, id := range args {
				if err = c.Redrive(cmd.Context(), queue, id); err != nil {
					err = fmt.Errorf("dead letter %s: %w", id, err)
					break
				}
				redriven++
			}
			if redriven == 0 && err != nil {
				return err
			}
			return errors.Join(err, g.sayRedriven(redriven))
		},
	}
	cmd.Flags().IntVar(&queue, "queue", -1, "the queue; with --all, -1 means every one")
	cmd.Flags().BoolVar(&all, "all", false, "all dead letters")
	return cmd
}

func (g *global) sayRedriven(n int) error {
	if g.format == output.FormatTable {
		_, err := fmt.Fprintln(g.out, "redriven: "+strconv.Itoa(n))
		return err
	}
	return g.print(&output.Table{Columns: []output.Column{{Name: "redriven"}}, Rows: [][]any{{n}}})
}

func redriveAll(ctx context.Context, c *client.Client, queue int) (int, error) {
	queues, err := queueNumbers(ctx, c, queue)
	sum := 0
	for _, q := range queues {
		n, err := c.RedriveAll(ctx, q)
		sum += n
		if err != nil {
			return sum, fmt.Errorf("queue %d: %w", q, err)
		}
	}
	return sum, err
}

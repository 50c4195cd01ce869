package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weir/internal/app"
	"weir/internal/client"
	"weir/internal/output"
)

// runPoll is how often a run is looked at that is waited for.
const runPoll = 200 * time.Millisecond

func newPipelineRun(g *global) *cobra.Command {
	var window string
	var wait bool
	cmd := &cobra.Command{
		Use:   "run FILE --window START/END",
		Short: "Run a definition over a window now",
		Long: `Run a definition over a window now, and wait until the run is done. What was
acknowledged before is read. Interrupted, only the waiting ends: the run goes on
with the server, also over a restart.

Asked for again with the same definition, it is the same run: one that is done
stays so, one that failed goes on, and one that is stale is followed by its next
revision.`,
		Example: "  weir pipeline run rollup.yaml --window 2026-01-05/2026-01-06\n  weir pipeline run rollup.yaml --window -1d/now --wait=false",
		Args:    arguments(cobra.ExactArgs(1), "one file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := definitionOf(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			name, err := app.CheckPipeline(args[0], text)
			if err != nil {
				return err
			}
			k := client.RunKey{Pipeline: name}
			if k.Start, k.End, err = windowOf(window); err != nil {
				return err
			}
			return g.follow(cmd.Context(), wait, func(ctx context.Context, c *client.Client) (client.Run, error) { return c.RunPipeline(ctx, k, text) })
		},
	}
	windowFlag(cmd, &window)
	cmd.Flags().BoolVar(&wait, "wait", true, "wait until the run is done")
	return cmd
}

// keyFlags adds the flags that name a run.
func keyFlags(cmd *cobra.Command, window *string, revision *int) {
	windowFlag(cmd, window)
	cmd.Flags().IntVar(revision, "revision", -1, "of the run; the newest if it is not given")
}

// keyOf finds the run that is meant.
func (g *global) keyOf(ctx context.Context, c *client.Client, pipeline, window string, revision int) (client.RunKey, error) {
	k := client.RunKey{Pipeline: pipeline, Revision: revision}
	var err error
	if k.Start, k.End, err = windowOf(window); err != nil || revision >= 0 {
		return k, err
	}
	runs, err := c.Runs(ctx, pipeline, "", 0)
	if err != nil {
		return k, err
	}
	for _, r := range runs { // a window's newest revision first
		if sameTime(r.Start, k.Start) && sameTime(r.End, k.End) {
			return r.RunKey, nil
		}
	}
	return k, fmt.Errorf("pipeline %s has no run over %s: see weir pipeline status %s", pipeline, window, pipeline)
}

// onRun finds the run that is meant and does something with it.
func (g *global) onRun(
	ctx context.Context, pipeline, window string, revision int, do func(*client.Client, context.Context, client.RunKey) (client.Run, error),
) (client.Run, error) {
	c, err := g.client()
	if err != nil {
		return client.Run{}, err
	}
	k, err := g.keyOf(ctx, c, pipeline, window, revision)
	if err != nil {
		return client.Run{}, err
	}
	return do(c, ctx, k)
}

func sameTime(a, b string) bool {
	x, errX := time.Parse(time.RFC3339Nano, a)
	y, errY := time.Parse(time.RFC3339Nano, b)
	return errX == nil && errY == nil && x.Equal(y)
}

func newPipelineRerun(g *global) *cobra.Command {
	var window string
	var revision int
	var wait bool
	cmd := &cobra.Command{
		Use:   "rerun PIPELINE --window START/END",
		Short: "Run a window once more",
		Long: `Run a window once more. A run that is done is followed by its next revision, which
reads what has come since; one that failed goes on from the steps that are not
done.`,
		Example: "  weir pipeline rerun rollup --window 2026-01-05/2026-01-06",
		Args:    arguments(cobra.ExactArgs(1), "one pipeline"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.follow(cmd.Context(), wait, func(ctx context.Context, c *client.Client) (client.Run, error) {
				k, err := g.keyOf(ctx, c, args[0], window, revision)
				if err != nil {
					return client.Run{}, err
				}
				return c.RerunPipeline(ctx, k)
			})
		},
	}
	keyFlags(cmd, &window, &revision)
	cmd.Flags().BoolVar(&wait, "wait", true, "wait until the run is done")
	return cmd
}

func newPipelineCancel(g *global) *cobra.Command {
	var window string
	var revision int
	cmd := &cobra.Command{
		Use: "cancel PIPELINE --window START/END", Short: "End a run that is not finished",
		Long:    "End a run that is not finished. What its steps have done stays; rerun lets it go on.",
		Example: "  weir pipeline cancel rollup --window 2026-01-05/2026-01-06",
		Args:    arguments(cobra.ExactArgs(1), "one pipeline"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := g.onRun(cmd.Context(), args[0], window, revision, (*client.Client).CancelRun)
			if err != nil {
				return err
			}
			return g.printRuns([]client.Run{r})
		},
	}
	keyFlags(cmd, &window, &revision)
	return cmd
}

func newPipelineBackfill(g *global) *cobra.Command {
	var window string
	cmd := &cobra.Command{
		Use:   "backfill PIPELINE --window START/END",
		Short: "Run the windows of the schedule that lie in the past",
		Long: `Run the windows of a pipeline's schedule within a range, oldest first, as many at
once as the definition says. Those that have a run already are left alone.`,
		Example: "  weir pipeline backfill rollup --window 2026-01-01/2026-02-01",
		Args:    arguments(cobra.ExactArgs(1), "one pipeline"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			k := client.RunKey{Pipeline: args[0]}
			if k.Start, k.End, err = windowOf(window); err != nil {
				return err
			}
			if k, err = c.BackfillPipeline(cmd.Context(), k); err != nil {
				return err
			}
			fmt.Fprintf(g.out, "windows from %s to %s are asked for; see weir pipeline status %s\n", k.Start, k.End, args[0])
			return nil
		},
	}
	windowFlag(cmd, &window)
	return cmd
}

func runStates() []string { return []string{"waiting", "running", "done", "failed", "cancelled"} }

func newPipelineStatus(g *global) *cobra.Command {
	var state string
	var limit int
	cmd := &cobra.Command{
		Use:   "status [PIPELINE]",
		Short: "List runs",
		Long: `List runs, those of the newest windows first: of one pipeline, or of all. A run is
stale when samples of its window came after it had read them.`,
		Example: "  weir pipeline status\n  weir pipeline status rollup --state failed\n  weir pipeline status --output json",
		Args:    arguments(cobra.MaximumNArgs(1), "one pipeline, or none"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if state != "" && !slices.Contains(runStates(), state) {
				return usagef("--state %q: give one of %s", state, strings.Join(runStates(), ", "))
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			runs, err := c.Runs(cmd.Context(), strings.Join(args, ""), state, limit)
			if err != nil {
				return err
			}
			return g.printRuns(runs)
		},
	}
	cmd.Flags().StringVar(&state, "state", "", "only those that are "+strings.Join(runStates(), ", "))
	completeFlag(cmd, "state", choices(runStates()...))
	cmd.Flags().IntVar(&limit, "limit", 0, "how many at most; 0: a thousand")
	return cmd
}

func newPipelineLogs(g *global) *cobra.Command {
	var window string
	var revision int
	cmd := &cobra.Command{
		Use: "logs PIPELINE --window START/END", Short: "Show what happened to a run",
		Long:    "Show what happened to a run, oldest first.",
		Example: "  weir pipeline logs rollup --window 2026-01-05/2026-01-06",
		Args:    arguments(cobra.ExactArgs(1), "one pipeline"),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := g.onRun(cmd.Context(), args[0], window, revision, (*client.Client).Run)
			if err != nil {
				return err
			}
			t := &output.Table{Columns: []output.Column{{Name: "at"}, {Name: "step"}, {Name: "text"}}, Empty: "nothing happened yet"}
			for _, e := range r.Events {
				t.Rows = append(t.Rows, []any{e.At, e.Step, e.Text})
			}
			return g.print(t)
		},
	}
	keyFlags(cmd, &window, &revision)
	return cmd
}

// follow asks for a run and waits until it is finished, telling its steps.
func (g *global) follow(ctx context.Context, wait bool, ask func(context.Context, *client.Client) (client.Run, error)) error {
	c, err := g.client()
	if err != nil {
		return err
	}
	r, err := ask(ctx, c)
	if err != nil {
		return err
	}
	told := map[string]bool{}
	if r.Finished() || slices.ContainsFunc(r.Events, func(e client.RunEvent) bool { return e.Text == goesOn }) {
		for _, s := range r.Steps {
			told[s.Name+": done"] = s.State == "done" // by whoever asked before
		}
	}
	for wait {
		for _, s := range r.Steps {
			line := s.Name + ": " + s.State
			if s.Error != "" {
				line += ": " + firstLine(s.Error)
			}
			if s.State != "waiting" && !told[line] {
				told[line] = true
				fmt.Fprintln(g.err, line)
			}
		}
		if r.Finished() {
			break
		}
		select {
		case <-time.After(runPoll):
		case <-ctx.Done():
			return errors.New("interrupted; the run goes on, see weir pipeline status")
		}
		if r, err = c.Run(ctx, r.RunKey); err != nil {
			return err
		}
	}
	if err := g.printRuns([]client.Run{r}); err != nil {
		return err
	}
	if wait && r.State != "done" {
		return fmt.Errorf("the run is %s: %s; see weir pipeline logs %s --window %s/%s", r.State, firstLine(r.Error), r.Pipeline, r.Start, r.End)
	}
	return nil
}

// goesOn is what a run's log says where it goes on from the steps that are not done.
const goesOn = "goes on"

// firstLine gives the first line of an error, and that there are more: the run's log
// has them.
func firstLine(cell any) string {
	text := fmt.Sprint(cell)
	if line, _, more := strings.Cut(text, "\n"); more {
		return strings.TrimSpace(line) + " …"
	}
	return text
}

func (g *global) printRuns(runs []client.Run) error {
	t := &output.Table{
		Columns: []output.Column{
			{Name: "pipeline"}, {Name: "window_start"}, {Name: "window_end"}, {Name: "revision", Right: true}, {Name: "state"}, {Name: "stale"},
			{Name: "attempts", Right: true}, {Name: "why"}, {Name: "started"}, {Name: "ended"}, {Name: "error", Show: firstLine},
		},
		Empty: "no runs yet",
	}
	for _, r := range runs {
		t.Rows = append(t.Rows, []any{r.Pipeline, r.Start, r.End, r.Revision, r.State, r.Stale, r.Attempts, r.Why, r.Started, r.Ended, r.Error})
	}
	return g.print(t)
}

func newTask(g *global) *cobra.Command {
	var window, pipeline, step, attempt string
	var revision int
	cmd := &cobra.Command{
		Use:   "task --pipeline P --window START/END --revision N --step S --attempt A",
		Short: "Carry out one step of a run by hand",
		Long: `Carry out one attempt of one step of a run: the command line that plans and logs
show. The steps before it must be done. What the first attempt gives that succeeds
counts; it may be carried out again without harm.`,
		Example: "  weir task --pipeline rollup --window 2026-01-05/2026-01-06 --revision 0 --step load --attempt by-hand",
		Args:    arguments(cobra.NoArgs, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			for name, value := range map[string]string{"pipeline": pipeline, "step": step, "attempt": attempt} {
				if value == "" {
					return usagef("give --%s", name)
				}
			}
			c, err := g.client()
			if err != nil {
				return err
			}
			k, err := g.keyOf(cmd.Context(), c, pipeline, window, revision)
			if err != nil {
				return err
			}
			out, err := c.Task(cmd.Context(), k, step, attempt)
			if err != nil {
				return err
			}
			fmt.Fprintln(g.out, string(out))
			return nil
		},
	}
	keyFlags(cmd, &window, &revision)
	cmd.Flags().StringVar(&pipeline, "pipeline", "", "whose run it is")
	cmd.Flags().StringVar(&step, "step", "", "which is carried out")
	cmd.Flags().StringVar(&attempt, "attempt", "", "a name that no other attempt has: letters, digits and '-'")
	return cmd
}

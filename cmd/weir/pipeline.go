package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weir/internal/app"
	"weir/internal/client"
	"weir/internal/output"
)

func newPipeline(g *global) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pipeline",
		Short: "Run pipelines: by hand, and on schedule",
		Long: `Run pipelines: what is done with samples, by hand and on schedule. A definition is
a YAML file: a schedule, and steps that analyse, load into the warehouse, export
and archive. Each run is over a window of time, and reads what was committed when
it began; what comes later marks it stale.`,
		Example: `  weir pipeline validate rollup.yaml
  weir pipeline run rollup.yaml --window 2026-01-05T00:00:00Z/2026-01-06T00:00:00Z
  weir pipeline apply rollup.yaml
  weir pipeline status`,
	}
	asGroup(cmd)
	cmd.AddCommand(
		newPipelineValidate(g), newPipelinePlan(g), newPipelineApply(g), newPipelineList(g), newPipelineRun(g),
		newPipelineBackfill(g), newPipelineRerun(g), newPipelineCancel(g), newPipelinePause(g, true), newPipelinePause(g, false),
		newPipelineStatus(g), newPipelineLogs(g),
	)
	return cmd
}

// definitionOf reads a definition, - being standard input.
func definitionOf(in io.Reader, file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(in)
	}
	return os.ReadFile(file)
}

func newPipelineValidate(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE...",
		Short: "Check definitions",
		Long: `Check definitions, each wholly: all that is wrong is told, with line and column,
and how to mend it. Of several it is also told where they load the same series into one
table. No server is asked.`,
		Example: "  weir pipeline validate pipelines/*.yaml",
		Args:    arguments(cobra.MinimumNArgs(1), "one file or more"),
		RunE: func(cmd *cobra.Command, files []string) error {
			bad, texts := 0, map[string][]byte{}
			for _, file := range files {
				text, err := definitionOf(cmd.InOrStdin(), file)
				name := ""
				if err == nil {
					texts[file] = text
					name, err = app.CheckPipeline(file, text)
				}
				if err != nil {
					fmt.Fprintln(cmd.ErrOrStderr(), err)
					bad++
					continue
				}
				fmt.Fprintf(g.out, "%s: pipeline %s is valid\n", file, name)
			}
			warnings := app.PipelineWarnings(texts)
			for _, file := range files {
				warn(cmd.ErrOrStderr(), file, warnings[file])
				delete(warnings, file)
			}
			if bad > 0 {
				return fmt.Errorf("%d of %d definitions are wrong", bad, len(files))
			}
			return nil
		},
	}
}

// warn tells what is to be known of a file, though it is not wrong.
func warn(out io.Writer, file string, warnings []string) {
	for _, text := range warnings {
		fmt.Fprintf(out, "%s: warning: %s\n", file, text)
	}
}

func newPipelinePlan(g *global) *cobra.Command {
	var window string
	cmd := &cobra.Command{
		Use:   "plan FILE --window START/END",
		Short: "Show what a run would do",
		Long: `Show what a run over a window would do: its steps, what each waits for, and the
command line that carries it out. No server is asked.`,
		Example: "  weir pipeline plan rollup.yaml --window 2026-01-05/2026-01-06",
		Args:    arguments(cobra.ExactArgs(1), "one file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := definitionOf(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			start, end, err := windowOf(window)
			if err != nil {
				return err
			}
			picture, err := app.PlanPipeline(args[0], text, start+"/"+end)
			if err != nil {
				return err
			}
			fmt.Fprint(g.out, picture)
			return nil
		},
	}
	windowFlag(cmd, &window)
	return cmd
}

func newPipelineApply(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "apply FILE...",
		Short: "Store definitions and schedule them",
		Long: `Store definitions and schedule them. A definition takes the place of the one of the
same name; runs that have begun go on as they began.`,
		Example: "  weir pipeline apply rollup.yaml",
		Args:    arguments(cobra.MinimumNArgs(1), "one file or more"),
		RunE: func(cmd *cobra.Command, files []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			var list []client.Pipeline
			for _, file := range files {
				text, err := definitionOf(cmd.InOrStdin(), file)
				if err != nil {
					return err
				}
				p, err := c.ApplyPipeline(cmd.Context(), file, text)
				if err != nil {
					return err
				}
				warn(cmd.ErrOrStderr(), file, p.Warnings)
				list = append(list, p)
			}
			return g.printPipelines(list)
		},
	}
}

func newPipelineList(g *global) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the pipelines", Long: "List the pipelines, and when each runs next.",
		Example: "  weir pipeline list",
		Args:    arguments(cobra.NoArgs, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			list, err := c.Pipelines(cmd.Context())
			if err != nil {
				return err
			}
			return g.printPipelines(list)
		},
	}
}

func newPipelinePause(g *global, pause bool) *cobra.Command {
	cmd := &cobra.Command{
		Use: "resume PIPELINE", Short: "Let a pipeline go on", Example: "  weir pipeline resume rollup",
		Long: "Let a pipeline go on. What its ticks missed is made up as the definition says.",
		Args: arguments(cobra.ExactArgs(1), "one pipeline"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := g.client()
			if err != nil {
				return err
			}
			p, err := c.PausePipeline(cmd.Context(), args[0], pause)
			if err != nil {
				return err
			}
			return g.printPipelines([]client.Pipeline{p})
		},
	}
	if pause {
		cmd.Use, cmd.Short, cmd.Example = "pause PIPELINE", "Keep a pipeline's runs from beginning", "  weir pipeline pause rollup"
		cmd.Long = "Keep a pipeline's runs from beginning. Those that have begun go on."
	}
	return cmd
}

func (g *global) printPipelines(list []client.Pipeline) error {
	t := &output.Table{
		Columns: []output.Column{
			{Name: "pipeline"}, {Name: "scheduled"}, {Name: "paused"}, {Name: "open", Right: true}, {Name: "asked", Title: "WAITING", Right: true},
			{Name: "next"}, {Name: "error", Show: firstLine},
		},
		Empty: "no pipelines: store one with \"weir pipeline apply FILE\"",
	}
	for _, p := range list {
		t.Rows = append(t.Rows, []any{p.Name, p.Scheduled, p.Paused, p.Open, p.Asked, p.Next, p.Error})
	}
	return g.print(t)
}

// windowFlag adds --window.
func windowFlag(cmd *cobra.Command, window *string) {
	cmd.Flags().StringVar(window, "window", "", "START/END, as 2026-01-05T00:00:00Z/2026-01-06T00:00:00Z, or two dates, or times such as -1d/now")
	completeFlag(cmd, "window", cobra.NoFileCompletions)
}

// windowOf reads --window.
func windowOf(text string) (start, end string, err error) {
	from, to, ok := strings.Cut(text, "/")
	if !ok {
		return "", "", usagef("--window %q: give START/END, as 2026-01-05T00:00:00Z/2026-01-06T00:00:00Z", text)
	}
	now := time.Now()
	first, err := parseTime("window", from, now)
	if err != nil {
		return "", "", err
	}
	last, err := parseTime("window", to, now)
	if err != nil {
		return "", "", err
	}
	if !first.Before(last) {
		return "", "", usagef("--window %q: its end is not behind its start", text)
	}
	return first.Format(time.RFC3339Nano), last.Format(time.RFC3339Nano), nil
}

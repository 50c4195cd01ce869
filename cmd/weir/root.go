package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weir/internal/client"
	"weir/internal/output"
)

// deps is what commands have of the process, so that tests can stand in.
type deps struct {
	out, err io.Writer
	getenv   func(string) string
	now      func() time.Time
	detect   func(io.Writer) output.Terminal
	version  string
}

func processDeps() deps {
	return deps{
		out: os.Stdout, err: os.Stderr, getenv: os.Getenv, now: time.Now,
		detect:  func(w io.Writer) output.Terminal { return output.Detect(w, os.Getenv) },
		version: buildVersion(),
	}
}

func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version, revision := info.Main.Version, ""
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = " " + s.Value[:min(12, len(s.Value))]
		}
	}
	if version == "" {
		version = "(devel)"
	}
	return version + revision
}

// defaultServer is where `weir up` listens if nothing else is said.
const defaultServer = "http://127.0.0.1:8480"

// global holds the flags that every command has.
type global struct {
	deps
	server string
	output string
	format output.Format // of the flag output, once it is checked
}

// newRoot makes the whole command line. The extra commands are those that
// run a server.
func newRoot(d deps, extra ...*cobra.Command) *cobra.Command {
	g := &global{deps: d}
	root := &cobra.Command{
		Use:   "weir",
		Short: "A time-series system that proves what became of every sample",
		Long: `Weir takes the samples that devices send, steadies them in a durable buffer,
stores them by week, and answers queries; its ledger proves what became of
every sample it accepted.

Start a server with "weir up"; the other commands reach a running one, at
--server or in WEIR_SERVER.`,
		Example: `  weir up                                  # serve on ` + defaultServer + `
  weir simulate power-meters --for 1h      # send it an hour of 1,000 meters
  weir query 'energy_kwh{meter="m000001"}' --start -2h --chart
  weir ledger                              # what became of every sample`,
		Version:       d.version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	asGroup(root)
	root.SetOut(d.out)
	root.SetErr(d.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	server := d.getenv("WEIR_SERVER")
	if server == "" {
		server = defaultServer
	}
	root.PersistentFlags().StringVar(&g.server, "server", server, "URL of the running instance (WEIR_SERVER)")
	root.PersistentFlags().StringVar(&g.output, "output", "table", "how lists are written: "+strings.Join(output.Formats(), ", "))
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return g.checkOutput() }
	completeFlag(root, "output", choices(output.Formats()...))

	root.AddCommand(
		newSimulate(g), newIngest(g), newQuery(g), newSQL(g), newTail(g), newSeries(g), newWeeks(g), newArchive(g), newErase(g),
		newPipeline(g), newTask(g), newBackup(g),
		newLedger(g), newQueue(g), newQuarantine(g),
	)
	root.AddCommand(extra...)
	markUsage(root)
	return root
}

// markUsage makes what a command says of its arguments a usage error.
func markUsage(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			var usage *usageError
			if err == nil || errors.As(err, &usage) {
				return err
			}
			return &usageError{err}
		}
	}
	for _, child := range cmd.Commands() {
		markUsage(child)
	}
}

func (g *global) checkOutput() error {
	format, err := output.ParseFormat(g.output)
	if err != nil {
		return usagef("--output: %w", err)
	}
	g.format = format
	return nil
}

// client makes the client of the instance that is meant.
func (g *global) client() (*client.Client, error) {
	c, err := client.New(g.server, nil)
	if err != nil {
		return nil, usagef("%w", err)
	}
	return c, nil
}

// writer is like client, for that many requests at once.
func (g *global) writer(connections int) (*client.Client, error) {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: connections, IdleConnTimeout: time.Minute,
	}
	c, err := client.New(g.server, &http.Client{Transport: transport})
	if err != nil {
		return nil, usagef("%w", err)
	}
	return c, nil
}

// print writes a list in the form that was asked for.
func (g *global) print(t *output.Table) error { return t.Write(g.out, g.format, g.detect(g.out)) }

// usageError marks what is wrong with the command line itself.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// arguments makes a check of the number of arguments a usage error.
func arguments(check cobra.PositionalArgs, need string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return usagef("%s takes %s, but %d were given", cmd.CommandPath(), need, len(args))
		}
		return nil
	}
}

// asGroup makes a command that only holds others say so.
func asGroup(cmd *cobra.Command) {
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		hint := ""
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			hint = fmt.Sprintf("; did you mean %s?", strings.Join(near, " or "))
		}
		return usagef("%s has no command %q%s", cmd.CommandPath(), args[0], hint)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.SuggestionsMinimumDistance = 2
}

// execute runs a command line and gives the process's exit code.
func execute(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	var usage *usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(root.ErrOrStderr(), "weir: %v\nSee \"%s --help\".\n", err, cmd.CommandPath())
		return 2
	}
	if errors.Is(err, context.Canceled) {
		err = errors.New("interrupted")
	}
	fmt.Fprintf(root.ErrOrStderr(), "weir: %v\n", err)
	return 1
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"weir/internal/app"
)

// serverFlags are those of the commands that open a data folder.
type serverFlags struct {
	config, data, http string
	set                []string
}

func (f *serverFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.config, "config", "", "config file (default "+app.DefaultFile+" if it is there)")
	c.Flags().StringVar(&f.data, "data", "", "folder that holds all data (config: data)")
	c.Flags().StringArrayVar(&f.set, "set", nil, "set a key of the config, such as worker.flush_age=5s; may be repeated")
}

func (f *serverFlags) load() (app.Config, error) {
	c, err := app.Load(f.config, f.set)
	if err != nil {
		return c, err
	}
	if f.data != "" {
		c.Data = f.data
	}
	if f.http != "" {
		c.HTTP.Address = f.http
	}
	return c, c.Validate()
}

func newUp(d deps) *cobra.Command {
	var f serverFlags
	c := &cobra.Command{
		Use:   "up",
		Short: "Serve: intake, buffer, workers, store and query in one process",
		Long: `Serves all roles of the embedded profile in one process, on one data folder,
until SIGTERM or Ctrl-C; then it finishes requests, commits what is buffered
and ends.

Everything that was answered 204 is on disk. A lost disk is lost data, and the
data is not encrypted: that is the disk's to do.`,
		Example: `  weir up
  weir up --data /var/lib/weir --http 0.0.0.0:8480
  weir up --set worker.flush_age=30s --set log.level=debug`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := f.load()
			if err != nil {
				return &usageError{err}
			}
			logger, err := config.Log.Logger(d.err)
			if err != nil {
				return &usageError{err}
			}
			a, err := app.Open(c.Context(), config, d.version, logger)
			if err != nil {
				return err
			}
			return errors.Join(a.Run(c.Context()), a.Close())
		},
	}
	f.add(c)
	c.Flags().StringVar(&f.http, "http", "", "where to listen (config: http.address)")
	return c
}

func newConfig(d deps) *cobra.Command {
	var f serverFlags
	c := &cobra.Command{
		Use:     "config",
		Short:   "Show every key of the config with its value and meaning",
		Example: "  weir config > weir.yaml",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			config, err := f.load()
			if err != nil {
				return &usageError{err}
			}
			return config.Write(d.out)
		},
	}
	f.add(c)
	return c
}

func newDoctor(d deps) *cobra.Command {
	var f serverFlags
	var items bool
	var aside string
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Check a data folder that no instance is running on",
		Long: `Opens a data folder, reads every journal to its end and every item that a
journal names, and says what it found. Nothing is changed. With --items it
writes every stored sample as a JSON line, as written, for an audit. With
--set-aside it moves a table that is damaged to store/damaged, whole; its name
stays taken until the week is dropped.`,
		Example: `  weir doctor --data weir-data
  weir doctor --data weir-data --items > samples.jsonl`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			config, err := f.load()
			if err != nil {
				return &usageError{err}
			}
			if _, err := os.Stat(config.Data); err != nil {
				return fmt.Errorf("no data folder to check: %w; name it with --data", err)
			}
			a, err := app.Inspect(c.Context(), config, d.version, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			switch {
			case aside != "":
				err = app.SetAside(c.Context(), a, aside)
			case items:
				err = app.DumpItems(c.Context(), a, d.out)
			default:
				err = report(c.Context(), a, d.out)
			}
			return errors.Join(err, a.Close())
		},
	}
	f.add(c)
	c.Flags().BoolVar(&items, "items", false, "write every sample of every named item as a JSON line")
	c.Flags().StringVar(&aside, "set-aside", "", "move this table, which a check found damaged, out of the way")
	return c
}

// report writes what a check found; problems are an error.
func report(ctx context.Context, a *app.App, to io.Writer) error {
	r, err := app.Check(ctx, a)
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(to, string(text)); err != nil {
		return err
	}
	if len(r.Problems) > 0 {
		return fmt.Errorf("%d problems found", len(r.Problems))
	}
	return nil
}

package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weir/internal/client"
	"weir/internal/output"
)

type tailFlags struct {
	client.Tail
	resume string
	from   string
	maxLag duration
	count  int
	once   bool
}

func newTail(g *global) *cobra.Command {
	var f tailFlags
	cmd := &cobra.Command{
		Use:   "tail [SELECTOR]",
		Short: "Follow samples as they are committed",
		Long: `Follow the samples of the series that match a selector as they are committed:
within worker.flush_age of their arrival, 10 s by default, or a second where
the config names them in fast.

With --resume FILE the place is kept in a file: however the command ends, the
next one with the same file goes on there, and what was committed meanwhile
comes first. Some samples may come twice, none is missing; where one can't be
had any more, because its week was dropped, that is said.

It goes on by itself when the instance is restarted. --output json writes a
line for each series of a commit as the server sent it, csv a row for each
sample.`,
		Example: `  weir tail 'cpu_usage_user{hostname="host_1"}'
  weir tail --from oldest --resume place.txt --output json >> samples.jsonl
  weir tail '{site="s01"}' --max-lag 1m     # after a pause, go on with what is new`,
		Args:              arguments(cobra.MaximumNArgs(1), "at most one selector"),
		ValidArgsFunction: g.completeMetrics,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				f.Match = args[0]
			}
			return g.tail(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "now", "where to begin: now, or oldest for all that is kept")
	flags.StringVar(&f.Token, "token", "", "where to go on: a token that /api/v1/tail gave")
	flags.StringVar(&f.resume, "resume", "", "file that keeps the place; it is made at the first time")
	flags.Var(&f.maxLag, "max-lag", "pass over what is older than this when it comes, such as 30s")
	flags.IntVar(&f.count, "count", 0, "end after so many samples; 0 means never")
	flags.BoolVar(&f.once, "once", false, "end when all that is committed by now was written")
	completeFlag(cmd, "from", choices("now", "oldest"))
	return cmd
}

func (g *global) tail(ctx context.Context, f tailFlags) error {
	if f.from != "now" && f.from != "oldest" {
		return usagef("--from %q: want now or oldest", f.from)
	}
	if f.Token != "" && f.resume != "" {
		return usagef("--token and --resume both say where to go on: give one of them")
	}
	f.Oldest, f.MaxLag = f.from == "oldest", time.Duration(f.maxLag)
	place := &placeFile{name: f.resume, now: g.now}
	var err error
	if f.resume != "" {
		if f.Token, err = place.read(); err != nil {
			return err
		}
	}
	c, err := g.client()
	if err != nil {
		return err
	}
	t := &follower{global: g, flags: f, client: c, place: place, out: g.tailWriter()}
	err = t.follow(ctx)
	if errors.Is(err, errEnough) || ctx.Err() != nil {
		err = nil // that is how it is meant to end
	}
	return errors.Join(err, t.out.flush(), place.write(t.flags.Token))
}

// follower writes what comes, over any number of connections.
type follower struct {
	*global
	flags  tailFlags // its Token is the place: all before it is written
	client *client.Client
	place  *placeFile
	out    tailWriter
	seen   int // samples
}

// Waits between two connections.
const (
	firstWait = 200 * time.Millisecond
	longWait  = 5 * time.Second
)

// follow goes on with the next connection when one ends, until ctx ends or what
// is wrong will not pass.
func (t *follower) follow(ctx context.Context) error {
	began := false // something was answered: then to wait for the instance is what is wanted
	for wait := firstWait; ; wait = min(2*wait, longWait) {
		err := t.client.Tail(ctx, t.flags.Tail, func(e *client.TailEvent) error {
			began, wait = true, firstWait
			return t.take(e)
		})
		var failed *client.Error
		if ctx.Err() != nil || err != nil && (!errors.As(err, &failed) || !failed.Temporary() || !began) {
			return err
		}
		if err != nil {
			fmt.Fprintf(t.err, "%v; trying again\n", err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take writes one line of the feed. What is written reaches its reader before
// the place is kept: a kill in between lets it come twice, never not.
func (t *follower) take(e *client.TailEvent) error {
	switch {
	case e.Line != nil:
		t.seen += len(e.Line.Times)
		return t.out.line(e)
	case e.Gap != nil:
		fmt.Fprintf(t.err, "gap: %d samples of %d commits of %s are not among these (%s)\n", e.Gap.Samples, e.Gap.Commits, e.Gap.Week, e.Gap.Reason)
		return t.out.gap(e)
	}
	if err := t.out.flush(); err != nil {
		return err
	}
	t.flags.Token = e.Token
	caughtUp := e.Accepted.IsZero()
	if caughtUp || t.place.old() {
		if err := t.place.write(e.Token); err != nil {
			return err
		}
	}
	if t.flags.count > 0 && t.seen >= t.flags.count || t.flags.once && caughtUp {
		return errEnough
	}
	return nil
}

// placeFile keeps a token. No name: nothing is kept.
type placeFile struct {
	name string
	now  func() time.Time
	kept string
	at   time.Time
}

// placeEvery is how old what is kept may be while there is more to come.
const placeEvery = 200 * time.Millisecond

func (p *placeFile) old() bool { return p.now().Sub(p.at) >= placeEvery }

// read gives the token, "" where there is no file yet.
func (p *placeFile) read() (string, error) {
	text, err := os.ReadFile(p.name)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("--resume: %w", err)
	}
	p.kept = strings.TrimSpace(string(text))
	return p.kept, nil
}

// write replaces the file as a whole, so that a kill leaves the old or the new.
func (p *placeFile) write(token string) error {
	p.at = p.now()
	if p.name == "" || token == "" || token == p.kept {
		return nil
	}
	next, err := os.CreateTemp(filepath.Dir(p.name), filepath.Base(p.name)+".*")
	if err != nil {
		return fmt.Errorf("--resume: %w", err)
	}
	_, err = fmt.Fprintln(next, token)
	if err = errors.Join(err, next.Close()); err == nil {
		err = os.Rename(next.Name(), p.name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("--resume: %w", err), os.Remove(next.Name()))
	}
	p.kept = token
	return nil
}

// tailWriter writes in one of the output's formats.
type tailWriter interface {
	line(e *client.TailEvent) error
	gap(e *client.TailEvent) error
	flush() error
}

func (g *global) tailWriter() tailWriter {
	switch g.format {
	case output.FormatJSON:
		return &tailJSON{bufio.NewWriter(g.out)}
	case output.FormatCSV:
		return &tailCSV{csv.NewWriter(g.out), false}
	}
	return &tailText{bufio.NewWriter(g.out)}
}

// tailText writes a line a sample, for people.
type tailText struct{ out *bufio.Writer }

func (w *tailText) line(e *client.TailEvent) error {
	series := e.Line.Series.String()
	for i, at := range e.Line.Times {
		if _, err := fmt.Fprintf(w.out, "%-30s  %s  %s", formatTime(at), series, formatValue(e.Line.Values[i])); err != nil {
			return err
		}
		if q := quality(e.Line, i); q != "" && q != "0" {
			fmt.Fprintf(w.out, "  quality %s", q)
		}
		_ = w.out.WriteByte('\n') // it keeps its first error
	}
	return nil
}

func (w *tailText) gap(*client.TailEvent) error { return nil } // it was told already
func (w *tailText) flush() error                { return w.out.Flush() }

// tailJSON passes the server's lines on.
type tailJSON struct{ out *bufio.Writer }

func (w *tailJSON) line(e *client.TailEvent) error {
	_, _ = w.out.Write(e.JSON)
	return w.out.WriteByte('\n') // it keeps its first error
}

func (w *tailJSON) gap(e *client.TailEvent) error { return w.line(e) }
func (w *tailJSON) flush() error                  { return w.out.Flush() }

// tailCSV writes a row a sample.
type tailCSV struct {
	out   *csv.Writer
	begun bool
}

func (w *tailCSV) line(e *client.TailEvent) error {
	if !w.begun {
		w.begun = true
		if err := w.out.Write([]string{"series", "time", "value", "quality"}); err != nil {
			return err
		}
	}
	series := e.Line.Series.String()
	for i, at := range e.Line.Times {
		if err := w.out.Write([]string{series, formatTime(at), formatValue(e.Line.Values[i]), quality(e.Line, i)}); err != nil {
			return err
		}
	}
	return nil
}

func (w *tailCSV) gap(*client.TailEvent) error { return nil } // it was told already

func (w *tailCSV) flush() error {
	w.out.Flush()
	return w.out.Error()
}

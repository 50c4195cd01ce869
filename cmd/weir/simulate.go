package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weir/internal/client"
	"weir/internal/output"
	"weir/internal/simulate"
)

// patience is how long a request is tried before a command gives up.
const patience = 5 * time.Minute

// answerTime is how long one attempt waits for its answer.
const answerTime = time.Minute

type simulateFlags struct {
	config      simulate.Config
	span        duration
	interval    duration
	start       string
	rate        float64
	connections int
	lines       int
	print       bool
}

func newSimulate(g *global) *cobra.Command {
	f := simulateFlags{config: simulate.Default(), span: duration(simulate.Default().For)}
	var kinds strings.Builder
	var names []string
	for _, k := range simulate.Kinds() {
		fmt.Fprintf(&kinds, "  %-23s %s, every %s\n", k.Name, k.Title, k.Interval)
		names = append(names, k.Name+"\t"+k.Title)
	}
	cmd := &cobra.Command{
		Use:   "simulate FLEET",
		Short: "Send the samples of a made-up fleet of devices",
		Long: `Send the samples of a made-up fleet of devices to a running instance, in order
of their time and as fast as it takes them. What a device sends depends on
--seed and its number alone.

The fleets:
` + kinds.String() + `
A request that the server can't take now, or whose answer is lost, is sent
again for up to ` + patience.String() + `. Samples that are stored twice so are read once; the ledger
counts both.`,
		Example: `  weir simulate power-meters --count 1000 --for 1h
  weir simulate hosts --count 200 --for 2h --start 2026-01-05 --connections 4
  weir simulate industrial-instruments --count 10 --for 1m --print`,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("name one fleet:\n%s", strings.TrimSuffix(kinds.String(), "\n"))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return g.simulate(cmd.Context(), args[0], f) },
	}
	flags := cmd.Flags()
	flags.IntVar(&f.config.Count, "count", f.config.Count, "number of devices")
	flags.IntVar(&f.config.First, "first", 0, "number of the first device, to send one fleet in parts")
	flags.Var(&f.span, "for", "simulated time, such as 90s, 1h or 7d")
	flags.StringVar(&f.start, "start", "", "time of the first samples: "+timeHelp+" (default: so that the last come now)")
	flags.Var(&f.interval, "interval", "time between a device's samples (default: the fleet's own)")
	flags.Uint64Var(&f.config.Seed, "seed", f.config.Seed, "chooses among the fleets of one kind")
	flags.Float64Var(&f.rate, "rate", 0, "samples a second, at most; 0 means as fast as they are taken")
	flags.IntVar(&f.connections, "connections", 2, "requests under way at once")
	flags.IntVar(&f.lines, "lines", 5000, "lines a request")
	flags.BoolVar(&f.print, "print", false, "write what would be sent, and send nothing")
	return cmd
}

func (g *global) simulate(ctx context.Context, kind string, f simulateFlags) error {
	if f.connections < 1 || f.connections > 1000 || f.lines < 1 || f.rate < 0 {
		return usagef("--connections is 1 to 1000, --lines at least 1, --rate not negative")
	}
	f.config.For, f.config.Interval = time.Duration(f.span), time.Duration(f.interval)
	f.config.Start = g.now().Add(-f.config.For).Truncate(time.Second).UnixNano()
	if f.start != "" {
		start, err := parseTime("start", f.start, g.now())
		if err != nil {
			return err
		}
		f.config.Start = start.UnixNano()
	}
	fleet, err := simulate.New(kind, f.config)
	if err != nil {
		return &usageError{err}
	}
	if f.print {
		return g.printFleet(ctx, fleet, f.lines)
	}
	c, err := g.writer(f.connections)
	if err != nil {
		return err
	}
	if err := g.awaitReady(ctx, c); err != nil {
		return err
	}
	began := g.now()
	t, err := g.sendFleet(ctx, c, fleet, f)
	if sumErr := g.sumUp(kind, f.config, t, g.now().Sub(began)); err == nil {
		err = sumErr
	}
	if err == nil && t.Rejected > 0 {
		err = fmt.Errorf("%s samples were rejected", output.Thousands(t.Rejected))
	}
	return err
}

func (g *global) printFleet(ctx context.Context, fleet *simulate.Fleet, lines int) error {
	var dst []byte
	for ctx.Err() == nil {
		b, more := fleet.Next(dst, lines)
		if !more {
			return nil
		}
		if _, err := g.out.Write(b.Body); err != nil {
			return err
		}
		dst = b.Body
	}
	return ctx.Err()
}

func (g *global) sendFleet(ctx context.Context, c *client.Client, fleet *simulate.Fleet, f simulateFlags) (tally, error) {
	start, end := fleet.Span()
	bar := g.newProgress(fleet.Kind().Name, end-start, false)
	s := g.newSender(c, f.connections, bar)
	s.rate = f.rate
	s.sent = func(p *parcel, t tally) {
		bar.set(p.through-start, output.Thousands(t.Samples)+" samples")
	}
	shown := 0
	s.rejected = func(_ *parcel, lines []client.RejectedLine) {
		for _, l := range lines[:min(len(lines), max(0, 5-shown))] {
			bar.say("rejected: %s", l.Reason)
			shown++
		}
	}
	t, err := s.run(ctx, func(p *parcel) (bool, error) {
		b, more := fleet.Next(p.body, f.lines)
		p.body, p.samples, p.through = b.Body, b.Samples, b.Through
		p.json = fleet.Kind().Format == simulate.JSONLines
		return more, nil
	})
	bar.end(err == nil)
	return t, err
}

// newSender makes a sender to a server that shows when it waits.
func (g *global) newSender(c *client.Client, connections int, bar *progress) *sender {
	said := false
	return &sender{
		connections: connections, patience: patience, now: g.now,
		post: func(ctx context.Context, p *parcel) error {
			ctx, cancel := context.WithTimeout(ctx, answerTime)
			defer cancel()
			if p.json {
				return c.WriteSamples(ctx, bytes.NewReader(p.body), "")
			}
			return c.Write(ctx, bytes.NewReader(p.body), "ns", "")
		},
		waiting: func(reason error, _ time.Duration) {
			if !said {
				bar.say("the server does not take it now, so it is sent again for up to %s: %v", patience, reason)
			}
			said = true
		},
	}
}

// sumUp says what was sent, to a person in words.
func (g *global) sumUp(kind string, c simulate.Config, t tally, took time.Duration) error {
	seconds := max(took.Seconds(), 1e-6)
	rate := float64(t.Samples) / seconds
	if g.format != output.FormatTable {
		list := &output.Table{}
		row := []any{}
		add := func(name string, cell any) {
			list.Columns = append(list.Columns, output.Column{Name: name})
			row = append(row, cell)
		}
		add("fleet", kind)
		add("devices", c.Count)
		add("samples", t.Samples)
		add("rejected", t.Rejected)
		add("requests", t.Requests)
		add("retries", t.Retries)
		add("bytes", t.Bytes)
		add("seconds", seconds)
		add("samples_per_second", rate)
		list.Rows = [][]any{row}
		return g.print(list)
	}
	from := time.Unix(0, c.Start).UTC()
	_, err := fmt.Fprintf(g.out, "%s: %s samples of %s devices, from %s on, were sent in %.1f s (%s a second)\n%s rejected; %s requests, %s sent again, %s\n",
		kind, output.Thousands(t.Samples), output.Thousands(c.Count), from.Format(time.RFC3339), seconds, output.Thousands(int64(rate)),
		output.Thousands(t.Rejected), output.Thousands(t.Requests), output.Thousands(t.Retries), output.Bytes(t.Bytes))
	return err
}

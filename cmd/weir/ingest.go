package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"weir/internal/client"
	"weir/internal/ingest"
	"weir/internal/output"
	"weir/internal/sample"
)

type ingestFlags struct {
	options     ingest.Options
	tags        []string
	units       []string
	kinds       []string
	zone        string
	delimiter   string
	connections int
	strict      bool
	skipBad     bool
	print       bool
	history     historyFlags
}

func newIngest(g *global) *cobra.Command {
	f := ingestFlags{options: ingest.Default()}
	cmd := &cobra.Command{
		Use:   "ingest FILE...",
		Short: "Send the samples of files, or import years of them",
		Long: `Send the samples of CSV files, whose first line names the columns, to a running
instance. Files that end in .gz or .zst are unpacked.

The time column is the one that --time names, else the one that is called time,
timestamp, datetime or date. Its format is the one that --time-format names,
else the first row decides: RFC 3339; 2006-01-02 15:04:05 or a part of it, in
--zone; or a number of s, ms, us or ns since 1970, told apart by its size. An
hour that clocks in --zone repeat is read in the order of the file.

Every other column is a series of its own, unless --columns chooses: column
temperature of site.csv is the metric site_temperature, and a column called
value is the metric site. --metric sets the name. Empty cells, and for numbers
NaN, NA and null, are no samples.

A row that can't be read is left out as a whole and reported with its line and
the reason; the exit code is then 1, unless --skip-bad is given.

--history imports years of data past the buffer: it writes the week tables
themselves, of CSV, line protocol (.lp) and JSON lines (.jsonl) alike, and seals
the weeks that have been over for a day. It wins over what was accepted before.
The same command again stores nothing twice: what was cut short goes on.`,
		Example: `  weir ingest ETTh1.csv --tag transformer=1 --unit OT=°C
  weir ingest meters.csv.gz --time read_at --zone Europe/Berlin --tag-columns meter,site --columns energy --kind energy=int64
  weir ingest export.csv --time-format '02.01.2006 15:04' --strict
  weir ingest new.csv --print | head          # see what would be sent
  weir ingest --history 2019.lp.zst 2020.lp.zst   # years at once`,
		Args: arguments(cobra.MinimumNArgs(1), "one file or more"),
		RunE: func(cmd *cobra.Command, args []string) error { return g.ingest(cmd.Context(), args, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.options.Time, "time", "", "the time column")
	flags.StringVar(&f.options.TimeFormat, "time-format", "auto", strings.Join(ingest.TimeFormats(), ", ")+", or a layout as in Go")
	flags.StringVar(&f.zone, "zone", "UTC", "zone of times that don't say theirs, such as Europe/Berlin")
	flags.StringVar(&f.options.Metric, "metric", "", "name of the metric (default: the file's name without its ending)")
	flags.StringArrayVar(&f.tags, "tag", nil, "name=value: a tag of every sample (repeatable)")
	flags.StringSliceVar(&f.options.TagColumns, "tag-columns", nil, "columns whose cells are tags of their row")
	flags.StringSliceVar(&f.options.Columns, "columns", nil, "the value columns (default: all that are left)")
	flags.StringArrayVar(&f.units, "unit", nil, "column=unit: a tag \"unit\" of the column's series (repeatable)")
	flags.StringArrayVar(&f.kinds, "kind", nil, "column=float64, int64, bool or string (repeatable; default float64)")
	flags.StringVar(&f.delimiter, "delimiter", "", "what parts cells: one character, or tab (default: the header decides)")
	flags.IntVar(&f.connections, "connections", 2, "requests under way at once")
	flags.IntVar(&f.options.BatchLines, "lines", f.options.BatchLines, "lines a request")
	flags.BoolVar(&f.strict, "strict", false, "stop at the first bad row")
	flags.BoolVar(&f.skipBad, "skip-bad", false, "exit 0 although rows were bad")
	flags.BoolVar(&f.print, "print", false, "write what would be sent, and send nothing")
	addHistoryFlags(cmd, &f.history)
	completeFlag(cmd, "time-format", choices(ingest.TimeFormats()...))
	return cmd
}

// settle turns the flags into options.
func (f *ingestFlags) settle() error {
	var err error
	if f.options.Zone, err = time.LoadLocation(f.zone); err != nil {
		return usagef("--zone %q: %w", f.zone, err)
	}
	switch {
	case f.delimiter == "tab" || f.delimiter == `\t`:
		f.options.Delimiter = '\t'
	case len(f.delimiter) == 1 && !strings.ContainsAny(f.delimiter, "\"\r\n"):
		f.options.Delimiter = f.delimiter[0]
	case f.delimiter != "":
		return usagef("--delimiter %q: give one character of ASCII, or tab", f.delimiter)
	}
	if f.strict && f.skipBad {
		return usagef("--strict stops at a bad row and --skip-bad goes on: give one of them")
	}
	if err := f.history.check(f.print); err != nil {
		return err
	}
	if f.connections < 1 || f.connections > 1000 {
		return usagef("--connections is 1 to 1000, not %d", f.connections)
	}
	for _, text := range f.tags {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" || value == "" {
			return usagef("--tag %q: write it as name=value", text)
		}
		f.options.Tags = append(f.options.Tags, sample.Tag{Name: name, Value: value})
	}
	f.options.Units, f.options.Kinds = map[string]string{}, map[string]sample.Kind{}
	for _, text := range f.units {
		column, unit, ok := strings.Cut(text, "=")
		if !ok || column == "" || unit == "" {
			return usagef("--unit %q: write it as column=unit", text)
		}
		f.options.Units[column] = unit
	}
	for _, text := range f.kinds {
		column, name, ok := strings.Cut(text, "=")
		kind, err := sample.ParseKind(name)
		if !ok || column == "" || err != nil {
			return usagef("--kind %q: write it as column=float64, int64, bool or string", text)
		}
		f.options.Kinds[column] = kind
	}
	return nil
}

func (g *global) ingest(ctx context.Context, paths []string, f ingestFlags) error {
	if err := f.settle(); err != nil {
		return err
	}
	in := &ingestion{g: g, flags: f}
	if !f.print {
		c, err := g.writer(f.connections)
		if err != nil {
			return err
		}
		if err := g.awaitReady(ctx, c); err != nil {
			return err
		}
		in.client = c
	}
	failed := in.all(ctx, paths)
	if failed == nil && in.bad > 0 && !f.skipBad {
		failed = fmt.Errorf("%s bad rows", output.Thousands(in.bad))
	}
	return failed
}

// all takes all files, in the way that the flags say.
func (in *ingestion) all(ctx context.Context, paths []string) error {
	if in.flags.history.on {
		return in.history(ctx, paths)
	}
	var failed error
	for _, path := range paths {
		if failed = in.file(ctx, path); failed != nil {
			failed = fmt.Errorf("%s: %w", path, failed)
			break
		}
	}
	if in.flags.print {
		in.reportBad()
	} else if err := in.sumUp(); failed == nil {
		failed = err
	}
	return failed
}

// ingestion is the state of one run over all its files.
type ingestion struct {
	g      *global
	flags  ingestFlags
	client *client.Client // nil: print only

	sums []fileSum
	bad  int      // rows left out or refused, of all files
	list []string // the first of them

	told atomic.Bool // that the server does not take it now
}

// fileSum is what became of one file.
type fileSum struct {
	path    string
	rows    int
	bad     int
	tally   tally
	seconds float64
}

// maxBad is how many bad rows are listed.
const maxBad = 20

// errStrict stops a run at its first bad row.
var errStrict = errors.New("stopped at the first bad row, as --strict says; what was sent before it is kept")

func (in *ingestion) note(sum *fileSum, line int, reason string) {
	sum.bad++
	if in.bad++; len(in.list) < maxBad {
		in.list = append(in.list, fmt.Sprintf("%s:%d %s", sum.path, line, reason))
	}
}

// file takes one file.
func (in *ingestion) file(ctx context.Context, path string) error {
	file, err := ingest.Open(path)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	o := in.flags.options
	if o.Metric == "" {
		o.Metric = ingest.Stem(path)
	}
	reader, err := ingest.New(file, o)
	if err != nil {
		return err
	}
	began := in.g.now()
	sum := fileSum{path: path}
	if in.client == nil {
		err = in.printFile(ctx, reader, &sum)
	} else {
		err = in.sendFile(ctx, file, reader, &sum)
	}
	sum.rows, sum.seconds = reader.Rows(), in.g.now().Sub(began).Seconds()
	in.sums = append(in.sums, sum)
	return err
}

func (in *ingestion) printFile(ctx context.Context, reader *ingest.Reader, sum *fileSum) error {
	var b ingest.Batch
	for ctx.Err() == nil {
		err := reader.Next(&b)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := in.g.out.Write(b.Body); err != nil {
			return err
		}
		if err := in.noteBad(sum, b.Bad); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (in *ingestion) noteBad(sum *fileSum, bad []ingest.Bad) error {
	for _, row := range bad {
		in.note(sum, row.Line, row.Reason)
		if in.flags.strict {
			return errStrict
		}
	}
	return nil
}

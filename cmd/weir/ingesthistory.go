package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"weir/internal/client"
	"weir/internal/ingest"
	"weir/internal/output"
)

// historyFlags are those of ingest --history alone.
type historyFlags struct {
	on        bool
	format    string
	precision string
	open      bool
	chunk     int
	patience  time.Duration
}

func addHistoryFlags(cmd *cobra.Command, h *historyFlags) {
	flags := cmd.Flags()
	flags.BoolVar(&h.on, "history", false, "import in bulk, past the buffer, and seal the weeks that are over")
	flags.StringVar(&h.format, "format", "", "of --history: "+strings.Join(ingest.Formats(), ", ")+" (default: the file's name says)")
	flags.StringVar(&h.precision, "precision", "", "of --history: the unit of line protocol's times, ns, us, ms or s (default ns)")
	flags.BoolVar(&h.open, "leave-open", false, "of --history: seal no week")
	flags.IntVar(&h.chunk, "chunk", ingest.ChunkBytes, "of --history: bytes of text sent at a time; less takes less memory, and is another import")
	flags.DurationVar(&h.patience, "patience", patience, "of --history: how long a server that can't take it is asked again")
	completeFlag(cmd, "format", choices(ingest.Formats()...))
	completeFlag(cmd, "precision", choices("ns", "us", "ms", "s"))
}

// check refuses what does not go together.
func (h *historyFlags) check(printing bool) error {
	switch {
	case !h.on && (h.format != "" || h.precision != "" || h.open):
		return usagef("--format, --precision and --leave-open are for --history")
	case h.on && printing:
		return usagef("--print shows what would be sent line by line; --history sends no lines")
	case h.chunk < 1<<10 || h.chunk > ingest.MaxChunkBytes:
		return usagef("--chunk is 1024 to %d bytes, not %d", ingest.MaxChunkBytes, h.chunk)
	case h.patience < 0:
		return usagef("--patience is not below 0")
	}
	switch h.format {
	case "", string(ingest.CSV), string(ingest.Lines), string(ingest.JSON):
		return nil
	}
	return usagef("--format %q: use one of %v", h.format, ingest.Formats())
}

// imported is one file's import.
type imported struct {
	fileSum
	id       string
	name     string
	format   ingest.Format
	chunks   int
	stored   int64
	repeated int64
	volumes  []client.ImportedVolume
}

// history imports files past the buffer: all their chunks first, so that files
// of the same weeks share a revision, and then their ends.
func (in *ingestion) history(ctx context.Context, paths []string) error {
	var all []*imported
	for _, path := range paths {
		one := &imported{fileSum: fileSum{path: path}, name: filepath.Base(path)}
		err := in.importFile(ctx, one)
		all = append(all, one)
		if err != nil {
			in.reportBad()
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	in.reportBad()
	for _, one := range all {
		err := in.patiently(ctx, func() (err error) {
			one.volumes, err = in.client.FinishImport(ctx, one.id, one.name, one.chunks, !in.flags.history.open)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", one.path, again(err))
		}
	}
	return in.sumUpHistory(all)
}

// again says how a command that was cut short is mended.
func again(err error) error {
	return fmt.Errorf("%w; the same command again goes on from there, and stores nothing twice", err)
}

// importFile sends a file's chunks.
func (in *ingestion) importFile(ctx context.Context, one *imported) error {
	began := in.g.now()
	defer func() { one.seconds = in.g.now().Sub(began).Seconds() }()
	o := in.flags.options
	if o.Metric == "" {
		o.Metric = ingest.Stem(one.path)
	}
	if one.format = ingest.Format(in.flags.history.format); one.format == "" {
		one.format = ingest.FormatOf(one.path)
	}
	file, err := ingest.Open(one.path)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	if one.id, err = ingest.Identity(one.path, one.format, in.flags.history.precision, o, in.flags.history.chunk); err != nil {
		return err
	}
	chunks, err := ingest.NewChunks(file, one.format, o, in.flags.history.chunk)
	if err != nil {
		return err
	}
	_, size := file.Progress()
	bar := in.g.newProgress(ingest.Stem(one.path), size, true)
	err = in.sendChunks(ctx, one, file, chunks, bar)
	bar.end(err == nil)
	if err != nil || ctx.Err() != nil {
		return errors.Join(err, ctx.Err())
	}
	return file.Unchanged()
}

// readChunk is a chunk on its way from the file to the server and back.
type readChunk struct {
	ingest.Chunk
	number  int
	through int64 // of the file's bytes
	err     error
	answer  client.Imported
	done    chan struct{} // closed when it is answered, or err says why not
}

// inFlight is how many chunks are sent at once: the next is read by the server
// while one is stored.
const inFlight = 2

// sendChunks sends a file's chunks, and notes what became of them in their order.
func (in *ingestion) sendChunks(ctx context.Context, one *imported, file *ingest.File, chunks *ingest.Chunks, bar *progress) error {
	ctx, cancel := context.WithCancel(ctx)
	sent, empty := make(chan *readChunk, inFlight-1), make(chan *readChunk, inFlight+1)
	for range cap(empty) {
		empty <- &readChunk{}
	}
	var answered atomic.Int64
	var all sync.WaitGroup
	all.Go(func() {
		defer close(sent)
		for number := 0; ; number++ {
			c, ok := <-empty
			if !ok || ctx.Err() != nil {
				return
			}
			c.number, c.done = number, make(chan struct{})
			c.err = chunks.Next(&c.Chunk)
			c.through, _ = file.Progress()
			end := c.err != nil
			if end {
				close(c.done)
			} else {
				all.Go(func() {
					defer close(c.done)
					c.answer, c.err = in.sendChunk(ctx, one, c, &answered)
				})
			}
			select {
			case sent <- c:
			case <-ctx.Done():
				return
			}
			if end {
				return
			}
		}
	})
	defer all.Wait()
	defer close(empty)
	defer cancel()
	for c := range sent {
		<-c.done
		if errors.Is(c.err, io.EOF) {
			return nil
		}
		if c.err != nil {
			return c.err
		}
		answered.Add(1)
		if err := in.noteChunk(one, c, bar); err != nil {
			return err
		}
		empty <- c
	}
	return ctx.Err()
}

// sendChunk has one chunk stored.
func (in *ingestion) sendChunk(ctx context.Context, one *imported, c *readChunk, answered *atomic.Int64) (answer client.Imported, err error) {
	format := one.format
	if format == ingest.CSV {
		format = ingest.Lines
	}
	err = in.patiently(ctx, func() (err error) {
		answer, err = in.client.ImportChunk(ctx, client.HistoryChunk{
			Import: one.id, Name: one.name, Number: c.number, Format: string(format),
			Precision: in.flags.history.precision, Answered: min(int(answered.Load()), c.number), Body: c.Body,
		})
		return err
	})
	if err != nil {
		err = again(err)
	}
	return answer, err
}

// noteChunk notes what became of a chunk.
func (in *ingestion) noteChunk(one *imported, c *readChunk, bar *progress) error {
	one.chunks++
	one.stored += c.answer.Stored
	one.repeated += c.answer.Repeated
	one.tally.Rejected += c.answer.Rejected
	if err := in.noteBad(&one.fileSum, c.Bad); err != nil {
		return err
	}
	last := 0
	for _, l := range c.answer.Lines {
		row := c.Row(l.Line)
		if row != last { // each value of a line is refused by itself
			in.note(&one.fileSum, row, "was rejected: "+l.Reason)
		}
		last = row
	}
	unlisted := int(c.answer.Rejected) - len(c.answer.Lines)
	one.bad, in.bad = one.bad+unlisted, in.bad+unlisted
	bar.set(c.through, output.Thousands(one.stored+one.repeated)+" samples")
	if in.flags.strict && c.answer.Rejected > 0 {
		return errStrict
	}
	return nil
}

// patiently does what can be done again until the server takes it.
func (in *ingestion) patiently(ctx context.Context, do func() error) error {
	first := in.g.now()
	for attempt := 0; ; attempt++ {
		err := do()
		var e *client.Error
		if err == nil || ctx.Err() != nil || !errors.As(err, &e) || !e.Temporary() {
			return err
		}
		wait := max(backoff(attempt), e.RetryAfter)
		if in.g.now().Sub(first)+wait > in.flags.history.patience {
			return err
		}
		if attempt >= 2 && in.told.CompareAndSwap(false, true) { // it is not over in a moment
			fmt.Fprintf(in.g.err, "the server does not take it now, so it is sent again for up to %s: %v\n", in.flags.history.patience, err)
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// sumUpHistory says what became of the files.
func (in *ingestion) sumUpHistory(all []*imported) error {
	list := &output.Table{}
	for _, name := range []string{"file", "import", "chunks", "samples", "repeated", "rejected", "bad_rows", "volumes", "sealed", "seconds"} {
		list.Columns = append(list.Columns, output.Column{Name: name})
	}
	for _, one := range all {
		sealed := 0
		for _, v := range one.volumes {
			if v.State != "open" {
				sealed++
			}
		}
		list.Rows = append(list.Rows, []any{
			one.path, one.id, one.chunks, one.stored, one.repeated, one.tally.Rejected, one.bad, len(one.volumes), sealed, one.seconds,
		})
		if in.g.format != output.FormatTable {
			continue
		}
		samples := one.stored + one.repeated
		_, err := fmt.Fprintf(in.g.out, "%s: %s samples stored, %s were stored before, in %s (%s a second), %s rows bad, %s values rejected; in %d volumes, %d of them sealed\n",
			one.path, output.Thousands(one.stored), output.Thousands(one.repeated),
			(time.Duration(one.seconds * float64(time.Second))).Round(10*time.Millisecond),
			output.Thousands(int64(float64(samples)/max(one.seconds, 1e-6))), output.Thousands(one.bad),
			output.Thousands(one.tally.Rejected), len(one.volumes), sealed)
		if err != nil {
			return err
		}
	}
	if in.g.format == output.FormatTable {
		return nil
	}
	return in.g.print(list)
}

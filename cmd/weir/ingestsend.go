package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"weir/internal/client"
	"weir/internal/ingest"
	"weir/internal/output"
)

// sendFile sends a file's samples and notes the rows that were refused, here
// or by the server.
func (in *ingestion) sendFile(ctx context.Context, file *ingest.File, reader *ingest.Reader, sum *fileSum) error {
	_, size := file.Progress()
	bar := in.g.newProgress(ingest.Stem(sum.path), size, true)
	var refused []ingest.Bad
	var anyRefused atomic.Bool
	s := in.g.newSender(in.client, in.flags.connections, bar)
	s.sent = func(p *parcel, t tally) { bar.set(p.through, output.Thousands(t.Samples)+" samples") }
	s.rejected = func(p *parcel, lines []client.RejectedLine) {
		anyRefused.Store(true)
		last := -1
		for _, l := range lines {
			row := 0
			if l.Line >= 1 && l.Line <= len(p.rows) {
				row = p.rows[l.Line-1]
			}
			if row == last { // each value of a line is refused by itself
				continue
			}
			last = row
			refused = append(refused, ingest.Bad{Line: row, Reason: "was rejected: " + l.Reason})
		}
	}
	var b ingest.Batch
	// Bad rows are noted here, on the one goroutine that reads; those that the
	// server refused come from the senders and are noted when all have ended.
	t, err := s.run(ctx, func(p *parcel) (bool, error) {
		for {
			if in.flags.strict && anyRefused.Load() {
				return false, errStrict
			}
			b.Body, b.Rows = p.body, p.rows
			err := reader.Next(&b)
			if errors.Is(err, io.EOF) {
				return false, nil
			}
			if err != nil {
				return false, err
			}
			p.body, p.rows, p.samples = b.Body, b.Rows, b.Samples
			p.through, _ = file.Progress()
			if err := in.noteBad(sum, b.Bad); err != nil {
				return false, err
			}
			if len(b.Body) > 0 {
				return true, nil
			}
		}
	})
	for _, bad := range refused {
		in.note(sum, bad.Line, bad.Reason)
	}
	bar.end(err == nil)
	sum.tally = t
	return err
}

func (in *ingestion) reportBad() {
	for _, line := range in.list {
		fmt.Fprintln(in.g.err, line)
	}
	if more := in.bad - len(in.list); more > 0 {
		fmt.Fprintf(in.g.err, "and %s more bad rows\n", output.Thousands(more))
	}
}

// sumUp says what became of the files, to a person in words.
func (in *ingestion) sumUp() error {
	in.reportBad()
	if in.g.format == output.FormatTable {
		for _, s := range in.sums {
			_, err := fmt.Fprintf(in.g.out, "%s: %s samples of %s rows in %s (%s a second), %s rows bad, %s samples rejected, %s requests sent again\n",
				s.path, output.Thousands(s.tally.Samples), output.Thousands(s.rows), (time.Duration(s.seconds * float64(time.Second))).Round(10*time.Millisecond),
				output.Thousands(int64(float64(s.tally.Samples)/max(s.seconds, 1e-6))), output.Thousands(s.bad),
				output.Thousands(s.tally.Rejected), output.Thousands(s.tally.Retries))
			if err != nil {
				return err
			}
		}
		return nil
	}
	list := &output.Table{}
	for _, name := range []string{"file", "rows", "bad_rows", "samples", "rejected", "requests", "retries", "bytes", "seconds"} {
		list.Columns = append(list.Columns, output.Column{Name: name})
	}
	for _, s := range in.sums {
		t := s.tally
		list.Rows = append(list.Rows, []any{s.path, s.rows, s.bad, t.Samples, t.Rejected, t.Requests, t.Retries, t.Bytes, s.seconds})
	}
	return in.g.print(list)
}

package app

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"weir/internal/catalog"
	"weir/internal/gateway/intake"
	"weir/internal/gateway/jsonl"
	"weir/internal/gateway/lineprotocol"
	"weir/internal/history"
	"weir/internal/sample"
	"weir/internal/store"
)

// newHistory makes what takes bulk imports.
func (a *App) newHistory() *history.Handler {
	d := &historyDecoders{}
	d.lines.New = func() any { return lineprotocol.New(a.catalog.Intern, lineprotocol.Options{MaxFaults: math.MaxInt}) }
	d.objects.New = func() any { return jsonl.New(a.catalog.Intern, jsonl.Options{MaxFaults: math.MaxInt}) }
	return history.NewHandler(history.New(history.Options{
		Book: a.book, Tables: a.store, Catalog: a.catalog, Clock: a.clock, Now: time.Now, Random: randomNumber,
		Decoder: d.decoder, Commit: a.heads().Commit,
		Held: func(ctx context.Context, id store.JournalID) (bool, error) {
			_, held, err := a.heads().Snapshot(ctx, id)
			return held, err
		},
	}), a.logger.With("role", "history"))
}

// historyDecoders are the intake's, for the text of imports.
type historyDecoders struct{ lines, objects sync.Pool }

func (d *historyDecoders) decoder(format, precision string) (history.Decoder, error) {
	switch format {
	case history.FormatLines:
		unit, err := lineprotocol.ParsePrecision(precision)
		if err != nil {
			return nil, err
		}
		return func(text []byte, to history.Sink) {
			one, _ := d.lines.Get().(*lineprotocol.Decoder[*catalog.Series])
			defer d.lines.Put(one)
			one.Decode(text, unit, history.NoTime, historySink{to})
		}, nil
	case history.FormatJSON:
		return func(text []byte, to history.Sink) {
			one, _ := d.objects.Get().(*jsonl.Decoder[*catalog.Series])
			defer d.objects.Put(one)
			one.Decode(text, history.NoTime, historySink{to})
		}, nil
	}
	return nil, fmt.Errorf("format %q: use %s or %s", format, history.FormatLines, history.FormatJSON)
}

// historySink passes on what a decoder of the intake reads.
type historySink struct{ to history.Sink }

var _ intake.Lines[*catalog.Series] = historySink{}

func (s historySink) Emit(series *catalog.Series, one sample.Sample) error {
	return s.to.Emit(series, one)
}

func (s historySink) EmitLine(l *intake.Line[*catalog.Series]) bool {
	return s.to.Line(l.Series, l.Kinds, l.Bits, l.Time)
}

func (s historySink) Reject(line int, err error) {
	f := history.Fault{Line: line, Reason: err.Error()}
	if fault := (*intake.Fault)(nil); errors.As(err, &fault) {
		f.Column, f.Reason = fault.Column, fault.Err.Error()
		f.Text = string(fault.Text[:min(len(fault.Text), 200)])
	}
	s.to.Reject(f)
}

// Package imports has the intake's decoders read the text of bulk imports. It is a
// part of the composition.
package imports

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"weir/internal/catalog"
	"weir/internal/gateway/intake"
	"weir/internal/gateway/jsonl"
	"weir/internal/gateway/lineprotocol"
	"weir/internal/history"
	"weir/internal/sample"
)

// Decoders are the intake's, for the text of imports. Safe for concurrent use.
type Decoders struct{ lines, objects sync.Pool }

// NewDecoders makes decoders that know the series of a catalog.
func NewDecoders(c *catalog.Catalog) *Decoders {
	d := &Decoders{}
	d.lines.New = func() any { return lineprotocol.New(c.Intern, lineprotocol.Options{MaxFaults: math.MaxInt}) }
	d.objects.New = func() any { return jsonl.New(c.Intern, jsonl.Options{MaxFaults: math.MaxInt}) }
	return d
}

// Decoder gives how to read a format.
func (d *Decoders) Decoder(format, precision string) (history.Decoder, error) {
	switch format {
	case history.FormatLines:
		unit, err := lineprotocol.ParsePrecision(precision)
		if err != nil {
			return nil, err
		}
		return func(text []byte, to history.Sink) {
			one, _ := d.lines.Get().(*lineprotocol.Decoder[*catalog.Series])
			defer d.lines.Put(one)
			one.Decode(text, unit, history.NoTime, sink{to})
		}, nil
	case history.FormatJSON:
		return func(text []byte, to history.Sink) {
			one, _ := d.objects.Get().(*jsonl.Decoder[*catalog.Series])
			defer d.objects.Put(one)
			one.Decode(text, history.NoTime, sink{to})
		}, nil
	}
	return nil, fmt.Errorf("format %q: use %s or %s", format, history.FormatLines, history.FormatJSON)
}

// sink passes on what a decoder of the intake reads.
type sink struct{ to history.Sink }

var _ intake.Lines[*catalog.Series] = sink{}

func (s sink) Emit(series *catalog.Series, one sample.Sample) error {
	return s.to.Emit(series, one)
}

func (s sink) EmitLine(l *intake.Line[*catalog.Series]) bool {
	return s.to.Line(l.Series, l.Kinds, l.Bits, l.Time)
}

func (s sink) Reject(line int, err error) {
	f := history.Fault{Line: line, Reason: err.Error()}
	if fault := (*intake.Fault)(nil); errors.As(err, &fault) {
		f.Column, f.Reason = fault.Column, fault.Err.Error()
		f.Text = string(fault.Text[:min(len(fault.Text), 200)])
	}
	s.to.Reject(f)
}

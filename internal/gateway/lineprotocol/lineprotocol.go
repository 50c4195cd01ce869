// Package lineprotocol owns the decoding of InfluxDB line protocol: which
// series, kinds, values and times a line means. The mapping and the deliberate
// differences from InfluxDB are in docs/formats/intake.md.
//
// It refuses a malformed line as a whole, with its number, the place and the
// mend, and keeps the lines around it. It knows nothing of HTTP, of the buffer
// or of who sends, and imports sample and gateway/intake alone.
package lineprotocol

import (
	"cmp"
	"fmt"

	"weir/internal/gateway/intake"
	"weir/internal/sample"
)

// Options bound what one line, and one decoder, may take. A field that is 0
// means its default.
type Options struct {
	MaxLine    int // bytes of a line
	MaxFields  int // of a line
	MaxString  int // bytes of a string value
	MaxFaults  int // of a body; what follows the line that brings them is not read
	CacheHeads int // measurements with their tags that are remembered
	CacheBytes int // about what they and their fields take
}

// Default gives the bounds of a gateway that was told none.
func Default() Options {
	return Options{MaxLine: 1 << 20, MaxFields: 4096, MaxString: 64 << 10, MaxFaults: 10_000, CacheHeads: 200_000, CacheBytes: 128 << 20}
}

// Validate checks the bounds.
func (o Options) Validate() error {
	if min(o.MaxLine, o.MaxFields, o.MaxString, o.MaxFaults, o.CacheHeads, o.CacheBytes) < 0 {
		return fmt.Errorf("line protocol: a bound below 0: %+v", o)
	}
	return nil
}

// Decoder decodes bodies, one after the other. It remembers what the bytes of
// measurements, tags and field names resolve to, so that in the steady state a
// line costs a few compares and its numbers. It is not safe for concurrent
// use: pool decoders.
type Decoder[S any] struct {
	resolve func(key []byte) (S, error)
	parser  parser
	cache   cache[S]
	key     []byte
	line    intake.Line[S] // the line in hand, where it is handed on whole
	faults  int            // in the body so far
}

// New makes a decoder. resolve gives the series for a canonical key (as
// sample.Series.AppendKey writes it), which it must not keep. It is asked when
// the decoder meets a series that it does not remember; an error rejects the
// value and is not remembered.
func New[S any](resolve func(key []byte) (S, error), o Options) *Decoder[S] {
	standard := Default()
	o.MaxLine = cmp.Or(o.MaxLine, standard.MaxLine)
	o.MaxFields = cmp.Or(o.MaxFields, standard.MaxFields)
	o.MaxString = cmp.Or(o.MaxString, standard.MaxString)
	o.MaxFaults = cmp.Or(o.MaxFaults, standard.MaxFaults)
	o.CacheHeads = cmp.Or(o.CacheHeads, standard.CacheHeads)
	o.CacheBytes = cmp.Or(o.CacheBytes, standard.CacheBytes)
	d := &Decoder[S]{resolve: resolve, parser: parser{limits: o}, cache: cache[S]{limits: o}}
	d.Forget()
	return d
}

// Forget empties the decoder's memory of series, for when what they resolve to
// no longer holds.
func (d *Decoder[S]) Forget() { d.cache.reset() }

// Decode reads a body and passes its samples on in order. Times are in units
// of precision; a line without one takes now (ns since 1970 UTC), rounded down
// to the precision. A line is checked as a whole before anything of it is
// emitted.
//
// A fault costs the line it is on, and where a string with line breaks is
// open, the lines that it spans. A string whose end is missing or wrong costs
// the line it begins on alone.
func (d *Decoder[S]) Decode(body []byte, precision Precision, now int64, sink intake.Sink[S]) {
	p := &d.parser
	p.open(body, precision, now)
	lines, _ := sink.(intake.Lines[S])
	d.faults = 0
	for p.next() {
		if d.faults >= p.limits.MaxFaults {
			// Faults cost more than samples, and a small packed body can hold
			// millions of them.
			tooMany := p.fail(p.start, "this line and what follows it was not read: the body has %d faults before it, and the limit is %d", d.faults, p.limits.MaxFaults)
			sink.Reject(p.startLine, p.skipLine(tooMany))
			break
		}
		e := d.cache.find(p)
		if lines != nil && e != nil && d.emitWhole(e, lines) {
			continue
		}
		var err error
		if e == nil {
			err = p.readHead()
		}
		if err == nil {
			err = p.readRest(e.order())
		}
		if err != nil {
			d.faults++
			sink.Reject(p.startLine, p.skipLine(err))
			continue
		}
		d.emit(e, sink)
	}
	p.close()
	d.line = intake.Line[S]{}
}

// emitWhole reads a line and passes it on in one call, where it is one that
// comes nearly always: the fields of its entry, in their order, all of them
// short numbers. Where it says false, nothing has happened.
func (d *Decoder[S]) emitWhole(e *entry[S], lines intake.Lines[S]) bool {
	p := &d.parser
	end, ok := p.readKnown(e.fields.names, e.kinds)
	if !ok {
		return false
	}
	if p.otherKinds {
		copy(e.kinds, p.kinds)
		e.memo = nil
	}
	d.line = intake.Line[S]{Series: e.series, Kinds: p.kinds, Bits: p.bits, Time: p.time, Memo: &e.memo}
	if !lines.EmitLine(&d.line) {
		return false
	}
	p.pos = end
	d.cache.follow(e)
	return true
}

// emit passes a line's samples on. e is nil where the line's head is new.
func (d *Decoder[S]) emit(e *entry[S], sink intake.Sink[S]) {
	p := &d.parser
	for i := range p.values {
		v := &p.values[i]
		var series S
		var err error
		if v.known >= 0 {
			series = e.series[v.known]
		} else {
			e, series, err = d.learn(e, v)
		}
		if err == nil {
			err = sink.Emit(series, sample.Sample{Time: p.time, Value: v.value})
		}
		if err != nil {
			d.faults++
			sink.Reject(p.startLine, p.valueFault(v, err))
		}
	}
	if e != nil {
		d.cache.follow(e)
	}
}

// learn resolves the series of a value that the cache has not, and remembers
// it; the head becomes an entry with the first of its fields that resolves.
func (d *Decoder[S]) learn(e *entry[S], v *value) (*entry[S], S, error) {
	p := &d.parser
	raw := p.body[v.name : v.equals+1]
	if e != nil { // the same field twice in the line
		if i, ok := e.fields.find(raw, 0); ok {
			return e, e.series[i], nil
		}
	}
	var none S
	key, err := p.appendKey(d.key[:0], v)
	if err != nil {
		return e, none, err
	}
	d.key = key
	series, err := d.resolve(key)
	if err != nil {
		return e, none, err
	}
	if e == nil {
		e = d.cache.add(p.head)
	}
	d.cache.addField(e, raw, series)
	return e, series, nil
}

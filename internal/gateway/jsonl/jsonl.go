// Package jsonl owns the decoding of samples in JSON: one object, an array of
// objects, or objects one a line or one after the other. The mapping is in
// docs/formats/intake.md.
//
// It refuses a bad object as a whole, with its number, the place and the mend,
// and keeps the objects around it. It is strict: a key that it does not know is
// an error, since what it says would be lost. It knows nothing of HTTP, of the
// buffer or of who sends, and imports sample and gateway/intake alone.
package jsonl

import (
	"bytes"
	"cmp"
	"fmt"

	"weir/internal/gateway/intake"
	"weir/internal/sample"
)

// Options bound what one object, and one decoder, may take. A field that is 0
// means its default.
type Options struct {
	MaxObject   int // bytes of an object
	MaxString   int // bytes of a string value
	MaxFaults   int // of a body; what follows the object that brings them is not read
	CacheSeries int // series that are remembered
	CacheBytes  int // about what they take
}

// Default gives the bounds of a gateway that was told none.
func Default() Options {
	return Options{MaxObject: 1 << 20, MaxString: 64 << 10, MaxFaults: 10_000, CacheSeries: 1_000_000, CacheBytes: 128 << 20}
}

// Validate checks the bounds.
func (o Options) Validate() error {
	if min(o.MaxObject, o.MaxString, o.MaxFaults, o.CacheSeries, o.CacheBytes) < 0 {
		return fmt.Errorf("JSON: a bound below 0: %+v", o)
	}
	return nil
}

// Decoder decodes bodies, one after the other. It remembers what series
// resolve to. It is not safe for concurrent use: pool decoders.
type Decoder[S any] struct {
	resolve func(key []byte) (S, error)
	limits  Options
	parser  parser
	series  map[string]S // by canonical key
	bytes   int
	key     []byte
	faults  int // in the body so far
}

// seriesCost is about what a remembered series takes beside its key.
const seriesCost = 64

// New makes a decoder. resolve gives the series for a canonical key (as
// sample.Series.AppendKey writes it), which it must not keep. It is asked when
// the decoder meets a series that it does not remember; an error rejects the
// object and is not remembered.
func New[S any](resolve func(key []byte) (S, error), o Options) *Decoder[S] {
	standard := Default()
	o.MaxObject = cmp.Or(o.MaxObject, standard.MaxObject)
	o.MaxString = cmp.Or(o.MaxString, standard.MaxString)
	o.MaxFaults = cmp.Or(o.MaxFaults, standard.MaxFaults)
	o.CacheSeries = cmp.Or(o.CacheSeries, standard.CacheSeries)
	o.CacheBytes = cmp.Or(o.CacheBytes, standard.CacheBytes)
	return &Decoder[S]{resolve: resolve, limits: o, series: make(map[string]S)}
}

// Forget empties the decoder's memory of series, for when what they resolve to
// no longer holds.
func (d *Decoder[S]) Forget() {
	d.series = make(map[string]S)
	d.bytes = 0
}

// Decode reads a body and passes its samples on in order. An object without a
// time takes now (ns since 1970 UTC).
//
// A body that begins with [ is one array: objects are numbered from 1, and a
// syntax error ends the reading, since what follows it can't be told apart.
// Any other body is objects one after the other, told by the line they begin
// on: a syntax error costs that line, and the lines after it that begin no
// object.
func (d *Decoder[S]) Decode(body []byte, now int64, sink intake.Sink[S]) {
	p := &d.parser
	p.open(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")), now)
	d.faults = 0
	p.space()
	if p.here() == '[' {
		d.array(sink)
	} else {
		d.lines(sink)
	}
	p.body = nil
}

// lines reads objects one after the other.
func (d *Decoder[S]) lines(sink intake.Sink[S]) {
	p := &d.parser
	line, counted := 1, 0
	p.origin = 0
	for p.space(); p.pos < len(p.body); p.space() {
		p.start = p.pos
		// Objects may share a line, however long: what was counted is not
		// looked at again.
		if passed := p.body[counted:p.start]; bytes.IndexByte(passed, '\n') >= 0 {
			line += bytes.Count(passed, []byte("\n"))
			p.origin = counted + bytes.LastIndexByte(passed, '\n') + 1
		}
		counted = p.start
		if d.full(line, sink) {
			return
		}
		if f := p.readObject(); f != nil {
			f.err = p.nextObject(line, f.err)
			d.reject(line, f, sink)
			continue
		}
		if f := d.emit(sink); f != nil {
			d.reject(line, f, sink)
		}
	}
}

// array reads the elements of one array.
func (d *Decoder[S]) array(sink intake.Sink[S]) {
	p := &d.parser
	p.pos++
	for number := 1; ; number++ {
		p.space()
		p.start, p.origin = p.pos, p.pos
		if number == 1 && p.here() == ']' {
			break
		}
		if d.full(number, sink) {
			return
		}
		f := p.readElement()
		if f != nil {
			f.err = fmt.Errorf("%w; and what follows it was not read", f.err)
			d.reject(number, f, sink)
			return
		}
		if f := d.emit(sink); f != nil {
			d.reject(number, f, sink)
		}
		p.space()
		if p.here() == ']' {
			break
		}
		if p.here() != ',' {
			p.start, p.origin = p.pos, p.pos
			f := p.syntax(p.pos, "after element %d comes %s, and not a comma or the array's end; what follows it was not read", number, p.word())
			sink.Reject(number+1, p.tell(f))
			return
		}
		p.pos++
	}
	p.pos++
	p.space()
	if p.pos < len(p.body) {
		p.start, p.origin = p.pos, p.pos
		f := p.syntax(p.pos, "after the array's end comes %s; it was not read", p.word())
		p.pos = len(p.body)
		sink.Reject(p.elements+1, p.tell(f))
	}
}

func (d *Decoder[S]) reject(line int, f *fault, sink intake.Sink[S]) {
	d.faults++
	sink.Reject(line, d.parser.tell(f))
}

// full says whether the body has had its faults, and tells the sink. Faults
// cost more than samples, and a small packed body can hold millions of them.
func (d *Decoder[S]) full(line int, sink intake.Sink[S]) bool {
	if d.faults < d.limits.MaxFaults {
		return false
	}
	p := &d.parser
	f := p.syntax(p.start, "this object and what follows it was not read: the body has %d faults before it, and the limit is %d", d.faults, d.limits.MaxFaults)
	d.reject(line, f, sink)
	return true
}

// emit passes the element that was read on, or says what is wrong with it.
func (d *Decoder[S]) emit(sink intake.Sink[S]) *fault {
	p := &d.parser
	if size := p.pos - p.start; size > d.limits.MaxObject {
		return p.syntax(p.start, "the object has %d bytes, and the limit is %d", size, d.limits.MaxObject)
	}
	s, f := p.sample()
	if f != nil {
		return f
	}
	if n := len(s.Value.Text); n > d.limits.MaxString {
		return p.syntax(p.value.at, "the value has %d bytes, and the limit for a string is %d", n, d.limits.MaxString)
	}
	series, err := d.find()
	if err == nil {
		err = sink.Emit(series, s)
	}
	if err != nil {
		return &fault{at: p.start, err: err}
	}
	return nil
}

// find gives the series of the element that was read.
func (d *Decoder[S]) find() (S, error) {
	p := &d.parser
	if err := p.sortTags(); err != nil {
		var none S
		return none, err
	}
	d.key = p.appendKey(d.key[:0])
	if series, ok := d.series[string(d.key)]; ok {
		return series, nil
	}
	series, err := d.learn()
	if err != nil {
		return series, err
	}
	if len(d.series) >= d.limits.CacheSeries || d.bytes > d.limits.CacheBytes {
		d.Forget()
	}
	d.series[string(d.key)] = series
	d.bytes += seriesCost + len(d.key)
	return series, nil
}

// learn resolves the series of the element that was read.
func (d *Decoder[S]) learn() (S, error) {
	p := &d.parser
	tags := make([]sample.Tag, len(p.tags))
	for i, t := range p.tags {
		tags[i] = sample.Tag{Name: string(t.name), Value: string(t.value)}
	}
	series, err := sample.NewSeries(string(p.metric.text), tags)
	if err != nil {
		var none S
		return none, err
	}
	d.key = series.AppendKey(d.key[:0])
	return d.resolve(d.key)
}

package query

import "runtime"

const (
	// batchSize is about how many bytes of samples and names make a batch.
	batchSize = 32 << 10
	// longLine is how many samples a line has that is no part of a batch.
	longLine = 1024
)

// lines writes an answer's lines: short ones a batch at a time, some batches
// beside each other, on all cores. They come out in the order in which they
// went in, and what goes in is copied.
type lines struct {
	form  format
	to    *stream
	now   *batch   // is filled
	begun []*batch // are being written, in order
}

// points takes the next line.
func (l *lines) points(p *Points) error {
	if len(p.Times) > longLine || p.Texts != nil || p.Qualities != nil {
		if err := l.end(); err != nil {
			return err
		}
		return l.form.points(l.to, p)
	}
	if l.now == nil {
		l.now = &batch{out: stream{gathers: true}}
		if n := len(l.to.spare); n > 0 {
			l.now, l.to.spare = l.to.spare[n-1], l.to.spare[:n-1]
		}
	}
	l.now.add(p)
	if l.now.size < batchSize {
		return nil
	}
	l.begin()
	if len(l.begun) <= runtime.GOMAXPROCS(0) {
		return nil
	}
	return l.take()
}

// begin has the batch that is filled written.
func (l *lines) begin() {
	b := l.now
	l.now, l.begun = nil, append(l.begun, b)
	b.done = make(chan struct{})
	go func() {
		defer close(b.done)
		b.write(l.form)
	}()
}

// take waits for the first batch and passes on what was written.
func (l *lines) take() error {
	b := l.begun[0]
	l.begun = l.begun[1:]
	<-b.done
	return l.pass(b)
}

// pass passes on what was written of a batch, and empties it.
func (l *lines) pass(b *batch) error {
	l.to.buf = append(l.to.buf, b.out.buf...)
	b.reset()
	l.to.spare = append(l.to.spare, b)
	return l.to.spill()
}

// end waits until all that went in is written. It is to be called also where
// the answer breaks off.
func (l *lines) end() (err error) {
	for len(l.begun) > 0 {
		if e := l.take(); err == nil {
			err = e
		}
	}
	if b := l.now; b != nil {
		l.now = nil
		b.write(l.form)
		if e := l.pass(b); err == nil {
			err = e
		}
	}
	return err
}

// batch is some lines' Points, which have neither texts nor qualities.
type batch struct {
	infos []SeriesInfo
	ends  []int // of each one's samples
	times []int64
	bits  []uint64
	size  int    // in bytes, about
	out   stream // gathers
	done  chan struct{}
}

func (b *batch) reset() {
	clear(b.infos)
	b.infos, b.ends, b.times, b.bits, b.size = b.infos[:0], b.ends[:0], b.times[:0], b.bits[:0], 0
	b.out = stream{buf: b.out.buf[:0], gathers: true}
}

func (b *batch) add(p *Points) {
	b.infos = append(b.infos, *p.Info)
	b.times, b.bits = append(b.times, p.Times...), append(b.bits, p.Bits...)
	b.ends = append(b.ends, len(b.times))
	b.size += 16*len(p.Times) + len(p.Info.Series.Metric)
	for _, t := range p.Info.Series.Tags {
		b.size += len(t.Name) + len(t.Value)
	}
}

func (b *batch) write(form format) {
	start := 0
	var p Points
	for i, end := range b.ends {
		p = Points{Info: &b.infos[i], Times: b.times[start:end], Bits: b.bits[start:end]}
		_ = form.points(&b.out, &p) // gathering does not fail
		start = end
	}
}

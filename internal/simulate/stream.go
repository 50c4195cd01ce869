package simulate

import (
	"strconv"
	"time"
)

// Batch is the body of one request.
type Batch struct {
	// Body is whole lines in the fleet's format.
	Body []byte
	// Lines and Samples count what Body holds.
	Lines, Samples int
	// Through is the time of the last line.
	Through int64
}

// Kind gives the fleet's kind.
func (f *Fleet) Kind() Kind { return f.kind }

// Span gives the time range [start, end) in which the samples lie, in ns.
func (f *Fleet) Span() (start, end int64) { return f.start, f.end }

// Next appends up to the given number of lines to dst[:0] and gives them as a
// batch whose body is the grown dst. It says false, with an empty batch, once
// all samples were given.
func (f *Fleet) Next(dst []byte, lines int) (Batch, bool) {
	b := Batch{Body: dst[:0]}
	for b.Lines < lines && f.turn < f.end {
		device := f.order[f.next]
		at := f.turn + int64(f.offset[device])*int64(time.Second)
		if at >= f.end {
			f.nextTurn() // the devices that follow are later still
			continue
		}
		if f.now.at != at || f.now.digits == nil {
			f.now.at = at
			f.now.digits = strconv.AppendInt(f.now.digits[:0], at, 10)
		}
		body, samples := f.devices.line(b.Body, int(device), f.now)
		b.Body = body
		if samples > 0 {
			b.Lines++
			b.Samples += samples
			b.Through = at
		}
		if f.next++; f.next == len(f.order) {
			f.nextTurn()
		}
	}
	return b, b.Lines > 0
}

func (f *Fleet) nextTurn() {
	f.next = 0
	if f.turn > f.end-f.interval { // adding could overflow at the far end
		f.turn = f.end
		return
	}
	f.turn += f.interval
}

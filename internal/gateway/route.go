package gateway

import (
	"math"

	"weir/internal/catalog"
	"weir/internal/gateway/intake"
	"weir/internal/sample"
)

// route is what a gateway remembers of lines of the same series and kinds:
// where each value goes. It is made once all series are registered, and only
// where the values are of their kinds, so nothing of it can change any more but
// the number of queues, from week to week.
type route struct {
	queues int
	shares []share
}

// share is the part of a line that goes into one queue.
type share struct {
	queue   int
	targets []target
}

// target is where one value of a line goes. All about it lies together: a
// fleet has more of them than the processor's nearest cache holds.
type target struct {
	series uint32 // catalog.Series.Index
	field  uint16 // place in the line
	kind   sample.Kind
}

// EmitLine takes a line's samples at once; see intake.Lines. It takes those
// lines of which nothing has to be asked: all series are registered, the
// values are of their kinds, and the time is one of the week before.
func (r *request) EmitLine(l *intake.Line[*catalog.Series]) bool {
	w := r.current
	if w == nil || l.Time < w.start || l.Time >= w.end || l.Time > r.latest {
		return false
	}
	to, _ := (*l.Memo).(*route)
	if to == nil || to.queues != len(w.queues) {
		if to = newRoute(l, len(w.queues)); to == nil {
			return false
		}
		*l.Memo = to
	}
	for i := range to.shares {
		s := &to.shares[i]
		r.bundle(w, s.queue).addLine(s, l.Time, l.Bits)
	}
	r.samples += len(l.Bits)
	return true
}

// newRoute finds where a line's values go; nil where one has to be asked for
// each time.
func newRoute(l *intake.Line[*catalog.Series], queues int) *route {
	if len(l.Series) > math.MaxUint16 {
		return nil
	}
	for i, s := range l.Series {
		if s.Kind() != l.Kinds[i] {
			return nil
		}
	}
	to := &route{queues: queues}
	place := make([]int, queues) // 1 + the queue's share
	for field, s := range l.Series {
		queue := s.Shard().Range(queues)
		if place[queue] == 0 {
			to.shares = append(to.shares, share{queue: queue})
			place[queue] = len(to.shares)
		}
		of := &to.shares[place[queue]-1]
		of.targets = append(of.targets, target{s.Index, uint16(field), l.Kinds[field]})
	}
	return to
}

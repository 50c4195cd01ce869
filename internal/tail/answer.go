package tail

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"weir/internal/feed"
	"weir/internal/jsonline"
	"weir/internal/sample"
)

const (
	// sendAt is how much is written at once while there is more to come.
	sendAt = 64 << 10
	// writeTime is how long a client may take to take in a piece; one that takes
	// longer is cut off, and goes on with its token.
	writeTime = time.Minute
)

// errGone says that there is nobody to answer.
var errGone = errors.New("the client does not take the answer")

// answer writes events as JSON lines.
type answer struct {
	to      http.ResponseWriter
	control *http.ResponseController
	buf     []byte
	begun   bool
}

// event writes one event. What is written is sent when there is no more for
// now, and each time it is enough.
func (a *answer) event(e *feed.Event) error {
	for i := range e.Series {
		a.points(&e.Series[i])
		if err := a.spill(); err != nil {
			return err
		}
	}
	if e.Gap != nil {
		a.gap(e)
	}
	a.buf = append(a.buf, `{"token":"`...)
	a.buf = append(a.buf, e.Cut.Token()...)
	a.buf = append(a.buf, '"')
	if !e.Accepted.IsZero() {
		a.buf = append(a.buf, `,"accepted":`...)
		a.buf = strconv.AppendInt(a.buf, e.Accepted.UnixNano(), 10)
	}
	a.buf = append(a.buf, "}\n"...)
	if len(e.Series) > 0 || e.Gap != nil {
		return a.spill()
	}
	return a.flush()
}

// points appends a line as select writes it.
func (a *answer) points(p *feed.Points) {
	a.buf = append(a.buf, '{')
	a.buf = jsonline.AppendSeries(a.buf, p.Series, p.Kind)
	a.array(`,"times":[`, p, func(dst []byte, i int) []byte { return strconv.AppendInt(dst, p.Times[i], 10) })
	a.array(`,"values":[`, p, func(dst []byte, i int) []byte {
		v := sample.Value{Kind: p.Kind}
		if p.Kind == sample.String {
			v.Text = p.Texts[i]
		} else {
			v.Bits = p.Bits[i]
		}
		return jsonline.AppendValue(dst, v)
	})
	if p.Qualities != nil {
		a.array(`,"quality":[`, p, func(dst []byte, i int) []byte { return strconv.AppendUint(dst, uint64(p.Qualities[i]), 10) })
	}
	a.buf = append(a.buf, "}\n"...)
}

// array appends a JSON array with one element a sample.
func (a *answer) array(opening string, p *feed.Points, element func([]byte, int) []byte) {
	a.buf = append(a.buf, opening...)
	for i := range p.Times {
		if i > 0 {
			a.buf = append(a.buf, ',')
		}
		a.buf = element(a.buf, i)
	}
	a.buf = append(a.buf, ']')
}

// gap appends {"gap":{…}}.
func (a *answer) gap(e *feed.Event) {
	a.buf = append(a.buf, `{"gap":{"reason":"`...)
	a.buf = append(a.buf, e.Gap.Reason...)
	a.buf = append(a.buf, `","week":"`...)
	a.buf = append(a.buf, e.Journal.Week.String()...)
	a.buf = append(a.buf, '"')
	for _, number := range []struct {
		name  string
		value uint64
	}{
		{"partition", uint64(e.Journal.Partition)}, {"from", e.Gap.From}, {"to", e.Gap.To},
		{"commits", uint64(e.Gap.Commits)}, {"samples", e.Gap.Samples},
	} {
		a.buf = append(a.buf, `,"`...)
		a.buf = append(a.buf, number.name...)
		a.buf = append(a.buf, `":`...)
		a.buf = strconv.AppendUint(a.buf, number.value, 10)
	}
	a.buf = append(a.buf, "}}\n"...)
}

// fail appends what tells of an error once the answer has begun.
func (a *answer) fail(err error) {
	a.buf = append(a.buf, `{"error":{"title":"Tail failed","status":500,"detail":`...)
	a.buf = jsonline.AppendText(a.buf, err.Error())
	a.buf = append(a.buf, "}}\n"...)
	_ = a.flush() // it is told, if it can be
}

// spill sends what was written, if that is enough.
func (a *answer) spill() error {
	if len(a.buf) < sendAt {
		return nil
	}
	return a.flush()
}

func (a *answer) flush() error {
	if !a.begun {
		a.begun = true
		header := a.to.Header()
		header.Set("Content-Type", "application/x-ndjson")
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", "no-store")
	}
	if err := a.control.SetWriteDeadline(time.Now().Add(writeTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return errors.Join(errGone, err)
	}
	if _, err := a.to.Write(a.buf); err != nil {
		return errors.Join(errGone, err)
	}
	a.buf = a.buf[:0]
	if err := a.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return errors.Join(errGone, err)
	}
	return nil
}

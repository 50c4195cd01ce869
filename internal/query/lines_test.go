package query

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"

	"weir/internal/sample"
)

// linesPoints gives Points of all that tells lines apart: short and long, with
// times that many share, texts, qualities, none at all.
func linesPoints(t *testing.T, random *rand.Rand) []Points {
	var all []Points
	for i := range 2000 {
		n, step := random.IntN(20), 1+random.Int64N(2)
		kind := []sample.Kind{sample.Int64, sample.Float64}[random.IntN(2)]
		quality := sample.Good
		switch random.IntN(200) {
		case 0:
			n = longLine + random.IntN(longLine)
		case 1:
			kind = sample.String
		case 2:
			quality = 3
		}
		p := newPoints(t, "m", []string{"i", fmt.Sprint(i)}, kind)
		for at := range int64(n) {
			v := sample.IntValue(random.Int64N(1000))
			switch kind {
			case sample.Float64:
				v = sample.FloatValue(random.NormFloat64())
			case sample.String:
				v = sample.StringValue(fmt.Sprint(at))
			}
			p = p.with(sample.Sample{Time: at * step, Value: v, Quality: quality})
		}
		all = append(all, p)
	}
	return all
}

// TestLinesAreWrittenAsOneAfterTheOther overwrites what it gave, as a source may.
func TestLinesAreWrittenAsOneAfterTheOther(t *testing.T) {
	all := linesPoints(t, rand.New(rand.NewPCG(7, 8)))
	for _, form := range []format{jsonLines{}, csvRows{}} {
		var one stream
		one.w = httptest.NewRecorder()
		for i := range all {
			if err := form.points(&one, &all[i]); err != nil {
				t.Fatal(err)
			}
		}
		if err := one.flush(); err != nil {
			t.Fatal(err)
		}
		want := one.w.(*httptest.ResponseRecorder).Body.String()

		recorder := httptest.NewRecorder()
		l := &lines{form: form, to: &stream{w: recorder}}
		var given Points
		for i := range all {
			info := *all[i].Info
			given = Points{
				Info: &info, Times: append(given.Times[:0], all[i].Times...), Bits: append(given.Bits[:0], all[i].Bits...),
				Texts: all[i].Texts, Qualities: all[i].Qualities,
			}
			if err := l.points(&given); err != nil {
				t.Fatal(err)
			}
			info.Series.Metric = "overwritten"
		}
		if err := errors.Join(l.end(), l.to.flush()); err != nil {
			t.Fatal(err)
		}
		if got := recorder.Body.String(); got != want {
			at := 0
			for at < min(len(got), len(want)) && got[at] == want[at] {
				at++
			}
			t.Errorf("%s: %d bytes, want %d; they differ from %d on: %.200q, want %.200q", form.contentType(), len(got), len(want), at, got[at:], want[at:])
		}
	}
}

// goneWriter is a connection whose client has gone.
type goneWriter struct{ *httptest.ResponseRecorder }

var errGone = errors.New("gone")

func (goneWriter) Write([]byte) (int, error) { return 0, errGone }

func TestLinesTellThatTheClientHasGone(t *testing.T) {
	all := linesPoints(t, rand.New(rand.NewPCG(9, 10)))
	var w http.ResponseWriter = goneWriter{httptest.NewRecorder()}
	l := &lines{form: jsonLines{}, to: &stream{w: w, begun: true}}
	var err error
	for i := 0; err == nil && i < len(all); i++ {
		err = l.points(&all[i])
	}
	if !errors.Is(err, errGone) {
		t.Errorf("the error is %v; want that the client has gone", err)
	}
	_ = l.end()
	if len(l.begun) != 0 || l.now != nil {
		t.Errorf("%d batches are under way after the end", len(l.begun))
	}
}

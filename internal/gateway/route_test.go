package gateway

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"weir/internal/block"
	"weir/internal/catalog"
	"weir/internal/gateway/intake"
	"weir/internal/gateway/lineprotocol"
	"weir/internal/sample"
)

// oneByOne hides that a request takes lines whole.
type oneByOne struct{ *request }

func (oneByOne) EmitLine(*intake.Line[*catalog.Series]) bool { return false }

// register makes a series known to a week.
func register(t testing.TB, c *catalog.Catalog, week sample.Week, kind sample.Kind, metric string, tags ...sample.Tag) {
	t.Helper()
	s, err := sample.NewSeries(metric, tags)
	if err != nil {
		t.Fatal(err)
	}
	in := catalog.InWeek{Week: week, Handle: sample.NewHandle(s.ID().Shard(), uint32(c.Len())), Kind: kind}
	if err := c.Register(s.Key(), in); err != nil {
		t.Fatal(err)
	}
}

// drawBody makes lines of a few heads and fields, mostly alike, around the
// turn of a week.
func drawBody(t *rapid.T, turn int64) string {
	var body strings.Builder
	for range rapid.IntRange(1, 20).Draw(t, "lines") {
		fmt.Fprintf(&body, "m,host=%d ", rapid.IntRange(0, 2).Draw(t, "host"))
		for field := range rapid.SampledFrom([]int{3, 3, 3, 2}).Draw(t, "fields") {
			value := rapid.SampledFrom([]string{"1i", "1i", "1i", "2.5", "t", `"x"`}).Draw(t, "value")
			fmt.Fprintf(&body, "%sf%d=%s", ","[:min(field, 1)], field, value)
		}
		fmt.Fprintf(&body, " %d\n", turn+rapid.Int64Range(-3, 3).Draw(t, "time"))
	}
	return body.String()
}

// TestWholeLinesMeanWhatTheirSamplesDo, whatever of their series is registered
// meanwhile, in one week or the next.
func TestWholeLinesMeanWhatTheirSamplesDo(t *testing.T) {
	const week = sample.Week(2900)
	rapid.Check(t, func(rt *rapid.T) {
		r := newRig(t, 2, nil)
		whole, single := r.lines.get(), lineprotocol.New(r.catalog.Intern, lineprotocol.Default())
		for range rapid.IntRange(1, 4).Draw(rt, "bodies") {
			if rapid.Bool().Draw(rt, "register") {
				for field := range 3 {
					kind := rapid.SampledFrom([]sample.Kind{sample.Int64, sample.Int64, sample.Float64}).Draw(rt, "kind")
					for host := range 3 {
						register(t, r.catalog, week, kind, fmt.Sprintf("m_f%d", field), sample.Tag{Name: "host", Value: fmt.Sprint(host)})
					}
				}
			}
			body := []byte(drawBody(rt, week.End()))
			a, b := r.newRequest(t.Context()), r.newRequest(t.Context())
			whole.Decode(body, lineprotocol.Nanosecond, 0, a)
			single.Decode(body, lineprotocol.Nanosecond, 0, oneByOne{b})
			if d := cmp.Diff(placedOf(r.Gateway, b), placedOf(r.Gateway, a)) + cmp.Diff(b.faults, a.faults); d != "" || a.samples != b.samples {
				rt.Fatalf("%s\n%d samples whole, %d one by one: -one by one +whole\n%s", body, a.samples, b.samples, d)
			}
		}
	})
}

// placedOf gives a request's samples by week and queue as messages have them.
func placedOf(g *Gateway, r *request) map[string][]placed {
	out := map[string][]placed{}
	for week, w := range r.weeks {
		for queue, u := range w.queues {
			if u != nil {
				var group grouping
				out[fmt.Sprint(week, queue)] = read(group.build(g.catalog.All(), week, []*bundle{u}))
			}
		}
	}
	return out
}

// fleetRequest is a rig whose catalog knows hosts of ten fields, and a body of
// one line a host.
func fleetRequest(t testing.TB, hosts int) (*rig, []byte) {
	r := newRig(t, 2, nil)
	now := time.Now()
	var body []byte
	for host := range hosts {
		tag := sample.Tag{Name: "host", Value: fmt.Sprint(host)}
		body = fmt.Appendf(body, "cpu,host=%d ", host)
		for field := range 10 {
			register(t, r.catalog, sample.WeekOf(now.UnixNano()), sample.Int64, fmt.Sprintf("cpu_f%d", field), tag)
			body = fmt.Appendf(body, "%sf%d=%di", ","[:min(field, 1)], field, (host+field)%100)
		}
		body = fmt.Appendf(body, " %d\n", now.UnixNano())
	}
	return r, body
}

// TestSteadyIntakeAllocatesNothingASample: from a body of 50,000 values to
// encoded blocks what is allocated is a few objects a request.
func TestSteadyIntakeAllocatesNothingASample(t *testing.T) {
	r, body := fleetRequest(t, 5000)
	d := r.lines.get()
	var group grouping
	var out []byte
	run := func() {
		to := r.newRequest(t.Context())
		d.Decode(body, lineprotocol.Nanosecond, 0, to)
		if to.samples != 50_000 || to.rejected > 0 {
			t.Fatalf("%d samples, %d rejected", to.samples, to.rejected)
		}
		for week, w := range to.weeks {
			for _, u := range w.queues {
				b := group.build(r.catalog.All(), week, []*bundle{u})
				var err error
				if out, err = block.Encode(out[:0], b); err != nil {
					t.Fatal(err)
				}
			}
		}
		to.drop()
	}
	run() // meets the series
	run() // takes lines whole from here on
	// Most are of zstd, where a pool was emptied meanwhile.
	if n := testing.AllocsPerRun(5, run); n > 200 {
		t.Errorf("%.0f allocations for 50,000 values", n)
	}
}

// TestHalvesOfALineGoTogether: a line is not cut, and one that cannot be made
// smaller is told from one that can.
func TestHalvesOfALineGoTogether(t *testing.T) {
	s := &share{targets: []target{{0, 0, sample.Int64}, {1, 1, sample.Int64}, {2, 2, sample.Int64}}}
	u := &bundle{}
	for i := range int64(4) {
		u.addLine(s, i, []uint64{1, 2, 3})
	}
	first, second := halve([]*bundle{u}, 5)
	if len(first) != 1 || len(second) != 1 || first[0].samples() != 6 || second[0].samples() != 6 || len(first[0].lines) != 2 {
		t.Fatalf("%+v and %+v", first, second)
	}
	one, _ := halve(second, 3)
	if a, b := halve(one, 1); len(a) != 1 || len(b) != 0 {
		t.Fatalf("one line became %d and %d", len(a), len(b))
	}
}

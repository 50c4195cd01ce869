package gateway

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"weir/internal/block"
	"weir/internal/catalog"
	"weir/internal/message"
	"weir/internal/sample"
)

// placed is one sample of a batch with what names its series there.
type placed struct {
	Name  string
	Kind  sample.Kind
	Value sample.Sample
}

func drawSample(t *rapid.T) sample.Sample {
	s := sample.Sample{Time: rapid.Int64().Draw(t, "time")}
	switch rapid.IntRange(1, 4).Draw(t, "kind") {
	case 1:
		s.Value = sample.Value{Kind: sample.Float64, Bits: rapid.Uint64().Draw(t, "bits")}
	case 2:
		s.Value = sample.IntValue(rapid.Int64().Draw(t, "int"))
	case 3:
		s.Value = sample.BoolValue(rapid.Bool().Draw(t, "bool"))
	default:
		s.Value = sample.StringValue(rapid.StringN(0, 3, 9).Draw(t, "text"))
	}
	if rapid.IntRange(0, 4).Draw(t, "bad") == 0 {
		s.Quality = sample.Quality(rapid.Uint32().Draw(t, "quality"))
	}
	return s
}

// put adds a sample as a request does.
func (u *bundle) put(series *catalog.Series, s sample.Sample) { u.add(series, &s) }

// read gives a batch's samples in the order of its columns.
func read(b *block.Batch) []placed {
	var out []placed
	for run := range b.Runs() {
		var name string
		if run < len(b.Handles) {
			name = fmt.Sprintf("handle %x", b.Handles[run])
		} else {
			name = b.Keys[run-len(b.Handles)]
		}
		start, end := b.Run(run)
		for i := start; i < end; i++ {
			out = append(out, placed{name, b.Kinds[run], sample.Sample{Time: b.Times[i], Value: b.Value(b.Kinds[run], i), Quality: b.Quality(i)}})
		}
	}
	return out
}

func TestGroupingAgreesWithANaiveOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := catalog.New()
		var all []*catalog.Series
		names := rapid.IntRange(1, 6).Draw(t, "series")
		for i := range names {
			s, err := sample.NewSeries(fmt.Sprintf("m%d", i), nil)
			if err != nil {
				t.Fatal(err)
			}
			series, err := c.Intern([]byte(s.Key()))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, series)
			for week := range sample.Week(3) {
				if rapid.Bool().Draw(t, "registered") {
					in := catalog.InWeek{Week: week, Handle: sample.NewHandle(series.Shard(), uint32(i)), Kind: sample.Float64}
					if err := c.Register(series.Key, in); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		var g grouping // one for several builds: its scratch must not show
		for range rapid.IntRange(1, 3).Draw(t, "builds") {
			checkBuild(t, &g, c, all)
		}
	})
}

func checkBuild(t *rapid.T, g *grouping, c *catalog.Catalog, all []*catalog.Series) {
	week := sample.Week(rapid.IntRange(0, 2).Draw(t, "week"))
	var of []*bundle
	var model []placed
	fast := func(s sample.Series) bool { return strings.ContainsAny(s.Metric, "135") }
	isFast := map[string]bool{} // by the name in the batch
	for range rapid.IntRange(1, 4).Draw(t, "bundles") {
		u := &bundle{week: week}
		for range rapid.IntRange(0, 12).Draw(t, "samples") {
			series, s := rapid.SampledFrom(all).Draw(t, "of"), drawSample(t)
			u.put(series, s)
			name := series.Key
			if in, ok := series.In(week); ok {
				name = fmt.Sprintf("handle %x", in.Handle)
			}
			model = append(model, placed{name, s.Value.Kind, s})
			isFast[name] = fast(series.Series)
		}
		of = append(of, u)
	}
	b := g.build(c.All(), week, of)
	if err := b.Validate(); err != nil {
		t.Fatal(err)
	}
	if !slices.IsSorted(b.Handles) || !slices.IsSorted(b.Keys) {
		t.Fatalf("runs are not in order: %v %q", b.Handles, b.Keys)
	}
	got := read(b)
	if len(got) != len(model) {
		t.Fatalf("%d samples of %d", len(got), len(model))
	}
	// Within a series and kind the order of arrival is kept: it decides
	// between samples of one time.
	byRun := func(of []placed) map[string][]placed {
		m := map[string][]placed{}
		for _, p := range of {
			key := fmt.Sprint(p.Name, p.Kind)
			m[key] = append(m[key], p)
		}
		return m
	}
	if d := cmp.Diff(byRun(model), byRun(got)); d != "" {
		t.Fatal(d)
	}
	if b.Runs() != len(byRun(model)) {
		t.Fatalf("%d runs of %d series and kinds", b.Runs(), len(byRun(model)))
	}
	var parted []placed
	for role, part := range g.divide(c.All(), fast) {
		if err := part.Validate(); err != nil || !slices.IsSorted(part.Handles) || !slices.IsSorted(part.Keys) {
			t.Fatalf("a part is not in order: %v", err)
		}
		of := read(part)
		for _, p := range of {
			if isFast[p.Name] != (role == message.Fast) {
				t.Fatalf("%s goes into a message of role %d", p.Name, role)
			}
		}
		parted = append(parted, of...)
	}
	if d := cmp.Diff(byRun(model), byRun(parted)); d != "" {
		t.Fatal(d)
	}
}

func TestHalvesHoldEachSampleOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := catalog.New()
		s, err := c.Intern([]byte("\x01m"))
		if err != nil {
			t.Fatal(err)
		}
		var of []*bundle
		total := 0
		for range rapid.IntRange(1, 4).Draw(t, "bundles") {
			u := &bundle{week: 3}
			for range rapid.IntRange(0, 5).Draw(t, "samples") {
				u.put(s, sample.Sample{Time: int64(total), Value: sample.StringValue(fmt.Sprint(total))})
				total++
			}
			of = append(of, u)
		}
		n := rapid.IntRange(0, total).Draw(t, "n")
		first, second := halve(of, n)
		var g grouping
		at := 0
		for i, half := range [][]*bundle{first, second} {
			got := read(g.build(c.All(), 3, half))
			if i == 0 && len(got) != n {
				t.Fatalf("the first half holds %d samples; want %d", len(got), n)
			}
			for _, p := range got {
				if p.Value.Time != int64(at) || p.Value.Value.Text != fmt.Sprint(at) {
					t.Fatalf("sample %d is %+v", at, p)
				}
				at++
			}
		}
		if at != total {
			t.Fatalf("%d samples of %d", at, total)
		}
	})
}

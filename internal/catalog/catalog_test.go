package catalog

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"weir/internal/sample"
)

func unitSeries(t *testing.T, metric string, tags ...string) sample.Series {
	t.Helper()
	var list []sample.Tag
	for i := 0; i < len(tags); i += 2 {
		list = append(list, sample.Tag{Name: tags[i], Value: tags[i+1]})
	}
	s, err := sample.NewSeries(metric, list)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func unitRegister(t *testing.T, c *Catalog, s sample.Series, in InWeek) {
	t.Helper()
	if err := c.Register(s.Key(), in); err != nil {
		t.Fatal(err)
	}
}

func TestASeriesIsOnePointer(t *testing.T) {
	c := New()
	series := unitSeries(t, "temp", "room", "1")
	key := []byte(series.Key())
	s, err := c.Intern(key)
	if err != nil {
		t.Fatal(err)
	}
	for i := range key {
		key[i] = 0xff // the caller's again
	}
	if s.Key != series.Key() || s.ID != series.ID() || s.Shard() != series.ID().Shard() || s.String() != series.String() || s.Index != 0 {
		t.Errorf("the series is %+v", s)
	}
	unitRegister(t, c, series, InWeek{Week: 3, Handle: 7, Kind: sample.Bool})
	if again, err := c.Intern([]byte(series.Key())); err != nil || again != s {
		t.Errorf("again it is %p, %v; want %p", again, err, s)
	}
	if found := c.Find("temp", nil); len(found) != 1 || found[0] != s {
		t.Errorf("found are %v; want the same pointer", found)
	}
	if other, err := c.Intern([]byte(unitSeries(t, "other").Key())); err != nil || other.Index != 1 {
		t.Errorf("the next series is %+v, %v; want index 1", other, err)
	}
}

func TestKeysThatAreNoneAreRefused(t *testing.T) {
	c := New()
	for _, key := range []string{"", "\x05temp", "\x04temp\x01", "\x04temp\x01b\x01x\x01a\x01x"} {
		if s, err := c.Intern([]byte(key)); err == nil {
			t.Errorf("key %q became %v", key, s)
		}
		if err := c.Register(key, InWeek{Kind: sample.Bool}); err == nil {
			t.Errorf("key %q was registered", key)
		}
	}
	if c.Len() != 0 || len(c.Find("", nil)) != 0 {
		t.Errorf("%d series are registered", c.Len())
	}
}

func TestWeeksOfASeries(t *testing.T) {
	c := New()
	series := unitSeries(t, "m")
	s, err := c.Intern([]byte(series.Key()))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.In(3); ok || s.Kind() != 0 || s.Weeks() != nil || c.Len() != 0 {
		t.Errorf("registered nowhere: kind %v, weeks %v, %d series", s.Kind(), s.Weeks(), c.Len())
	}
	five := InWeek{Week: 5, Handle: sample.NewHandle(s.Shard(), 2), Kind: sample.Float64}
	unitRegister(t, c, series, five)
	given, copies := [][]InWeek{s.Weeks()}, [][]InWeek{{five}}
	three := InWeek{Week: 3, Handle: sample.NewHandle(s.Shard(), 9), Kind: sample.Int64}
	minus := InWeek{Week: -2, Handle: sample.NewHandle(s.Shard(), 1), Kind: sample.Float64}
	nine := InWeek{Week: 9, Handle: sample.NewHandle(s.Shard(), 0), Kind: sample.Float64}
	for _, in := range []InWeek{nine, three, minus, {Week: 5, Handle: 1, Kind: sample.Bool}} {
		unitRegister(t, c, series, in)
		given, copies = append(given, s.Weeks()), append(copies, slices.Clone(s.Weeks()))
	}
	if want := []InWeek{minus, three, five, nine}; !slices.Equal(s.Weeks(), want) {
		t.Errorf("weeks %v; want %v", s.Weeks(), want)
	}
	unitRegister(t, c, series, InWeek{Week: -1, Kind: sample.Float64})
	for i := range given {
		if !slices.Equal(given[i], copies[i]) {
			t.Errorf("a list that was given changed from %v to %v", copies[i], given[i])
		}
	}
	for _, want := range s.Weeks() {
		if got, ok := s.In(want.Week); !ok || got != want {
			t.Errorf("in week %d it is %v, %v; want %v", want.Week, got, ok, want)
		}
	}
	if _, ok := s.In(4); ok {
		t.Error("it is known in a week that it is not registered in")
	}
	if s.Kind() != minus.Kind || c.Len() != 1 {
		t.Errorf("kind %v, %d series; want the earliest week's, and one", s.Kind(), c.Len())
	}
	unitRegister(t, c, series, InWeek{Week: -3, Kind: sample.Int64})
	if s.Kind() != sample.Int64 {
		t.Errorf("kind %v; want that of the week that is now the earliest", s.Kind())
	}
}

func TestFindNarrowsByMetricAndTags(t *testing.T) {
	c := New()
	var all []sample.Series
	for i := range 24 {
		s := unitSeries(t, fmt.Sprint("m", i%3), "room", fmt.Sprint(i%4), "unit", fmt.Sprint(i%2), "n", fmt.Sprint(i))
		all = append(all, s)
		unitRegister(t, c, s, InWeek{Week: 1, Kind: sample.Float64})
		unitRegister(t, c, s, InWeek{Week: 2, Kind: sample.Float64}) // is found once all the same
	}
	slices.SortFunc(all, sample.Series.Compare)
	if _, err := c.Intern([]byte(unitSeries(t, "m0", "room", "0").Key())); err != nil {
		t.Fatal(err)
	}
	tag := func(name, value string) sample.Tag { return sample.Tag{Name: name, Value: value} }
	for _, tags := range [][]sample.Tag{
		nil, {tag("room", "1")}, {tag("unit", "0")}, {tag("room", "1"), tag("unit", "1")},
		{tag("unit", "0"), tag("room", "1")}, {tag("n", "7"), tag("room", "3")}, {tag("room", "9")}, {tag("nothing", "1")},
	} {
		for _, metric := range []string{"", "m0", "m2", "m9"} {
			var want []string
			for _, s := range all {
				has := metric == "" || s.Metric == metric
				for _, t := range tags {
					has = has && s.Tag(t.Name) == t.Value
				}
				if has {
					want = append(want, s.Key())
				}
			}
			var got []string
			for _, s := range c.Find(metric, tags) {
				got = append(got, s.Key)
			}
			if !slices.Equal(got, want) {
				t.Errorf("metric %q, tags %v: %q; want %q", metric, tags, got, want)
			}
		}
	}
	if c.Len() != len(all) {
		t.Errorf("%d series; want %d", c.Len(), len(all))
	}
}

// TestFindGivesSeriesInOrder registers series between searches, in any order.
func TestFindGivesSeriesInOrder(t *testing.T) {
	c := New()
	random := rand.New(rand.NewPCG(5, 6))
	var all []sample.Series
	var given [][]*Series
	var copies [][]*Series
	for _, i := range random.Perm(200) {
		s := unitSeries(t, fmt.Sprint("m", i%3), "n", fmt.Sprint(i), "unit", fmt.Sprint(i%2))
		all = append(all, s)
		unitRegister(t, c, s, InWeek{Week: 1, Kind: sample.Float64})
		if random.IntN(10) > 0 {
			continue
		}
		slices.SortFunc(all, sample.Series.Compare)
		for _, tags := range [][]sample.Tag{nil, {{Name: "unit", Value: "1"}}} {
			found := c.Find("", tags)
			var want, got []string
			for _, s := range all {
				if tags == nil || s.Tag("unit") == "1" {
					want = append(want, s.Key())
				}
			}
			for _, s := range found {
				got = append(got, s.Key)
			}
			if !slices.Equal(got, want) {
				t.Fatalf("of %d series, tags %v: %q; want %q", len(all), tags, got, want)
			}
			given, copies = append(given, found), append(copies, slices.Clone(found))
		}
	}
	for i := range given {
		if !slices.Equal(given[i], copies[i]) {
			t.Errorf("list %d changed after it was given", i)
		}
	}
	for i, s := range c.All() {
		if int(s.Index) != i {
			t.Fatalf("series %d of all has index %d", i, s.Index)
		}
	}
}

// TestCatalogServesManyAtOnce is for the race detector, and holds that each
// key has one series and one index however it came in.
func TestCatalogServesManyAtOnce(t *testing.T) {
	const workers, series, weeks = 4, 60, 3
	c := New()
	var keys [series]sample.Series
	for i := range keys {
		keys[i] = unitSeries(t, fmt.Sprint("m", i%5), "n", fmt.Sprint(i))
	}
	var interned [workers][series]*Series
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			for n := range series {
				i := (n*7 + w*13) % series
				s, err := c.Intern([]byte(keys[i].Key()))
				if err != nil {
					t.Error(err)
					return
				}
				interned[w][i] = s
				for week := range sample.Week(weeks) {
					if err := c.Register(s.Key, InWeek{Week: week, Handle: sample.Handle(i), Kind: sample.Int64}); err != nil {
						t.Error(err)
					}
					if in, ok := s.In(week); !ok || in.Handle != sample.Handle(i) || s.Kind() != sample.Int64 {
						t.Errorf("right after it was registered it is %v, %v", in, ok)
					}
				}
				if found := c.Find(s.Metric, s.Tags); len(found) != 1 || found[0] != s {
					t.Errorf("found are %v", found)
				}
				if c.Len() == 0 {
					t.Error("no series")
				}
			}
		})
	}
	group.Wait()
	seen := map[uint32]bool{}
	for i, s := range interned[0] {
		for w := range workers {
			if interned[w][i] != s {
				t.Fatalf("series %d is two", i)
			}
		}
		if len(s.Weeks()) != weeks || seen[s.Index] || s.Index >= series {
			t.Errorf("series %d has %d weeks and index %d", i, len(s.Weeks()), s.Index)
		}
		seen[s.Index] = true
	}
	if c.Len() != series || len(c.Find("", nil)) != series {
		t.Errorf("%d series, found %d; want %d", c.Len(), len(c.Find("", nil)), series)
	}
}

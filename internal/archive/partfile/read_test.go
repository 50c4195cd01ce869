package partfile

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"weir/internal/block"
	"weir/internal/objects"
	"weir/internal/sample"
)

var update = flag.Bool("update", false, "write the golden files anew")

// The ends of time: a selection of all of it.
const (
	minTime = math.MinInt64
	maxTime = math.MaxInt64
)

// object is an object in memory.
type object struct{ *bytes.Reader }

func (object) Close() error { return nil }

var _ objects.Reader = object{}

// identities is the series of a test's batch.
type identities map[sample.Handle]*Identity

func (i identities) of(h sample.Handle) (*Identity, error) {
	if i[h] == nil {
		return nil, fmt.Errorf("no series %x", h)
	}
	return i[h], nil
}

func (i identities) wanted(handles ...sample.Handle) *Wanted {
	all := map[sample.SeriesID]sample.Handle{}
	for _, h := range handles {
		all[i[h].ID] = h
	}
	return Want(all)
}

func encodePart(t testing.TB, b *block.Batch, of identities) []byte {
	t.Helper()
	var out bytes.Buffer
	week, err := sample.ParseWeek("2026-W03")
	if err != nil {
		t.Fatal(err)
	}
	w := NewWriter(&out, &Place{Week: week, Partitions: 1, End: 1024}, of.of)
	if err = w.Write(b); err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// someBatch makes a batch of all kinds, with odd values, in order of series.
func someBatch(r *rand.Rand, series, most int) (*block.Batch, identities) {
	of := identities{}
	var handles []sample.Handle
	for i := range series {
		key := sample.Series{Metric: fmt.Sprintf("metric_%d", i%3), Tags: []sample.Tag{{Name: "host", Value: fmt.Sprintf("h\"%d", i)}}}.Key()
		identity, err := Identify(key)
		if err != nil {
			panic(err)
		}
		h := sample.NewHandle(identity.ID.Shard(), uint32(i))
		of[h], handles = &identity, append(handles, h)
	}
	slices.SortFunc(handles, func(a, b sample.Handle) int { return CompareIDs(of[a].ID, of[b].ID) })
	b := &block.Batch{Versions: []uint64{}, Positions: []uint64{}}
	for i, h := range handles {
		kind := sample.Kind(1 + i%4)
		time := int64(1_768_000_000e9)
		for range 1 + r.IntN(most) {
			time += 1 + r.Int64N(1e10)
			s := sample.Sample{Time: time, Value: oddValue(r, kind)}
			if r.IntN(5) == 0 {
				s.Quality = sample.Quality(r.Uint32())
			}
			b.AddSample(s)
			b.Versions = append(b.Versions, r.Uint64()>>r.IntN(64))
			b.Positions = append(b.Positions, r.Uint64()>>(1+r.IntN(63)))
		}
		b.EndRun(h, kind)
	}
	return b, of
}

func oddValue(r *rand.Rand, kind sample.Kind) sample.Value {
	switch kind {
	case sample.Int64:
		return sample.IntValue([]int64{0, math.MinInt64, math.MaxInt64, r.Int64()}[r.IntN(4)])
	case sample.Bool:
		return sample.BoolValue(r.IntN(2) == 0)
	case sample.String:
		return sample.StringValue([]string{"", "a", "a longer text, said again", fmt.Sprint(r.Uint64())}[r.IntN(4)])
	}
	return sample.Value{Kind: kind, Bits: []uint64{0, 1 << 63, 0x7ff0000000000001, 0xfff8000000000123, r.Uint64(), math.Float64bits(1.5)}[r.IntN(6)]}
}

type foundRow struct {
	handle            sample.Handle
	time              int64
	value             sample.Value
	quality           sample.Quality
	version, position uint64
}

func rowsIn(b *block.Batch, keep func(sample.Handle, int64) bool) (out []foundRow) {
	for run, h := range b.Handles {
		start, end := b.Run(run)
		for i := start; i < end; i++ {
			if keep(h, b.Times[i]) {
				out = append(out, foundRow{h, b.Times[i], b.Value(b.Kinds[run], i), b.Quality(i), b.Versions[i], b.Positions[i]})
			}
		}
	}
	return out
}

func readRows(t testing.TB, r *Reader, body []byte, s Selection) (out []foundRow) {
	t.Helper()
	err := r.Read(t.Context(), object{bytes.NewReader(body)}, s, func(b *block.Batch) error {
		if err := b.Validate(); err != nil {
			t.Error(err)
		}
		out = append(out, rowsIn(b, func(sample.Handle, int64) bool { return true })...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestSelectionsAreThoseOfASlowRead reads parts of a part, and all of it.
func TestSelectionsAreThoseOfASlowRead(t *testing.T) {
	var reader Reader
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 9))
		b, of := someBatch(r, 1+r.IntN(30), 1+r.IntN(200))
		body := encodePart(t, b, of)
		for try := range 8 {
			s := Selection{From: minTime, To: maxTime}
			some := b.Handles
			if try > 0 {
				some = slices.DeleteFunc(slices.Clone(b.Handles), func(sample.Handle) bool { return r.IntN(3) == 0 })
				s.From = b.Times[r.IntN(len(b.Times))]
				s.To = s.From + r.Int64N(1e12)
			}
			s.Wanted = of.wanted(some...)
			want := rowsIn(b, func(h sample.Handle, time int64) bool {
				return slices.Contains(some, h) && time >= s.From && time < s.To
			})
			if got := readRows(t, &reader, body, s); !slices.Equal(got, want) {
				t.Fatalf("seed %d, try %d: %d rows; want %d:\n%v\n%v", seed, try, len(got), len(want), got, want)
			}
		}
	}
}

// TestSeveralRowGroups: a series that a row group divides is read whole, and row
// groups without anything wanted are passed over.
func TestSeveralRowGroups(t *testing.T) {
	b, of := fleet("walk", 5, GroupRows/2-1)
	body := encodePart(t, b, of)
	var reader Reader
	batches := 0
	err := reader.Read(t.Context(), object{bytes.NewReader(body)}, Selection{Wanted: of.wanted(b.Handles...), From: minTime, To: maxTime}, func(got *block.Batch) error {
		batches++
		return nil
	})
	if err != nil || batches != 3 {
		t.Errorf("%d row groups, %v; want 3", batches, err)
	}
	for _, h := range b.Handles {
		want := rowsIn(b, func(of sample.Handle, _ int64) bool { return of == h })
		if got := readRows(t, &reader, body, Selection{Wanted: of.wanted(h), From: minTime, To: maxTime}); !slices.Equal(got, want) {
			t.Errorf("series %x has %d rows; want %d", h, len(got), len(want))
		}
	}
}

// TestPanicsOfTheCallerGoOn: only the library's are damage.
func TestPanicsOfTheCallerGoOn(t *testing.T) {
	b, of := someBatch(rand.New(rand.NewPCG(1, 1)), 3, 10)
	defer func() {
		if recover() == nil {
			t.Error("a panic of the caller's was taken for damage")
		}
	}()
	var reader Reader
	_ = reader.Read(t.Context(), object{bytes.NewReader(encodePart(t, b, of))}, Selection{Wanted: of.wanted(b.Handles...), From: minTime, To: maxTime}, func(*block.Batch) error { panic("mine") })
}

// FuzzRead damages a part: reading it is an error, or gives something, and never
// a panic.
func FuzzRead(f *testing.F) {
	b, of := someBatch(rand.New(rand.NewPCG(3, 3)), 12, 40)
	body := encodePart(f, b, of)
	s := Selection{Wanted: of.wanted(b.Handles...), From: minTime, To: maxTime}
	f.Add(uint32(4), uint32(1), []byte{0xff})
	f.Add(uint32(len(body)-12), uint32(4), []byte{1, 2, 3})
	f.Add(uint32(len(body)/2), uint32(0), []byte("inserted"))
	f.Fuzz(func(t *testing.T, at, cut uint32, insert []byte) {
		start := int(at) % len(body)
		end := min(start+int(cut%4096), len(body))
		damaged := slices.Concat(body[:start], insert, body[end:])
		var reader Reader
		err := reader.Read(context.Background(), object{bytes.NewReader(damaged)}, s, func(b *block.Batch) error { return b.Validate() })
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Errorf("the error is not one of damage: %v", err)
		}
	})
}

// TestEachByteDamaged flips a bit of each byte of a part.
func TestEachByteDamaged(t *testing.T) {
	b, of := someBatch(rand.New(rand.NewPCG(3, 3)), 6, 12)
	body := encodePart(t, b, of)
	s := Selection{Wanted: of.wanted(b.Handles...), From: minTime, To: maxTime}
	var reader Reader
	stride := 1
	switch {
	case testing.Short():
		stride = 13
	case underRace:
		stride = 7
	}
	for i := 0; i < len(body); i += stride {
		for _, bit := range []byte{1, 0x10, 0x80} {
			damaged := slices.Clone(body)
			damaged[i] ^= bit
			err := reader.Read(t.Context(), object{bytes.NewReader(damaged)}, s, func(b *block.Batch) error { return b.Validate() })
			if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Fatalf("byte %d: the error is not one of damage: %v", i, err)
			}
		}
	}
}

// TestGolden: what version 1 wrote is read for as long as it is known.
func TestGolden(t *testing.T) {
	b, of := someBatch(rand.New(rand.NewPCG(7, 7)), 9, 20)
	path := filepath.Join("testdata", "part.parquet")
	if *update {
		if err := os.WriteFile(path, encodePart(t, b, of), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var reader Reader
	want := rowsIn(b, func(sample.Handle, int64) bool { return true })
	got := readRows(t, &reader, body, Selection{Wanted: of.wanted(b.Handles...), From: minTime, To: maxTime})
	if !slices.Equal(got, want) {
		t.Errorf("the golden part gives\n%v\nwant\n%v", got, want)
	}
}

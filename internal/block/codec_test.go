package block

import (
	"bytes"
	"math"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"weir/internal/sample"
)

// fatal is what the checks need of a test.
type fatal interface {
	Helper()
	Fatalf(format string, args ...any)
}

// mustEncode encodes m after some other bytes, which must stay.
func mustEncode(t fatal, m model) []byte {
	t.Helper()
	out, err := Encode([]byte("before"), m.batch())
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	body, kept := bytes.CutPrefix(out, []byte("before"))
	if !kept {
		t.Fatalf("Encode changed what was there: %q", out[:6])
	}
	return body
}

// mustReturn checks that a block gives back what went in, all ways.
func mustReturn(t fatal, m model, into *Batch) []byte {
	t.Helper()
	body := mustEncode(t, m)
	if err := Decode(into, body); err != nil {
		t.Fatalf("decode: %v", err)
	}
	if err := into.Validate(); err != nil {
		t.Fatalf("what was decoded is not valid: %v", err)
	}
	if d := differ(read(into), m); d != "" {
		t.Fatalf("decode: %s", d)
	}
	if got, err := Inspect(body); err != nil || got != m.summary() {
		t.Fatalf("Inspect = %+v, %v; want %+v", got, err, m.summary())
	}
	again, err := Encode(nil, into)
	if err != nil || !bytes.Equal(again, body) {
		t.Fatalf("encoded again it is other bytes (%v)", err)
	}
	return body
}

// mustSelect checks DecodeSeries for every stride-th handle and a strange one.
func mustSelect(t fatal, m model, body []byte, stride int) {
	t.Helper()
	wanted := []sample.Handle{1 << 50}
	for i := 0; i < len(m.runs); i += stride {
		if !m.runs[i].keyed {
			wanted = append(wanted, m.runs[i].handle)
		}
	}
	slices.Sort(wanted)
	var into Batch
	if err := DecodeSeries(&into, body, wanted); err != nil {
		t.Fatalf("decode series: %v", err)
	}
	want := m.only(wanted)
	if len(want.runs) == 0 {
		want.versions, want.positions = false, false
	}
	if d := differ(read(&into), want); d != "" {
		t.Fatalf("decode series: %s", d)
	}
}

func TestEverythingComesBack(t *testing.T) {
	var into Batch // reused, so that nothing of one block stays for the next
	rapid.Check(t, func(t *rapid.T) { propReturn(t, &into) })
}

func propReturn(t *rapid.T, into *Batch) {
	m := genModel().Draw(t, "model")
	body := mustReturn(t, m, into)
	mustSelect(t, m, body, rapid.IntRange(1, 5).Draw(t, "stride"))
}

func FuzzEncode(f *testing.F) {
	f.Fuzz(rapid.MakeFuzz(func(t *rapid.T) { propReturn(t, new(Batch)) }))
}

func TestManySeriesComeBack(t *testing.T) {
	var into Batch
	for seed := range uint64(12) {
		m := wideModel(seed, []int{1, 10, 300, 3000}[seed%4])
		body := mustReturn(t, m, &into)
		mustSelect(t, m, body, 7)
		mustSelect(t, m, body, 1<<20)
	}
}

func TestEveryOddValueComesBack(t *testing.T) {
	var m model
	add := func(kind sample.Kind, values ...sample.Value) {
		run := modelRun{kind: kind, handle: sample.Handle(len(m.runs))}
		for i, v := range values {
			run.samples = append(run.samples, modelSample{Sample: sample.Sample{Time: oddTimes[i%len(oddTimes)], Value: v}})
		}
		m.runs = append(m.runs, run)
	}
	var floats, ints []sample.Value
	for _, bits := range oddFloats {
		v := sample.Value{Kind: sample.Float64, Bits: bits}
		floats = append(floats, v)
		add(sample.Float64, v)
		add(sample.Float64, sample.FloatValue(1.5), v, sample.FloatValue(2.25))
	}
	for _, i := range oddInts {
		ints = append(ints, sample.IntValue(i))
		add(sample.Int64, sample.IntValue(i))
	}
	add(sample.Float64, floats...)
	add(sample.Int64, ints...)
	add(sample.Bool)
	add(sample.String, sample.StringValue(""), sample.StringValue(""))
	mustReturn(t, m, new(Batch))
}

func TestEmptyBatchComesBack(t *testing.T) {
	body := mustReturn(t, model{}, new(Batch))
	if want := 2 + 4 + 2 + checksum; len(body) != want {
		t.Errorf("an empty block has %d bytes; want %d", len(body), want)
	}
	mustReturn(t, model{versions: true, positions: true}, new(Batch))
	mustReturn(t, model{runs: []modelRun{{kind: sample.Float64}, {kind: sample.String}}}, new(Batch))
}

func TestConstantColumnsArePadded(t *testing.T) {
	b := new(Batch)
	for i := range 300_000 {
		b.AddSample(sample.Sample{Time: int64(i), Value: sample.BoolValue(true)})
	}
	b.EndRun(1, sample.Bool)
	body, err := Encode(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	// A byte a time, a bit a bool: what a reader allocates for, by perByte.
	if weight := 300_000 + 300_000 + 300_000/8; len(body) < (weight-free)/perByte || len(body) > (weight+1000)/perByte {
		t.Errorf("a constant column of 300,000 bools has %d bytes; its weight is %d", len(body), weight)
	}
	var into Batch
	if err := Decode(&into, body); err != nil || into.Samples() != 300_000 {
		t.Fatalf("decode: %d samples, %v", into.Samples(), err)
	}
	l, err := parse(body)
	if err != nil {
		t.Fatal(err)
	}
	for _, kept := range []int{0, len(body) * 6 / 10} { // each count alone would fit the latter
		if err := Decode(&into, rebuild(l, make([]byte, kept)...)); err == nil {
			t.Errorf("with %d bytes of padding the block is taken too", kept)
		}
	}
}

func TestVectorsThatAreAlikeComeBack(t *testing.T) {
	var m model
	for i := range int64(400) {
		run := modelRun{handle: sample.Handle(i), kind: sample.Bool}
		for _, at := range []int64{0, i / 2 * 1000, 7} {
			run.samples = append(run.samples, modelSample{Sample: sample.Sample{Time: at, Value: sample.BoolValue(i%3 == 0)}})
		}
		m.runs = append(m.runs, run)
	}
	mustReturn(t, m, new(Batch))
	m.runs[0], m.runs[399] = m.runs[399], m.runs[0] // so that an equal one is not the one before
	mustReturn(t, m, new(Batch))
}

func TestShortRunsAreRaisedWhereAllBearIt(t *testing.T) {
	var m model
	for i, values := range [][]float64{
		{1.125}, {2.625, 3}, {7.001}, {4.5}, {1, 2},
		{1, 1e15}, {2, math.Copysign(0, -1)}, {5, 1e15, 6}, // these bear three decimals in part or not at all
	} {
		run := modelRun{handle: sample.Handle(i), kind: sample.Float64}
		for _, v := range values {
			run.samples = append(run.samples, modelSample{Sample: sample.Sample{Value: sample.FloatValue(v)}})
		}
		m.runs = append(m.runs, run)
	}
	body := mustReturn(t, m, new(Batch))
	l, err := parse(body)
	if err != nil {
		t.Fatal(err)
	}
	d := &decoder{layout: l}
	if err := d.readTable(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []form{3, 3, 3, 3, 3, 0, formPlanes, 0} {
		if d.runs[i].form != want {
			t.Errorf("run %d has form %d; want %d", i, d.runs[i].form, want)
		}
	}
}

func TestLargeSectionsComeBack(t *testing.T) {
	// More than one window of the packer, and little of it repeats.
	b := new(Batch)
	x := uint64(1)
	for i := range 700_000 {
		x = x*6364136223846793005 + 1442695040888963407
		b.AddSample(sample.Sample{Time: int64(i), Value: sample.IntValue(int64(x >> 9))})
	}
	b.EndRun(1, sample.Int64)
	body, err := Encode(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	var into Batch
	if err := Decode(&into, body); err != nil || !slices.Equal(into.Bits, b.Bits) || !slices.Equal(into.Times, b.Times) {
		t.Fatalf("it does not come back: %v", err)
	}
}

func TestUniformColumnsCostLittle(t *testing.T) {
	m := wideModel(1, 300)
	m.versions, m.positions = false, false
	bare := len(mustEncode(t, m))
	m.versions, m.positions = true, true
	for _, r := range m.runs {
		for i := range r.samples {
			r.samples[i].version, r.samples[i].position = math.MaxUint64/3, 77
		}
	}
	if cost := len(mustEncode(t, m)) - bare; cost > 32 {
		t.Errorf("uniform versions and positions cost %d bytes; want at most 32", cost)
	}
}

func TestTextsAreStoredOnce(t *testing.T) {
	b := &Batch{Texts: []string{"unused", "twice", "twice"}}
	b.Times, b.Bits = []int64{1, 2}, []uint64{1, 2}
	b.EndRun(1, sample.String)
	body, err := Encode(nil, b)
	if err != nil {
		t.Fatal(err)
	}
	var into Batch
	if err := Decode(&into, body); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(into.Texts, []string{"twice"}) || into.Value(sample.String, 1).Text != "twice" {
		t.Errorf("texts are %q", into.Texts)
	}
}

func TestManyAtOnce(t *testing.T) {
	var all sync.WaitGroup
	for seed := range uint64(8) {
		all.Go(func() {
			var into Batch
			for range 5 {
				m := wideModel(seed, 200)
				body, err := Encode(nil, m.batch())
				if err == nil {
					err = Decode(&into, body)
				}
				if d := differ(read(&into), m); err != nil || d != "" {
					t.Errorf("seed %d: %v %s", seed, err, d)
				}
			}
		})
	}
	all.Wait()
}

func TestEncodeRefusesWhatIsNotABatch(t *testing.T) {
	good := func() *Batch { return wideModel(3, 10).batch() }
	for name, spoil := range map[string]func(b *Batch){
		"handle too many":  func(b *Batch) { b.Handles = append(b.Handles, 1) },
		"kind too few":     func(b *Batch) { b.Kinds = b.Kinds[1:] },
		"samples left":     func(b *Batch) { b.Times, b.Bits = append(b.Times, 1), append(b.Bits, 1) },
		"no runs":          func(b *Batch) { *b = Batch{Times: []int64{1}, Bits: []uint64{1}} },
		"value too few":    func(b *Batch) { b.Bits = b.Bits[1:] },
		"quality too many": func(b *Batch) { b.Qualities = make([]sample.Quality, b.Samples()+1) },
		"version missing":  func(b *Batch) { b.Versions = []uint64{} },
		"position missing": func(b *Batch) { b.Positions = make([]uint64, b.Samples()-1) },
		"unknown kind":     func(b *Batch) { b.Kinds[2] = 9 },
		"end goes back":    func(b *Batch) { b.Ends[0] = b.Samples() + 1 },
		"bool of 2":        func(b *Batch) { *b = one(sample.Bool, 2) },
		"string of none":   func(b *Batch) { *b = one(sample.String, 0) },
	} {
		b := good()
		spoil(b)
		if out, err := Encode([]byte("x"), b); err == nil || string(out) != "x" {
			t.Errorf("%s: Encode gives %q, %v; want an error and nothing written", name, out, err)
		}
	}
	if _, err := Encode(nil, good()); err != nil {
		t.Error(err)
	}
}

// one is a batch of one sample.
func one(kind sample.Kind, bits uint64) Batch {
	return Batch{
		Handles: []sample.Handle{1}, Kinds: []sample.Kind{kind}, Ends: []int{1},
		Times: []int64{1}, Bits: []uint64{bits},
	}
}

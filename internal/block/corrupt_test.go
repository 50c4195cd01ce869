package block

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/zeebo/xxh3"

	"weir/internal/sample"
)

// seal appends the checksum that bytes ought to have.
func seal(b []byte) []byte {
	return binary.LittleEndian.AppendUint64(slices.Clone(b), xxh3.Hash(b))
}

// samples of blocks: empty, tiny, of all kinds, and one with packed sections.
func bodies(t fatal) [][]byte {
	return [][]byte{
		mustEncode(t, model{}),
		mustEncode(t, wideModel(1, 1)),
		mustEncode(t, wideModel(2, 12)),
		mustEncode(t, wideModel(3, 60)),
		mustEncode(t, wideModel(7, 100)),
	}
}

// mustRefuse checks that no way of reading takes the bytes.
func mustRefuse(t *testing.T, body []byte, what string, at int) {
	t.Helper()
	var into Batch
	known := func(err error) bool { return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrVersion) }
	if err := Decode(&into, body); !known(err) || into.Runs() > 0 {
		t.Fatalf("%s %d: Decode gives %v and %d runs", what, at, err, into.Runs())
	}
	if err := DecodeSeries(&into, body, nil); !known(err) {
		t.Fatalf("%s %d: DecodeSeries gives %v", what, at, err)
	}
	if _, err := Inspect(body); !known(err) {
		t.Fatalf("%s %d: Inspect gives %v", what, at, err)
	}
}

func TestEveryFlippedBitIsAnError(t *testing.T) {
	for _, body := range bodies(t) {
		for bit := range 8 * len(body) {
			body[bit/8] ^= 1 << (bit % 8)
			mustRefuse(t, body, "flipped bit", bit)
			body[bit/8] ^= 1 << (bit % 8)
		}
		if err := Decode(new(Batch), body); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEveryTruncationIsAnError(t *testing.T) {
	for _, body := range bodies(t) {
		for n := range body {
			mustRefuse(t, body[:n], "cut to", n)
			mustRefuse(t, body[len(body)-n:], "last", n)
		}
		mustRefuse(t, append(slices.Clone(body), 0), "longer than", len(body))
	}
}

func TestNewerVersionIsLeftToOthers(t *testing.T) {
	var into Batch
	for _, v := range []byte{0, version + 1, 255} {
		body := seal([]byte{v, 1, 2, 3})
		if err := Decode(&into, body); !errors.Is(err, ErrVersion) || errors.Is(err, ErrCorrupt) {
			t.Errorf("version %d: %v; want ErrVersion", v, err)
		}
	}
}

// rebuild puts a layout together with the checksum that it ought to have.
func rebuild(l *layout, padding ...byte) []byte {
	body := l.append(nil)
	for _, p := range &l.parts {
		body = append(body, p.stored...)
	}
	return seal(append(body, padding...))
}

// put replaces a section by raw bytes.
func (l *layout) put(i int, raw ...byte) {
	l.parts[i] = part{stored: raw, raw: len(raw)}
}

// forgeries are blocks of two runs, one of two int64 and one of a string,
// each spoilt in one way, with a checksum that matches.
var forgeries = map[string]func(l *layout){
	"unknown flag":            func(l *layout) { l.flags = 8 },
	"span past the last time": func(l *layout) { l.first, l.span = 1<<62, 1<<63 },
	"other first time":        func(l *layout) { l.span++ },
	"sample too many":         func(l *layout) { l.samples++ },
	"samples by the billion":  func(l *layout) { l.samples = 1 << 40 },
	"runs by the thousand":    func(l *layout) { l.handles = 10_000 },
	"handle too many":         func(l *layout) { l.handles, l.keys = 2, 0 },
	"text too many":           func(l *layout) { l.texts = 2 },
	"no text":                 func(l *layout) { l.texts = 0 },
	"no table":                func(l *layout) { l.put(sectionTable) },
	"kind 0":                  func(l *layout) { l.parts[sectionTable].stored[0] = 0 },
	"kind above 255":          func(l *layout) { l.put(sectionTable, 0xFF, 0xFF, 3, 0, 1) },
	"pair past the end":       func(l *layout) { l.put(sectionTable, 2, 0, 0, 2, 1, 1, 0, 1, 0, 0, 1, 1) },
	"pair of 2^64":            func(l *layout) { l.put(sectionTable, 2, 0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1) },
	"count above all":         func(l *layout) { l.put(sectionTable, 2, 0, 0, 2, 0, 3, 0, 0, 1, 0, 1) },
	"same vector at first":    func(l *layout) { l.put(sectionTable, 2, 0, 0, 2, 0, 1, 1, 0, 0, 0, 0, 1) },
	"vector of other length": func(l *layout) {
		l.put(sectionTable, 2, 0, 0, 2, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0)
		l.put(sectionTimeFirsts, 3, 2, 0)
		l.span = 3
	},
	"vector that is not there": func(l *layout) { l.put(sectionTable, 2, 0, 0, 2, 0, 1, 1, 0, 0, 0, 1, 0, 0, 8, 0) },
	"bytes after the table":    func(l *layout) { l.put(sectionTable, append(l.parts[sectionTable].stored, 0)...) },
	"shard below 0":            func(l *layout) { l.put(sectionHandles, 0, 3, 0) },
	"ordinal of 33 bits":       func(l *layout) { l.put(sectionHandles, 0, 5, 255, 255, 255, 255, 127) },
	"handles in no mode":       func(l *layout) { l.put(sectionHandles, 2, 0) },
	"more dense handles":       func(l *layout) { l.put(sectionHandles, 1, 0, 2) },
	"fewer dense handles":      func(l *layout) { l.put(sectionHandles, 1, 0, 0) },
	"dense shard of 33 bits":   func(l *layout) { l.put(sectionHandles, 1, 255, 255, 255, 255, 15, 0, 1) },
	"no handles":               func(l *layout) { l.put(sectionHandles) },
	"key past the end":         func(l *layout) { l.put(sectionKeys, 9, 'k') },
	"key unfinished":           func(l *layout) { l.put(sectionKeys, 0x80) },
	"bytes after the keys":     func(l *layout) { l.put(sectionKeys, 1, 'k', 'k') },
	"scale of 0":               func(l *layout) { l.put(sectionTimeFirsts, 0, 0, 0, 0) },
	"no times":                 func(l *layout) { l.put(sectionTimeFirsts) },
	"more times":               func(l *layout) { l.put(sectionTimeTurns, 0, 0, 0) },
	"unknown mode":             func(l *layout) { l.put(sectionFirsts, 2, 0) },
	"no first":                 func(l *layout) { l.put(sectionFirsts, 0) },
	"no delta":                 func(l *layout) { l.put(sectionDeltas) },
	"number of 11 bytes":       func(l *layout) { l.put(sectionDeltas, 128, 128, 128, 128, 128, 128, 128, 128, 128, 128, 0) },
	"planes of none":           func(l *layout) { l.put(sectionPlanes, 0) },
	"bools of none":            func(l *layout) { l.put(sectionBools, 0) },
	"text that is not there":   func(l *layout) { l.put(sectionTextRefs, 1) },
	"places of more texts":     func(l *layout) { l.put(sectionTextRefs, 0, 0) },
	"no qualities":             func(l *layout) { l.flags = flagQualities },
	"qualities of none":        func(l *layout) { l.put(sectionExtras, 0, 0, 2) },
	"quality of 33 bits": func(l *layout) {
		l.flags = flagQualities
		l.put(sectionExtras, 255, 255, 255, 255, 16, 0, 2)
	},
	"versions past the end": func(l *layout) { l.flags = flagVersions; l.put(sectionExtras, 1, 0, 3) },
	"packed rubbish":        func(l *layout) { l.parts[sectionDeltas].mode = packZstd },
	"packed, too short":     func(l *layout) { l.pack(sectionDeltas, 100); l.parts[sectionDeltas].raw++ },
	"packed, too long":      func(l *layout) { l.pack(sectionDeltas, 100); l.parts[sectionDeltas].raw-- },
	"packed without bound":  func(l *layout) { l.pack(sectionDeltas, 100<<20); l.parts[sectionDeltas].raw = 1000 },
	"lengths that wrap around": func(l *layout) {
		for _, i := range []int{sectionKeys, sectionTexts} {
			l.pack(i, 100)
			l.parts[i].raw = math.MinInt64
		}
	},
	"packed beyond its due": func(l *layout) { l.pack(sectionDeltas, 1<<20) },
}

// pack replaces a section by n zeros, packed.
func (l *layout) pack(i, n int) {
	l.parts[i] = part{stored: shared().fast.EncodeAll(make([]byte, n), nil), raw: n, mode: packZstd}
}

// forgeable makes the block that forgeries spoil.
func forgeable(t fatal) *layout {
	b := new(Batch)
	b.AddSample(sample.Sample{Time: 1000, Value: sample.IntValue(5)})
	b.AddSample(sample.Sample{Time: 1003, Value: sample.IntValue(6)})
	b.EndRun(7, sample.Int64)
	b.AddSample(sample.Sample{Time: 1010, Value: sample.StringValue("text")})
	b.EndKeyRun("k", sample.String)
	body, err := Encode(nil, b)
	if err != nil {
		t.Fatalf("%v", err)
	}
	l, err := parse(body)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return l
}

func TestForgeriesAreRefused(t *testing.T) {
	if err := Decode(new(Batch), rebuild(forgeable(t))); err != nil {
		t.Fatalf("what was not spoilt is refused: %v", err)
	}
	for name, spoil := range forgeries {
		l := forgeable(t)
		spoil(l)
		body := rebuild(l)
		var err error
		spent := allocated(func() { err = Decode(new(Batch), body) })
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v; want ErrCorrupt", name, err)
		}
		if due := most(body); spent > due {
			t.Errorf("%s: %d bytes make Decode allocate %d; want at most %d", name, len(body), spent, due)
		}
	}
	if err := Decode(new(Batch), rebuild(forgeable(t), 0, 0, 1)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("padding that is not empty: %v", err)
	}
	if err := Decode(new(Batch), rebuild(forgeable(t), 0, 0, 0)); err != nil {
		t.Errorf("padding: %v", err)
	}
}

func TestBitsLeftOverAreRefused(t *testing.T) {
	for bits, ok := range map[byte]bool{0: true, 1: true, 2: false, 0x80: false} {
		l, err := parse(mustEncode(t, smallModel()))
		if err != nil {
			t.Fatal(err)
		}
		l.put(sectionBools, bits)
		if err := Decode(new(Batch), rebuild(l)); (err == nil) != ok {
			t.Errorf("one bool in byte %#x: %v", bits, err)
		}
	}
}

func TestUnpackWantsTheVeryLength(t *testing.T) {
	raw := make([]byte, 1000)
	for i := range raw {
		raw[i] = byte(i % 7 * (i % 3))
	}
	var p packer
	huffed, mode := p.entropy(nil, raw)
	if mode != packHuff {
		t.Fatalf("it is packed as %d", mode)
	}
	var u unpacker
	for n, ok := range map[int]bool{1: false, 999: false, 1000: true, 1001: false, 2000: false} {
		for mode, packed := range map[int][]byte{packRaw: raw, packHuff: huffed, packZstd: shared().fast.EncodeAll(raw, nil)} {
			if err := u.unpack(make([]byte, n, 3000), packed, mode); (err == nil) != ok {
				t.Errorf("mode %d: 1000 bytes unpacked into %d: %v", mode, n, err)
			}
		}
	}
}

// most is what a block may make Decode allocate: a string takes two words,
// all else less, for each unit of weight; a megabyte is for zstd's tables.
func most(body []byte) uint64 { return 128*uint64(free+perByte*len(body)) + 1<<20 }

// allocated measures what all goroutines allocate while f runs, with the
// pools emptied first.
func allocated(f func()) uint64 {
	shared()
	runtime.GC()
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestErrorsEmptyTheBatch(t *testing.T) {
	l := forgeable(t)
	forgeries["versions past the end"](l) // the last thing that is read
	into := wideModel(3, 10).batch()
	if err := Decode(into, rebuild(l)); err == nil || into.Runs() != 0 || into.Samples() != 0 || into.Versions != nil {
		t.Errorf("%v leaves %d runs", err, into.Runs())
	}
}

func TestDecodeSeriesRefusesForgeries(t *testing.T) {
	for _, name := range []string{"no delta", "more times", "no first", "packed rubbish", "versions past the end", "shard below 0"} {
		spoil, known := forgeries[name]
		if !known {
			t.Fatalf("there is no forgery %q", name)
		}
		l := forgeable(t)
		spoil(l)
		if err := DecodeSeries(new(Batch), rebuild(l), []sample.Handle{7}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSpoiltSectionsNeverPanic spoils single bytes of every section, unpacked
// first, so that what stands behind checksum and zstd is reached.
func TestSpoiltSectionsNeverPanic(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 9))
	for seed := range uint64(4) {
		body := mustEncode(t, wideModel(seed, 40))
		for i := range sections {
			l, err := parse(body)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := (&decoder{layout: l}).section(i)
			if err != nil {
				t.Fatal(err)
			}
			if len(raw) == 0 {
				continue
			}
			for range 20 {
				spoilt := slices.Clone(raw)
				spoilt[r.IntN(len(raw))] = byte(r.Uint32())
				l.put(i, spoilt...)
				checkAny(t, rebuild(l))
			}
		}
	}
}

// checkAny reads any bytes at all: they are refused by name, or they are a
// batch that is valid and comes back from its own encoding.
func checkAny(t fatal, body []byte) {
	t.Helper()
	var b, again Batch
	err := Decode(&b, body)
	said, inspectErr := Inspect(body)
	if err != nil {
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
			t.Fatalf("Decode gives %v", err)
		}
		if inspectErr == nil {
			_ = DecodeSeries(&again, body, []sample.Handle{0, 1, 7, 1 << 32})
		}
		return
	}
	if err := b.Validate(); err != nil {
		t.Fatalf("Decode gives what is not valid: %v", err)
	}
	if b.Runs()+b.Samples() > free+perByte*len(body) {
		t.Fatalf("%d bytes are %d runs and %d samples", len(body), b.Runs(), b.Samples())
	}
	m := read(&b)
	if inspectErr != nil || said != m.summary() {
		t.Fatalf("Inspect = %+v, %v; want %+v", said, inspectErr, m.summary())
	}
	mustReturn(t, m, &again)
	mustSelect(t, m, body, 3)
}

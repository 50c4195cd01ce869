package journal

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

func unitDrawEntry(t *rapid.T) *Entry {
	e := &Entry{ID: EntryID{rapid.Uint64().Draw(t, "writer"), rapid.Uint64().Draw(t, "sequence")}}
	switch kind(rapid.IntRange(int(kindEpoch), int(kindSeal)).Draw(t, "entry kind")) {
	case kindEpoch:
		e.Epoch = &Epoch{Worker: rapid.String().Draw(t, "worker")}
	case kindRegister:
		e.Register = &Register{Series: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Registration {
			return Registration{Key: rapid.String().Draw(t, "key"), Kind: sample.Kind(rapid.IntRange(1, 4).Draw(t, "kind"))}
		}), 0, 6).Draw(t, "series")}
	case kindCommit:
		e.Commit = unitDrawCommit(t)
	case kindMerge:
		e.Merge = unitDrawMerge(t)
	case kindSeal:
		e.Seal = &Seal{Revision: rapid.IntRange(0, maxRevision-1).Draw(t, "revision")}
	}
	return e
}

func unitDrawCommit(t *rapid.T) *Commit {
	number := func(name string) uint64 { return rapid.Uint64().Draw(t, name) }
	return &Commit{
		Flush:    store.FlushID{Epoch: number("epoch"), Nonce: number("nonce")},
		Revision: rapid.IntRange(0, maxRevision-1).Draw(t, "revision"), Class: Class(rapid.IntRange(0, int(Classes)-1).Draw(t, "class")),
		Buckets: rapid.IntRange(0, sample.Shards).Draw(t, "buckets"),
		Span:    rapid.Int64().Draw(t, "span"), Horizon: message.Stamp(number("horizon")),
		Overwritten: number("overwritten"), Rejected: number("rejected"),
		Items: rapid.SliceOfN(rapid.Custom(unitDrawItem), 0, 6).Draw(t, "items"),
		Hours: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Hour {
			return Hour{rapid.Int64().Draw(t, "start"), rapid.Uint64().Draw(t, "samples")}
		}), 0, 4).Draw(t, "hours"),
		Lives: rapid.SliceOfN(rapid.Custom(unitDrawLife), 0, 4).Draw(t, "lives"),
		Quarantined: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Refusal {
			return Refusal{
				Item: unitDrawItem(t), Life: message.Life(rapid.Uint64().Draw(t, "life")),
				Reason: rapid.String().Draw(t, "reason"), Samples: rapid.Uint64().Draw(t, "samples"),
			}
		}), 0, 3).Draw(t, "quarantined"),
	}
}

func unitDrawMerge(t *rapid.T) *Merge {
	number := func(name string) uint64 { return rapid.Uint64().Draw(t, name) }
	keys := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) store.ItemKey {
		i := unitDrawItem(t)
		return store.ItemKey{
			Bucket: i.Bucket, Span: i.Span, Part: i.Part,
			Flush: store.FlushID{Epoch: rapid.Uint64Range(0, 3).Draw(t, "epoch"), Nonce: rapid.Uint64Range(0, 3).Draw(t, "nonce")},
		}
	}), 0, 12).Draw(t, "replaces")
	slices.SortFunc(keys, CompareKeys)
	return &Merge{
		Flush:    store.FlushID{Epoch: number("epoch"), Nonce: number("nonce")},
		Revision: rapid.IntRange(0, maxRevision-1).Draw(t, "revision"), Buckets: rapid.IntRange(0, sample.Shards).Draw(t, "buckets"),
		Span: rapid.Int64().Draw(t, "span"), Overwritten: number("overwritten"), Erased: number("erased"),
		Items: rapid.SliceOfN(rapid.Custom(unitDrawItem), 0, 6).Draw(t, "items"), Replaces: keys,
	}
}

func unitDrawItem(t *rapid.T) Item {
	return Item{
		Bucket: sample.Shard(rapid.IntRange(0, sample.Shards-1).Draw(t, "bucket")), Span: rapid.Int64().Draw(t, "span"),
		Part: rapid.Uint16().Draw(t, "part"), Samples: rapid.Uint32().Draw(t, "samples"), Bytes: rapid.Uint32().Draw(t, "bytes"),
	}
}

func unitDrawLife(t *rapid.T) Life {
	number := func(name string) uint64 { return rapid.Uint64().Draw(t, name) }
	l := Life{
		Life: message.Life(number("life")), Samples: number("samples"),
		First: message.Stamp(number("first")), Last: message.Stamp(number("last")), Accepted: number("accepted"),
		Instance: rapid.String().Draw(t, "instance"),
		Started:  rapid.Bool().Draw(t, "started"), Closed: rapid.Bool().Draw(t, "closed"),
	}
	ends := rapid.SliceOfNDistinct(rapid.Uint64(), 0, 8, rapid.ID[uint64]).Draw(t, "ends")
	slices.Sort(ends)
	for i := 0; i+1 < len(ends); i += 2 {
		l.Ranges = append(l.Ranges, Range{ends[i], ends[i+1]})
	}
	return l
}

func TestEveryKindOfEntryComesBackWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := unitDrawEntry(t)
		prefix := rapid.SliceOfN(rapid.Byte(), 0, 3).Draw(t, "prefix")
		body := e.Encode(slices.Clone(prefix))
		if !slices.Equal(body[:len(prefix)], prefix) {
			t.Fatal("Encode changed what it appends to")
		}
		got, err := DecodeEntry(body[len(prefix):])
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(e, got, cmpopts.EquateEmpty()); d != "" {
			t.Fatal(d)
		}
	})
}

func TestEveryFlippedBitAndEveryCutOfAnEntryIsCorrupt(t *testing.T) {
	for name, e := range unitGoldens() {
		body := e.Encode(nil)
		for bit := range len(body) * 8 {
			body[bit/8] ^= 1 << (bit % 8)
			if _, err := DecodeEntry(body); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%s, bit %d flipped: %v", name, bit, err)
			}
			body[bit/8] ^= 1 << (bit % 8)
		}
		for n := range len(body) {
			if _, err := DecodeEntry(body[:n]); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%s, cut to %d bytes: %v", name, n, err)
			}
		}
	}
}

// TestEveryCutOfAnEntryUnderAGoodChecksumIsCorrupt reaches what the checksum
// keeps from the reader's own checks.
func TestEveryCutOfAnEntryUnderAGoodChecksumIsCorrupt(t *testing.T) {
	for name, e := range unitGoldens() {
		whole := e.Encode(nil)
		for n := headerSize; n < len(whole)-checksumSize; n++ {
			if _, err := DecodeEntry(unitSealed(whole[:n])); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%s, cut to %d bytes and sealed: %v", name, n, err)
			}
		}
		long := append(slices.Clone(whole[:len(whole)-checksumSize]), 0)
		if _, err := DecodeEntry(unitSealed(long)); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%s, with a byte too many: %v", name, err)
		}
	}
}

func TestEntriesOfOtherProgramsAreTold(t *testing.T) {
	head := func(version, kind byte) []byte {
		return append([]byte{'W', 'j', version, kind}, make([]byte, 9)...)
	}
	cases := map[string]struct {
		body []byte
		want error
	}{
		"a later version":    {head(4, 1), ErrVersion},
		"kind 0":             {head(1, 0), ErrVersion},
		"a kind not yet":     {head(2, 6), ErrVersion},
		"a merge of before":  {head(1, 4), ErrCorrupt},
		"a class not yet":    {append(head(2, 3), make([]byte, 8)...), ErrCorrupt},
		"a series of kind 9": {append(head(1, 2), 1, 9, 0), ErrCorrupt},
		"many series":        {append(binary.AppendUvarint(head(1, 2), 1<<40), 1, 0), ErrCorrupt},
		"a long text":        {append(head(1, 1), 200, 1, 'w'), ErrCorrupt},
		"an endless uvarint": {append(head(1, 1), 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1), ErrCorrupt},
	}
	for name, c := range cases {
		if _, err := DecodeEntry(unitSealed(c.body)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v; want %v", name, err, c.want)
		}
	}
}

func TestCommitsThatCannotBeAreCorrupt(t *testing.T) {
	cases := map[string]*Commit{
		"more buckets than shards": {Buckets: sample.Shards + 1},
		"a bucket past the last":   {Items: []Item{{Bucket: sample.Shards}}},
		"a range that ends first":  {Lives: []Life{{Ranges: []Range{{5, 4}}}}},
		"ranges out of order":      {Lives: []Life{{Ranges: []Range{{5, 6}, {1, 2}}}}},
		"ranges that overlap":      {Lives: []Life{{Ranges: []Range{{1, 5}, {5, 6}}}}},
	}
	for name, c := range cases {
		if _, err := DecodeEntry((&Entry{Commit: c}).Encode(nil)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnEntryThatSaysNothingPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("it was encoded")
		}
	}()
	(&Entry{}).Encode(nil)
}

// unitSealed gives a copy of body with a checksum that is right.
func unitSealed(body []byte) []byte {
	body = append(slices.Clone(body), make([]byte, checksumSize)...)
	seal(body)
	return body
}

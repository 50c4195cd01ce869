package message

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"weir/internal/sample"
)

func draw(t *rapid.T) Message {
	return Message{
		Role: Role(rapid.IntRange(int(Data), int(Fast)).Draw(t, "role")),
		Life: Life(rapid.Uint64().Draw(t, "life")), Number: rapid.Uint64().Draw(t, "number"),
		Stamp: Stamp(rapid.Uint64().Draw(t, "stamp")), Queue: rapid.IntRange(0, sample.Shards-1).Draw(t, "queue"),
		Week: sample.Week(rapid.Int32().Draw(t, "week")), Instance: rapid.StringN(0, 20, MaxInstance).Draw(t, "instance"),
		Samples: rapid.Uint64().Draw(t, "samples"), Accepted: rapid.Uint64().Draw(t, "accepted"),
		Rejected: rapid.Uint64().Draw(t, "rejected"), Block: rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "block"),
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := draw(t)
		got, err := Decode(m.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if len(m.Block) == 0 {
			m.Block, got.Block = nil, nil
		}
		if d := cmp.Diff(m, got); d != "" {
			t.Fatal(d)
		}
	})
}

func TestEveryFlippedBitAndEveryCutIsAnError(t *testing.T) {
	m := Message{Role: Start, Life: 7, Stamp: 9, Instance: "here", Block: []byte("block")}
	body := m.Append(nil)
	for bit := range len(body) * 8 {
		body[bit/8] ^= 1 << (bit % 8)
		if _, err := Decode(body); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("bit %d flipped: %v", bit, err)
		}
		body[bit/8] ^= 1 << (bit % 8)
	}
	for n := range len(body) {
		if _, err := Decode(body[:n]); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

// TestOldProgramsLeaveFastMessages: one that knows version 1 alone must not
// take them for damaged.
func TestOldProgramsLeaveFastMessages(t *testing.T) {
	for role := Data; role <= Fast; role++ {
		body := (&Message{Role: role}).Append(nil)
		want := byte(1)
		if role == Fast {
			want = 2
		}
		if body[2] != want {
			t.Errorf("role %d has version %d, want %d", role, body[2], want)
		}
		body[2] = 3 - want
		seal(body)
		if _, err := Decode(body); !errors.Is(err, ErrCorrupt) {
			t.Errorf("role %d of version %d: %v", role, 3-want, err)
		}
		body[2] = 3
		seal(body)
		if _, err := Decode(body); !errors.Is(err, ErrVersion) {
			t.Errorf("role %d of version 3: %v", role, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add((&Message{Role: Fast, Samples: 1, Block: []byte("block")}).Append(nil))
	f.Add((&Message{Role: Beat, Queue: 3, Week: -5, Accepted: 1 << 60}).Append(nil))
	f.Fuzz(func(t *testing.T, body []byte) {
		body = append(body, make([]byte, 8)...)
		seal(body)
		m, err := Decode(body)
		if err != nil {
			return
		}
		if again, err := Decode(m.Append(nil)); err != nil || !cmp.Equal(m, again) {
			t.Fatalf("%+v came back as %+v, %v", m, again, err)
		}
	})
}

func TestClockNeverGoesBackNorRepeats(t *testing.T) {
	now := time.Unix(100, 0)
	c := NewClock(func() time.Time { return now })
	first := c.Now()
	now = now.Add(-time.Hour)
	second := c.Now()
	c.Observe(second + 1000)
	third := c.Now()
	if !(first < second && second+1000 < third) {
		t.Fatalf("readings %d, %d, %d", first, second, third)
	}
}

func TestParseLife(t *testing.T) {
	l, err := ParseLife(Life(0xabc).String())
	if err != nil || l != 0xabc {
		t.Fatal(l, err)
	}
	for _, s := range []string{"", "abc", "000000000000000g"} {
		if _, err := ParseLife(s); err == nil {
			t.Errorf("ParseLife(%q) passed", s)
		}
	}
}

func TestClaimedSurvivesADamagedBlockOnly(t *testing.T) {
	m := Message{Role: Data, Life: 7, Number: 3, Block: []byte("block")}
	body := m.Append(nil)
	body[len(body)-checksum-1] ^= 1
	if id, ok := Claimed(body); !ok || id != m.ID() {
		t.Fatalf("a damaged block: %v, %v", id, ok)
	}
	for _, body := range [][]byte{nil, []byte("short"), bytes.Repeat([]byte("x"), 100)} {
		if id, ok := Claimed(body); ok {
			t.Errorf("%q claims to be %v", body, id)
		}
	}
}

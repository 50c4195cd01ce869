package feed

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"maps"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"weir/internal/sample"
)

func TestTokenGolden(t *testing.T) {
	c := &Cut{}
	c.Set(Journal{2968, 0}, 300)
	c.Set(Journal{2968, 2}, 1)
	c.Set(Journal{2970, 1}, 7)
	const want = "w1.sC4DrAIAAQQCAAdY-lUI"
	if got := c.Token(); got != want {
		t.Errorf("got %s, want %s as docs/formats/token.md has it", got, want)
	}
	if got := (&Cut{}).Token(); got != "w1.AAAAAA" {
		t.Errorf("a cut of nothing: %s", got)
	}
}

func TestTokensReadBack(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		c := &Cut{}
		for range random.IntN(20) {
			j := Journal{sample.Week(random.IntN(40) - 20), random.IntN(sample.Shards)}
			c.Set(j, random.Uint64()>>random.IntN(64))
		}
		got, err := ParseToken(c.Token())
		if err != nil {
			t.Fatal(err)
		}
		maps.DeleteFunc(c.positions, func(_ Journal, p uint64) bool { return p == 0 })
		if !maps.Equal(got.positions, c.positions) {
			t.Fatalf("%v was read back as %v", c.positions, got.positions)
		}
	}
}

func TestBadTokens(t *testing.T) {
	c := &Cut{}
	c.Set(Journal{2968, 3}, 70_000)
	good := c.Token()
	for i := range good {
		for _, bad := range []string{good[:i], good[:i] + "_" + good[i+1:], good[:i] + "A" + good[i:]} {
			if _, err := ParseToken(bad); bad != good && !errors.Is(err, ErrToken) && !errors.Is(err, ErrVersion) {
				t.Errorf("%q: %v", bad, err)
			}
		}
	}
	if _, err := ParseToken("w2." + good[3:]); !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "w2") {
		t.Errorf("a later version: %v", err)
	}
	for name, body := range map[string][]byte{
		"a week twice":         {2, 1, 5, 0, 1, 5},
		"no partition":         {2, 0},
		"too many partitions":  binary.AppendUvarint([]byte{2}, sample.Shards+1),
		"a partition too many": {2, 2, 5, 0},
		"cut short":            {2, 2, 5},
		"no partitions":        {2},
		"no such week":         append(binary.AppendVarint(nil, math.MaxInt32+1), 1, 1),
	} {
		body = binary.LittleEndian.AppendUint32(body, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
		if c, err := ParseToken(prefix + base64.RawURLEncoding.EncodeToString(body)); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v, %v", name, c, err)
		}
	}
}

func TestCutsAreTheirOwn(t *testing.T) {
	c := &Cut{}
	clone := c.Clone()
	c.Set(Journal{1, 1}, 5)
	if clone.Set(Journal{1, 2}, 6); c.Position(Journal{1, 2}) != 0 || clone.Position(Journal{1, 1}) != 0 {
		t.Error("a clone shares positions")
	}
}

func FuzzParseToken(f *testing.F) {
	c := &Cut{}
	f.Add(c.Token())
	c.Set(Journal{2968, 3}, 70_000)
	f.Add(c.Token())
	c.Set(Journal{-5, 1023}, math.MaxUint64)
	f.Add(c.Token())
	f.Add("w2.AAAA")
	f.Add("w1.AAAAAA\r")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseToken(text)
		if err != nil {
			if !errors.Is(err, ErrToken) && !errors.Is(err, ErrVersion) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		if again := c.Token(); again != text {
			t.Fatalf("%q is written as %q", text, again)
		}
	})
}

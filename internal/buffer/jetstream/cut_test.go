package jetstream

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/minio/highwayhash"
)

// crashed gives the config of a folder as a crash leaves it, with a queue of
// three messages, and the file that holds them.
func crashed(t *testing.T) (c Config, block string, log *bytes.Buffer) {
	t.Helper()
	c = testConfig(t.TempDir())
	d := mustOpen(t, c)
	mustSend(t, d, strings.Repeat("a", 3000), strings.Repeat("b", 3000), strings.Repeat("c", 3000))
	next := filepath.Join(t.TempDir(), "crashed")
	if err := copyFolder(next, c.Dir); err != nil {
		t.Fatal(err)
	}
	c.Dir = next
	log = &bytes.Buffer{}
	c.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelError}))
	blocks, err := filepath.Glob(filepath.Join(messageFolder(next, queueStream(0)), "*.blk"))
	if err != nil || len(blocks) != 1 {
		t.Fatalf("blocks %q, %v", blocks, err)
	}
	return c, blocks[0], log
}

// TestDamagedMessagesAreReportedAndKept damages the message file that a crash
// left. The server cuts it off without a word; the driver tells and keeps it.
func TestDamagedMessagesAreReportedAndKept(t *testing.T) {
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte {
			b[at] ^= 0x55
			return b
		}
	}
	for name, test := range map[string]struct {
		harm    func([]byte) []byte
		left    uint64
		damaged bool
	}{
		"whole":         {func(b []byte) []byte { return b }, 3, false},
		"torn":          {func(b []byte) []byte { return b[:len(b)-100] }, 2, false},
		"first body":    {flip(200), 0, true},
		"middle body":   {flip(4500), 1, true},
		"last body":     {flip(9000), 2, true},
		"first length":  {flip(1), 0, true},
		"middle length": {flip(3037 + 2), 1, true},
		"first subject": {flip(recordHead), 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			c, block, log := crashed(t)
			data, err := os.ReadFile(block)
			if err != nil {
				t.Fatal(err)
			}
			harmed := test.harm(bytes.Clone(data))
			if err := os.WriteFile(block, harmed, 0o600); err != nil {
				t.Fatal(err)
			}
			d := mustOpen(t, c)
			depth, err := d.Depth(t.Context(), 0)
			if err != nil || depth.Messages != test.left {
				t.Errorf("%d messages, %v; want %d", depth.Messages, err, test.left)
			}
			if told := strings.Contains(log.String(), block); told != test.damaged {
				t.Errorf("damage was told: %v; want %v: %s", told, test.damaged, log)
			}
			kept, err := filepath.Glob(filepath.Join(c.Dir, damagedFolder, "queue-0-*"))
			if err != nil || len(kept) > 1 || (len(kept) == 1) != test.damaged {
				t.Fatalf("kept %q, %v", kept, err)
			}
			for _, file := range kept {
				if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, harmed) {
					t.Errorf("%s is not the damaged file, %v", file, err)
				}
			}
			mustSend(t, d, "more")
		})
	}
}

// TestMessageFilesThatLivedAreWhole: what the server writes when messages are
// acked, buried and sent again is no damage.
func TestMessageFilesThatLivedAreWhole(t *testing.T) {
	c, _, log := crashed(t)
	for range 3 {
		d := mustOpen(t, c)
		mustSend(t, d, "one", "two", "three")
		if err := mustReceive(t, d).Ack(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := d.Bury(t.Context(), 0, mustReceive(t, d), "poison"); err != nil {
			t.Fatal(err)
		}
		next := filepath.Join(t.TempDir(), "crashed")
		if err := copyFolder(next, c.Dir); err != nil {
			t.Fatal(err)
		}
		c.Dir = next
	}
	mustOpen(t, c)
	if log.Len() > 0 {
		t.Errorf("reported: %s", log)
	}
}

func FuzzFindDamage(f *testing.F) {
	stream, number := queueStream(0), "1"
	record := func(subject, body string) []byte { return recordOf(f, stream, number, subject, body) }
	whole := record(stream, "whole")
	f.Add(slices.Concat(record(stream, "a"), record(stream, "b"), record("", "")))
	f.Add(slices.Concat(record(stream, "a"), []byte{1, 2, 3}, record(stream, "b")))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		at, damaged := findDamage(data, stream, number)
		if damaged && (at < 0 || at >= len(data)) {
			t.Errorf("damage at %d of %d bytes", at, len(data))
		}
		if got, damaged := findDamage(append(slices.Clone(whole), data...), stream, number); damaged && got < len(whole) {
			t.Errorf("a whole record is damaged at %d, with %q behind it", got, data)
		}
	})
}

// recordOf gives a record as the server writes it.
func recordOf(t testing.TB, stream, number, subject, body string) []byte {
	t.Helper()
	key := sha256.Sum256([]byte(stream + "-" + number))
	sum, err := highwayhash.New64(key[:])
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, recordHead)
	binary.LittleEndian.PutUint32(head, uint32(recordHead+len(subject)+len(body)+recordSum))
	binary.LittleEndian.PutUint16(head[20:], uint16(len(subject)))
	data := slices.Concat(head, []byte(subject), []byte(body))
	_, _ = sum.Write(slices.Concat(data[4:20], data[recordHead:])) // a hash gives no errors
	return sum.Sum(data)
}

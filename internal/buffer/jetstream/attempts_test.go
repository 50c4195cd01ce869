package jetstream

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestAttemptsAreNeverFewer runs lives of a queue that end at any moment, also
// amid an append, and counts beside it.
func TestAttemptsAreNeverFewer(t *testing.T) {
	root := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(root, "")
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, "attempts.log")
		truth := map[uint64]int{} // deliveries begun, by sequence
		first, last := uint64(1), uint64(0)
		for range rapid.IntRange(1, 6).Draw(t, "lives") {
			a, err := openAttempts(name, first, last)
			if err != nil {
				t.Fatal(err)
			}
			delivered := map[uint64]uint64{}
			next := first
			for range rapid.IntRange(0, 12).Draw(t, "steps") {
				switch rapid.IntRange(0, 3).Draw(t, "step") {
				case 0:
					last += uint64(rapid.IntRange(1, 400).Draw(t, "sent"))
				case 1, 2:
					next = handOut(t, a, truth, delivered, next, first, last)
				case 3:
					if first < next {
						a.Settle(first)
						first++
					}
				}
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "torn") {
				tear(t, name)
			}
		}
	})
}

// handOut begins a few new deliveries and a redelivery.
func handOut(t *rapid.T, a *attempts, truth map[uint64]int, delivered map[uint64]uint64, next, first, last uint64) uint64 {
	var batch []begun
	for range rapid.IntRange(1, 3).Draw(t, "new") {
		if next <= last {
			delivered[next]++
			batch = append(batch, begun{next, delivered[next]})
			next++
		}
	}
	if again := rapid.Uint64Range(first, max(next, first+1)-1).Draw(t, "again"); delivered[again] > 0 && again >= first && len(batch) == 0 {
		delivered[again]++
		batch = append(batch, begun{again, delivered[again]})
	}
	counts, err := a.Begin(batch)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range batch {
		truth[b.seq]++
		if counts[i] < truth[b.seq] {
			t.Fatalf("attempts of message %d: %d; %d have begun", b.seq, counts[i], truth[b.seq])
		}
		if counts[i] > truth[b.seq]+6 { // one a life at most
			t.Fatalf("attempts of message %d: %d; only %d have begun", b.seq, counts[i], truth[b.seq])
		}
	}
	return next
}

// tear adds what a crash amid an append leaves.
func tear(t *rapid.T, name string) {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"claim":99`); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAttemptsOfNewMessagesBeginAtOne(t *testing.T) {
	name := filepath.Join(t.TempDir(), "attempts.log")
	for life := range uint64(50) {
		a, err := openAttempts(name, life+1, life)
		if err != nil {
			t.Fatal(err)
		}
		counts, err := a.Begin([]begun{{life + 1, 1}})
		if err != nil || counts[0] != 1 {
			t.Fatalf("life %d: attempts of a new message: %v, %v", life, counts, err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDamagedAttemptsArePutAside(t *testing.T) {
	dir := t.TempDir()
	name := attemptsName(dir, 0)
	for _, content := range []string{"{\"format\":1}\nnonsense\n{\"life\":true}\n", "{\"life\":true}\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		e := &engine{config: Config{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))}}
		a, err := e.openAttempts(0, 3, 9)
		if err != nil {
			t.Fatal(err)
		}
		counts, err := a.Begin([]begun{{9, 1}, {10, 1}})
		if err != nil || counts[0] != 2 || counts[1] != 1 {
			t.Fatalf("attempts after damage: %v, %v; want 2 and 1", counts, err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(log.String(), "level=ERROR") {
			t.Errorf("nothing was reported: %s", log.String())
		}
	}
	aside, err := filepath.Glob(name + ".damaged-*")
	if err != nil || len(aside) != 2 {
		t.Fatalf("put aside: %v, %v", aside, err)
	}
}

func TestAttemptsOfANewerVersion(t *testing.T) {
	name := filepath.Join(t.TempDir(), "attempts.log")
	if err := os.WriteFile(name, []byte("{\"format\":7}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := openAttempts(name, 1, 1)
	if err == nil || !strings.Contains(err.Error(), "version 7") {
		t.Fatalf("attempts of a newer version: %v", err)
	}
	if data, err := os.ReadFile(name); err != nil || string(data) != "{\"format\":7}\n" {
		t.Fatalf("the file was changed: %q, %v", data, err)
	}
}

// fullFile is a recordFile whose disk is full at times.
type fullFile struct {
	recordFile
	full bool
}

var errFull = errors.New("no space")

func (f *fullFile) Append(r []record) error {
	if f.full {
		return errFull
	}
	return f.recordFile.Append(r)
}

func TestNothingBeginsThatIsNotWrittenDown(t *testing.T) {
	name := filepath.Join(t.TempDir(), "attempts.log")
	file := &fullFile{recordFile: &lineFile{name: name}}
	a, err := loadAttempts(file, nil, 1, 10)
	if err != nil {
		t.Fatal(err)
	}
	file.full = true
	if _, err := a.Begin([]begun{{1, 1}}); !errors.Is(err, errFull) {
		t.Fatalf("begin on a full disk: %v", err)
	}
	file.full = false
	if counts, err := a.Begin([]begun{{1, 2}}); err != nil || counts[0] != 2 {
		t.Fatalf("begin with room again: %v, %v", counts, err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := openAttempts(name, 1, 10)
	if err != nil {
		t.Fatal(err)
	}
	if counts, err := again.Begin([]begun{{1, 1}}); err != nil || counts[0] != 3 {
		t.Fatalf("begin in the next life: %v, %v; want 3", counts, err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Begin([]begun{{1, 2}}); err == nil {
		t.Fatal("begin after close passed")
	}
}

func TestAttemptsFileIsRewritten(t *testing.T) {
	name := filepath.Join(t.TempDir(), "attempts.log")
	a, err := openAttempts(name, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	a.since = rewriteAfter
	if counts, err := a.Begin([]begun{{1, 3}}); err != nil || counts[0] != 3 || a.since != 0 {
		t.Fatalf("begin: %v, %v, %d records since", counts, err, a.since)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := openAttempts(name, 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if counts, err := again.Begin([]begun{{1, 1}}); err != nil || counts[0] != 4 {
		t.Fatalf("begin in the next life: %v, %v; want 4", counts, err)
	}
}

// TestAttemptsOfVersion1 reads a file that must stay readable.
func TestAttemptsOfVersion1(t *testing.T) {
	golden, err := os.ReadFile(filepath.Join("testdata", "attempts-1.log"))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "attempts.log")
	if err := os.WriteFile(name, golden, 0o600); err != nil {
		t.Fatal(err)
	}
	a, err := openAttempts(name, 5, 300)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	counts, err := a.Begin([]begun{{5, 1}, {7, 1}, {100, 1}, {101, 1}, {290, 1}, {301, 1}})
	if want := []int{4 + 2, 4 + 3, 4, 2, 2, 1}; err != nil || !slices.Equal(counts, want) {
		t.Fatalf("attempts: %v, %v; want %v", counts, err, want)
	}
}

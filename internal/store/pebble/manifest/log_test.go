package manifest

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"weir/internal/store"
)

// writtenLog gives the log of values that were synced one after the other.
func writtenLog(t testing.TB, sizes ...int) (path string, fs *vfs.MemFS, data []byte) {
	t.Helper()
	fs = vfs.NewMem()
	open := func() *engine.DB {
		db, err := engine.Open("/d", &engine.Options{FS: fs, FormatMajorVersion: engine.FormatValueSeparation, MemTableSize: 8 << 20})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	// The very first log is of an older format, before the folder is upgraded.
	if err := open().Close(); err != nil {
		t.Fatal(err)
	}
	db := open()
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	logs := func() string {
		names, err := fs.List("/d")
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(names)
		for _, name := range slices.Backward(names) {
			if strings.HasSuffix(name, ".log") {
				return "/d/" + name
			}
		}
		t.Fatalf("no log among %q", names)
		return ""
	}
	path = logs()
	for i, size := range sizes {
		if err := db.Set([]byte{byte(i)}, bytes.Repeat([]byte{byte(i), 0x9}, size/2), engine.Sync); err != nil {
			t.Fatal(err)
		}
	}
	data, err := readFile(fs, path)
	if err != nil {
		t.Fatal(err)
	}
	return path, fs, data
}

func logNumber(t testing.TB, path string) uint32 {
	t.Helper()
	n, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(path, "/d/"), ".log"), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(n)
}

// promised gives how much of a log its last chunk says was synced.
func promised(data []byte, number uint32) (synced uint64) {
	for at := 0; at < len(data); {
		s, size := readLogChunk(data, at, number)
		if size == 0 {
			break
		}
		synced, at = s, at+size
	}
	return synced
}

// TestDamageOfALogIsToldFromATornEnd cuts a log anywhere, which a power cut may
// do, and flips bytes of what was synced before its last record, which is damage.
func TestDamageOfALogIsToldFromATornEnd(t *testing.T) {
	path, fs, data := writtenLog(t, 100, 60, 400, 20, 900, 30, 80)
	number := logNumber(t, path)
	synced := int(promised(data, number)) // it may be one record late
	if synced < len(data)/2 {
		t.Fatalf("of %d bytes %d are said to be synced", len(data), synced)
	}
	if len(data) > chunkBlock {
		t.Fatalf("%d bytes are more than the block in which Pebble sees nothing", len(data))
	}
	for cut := range len(data) {
		if at, damaged := findLogDamage(data[:cut], number); damaged {
			t.Errorf("cut at %d of %d: damage at %d", cut, len(data), at)
		}
		torn := append(bytes.Clone(data[:cut]), make([]byte, 5000)...) // room that was set aside
		if at, damaged := findLogDamage(torn, number); damaged {
			t.Errorf("zeros from %d of %d: damage at %d", cut, len(data), at)
		}
	}
	for flip := range synced {
		broken := bytes.Clone(data)
		broken[flip] ^= 0x10
		if at, damaged := findLogDamage(broken, number); !damaged || at > flip {
			t.Errorf("byte %d of %d flipped: damage at %d, %v", flip, len(data), at, damaged)
		}
	}
	if _, damaged := findLogDamage(data, number+1); damaged {
		t.Error("what an earlier log left in a file that is used again is damage")
	}
	if err := checkLogs(fs, "/d"); err != nil {
		t.Errorf("a whole log: %v", err)
	}
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	data[synced/2] ^= 0x10
	if _, err := f.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := checkLogs(fs, "/d"); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("a damaged log: %v", err)
	}
}

// TestALogOfManyBlocksIsWhole has records that blocks cut, and padding.
func TestALogOfManyBlocksIsWhole(t *testing.T) {
	_, fs, data := writtenLog(t, 30_000, 2_700, 70_000, 10, 32_700, 40_000)
	if len(data) < 4*chunkBlock {
		t.Fatalf("%d bytes", len(data))
	}
	if err := checkLogs(fs, "/d"); err != nil {
		t.Error(err)
	}
}

// listedLate is a file system that lists a log which is removed before it is
// opened, as in a folder that is open.
type listedLate struct{ vfs.FS }

func (l listedLate) List(dir string) ([]string, error) {
	names, err := l.FS.List(dir)
	return append(names, "000001.log"), err
}

func TestALogThatGoesIsNoDamage(t *testing.T) {
	_, fs, _ := writtenLog(t, 10, 20)
	if err := checkLogs(listedLate{fs}, "/d"); err != nil {
		t.Error(err)
	}
}

func FuzzFindLogDamage(f *testing.F) {
	path, _, data := writtenLog(f, 10, 20, 30)
	number := logNumber(f, path)
	f.Add(data)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		if at, damaged := findLogDamage(data, number); damaged && (at < 0 || at >= len(data)) {
			t.Errorf("damage at %d of %d bytes", at, len(data))
		}
	})
}

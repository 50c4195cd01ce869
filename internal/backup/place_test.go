package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"weir/internal/datafolder"
)

func nothing(int64, int64) {}

// testPiece makes a piece of each 32 bytes.
const testPiece = 32

func placeOn(d *memDisk) *Place {
	return &Place{dir: "/place", disk: d, piece: testPiece, Free: func(string) (int64, bool) { return 0, false }}
}

// openOn opens a place on a disk.
func openOn(t *testing.T, d *memDisk) *Place {
	t.Helper()
	p := placeOn(d)
	if err := errors.Join(d.Mkdir("/place"), d.Sync("/"), p.check(ToMake), p.prepare(ToMake)); err != nil {
		t.Fatal(err)
	}
	return p
}

// generation gives what an instance holds in the second of a number: files that
// stay, that come, and that change in place, some of them in their later pieces.
func generation(second int) lentOf {
	long := strings.Repeat("0123456789abcdef", testPiece/16)
	l := lentOf{
		"FORMAT":            "weir-data 1\n",
		"store/fixed-old":   "that stays",
		"store/weeks/MANIF": fmt.Sprintf("changes %d", second),
		"warehouse/db":      long + fmt.Sprintf("tail %d", second),
		"empty-file":        "",
	}
	for n := range second + 1 {
		l[fmt.Sprintf("store/weeks/fixed-%d", n)] = fmt.Sprintf("that came in %d", n)
	}
	return l
}

func take(t *testing.T, p *Place, second int) Taken {
	t.Helper()
	done, err := p.Take(t.Context(), generation(second).copy(second), generation(second), nothing)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// check wants every backup that counts to be whole, and gives their names.
func checkAll(t *testing.T, d *memDisk) []string {
	t.Helper()
	p := openOn(t, d)
	names, err := p.Names()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		m, err := p.Manifest(name)
		if err != nil {
			t.Fatal(err)
		}
		want := generation(m.Taken.Second())
		into := "/restored-" + name
		if err := errors.Join(p.Verify(t.Context(), m, nothing), p.Restore(t.Context(), m, into, nothing)); err != nil {
			t.Fatalf("backup %s counts, and is not whole: %v", name, err)
		}
		if got := filesBelow(t, d, into); !maps.Equal(got, want) {
			t.Fatalf("backup %s restores %q; want %q", name, short100(got), short100(want))
		}
		if err := d.Remove(into); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

func short100(files map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&b, "%s=%.20q(%d) ", name, files[name], len(files[name]))
	}
	return b.String()
}

func filesBelow(t *testing.T, d *memDisk, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	var walk func(n *node, at string)
	walk = func(n *node, at string) {
		for name, child := range n.names {
			if child.dir {
				walk(child, at+name+"/")
			} else {
				files[at+name] = string(child.data)
			}
		}
	}
	n, err := d.get(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return files
	}
	if err != nil {
		t.Fatal(err)
	}
	walk(n, "")
	return files
}

// cutAnywhere does a work on a disk again and again, cut short one call later each
// time, and looks at what that leaves after a kill and after power cuts. made
// gives the disk that the work begins with.
func cutAnywhere(t *testing.T, made func() *memDisk, work func(*memDisk) error, look func(d *memDisk, done bool)) {
	t.Helper()
	step := 1
	if testing.Short() {
		step = 3
	}
	for calls := 0; ; calls += step {
		d := made()
		d.left = calls
		err := work(d)
		if err != nil && !errors.Is(err, errCut) {
			t.Fatalf("cut short before call %d: %v", calls, err)
		}
		look(d.crash(nil), err == nil)
		for seed := range uint64(3) {
			look(d.crash(rand.New(rand.NewPCG(seed, uint64(calls)))), err == nil)
		}
		if err == nil {
			return
		}
	}
}

func TestABackupThatWasCutShortIsNone(t *testing.T) {
	begin := func() *memDisk {
		d := newMemDisk()
		take(t, openOn(t, d), 1)
		return d
	}
	cutAnywhere(t, begin, func(d *memDisk) error {
		p := placeOn(d)
		_, err := p.Take(t.Context(), generation(2).copy(2), generation(2), nothing)
		return err
	}, func(d *memDisk, done bool) {
		names := checkAll(t, d)
		if len(names) == 0 || names[0] != "2026-01-05T00-00-01Z" || done && len(names) != 2 {
			t.Fatalf("there are %v; the second was done: %t", names, done)
		}
		take(t, openOn(t, d), 3)
		if after := checkAll(t, d); len(after) != len(names)+1 {
			t.Fatalf("after the next backup there are %v", after)
		}
	})
}

func TestAPruneThatWasCutShortLeavesWholeBackups(t *testing.T) {
	begin := func() *memDisk {
		d := newMemDisk()
		p := openOn(t, d)
		for second := range 3 {
			take(t, p, second)
		}
		return d
	}
	cutAnywhere(t, begin, func(d *memDisk) error {
		p := placeOn(d)
		_, err := p.Prune(1)
		return err
	}, func(d *memDisk, done bool) {
		names := checkAll(t, d)
		if len(names) == 0 || names[len(names)-1] != "2026-01-05T00-00-02Z" || done && len(names) != 1 {
			t.Fatalf("there are %v; the prune was done: %t", names, done)
		}
		p := openOn(t, d)
		if _, err := p.Prune(1); err != nil {
			t.Fatal(err)
		}
		checkAll(t, d)
		m, err := p.Manifest("")
		if err != nil {
			t.Fatal(err)
		}
		named := map[string]bool{}
		for _, f := range m.Files {
			for _, c := range f.Content {
				named[c.Sum] = true
			}
		}
		if left := filesBelow(t, d, "/place/content"); len(left) != len(named) {
			t.Fatalf("%d files of content are left; %d are named", len(left), len(named))
		}
	})
}

func TestARestoreThatWasCutShortIsNoDataFolder(t *testing.T) {
	begin := func() *memDisk {
		d := newMemDisk()
		take(t, openOn(t, d), 2)
		return d
	}
	cutAnywhere(t, begin, func(d *memDisk) error {
		p := placeOn(d)
		m, err := p.Manifest("")
		if err != nil {
			return err
		}
		return p.Restore(t.Context(), m, "/data", nothing)
	}, func(d *memDisk, done bool) {
		files := filesBelow(t, d, "/data")
		_, refused := files[datafolder.RestoringFile]
		if whole := maps.Equal(files, generation(2)); !refused && !whole && len(files) > 0 || done && !whole {
			t.Fatalf("a folder that an instance would start on has %s", short100(files))
		}
		p := openOn(t, d)
		m, err := p.Manifest("")
		if err != nil {
			t.Fatal(err)
		}
		err = p.Restore(t.Context(), m, "/data", nothing)
		if whole := !refused && len(files) > 0; whole != errors.Is(err, ErrNotEmpty) || !whole && err != nil {
			t.Fatalf("restored again, %v; it was whole: %t", err, whole)
		}
		if files := filesBelow(t, d, "/data"); !maps.Equal(files, generation(2)) {
			t.Fatalf("restored again, the folder has %s", short100(files))
		}
		if n, err := d.get("/data/empty"); err != nil || !n.dir {
			t.Fatalf("a folder without files is not restored: %v", err)
		}
	})
}

func TestWhatIsThereIsNotCopiedAgain(t *testing.T) {
	d := newMemDisk()
	p := openOn(t, d)
	first := take(t, p, 1)
	if first.Copied != first.Bytes {
		t.Errorf("the first backup copied %d of %d bytes", first.Copied, first.Bytes)
	}
	second := take(t, p, 2)
	fresh := int64(len("changes 2") + len("that came in 2") + len("tail 2"))
	if second.Copied != fresh {
		t.Errorf("the second backup copied %d bytes; %d are new", second.Copied, fresh)
	}
	// A file that never changes is not even opened.
	third := generation(2)
	c := third.copy(3)
	delete(third, "store/fixed-old")
	if _, err := p.Take(t.Context(), c, third, nothing); err != nil {
		t.Errorf("a backup whose fixed files are there: %v", err)
	}
	// One of another time is another file, whatever its name and size.
	other := lentOf{"FORMAT": "weir-data 1\n", "store/fixed-old": "another!!!"}
	c = other.copy(4)
	for i := range c.Files {
		c.Files[i].Modified = 99
	}
	if _, err := p.Take(t.Context(), c, other, nothing); err != nil {
		t.Fatal(err)
	}
	m, err := p.Manifest("")
	if err == nil {
		err = p.Restore(t.Context(), m, "/data", nothing)
	}
	if got := filesBelow(t, d, "/data"); err != nil || got["store/fixed-old"] != "another!!!" {
		t.Errorf("restored, it is %q, %v", got["store/fixed-old"], err)
	}
}

func TestDamagedContentIsFoundAndCopiedAnew(t *testing.T) {
	d := newMemDisk()
	p := openOn(t, d)
	take(t, p, 1)
	m, err := p.Manifest("")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range m.Files {
		if f.Path != "store/fixed-old" && f.Path != "warehouse/db" {
			continue
		}
		n, err := d.get(p.contentPath(f.Content[0].Sum))
		if err != nil {
			t.Fatal(err)
		}
		n.data = append([]byte{n.data[0] ^ 1}, n.data[1:]...)
	}
	if err := p.Restore(t.Context(), m, "/data", nothing); !errors.Is(err, ErrDamaged) {
		t.Errorf("a restore of damaged content gives %v", err)
	}
	err = p.Verify(t.Context(), m, nothing)
	if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "store/fixed-old") || !strings.Contains(err.Error(), "warehouse/db") {
		t.Errorf("verify gives %v", err)
	}
	if err := p.Verify(t.Context(), m, nothing); !errors.Is(err, ErrDamaged) {
		t.Errorf("verified again, it gives %v", err)
	}
	take(t, p, 2)
	checkAll(t, d) // the first too: its content is the same
}

func TestAFullDiskIsAClearError(t *testing.T) {
	d := newMemDisk()
	p := openOn(t, d)
	take(t, p, 1)
	free := int64(10)
	p.Free = func(string) (int64, bool) { return free, true }
	_, err := p.Take(t.Context(), generation(2).copy(2), generation(2), nothing)
	if !errors.Is(err, ErrNoRoom) || !strings.Contains(err.Error(), "prune") {
		t.Errorf("a backup that can't fit gives %v", err)
	}
	free = 1 << 40 // and it fills up meanwhile
	d.room = 20
	_, err = p.Take(t.Context(), generation(2).copy(2), generation(2), nothing)
	if !errors.Is(err, ErrNoRoom) || !strings.Contains(err.Error(), "prune") {
		t.Errorf("a backup to a disk that fills up gives %v", err)
	}
	d.room = -1
	if names := checkAll(t, d); len(names) != 1 {
		t.Errorf("there are %v", names)
	}
	m, err := p.Manifest("")
	if err != nil {
		t.Fatal(err)
	}
	free = 10
	if err := p.Restore(t.Context(), m, "/data", nothing); !errors.Is(err, ErrNoRoom) {
		t.Errorf("a restore that can't fit gives %v", err)
	}
}

func TestATrialIsOfARestoreAndLeavesNothing(t *testing.T) {
	d := newMemDisk()
	p := openOn(t, d)
	take(t, p, 1)
	m, err := p.Manifest("")
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("does not open")
	for _, want := range []error{nil, broken} {
		err := p.Trial(t.Context(), m, func(dir string) error {
			if got := filesBelow(t, d, dir); !maps.Equal(got, generation(1)) {
				t.Errorf("what is tried has %s", short100(got))
			}
			return want
		}, nothing)
		if !errors.Is(err, want) {
			t.Errorf("a trial that gives %v gives %v", want, err)
		}
	}
	if left := filesBelow(t, d, "/place/"+trialFolder); len(left) > 0 {
		t.Errorf("a trial left %s", short100(left))
	}
}

func TestASourceThatGivesAnotherFileIsAnError(t *testing.T) {
	for what, given := range map[string]string{"shorter": "that sta", "longer": "that stays on"} {
		p := openOn(t, newMemDisk())
		l := generation(1)
		c := l.copy(1)
		l["store/fixed-old"] = given
		if _, err := p.Take(t.Context(), c, l, nothing); err == nil || !strings.Contains(err.Error(), "fixed-old") {
			t.Errorf("a file that is %s gives %v", what, err)
		}
		if names := checkAll(t, p.disk.(*memDisk)); len(names) > 0 {
			t.Errorf("there is %v", names)
		}
	}
}

func TestABackupEndsWithItsContext(t *testing.T) {
	p := openOn(t, newMemDisk())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Take(ctx, generation(1).copy(1), generation(1), nothing); !errors.Is(err, context.Canceled) {
		t.Errorf("a backup after its end gives %v", err)
	}
}

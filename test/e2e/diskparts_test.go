package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"weir/test/harness"
)

// onSmallDisk moves a part of a stopped server's data folder to a disk of its
// own, so that this part alone can meet a full disk.
func onSmallDisk(t *testing.T, server *harness.Server, part string) (disk string) {
	t.Helper()
	disk = smallDisk(t, 64)
	there, here := filepath.Join(disk, "part"), filepath.Join(server.Data, part)
	if out, err := exec.Command("cp", "-a", here, there).CombinedOutput(); err != nil {
		t.Fatalf("copy %s: %v: %s", here, err, out)
	}
	if err := errors.Join(os.RemoveAll(here), os.Symlink(there, here)); err != nil {
		t.Fatal(err)
	}
	return disk
}

// fill takes all room of a disk, and gives what takes it away again.
func fill(t *testing.T, disk string) (empty func()) {
	t.Helper()
	name := filepath.Join(disk, "ballast")
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	chunk := make([]byte, 1<<20)
	for len(chunk) > 0 {
		if _, err := file.Write(chunk); errors.Is(err, syscall.ENOSPC) {
			chunk = chunk[:len(chunk)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// logged waits until the server's log has a line with all of these.
func logged(t *testing.T, server *harness.Server, parts ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("a line of the log with %q", parts), func() bool {
		for line := range strings.Lines(server.Output()) {
			if containsAll(line, parts) {
				return true
			}
		}
		return false
	})
}

func containsAll(text string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(text, p) {
			return false
		}
	}
	return true
}

// metric reads one of the server's own metrics, without labels.
func metric(t *testing.T, c *harness.Client, name string) string {
	t.Helper()
	answer, err := c.Do(t.Context(), harness.Request{Path: "/metrics"})
	if err != nil || answer.Status != http.StatusOK {
		t.Fatal(answer, err)
	}
	for line := range strings.Lines(string(answer.Body)) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no metric %s", name)
	return ""
}

// ledgerBalances asks the command.
func ledgerBalances(t *testing.T, server *harness.Server) {
	t.Helper()
	if out := run(t, server, 0, "ledger", "--output", "json").Stdout; !strings.Contains(out, `"balanced": true`) && !strings.Contains(out, `"balanced":true`) {
		t.Errorf("weir ledger: %s", out)
	}
}

// wholeAgain wants nothing left of a full disk: the ledger balances, and no
// file that could not be written counts as damaged.
func wholeAgain(t *testing.T, server *harness.Server, c *harness.Client) {
	t.Helper()
	ledgerBalances(t, server)
	if n := metric(t, c, "weir_store_damaged"); n != "0" {
		t.Errorf("%s files count as damaged", n)
	}
}

const weekLength = 7 * 24 * 3600 * 1_000_000_000

// The disk of the week tables is full when a flush is due: what was answered
// 204 is in the buffer and is read, the log names the full disk, and all is
// committed once there is room.
func TestFullDiskAtFlush(t *testing.T) {
	server, c := start(t, flushSoon()...)
	write(t, c, "flush,n=a value=1 1\n")
	before := settled(t, c)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	disk := onSmallDisk(t, server, "store/weeks")
	c = server.Up(t, flushNever()...)
	write(t, c, fmt.Sprintf("flush,n=b value=1 1\nflush,n=b value=2 %d\n", weekLength+2)) // the second has a new table
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	empty := fill(t, disk)
	c = server.Up(t, flushSoon()...)
	want := []string{"flush{n=a} 1=1", fmt.Sprintf("flush{n=b} 1=1 %d=2", weekLength+2)}
	logged(t, server, "flush failed", "no space left on device", "free space")
	expect(t, c, "flush", want...)
	ledger, err := c.Ledger(t.Context())
	if err != nil || !ledger.Balanced() || ledger.InFlight != 2 || ledger.Stored != before.Stored {
		t.Errorf("on the full disk the ledger is %+v, %v", ledger, err)
	}
	write(t, c, "flush,n=a value=2 2\n") // the buffer has room
	refused := post(t, c, "/write", fmt.Sprintf("flush,n=c value=1 %d\n", 2*weekLength), http.StatusServiceUnavailable)
	if p := explained(t, refused); !containsAll(p.Detail, []string{"1970-W03", "no space left on device", "free space"}) {
		t.Errorf("unclear: %s", refused)
	}
	want[0] = "flush{n=a} 1=1 2=2"
	expect(t, c, "flush", want...)
	empty()
	eventually(t, "space for another week", func() bool {
		answer, err := c.Post(t.Context(), "/write", harness.Identity, fmt.Appendf(nil, "flush,n=c value=1 %d\n", 2*weekLength))
		return err == nil && answer.Status == http.StatusNoContent
	})
	want = append(want, fmt.Sprintf("flush{n=c} %d=1", 2*weekLength))
	if ledger := settled(t, c); ledger.Stored != before.Stored+4 {
		t.Errorf("once there was room the ledger is %+v", ledger)
	}
	wholeAgain(t, server, c)
	expect(t, c, "flush", want...)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	if n := len(items(t, server, "flush")); n != 5 {
		t.Errorf("5 samples are %d in items", n)
	}
	expect(t, server.Up(t), "flush", want...)
}

// The disk of the week tables is full when merges are due: nothing is merged,
// all is read, and samples go on coming; merges come once there is room.
func TestFullDiskAtMerge(t *testing.T) {
	server, c := start(t, append(flushSoon(), "--set", "merge.every=0")...)
	want := "merged{}"
	for n := range 6 {
		write(t, c, fmt.Sprintf("merged value=%d %d\n", n, n))
		settled(t, c)
		want += fmt.Sprintf(" %d=%d", n, n)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	empty := fill(t, onSmallDisk(t, server, "store/weeks"))
	c = server.Up(t, append(flushSoon(), "--set", "merge.every=50ms", "--set", "merge.settle=0s", "--set", "merge.grace=0s")...)
	logged(t, server, "merging met an error", "no space left on device", "free space")
	expect(t, c, "merged", want)
	write(t, c, "merged value=6 6\n")
	want += " 6=6"
	logged(t, server, "flush failed", "no space left on device")
	expect(t, c, "merged", want)
	if n := metric(t, c, "weir_merge_merges_total"); n != "0" {
		t.Errorf("%s merges on a full disk", n)
	}
	empty()
	settled(t, c)
	eventually(t, "a merge", func() bool { return metric(t, c, "weir_merge_merges_total") != "0" })
	eventually(t, "a sweep", func() bool { return metric(t, c, "weir_merge_swept_items_total") != "0" })
	expect(t, c, "merged", want)
	wholeAgain(t, server, c)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	run(t, server, 0, "doctor", "--data", server.Data)
	expect(t, server.Up(t), "merged", want)
}

// The disk of the journals is full: what comes is in the buffer, queries are
// told that they can't be answered yet and why, the log names the full disk, and
// all goes on by itself.
func TestFullDiskOfJournals(t *testing.T) {
	server, c := start(t, flushSoon()...)
	write(t, c, "journal,n=a value=1 1\n")
	settled(t, c)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	disk := onSmallDisk(t, server, "store/journals")
	c = server.Up(t, flushSoon()...)
	empty := fill(t, disk)
	// The log that is open has room set aside, about 9 MB: registrations take it.
	accepted := 0
	long := strings.Repeat("x", 8000)
	for n := range 1500 {
		answer, err := c.Post(t.Context(), "/write", harness.Identity, fmt.Appendf(nil, "long,n=%d,tag=%s value=%d 1\n", n, long, n))
		if err != nil {
			t.Fatal(err)
		}
		if answer.Status != http.StatusNoContent {
			t.Fatal(answer)
		}
		accepted++
	}
	logged(t, server, "no space left on device", "free space")
	if canRead(t, c, "journal") {
		t.Error("a query does not wait for what was acknowledged")
	}
	answer, err := c.Do(t.Context(), harness.Request{Path: "/api/v1/ledger"})
	if err != nil || answer.Status != http.StatusServiceUnavailable {
		t.Fatal(answer, err)
	}
	if p := explained(t, answer); !strings.Contains(p.Detail, "not taken all that was acknowledged") {
		t.Errorf("unclear: %s", answer)
	}
	empty()
	settled(t, c)
	wholeAgain(t, server, c)
	expect(t, c, "journal", "journal{n=a} 1=1")
	if lines := read(t, c, "long"); len(lines) != accepted {
		t.Errorf("%d of %d series are read", len(lines), accepted)
	}
}

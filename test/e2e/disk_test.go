package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"weir/test/harness"
)

// smallDisk gives a folder on a disk of its own.
func smallDisk(t *testing.T, megabytes int) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%dm", megabytes), "weir-test", dir).CombinedOutput()
	if err != nil {
		t.Skipf("mounting a small disk is not allowed here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

// full is a client of a disk that fills up: which requests were answered 204.
type full struct {
	client   *harness.Client
	sent     int
	answered []int
}

// send sends 60 KB that hardly compress and gives the answer's status.
func (f *full) send(t *testing.T) harness.Answer {
	t.Helper()
	n := f.sent
	f.sent++
	body := fmt.Sprintf("disk,n=%d value=\"%s\" %d\n", n, noise(n), n)
	answer, err := f.client.Post(t.Context(), "/write", harness.Identity, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if answer.Status == http.StatusNoContent {
		f.answered = append(f.answered, n)
	}
	return answer
}

// there wants every answered request to be read, exactly once and whole.
func (f *full) there(t *testing.T, requests ...int) {
	t.Helper()
	for _, n := range requests {
		expect(t, f.client, fmt.Sprintf(`disk{n="%d"}`, n), fmt.Sprintf("disk{n=%d} %d=%q", n, n, noise(n)))
	}
}

// all wants all answered requests to be read, each once and whole.
func (f *full) all(t *testing.T) {
	t.Helper()
	found := map[string]string{}
	for _, line := range read(t, f.client, "disk") {
		found[line.Tags["n"]] = series(line)
	}
	for _, n := range f.answered {
		if found[itoa(int64(n))] != fmt.Sprintf("disk{n=%d} %d=%q", n, n, noise(n)) {
			t.Errorf("request %d, answered 204, is read as %.200q", n, found[itoa(int64(n))])
		}
	}
}

// canRead says whether a query is answered on a full disk. It is not where the
// buffer cannot hand out what was answered 204 last: a query waits for that,
// and is then told so, to come again.
func canRead(t *testing.T, c *harness.Client, match string) bool {
	t.Helper()
	answer, err := c.Do(t.Context(), harness.Request{
		Path: harness.Query("/api/v1/select", "match", match, "start", firstTime, "end", endTime),
	})
	if err != nil {
		t.Fatal(err)
	}
	if answer.Status == http.StatusServiceUnavailable {
		p := explained(t, answer)
		if !strings.Contains(p.Detail, "not taken all that was acknowledged") || answer.Header.Get("Retry-After") == "" {
			t.Errorf("unclear: %s", answer)
		}
		return false
	}
	if answer.Status != http.StatusOK {
		t.Error(answer)
	}
	return true
}

// The disk fills up while requests come: they are refused with a clear error
// and a time to come again, what is there is read, and once there is space the
// service goes on by itself. Nothing that was answered is lost.
func TestFullDisk(t *testing.T) {
	for name, flags := range map[string][]string{"flushes": flushSoon(), "intake alone": flushNever()} {
		t.Run(name, func(t *testing.T) { fullDisk(t, flags) })
	}
}

func fullDisk(t *testing.T, flags []string) {
	disk := smallDisk(t, 128)
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 96<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	server := harness.NewServer(t, flags...)
	server.Data = filepath.Join(disk, "data")
	f := &full{client: server.Up(t)}
	refusals, named := 0, false
	for f.sent < 3000 && refusals < 5 {
		switch answer := f.send(t); answer.Status {
		case http.StatusNoContent:
		case http.StatusServiceUnavailable:
			refusals++
			if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err != nil || seconds < 1 {
				t.Errorf("Retry-After %q", answer.Header.Get("Retry-After"))
			}
			explained(t, answer)
			if refusals == 1 {
				t.Logf("%d requests were answered; then: %s", len(f.answered), answer)
			}
			named = named || strings.Contains(string(answer.Body), "the disk is full")
		default:
			t.Fatal(answer)
		}
	}
	// The request that met the full disk is told so; those after it, which did
	// not get so far, that the buffer takes no more.
	if !named {
		t.Error("no refusal says that the disk is full")
	}
	if refusals == 0 || len(f.answered) == 0 {
		t.Fatalf("%d of %d requests were answered, %d refused", len(f.answered), f.sent, refusals)
	}
	last := len(f.answered) - 1
	if canRead(t, f.client, `disk{n="0"}`) {
		f.there(t, f.answered[0], f.answered[last/2], f.answered[last])
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	eventually(t, "space", func() bool { return f.send(t).Status == http.StatusNoContent })
	f.all(t)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	f.client = server.Up(t)
	f.all(t)
	settled(t, f.client)
	ledgerBalances(t, server)
}

// A start on a full disk says so and how to mend it, and loses nothing.
func TestStartOnAFullDisk(t *testing.T) {
	disk := smallDisk(t, 64)
	server := harness.NewServer(t)
	server.Data = filepath.Join(disk, "data")
	c := server.Up(t, flushSoon()...)
	write(t, c, "kept value=1 1\n")
	settled(t, c)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	empty := fill(t, disk)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	<-server.Exited()
	logged(t, server, "is full", "make room and start again")
	empty()
	c = server.Up(t)
	expect(t, c, "kept", "kept{} 1=1")
}

package e2e

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"weir/test/harness"
)

func TestStopDrains(t *testing.T) {
	server, c := start(t, flushNever()...)
	write(t, c, "kept value=1 1\nkept value=2 700000000000000000\n")
	if err := server.Stop(); err != nil { // exit 0 within 30 s
		t.Fatal(err)
	}
	if n := len(items(t, server, "kept")); n != 2 {
		t.Errorf("%d of 2 samples are in items after a stop", n)
	}
	c = server.Up(t, flushNever()...)
	expect(t, c, "kept", "kept{} 1=1 700000000000000000=2")
	if ledger := settled(t, c); ledger.Stored != 2 {
		t.Errorf("%+v", ledger)
	}
}

// Requests that are under way at a SIGTERM are answered truly: 204 means kept.
func TestStopUnderLoad(t *testing.T) {
	server, c := start(t)
	var mu sync.Mutex
	answered := map[int]bool{}
	var all sync.WaitGroup
	begun := make(chan struct{}, 4)
	for client := range 4 {
		all.Go(func() {
			for i := 0; ; i++ {
				n := i*4 + client
				answer, err := c.Post(t.Context(), "/write", harness.Identity, fmt.Appendf(nil, "load value=%d %d\n", n, n))
				if err != nil || answer.Status != http.StatusNoContent {
					return
				}
				mu.Lock()
				answered[n] = true
				mu.Unlock()
				if i == 20 {
					begun <- struct{}{}
				}
			}
		})
	}
	for range 4 {
		<-begun
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	found := map[int]int{}
	for _, item := range items(t, server, "load") {
		n, err := strconv.Atoi(string(item.Value))
		if err != nil || item.Time != int64(n) {
			t.Fatalf("%+v", item)
		}
		found[n]++
	}
	for n := range answered {
		if found[n] != 1 {
			t.Errorf("sample %d, answered 204, is stored %d times", n, found[n])
		}
	}
	c = server.Up(t)
	if ledger := settled(t, c); int(ledger.Accepted) != len(found) {
		t.Errorf("%d found, ledger %+v", len(found), ledger)
	}
}

func TestKilledAndReadable(t *testing.T) {
	server, c := start(t, flushNever()...)
	for round := range 4 {
		write(t, c, fmt.Sprintf("killed value=%d %d\nkilled_too,round=%d value=%d 1\n", round, round, round, round))
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		c = server.Up(t, flushNever()...)
		want := "killed{}"
		for i := range round + 1 {
			want += fmt.Sprintf(" %d=%d", i, i)
			expect(t, c, fmt.Sprintf(`killed_too{round="%d"}`, i), fmt.Sprintf("killed_too{round=%d} 1=%d", i, i))
		}
		expect(t, c, "killed", want)
	}
}

func TestHealth(t *testing.T) {
	_, c := start(t)
	for path, want := range map[string]string{"/healthz": "", "/readyz": "", "/metrics": "weir_"} {
		answer, err := c.Do(t.Context(), harness.Request{Path: path})
		if err != nil || answer.Status != http.StatusOK || !strings.Contains(string(answer.Body), want) {
			t.Errorf("%s: %.200s, %v", path, answer, err)
		}
	}
	answer, err := c.Do(t.Context(), harness.Request{Path: "/api/v1/status"})
	if err != nil || answer.Status != http.StatusOK || !strings.Contains(string(answer.Body), `"ready": true`) {
		t.Error(answer, err)
	}
}

// The buffer is full: 503 with Retry-After, nothing accepted is lost, and
// what was refused is taken when there is room.
func TestFullBuffer(t *testing.T) {
	server, c := start(t, append(flushNever(), "--set", "buffer.max_bytes=2097152", "--set", "gateway.answer_time=500ms")...)
	var accepted []int
	refusals := 0
	for n := 0; refusals < 3; n++ {
		if n > 400 {
			t.Fatal("2 MiB of buffer took 400 requests of 60 KB")
		}
		body := fmt.Sprintf("full,n=%d value=\"%s\" %d\n", n, noise(n), n)
		answer, err := c.Post(t.Context(), "/write", harness.Identity, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		switch answer.Status {
		case http.StatusNoContent:
			accepted = append(accepted, n)
		case http.StatusServiceUnavailable:
			refusals++
			if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err != nil || seconds < 1 {
				t.Errorf("Retry-After %q", answer.Header.Get("Retry-After"))
			}
			explained(t, answer)
		default:
			t.Fatal(answer)
		}
	}
	if len(accepted) == 0 {
		t.Fatal("nothing was accepted")
	}
	t.Logf("%d requests of 60 KB accepted", len(accepted))
	checkAccepted := func() {
		t.Helper()
		for _, n := range accepted {
			expect(t, c, fmt.Sprintf(`full{n="%d"}`, n), fmt.Sprintf("full{n=%d} %d=%q", n, n, noise(n)))
		}
	}
	checkAccepted()
	if err := server.Kill(); err != nil { // a full queue is no obstacle to a start
		t.Fatal(err)
	}
	c = server.Up(t, append(flushSoon(), "--set", "buffer.max_bytes=2097152")...)
	checkAccepted()
	eventually(t, "room in the queue", func() bool {
		answer, err := c.Post(t.Context(), "/write", harness.Identity, []byte("room value=1 1\n"))
		return err == nil && answer.Status == http.StatusNoContent
	})
	expect(t, c, "room", "room{} 1=1")
	settled(t, c)
}

// noise is 60 KB that hardly compress.
func noise(seed int) string {
	var b strings.Builder
	sum := sha256.Sum256([]byte(strconv.Itoa(seed)))
	for b.Len() < 60_000 {
		fmt.Fprintf(&b, "%x", sum)
		sum = sha256.Sum256(sum[:])
	}
	return b.String()
}

func TestTwoProcessesOnOneFolder(t *testing.T) {
	server, c := start(t, flushSoon()...)
	write(t, c, "mine value=1 1\n")
	address, err := harness.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	result := run(t, server, 1, "up", "--data", server.Data, "--http", address)
	if !strings.Contains(result.Stderr, "in use") || !strings.Contains(result.Stderr, server.Data) {
		t.Errorf("unclear: %s", result)
	}
	run(t, server, 1, "doctor", "--data", server.Data)
	expect(t, c, "mine", "mine{} 1=1")
	settled(t, c)
}

func TestAddressInUse(t *testing.T) {
	server, _ := start(t)
	result := run(t, server, 1, "up", "--data", t.TempDir(), "--http", server.Address)
	if !strings.Contains(result.Stderr, "address already in use") {
		t.Errorf("unclear: %s", result)
	}
}

func TestFolderOfANewerVersion(t *testing.T) {
	server, c := start(t, flushSoon()...)
	write(t, c, "old value=1 1\n")
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	format := filepath.Join(server.Data, "FORMAT")
	text, err := os.ReadFile(format)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(format, []byte("weir-data 2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	before := folderHash(t, server.Data)
	for _, command := range [][]string{{"up", "--http", server.Address}, {"doctor"}, {"doctor", "--items"}} {
		result := run(t, server, 1, append(command, "--data", server.Data)...)
		if !strings.Contains(result.Stderr, "weir-data 2") || !strings.Contains(result.Stderr, "weir-data 1") {
			t.Errorf("unclear: %s", result)
		}
	}
	if after := folderHash(t, server.Data); after != before {
		t.Error("the folder was changed")
	}
	if err := os.WriteFile(format, text, 0o644); err != nil {
		t.Fatal(err)
	}
	expect(t, server.Up(t), "old", "old{} 1=1")
}

// folderHash hashes the names and contents of a folder's files.
func folderHash(t *testing.T, dir string) string {
	t.Helper()
	hash := sha256.New()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(hash, "%s %d\n%s", path, len(text), text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", hash.Sum(nil))
}

func TestFolderThatIsNotWhole(t *testing.T) {
	server, c := start(t, flushSoon()...)
	write(t, c, "whole value=1 1\n")
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"FORMAT", "store/FORMAT"} {
		path := filepath.Join(server.Data, name)
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		result := run(t, server, 1, "up", "--data", server.Data, "--http", server.Address)
		if !strings.Contains(result.Stderr, server.Data) {
			t.Errorf("without %s, unclear: %s", name, result)
		}
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, server.Up(t), "whole", "whole{} 1=1")
}

func TestConfigThatCannotWork(t *testing.T) {
	server := harness.NewServer(t)
	file := filepath.Join(t.TempDir(), "weir.yaml")
	if err := os.WriteFile(file, []byte("worker:\n  flush_agee: 5s\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for want, flags := range map[string][]string{
		"worker.flush_age":     {"--set", "worker.flush_agee=5s"},
		"line 2":               {"--config", file},
		"worker.flush_age:":    {"--set", "worker.flush_age=0s"},
		"--set worker":         {"--set", "worker"},
		"no such file":         {"--config", file + ".none"},
		"unknown flag: --dota": {"--dota", "x"},
	} {
		result := run(t, server, 2, append([]string{"up", "--data", server.Data, "--http", server.Address}, flags...)...)
		if !strings.Contains(result.Stderr, want) {
			t.Errorf("%v: want %q in %s", flags, want, result)
		}
	}
	entries, err := os.ReadDir(server.Data)
	if err != nil || len(entries) != 0 {
		t.Errorf("a config that can't work left %v, %v", entries, err)
	}
	if err := os.WriteFile(file, []byte("worker:\n  flush_age: 50ms\nlog:\n  level: debug\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := server.Up(t, "--config", file)
	write(t, c, "configured value=1 1\n")
	settled(t, c)
}

// A signal in the middle of a start ends the process all the same.
func TestStopWhileStarting(t *testing.T) {
	server := harness.NewServer(t)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a process that listens", func() bool { return strings.Contains(server.Output(), "listening") })
	server.Signal(syscall.SIGTERM)
	<-server.Exited()
	expect(t, server.Up(t), "{}")
}

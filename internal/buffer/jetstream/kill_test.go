package jetstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// childFolder is set in the environment of this program when it is run again
// as a process to be killed.
const childFolder = "WEIR_BUFFER_TEST_FOLDER"

// TestMain is the child when childFolder is set.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		fmt.Println("started", os.Getpid())
		fmt.Println("failed", child(dir, os.Args[1]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// child sends, receives, acks a third and gives back a third, and tells what
// it sent, received and is about to ack, until it is killed.
func child(dir, name string) error {
	ctx := context.Background()
	d, err := Open(ctx, testConfig(dir))
	if err != nil {
		return err
	}
	go func() {
		for n := 0; ; n++ {
			got, err := d.Receive(ctx, 0, 4)
			if err != nil {
				fmt.Println("failed", err)
				return
			}
			for i, g := range got {
				key := strings.TrimRight(string(g.Body()), "x")
				fmt.Println("begun", key, g.Attempts())
				switch (n + i) % 3 {
				case 0:
					fmt.Println("acking", key) // ahead: it may be killed amid the ack
					_ = g.Ack(ctx)
				case 1:
					_ = g.Nack(ctx, time.Duration(i)*10*time.Millisecond)
				}
			}
		}
	}()
	for n := 0; ; n++ {
		key := fmt.Sprintf("%s-%d", name, n)
		if errs := d.Send(ctx, 0, [][]byte{[]byte(key + strings.Repeat("x", 30_000))}); errs != nil {
			return errors.Join(errs...)
		}
		fmt.Println("sent", key)
	}
}

// TestKill kills a real process again and again and checks that what it said
// was sent comes until an ack of it was tried, and that no attempt is forgotten.
func TestKill(t *testing.T) {
	kills := 6
	if testing.Short() {
		kills = 2
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir := t.TempDir()
	left, maybeAcked, attempts := map[string]bool{}, map[string]bool{}, map[string]int{}
	for k := range kills {
		runChild(t, dir, fmt.Sprint("life", k), 20+random.IntN(200), func(word, key string, n int) {
			switch word {
			case "sent":
				// Told late, since sender and receiver print at once.
				if !maybeAcked[key] {
					left[key] = true
				}
			case "acking":
				delete(left, key)
				maybeAcked[key] = true
			case "begun":
				attempts[key]++
				if n < attempts[key] {
					t.Fatalf("%s: attempt %d; %d have begun", key, n, attempts[key])
				}
			}
		})
	}
	d := mustOpen(t, testConfig(dir))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second) // less than the visibility timeout
	defer cancel()
	total := len(left)
	for len(left) > 0 {
		got, err := d.Receive(ctx, 0, 100)
		if err != nil {
			t.Fatalf("receive: %v; %d of %d did not come", err, len(left), total)
		}
		for _, g := range got {
			key := strings.TrimRight(string(g.Body()), "x")
			delete(left, key)
			if g.Attempts() <= attempts[key] {
				t.Fatalf("%s: attempt %d; %d had begun", key, g.Attempts(), attempts[key])
			}
		}
	}
	t.Logf("%d messages were left after %d kills, the most tried %d times", total, kills, maxOf(attempts))
}

func maxOf(counts map[string]int) int {
	most := 0
	for _, n := range counts {
		most = max(most, n)
	}
	return most
}

// runChild runs a child until it told so many things, kills it, and hands
// over all that it told, in order.
func runChild(t *testing.T, dir, name string, lines int, told func(word, key string, n int)) {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], name)
	command.Env = append(os.Environ(), childFolder+"="+dir)
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(out)
	for n := 0; scanner.Scan(); n++ {
		fields := strings.Fields(scanner.Text() + " 0")
		if fields[0] == "failed" {
			t.Errorf("child: %s", scanner.Text())
			break
		}
		var attempt int
		if _, err := fmt.Sscan(fields[2], &attempt); err == nil {
			told(fields[0], fields[1], attempt)
		}
		if n == lines {
			if err := command.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = command.Wait() // killed
}

// TestSyncedAheadOfTheAnswer watches a real process by strace: between the
// write of a body and the line that says it is sent lie the fsync of the
// message file and, for a new file, of its folder.
func TestSyncedAheadOfTheAnswer(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed")
	}
	dir := t.TempDir()
	log := filepath.Join(t.TempDir(), "strace.log")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	command := exec.CommandContext(ctx, strace, "-f", "-y", "-s", "16", "-o", log,
		"-e", "trace=pwrite64,fsync,write", "-E", childFolder+"="+dir, os.Args[0], "traced")
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Skipf("strace can't be run: %v", err)
	}
	scanner := bufio.NewScanner(out)
	sent, pid := 0, 0
	for sent < 3 && scanner.Scan() {
		if strings.HasPrefix(scanner.Text(), "sent") {
			sent++
		}
		_, _ = fmt.Sscanf(scanner.Text(), "started %d", &pid)
	}
	// strace ends with its child; killed first, it would leave it running.
	if p, err := os.FindProcess(pid); err == nil && pid > 0 {
		_ = p.Kill()
	}
	_ = command.Wait()
	if sent < 3 {
		t.Skip("strace does not work here")
	}
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	checkTrace(t, string(data))
}

// checkTrace reads a trace up to the first "sent".
func checkTrace(t *testing.T, trace string) {
	t.Helper()
	msgs := regexp.QuoteMeta(filepath.Join("streams", queueStream(0), "msgs"))
	steps := []*regexp.Regexp{
		regexp.MustCompile(`pwrite64\(\d+<[^>]*` + msgs + `/\d+\.blk>`),
		regexp.MustCompile(`fsync\(\d+<[^>]*` + msgs + `/\d+\.blk>`),
		regexp.MustCompile(`fsync\(\d+<[^>]*` + msgs + `>`),
		regexp.MustCompile(`write\(1<[^>]*>, "sent traced-0`),
	}
	next := 0
	for line := range strings.Lines(trace) {
		if next < len(steps) && steps[next].MatchString(line) {
			next++
			continue
		}
		if next < len(steps)-1 && steps[len(steps)-1].MatchString(line) {
			t.Fatalf("answered ahead of step %d: %v", next, steps[next])
		}
	}
	if next < len(steps) {
		t.Fatalf("step %d did not happen: %v", next, steps[next])
	}
}

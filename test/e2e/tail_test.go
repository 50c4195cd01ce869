package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"weir/test/harness"
)

// tailed is a line of weir tail --output json.
type tailed struct {
	Metric string         `json:"metric"`
	Times  []int64        `json:"times"`
	Values []int          `json:"values"`
	Gap    map[string]any `json:"gap"`
}

// follow calls see with each line that weir tail writes, until ctx ends.
func follow(ctx context.Context, s *harness.Server, see func(tailed), arguments ...string) (harness.Result, error) {
	return s.Stream(ctx, func(r io.Reader) error {
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var l tailed
			if json.Unmarshal(lines.Bytes(), &l) == nil { // a kill may cut the last one short
				see(l)
			}
		}
		return lines.Err()
	}, append([]string{"tail", "--output", "json"}, arguments...)...)
}

// TestTailMissesNothing: a reader that is killed again and again and resumes by
// its file sees every sample that was answered, over kills of the instance,
// seals and weeks that begin.
func TestTailMissesNothing(t *testing.T) {
	server, c := start(t, tailFlags()...)
	random := rand.New(rand.NewPCG(1, 2))
	seen, mu := map[int]int{}, sync.Mutex{}
	see := func(l tailed) {
		mu.Lock()
		defer mu.Unlock()
		if l.Gap != nil {
			t.Errorf("a gap: %v", l.Gap)
		}
		for _, v := range l.Values {
			seen[v]++
		}
	}
	place := []string{"--from", "oldest", "--resume", filepath.Join(t.TempDir(), "place")}
	ctx, cancel := context.WithCancel(t.Context())
	var reader sync.WaitGroup
	kills := 0
	reader.Go(func() {
		for ; ctx.Err() == nil; kills++ {
			life, end := context.WithTimeout(ctx, time.Duration(50+random.IntN(400))*time.Millisecond)
			_, _ = follow(life, server, see, place...) // killed, or the instance was just down
			end()
		}
	})
	answered := map[int]bool{}
	n := 0
	for round := range 4 {
		for range 60 {
			var body bytes.Buffer
			for range 5 {
				week := int64(n%(round+2)) * 7 * 24 * 3600e9
				fmt.Fprintf(&body, "m,n=%d value=%di %d\n", n%17, n, 1_700_000_000_000_000_000+week+int64(n)*1e6)
				n++
			}
			answer, err := c.Post(t.Context(), "/write", harness.Identity, body.Bytes())
			if err != nil || answer.Status != http.StatusNoContent {
				t.Fatalf("%v %s", err, answer)
			}
			for i := n - 5; i < n; i++ {
				answered[i] = true
			}
			time.Sleep(5 * time.Millisecond)
		}
		post(t, c, "/api/v1/weeks/2023-W46/seal", "", http.StatusOK)
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		c = server.Up(t, tailFlags()...)
	}
	settled(t, c)
	cancel()
	reader.Wait()
	if result, err := follow(t.Context(), server, see, append(place, "--once")...); err != nil || result.Code != 0 {
		t.Fatalf("%v %s", err, result)
	}
	again := 0
	for n := range answered {
		if seen[n] == 0 {
			t.Errorf("sample %d was answered 204 and not seen", n)
		}
		again += seen[n] - 1
	}
	if kills < 5 {
		t.Errorf("the reader was killed only %d times", kills)
	}
	t.Logf("%d samples, %d kills of the reader and 4 of the instance, %d seen again", len(answered), kills, again)
}

// tailFlags make weir flush, merge and sweep all the time.
func tailFlags() []string {
	return append(flushSoon(), "--set", "merge.every=50ms", "--set", "merge.settle=100ms", "--set", "merge.grace=100ms")
}

// TestFastSeriesComeAtOnce: they are committed, and read by who tails, while
// what is steady waits.
func TestFastSeriesComeAtOnce(t *testing.T) {
	server, c := start(t, append(flushNever(), "--set", `fast=["quick"]`)...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	came := make(chan int, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = follow(ctx, server, func(l tailed) {
			for _, v := range l.Values {
				if l.Metric != "quick" {
					t.Errorf("%s came, which is steady", l.Metric)
				}
				came <- v
			}
		}, "--from", "oldest")
	}()
	var worst time.Duration
	for n := range 10 {
		write(t, c, fmt.Sprintf("quick value=%di\nsteady value=%di\n", n, n))
		at := time.Now()
		select {
		case got := <-came:
			if got != n {
				t.Fatalf("sample %d came, want %d", got, n)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("sample %d did not come", n)
		}
		worst = max(worst, time.Since(at))
	}
	cancel()
	<-done
	t.Logf("from the answer of a write until it was read: %s at most", worst.Round(time.Millisecond))
}

func TestTailRefuses(t *testing.T) {
	server, c := start(t, flushSoon()...)
	for query, want := range map[string]string{
		"token=x": "resume token", "token=w9.AAAA": "version", "token=w1.si4CAgVVu4d3": "another instance",
		"from=yesterday": "now, or oldest", "from=oldest&token=w1.AAAAAA": "leave one", "max_lag=x": "duration", "match=%7B": "selector",
		"mtch=m": "known are match",
	} {
		answer, err := c.Do(t.Context(), harness.Request{Method: http.MethodGet, Path: "/api/v1/tail?" + query})
		if err != nil || answer.Status != http.StatusBadRequest || !bytes.Contains(answer.Body, []byte(want)) {
			t.Errorf("%s: %v %s; want something about %q", query, err, answer, want)
		}
	}
	run(t, server, 2, "tail", "--from", "yesterday")
	run(t, server, 2, "tail", "--token", "a", "--resume", "b")
	run(t, server, 1, "tail", "--token", "a")
}

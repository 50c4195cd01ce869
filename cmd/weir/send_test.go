package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/client"
)

// testSender sends one sample a parcel, n of them, through post.
func testSender(post func(context.Context, *parcel) error) *sender {
	return &sender{
		post: post, connections: 3, patience: time.Minute, now: time.Now,
		sent: func(*parcel, tally) {}, rejected: func(*parcel, []client.RejectedLine) {}, waiting: func(error, time.Duration) {},
	}
}

func parcels(n int) func(*parcel) (bool, error) {
	return func(p *parcel) (bool, error) {
		p.body, p.samples = []byte("m value=1 1\n"), 10
		n--
		return n >= 0, nil
	}
}

func TestSenderSendsAgainWhatIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		failures := map[*parcel]int{}
		began := time.Now()
		s := testSender(func(_ context.Context, p *parcel) error {
			mu.Lock()
			defer mu.Unlock()
			if failures[p]++; failures[p] <= 2 {
				return &client.Error{Status: 503, RetryAfter: 7 * time.Second}
			}
			failures[p] = 0
			return nil
		})
		got, err := s.run(t.Context(), parcels(3))
		want := tally{Samples: 30, Requests: 3, Retries: 6, Bytes: 36}
		if err != nil || got != want {
			t.Errorf("%+v, %v; want %+v", got, err, want)
		}
		if took := time.Since(began); took < 14*time.Second || took > 16*time.Second {
			t.Errorf("two waits of 7 s at once took %s", took)
		}
	})
}

func TestSenderGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := errors.New("connection refused")
		waits := 0
		s := testSender(func(context.Context, *parcel) error { return &client.Error{Err: lost} })
		s.waiting = func(error, time.Duration) { waits++ }
		began := time.Now()
		got, err := s.run(t.Context(), parcels(100))
		if !errors.Is(err, lost) || !strings.Contains(err.Error(), "gave up after") || got.Samples != 0 || waits < 10 {
			t.Errorf("%+v, %v after %d waits", got, err, waits)
		}
		if took := time.Since(began); took > time.Minute {
			t.Errorf("patience of a minute lasted %s", took)
		}
	})
}

func TestSenderStopsAtWhatNeverWorks(t *testing.T) {
	for _, refusal := range []error{&client.Error{Status: 401, Title: "Who are you?"}, errors.New("broken")} {
		s := testSender(func(context.Context, *parcel) error { return refusal })
		if got, err := s.run(t.Context(), parcels(1000)); !errors.Is(err, refusal) || got.Requests != 0 {
			t.Errorf("%+v, %v", got, err)
		}
	}
	broken := errors.New("the file ends early")
	s := testSender(func(context.Context, *parcel) error { return nil })
	if _, err := s.run(t.Context(), func(*parcel) (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Errorf("an error of the source: %v", err)
	}
}

func TestSenderCountsWhatIsRejected(t *testing.T) {
	for _, taken := range []int64{7, 0} {
		var told int
		s := testSender(func(context.Context, *parcel) error {
			return &client.Error{Status: 400, Accepted: taken, Rejected: 10 - taken, Lines: []client.RejectedLine{{Line: 1, Reason: "x"}}}
		})
		s.rejected = func(_ *parcel, lines []client.RejectedLine) { told += len(lines) }
		got, err := s.run(t.Context(), parcels(2))
		if err != nil || got.Samples != 2*taken || got.Rejected != 20-2*taken || told != 2 {
			t.Errorf("%d of ten kept: %+v, %v, %d lines told", taken, got, err, told)
		}
	}
}

func TestSenderKeepsTheRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testSender(func(context.Context, *parcel) error { return nil })
		s.rate = 100 // ten parcels a second
		began := time.Now()
		if _, err := s.run(t.Context(), parcels(51)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("510 samples at 100 a second took %s", took)
		}
	})
}

func TestSenderEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for _, s := range []*sender{
			testSender(func(ctx context.Context, _ *parcel) error { <-ctx.Done(); return ctx.Err() }),
			testSender(func(context.Context, *parcel) error { return &client.Error{Status: 503, RetryAfter: 30 * time.Second} }),
		} {
			if _, err := s.run(ctx, parcels(1000)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v", err)
			}
		}
	})
}

func TestBackoffGrowsToItsLimit(t *testing.T) {
	for attempt := range 100 {
		if d := backoff(attempt); d < 50*time.Millisecond || d > 5*time.Second || attempt > 6 && d < 2500*time.Millisecond {
			t.Errorf("attempt %d waits %s", attempt, d)
		}
	}
}

func TestAwaitReady(t *testing.T) {
	now, answers := testNow(), 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		now = now.Add(10 * time.Second)
		if answers++; answers%5 != 3 {
			problem(w, http.StatusServiceUnavailable, "Not ready", "it starts", nil)
		}
	}))
	defer server.Close()
	d := testDeps(io.Discard, io.Discard, server.URL)
	d.now = func() time.Time { return now }
	g := &global{deps: d, server: server.URL}
	c, err := g.client()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.awaitReady(t.Context(), c); err != nil || answers != 3 {
		t.Errorf("ready at the third answer: %v after %d", err, answers)
	}
	answers = 3
	if err := g.awaitReady(t.Context(), c); err == nil || answers != 7 {
		t.Errorf("not ready in %s: %v after %d", startTime, err, answers)
	}
}

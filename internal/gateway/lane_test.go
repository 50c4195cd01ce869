package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/buffer"
	"weir/internal/message"
)

// lines gives n lines of line protocol, each of a series and time of its own.
func lines(name string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "%s,i=%d value=%d.5 %d\n", name, i, i, i+1)
	}
	return b.String()
}

// dataMessages counts the messages with samples.
func dataMessages(all []message.Message) (n int) {
	for _, m := range all {
		if m.Role == message.Data {
			n++
		}
	}
	return n
}

func TestALifeIsWholeWhateverTheBufferDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 3, nil)
		// The first and second attempts of every third message fail, alone among
		// those sent with it.
		tries := map[string]int{}
		r.buffer.fault = func(queue int, m message.Message) error {
			key := fmt.Sprint(queue, "/", m.Number)
			if tries[key]++; m.Number%3 == 1 && tries[key] < 3 {
				return errFlaky
			}
			return nil
		}
		r.run(t)
		var all sync.WaitGroup
		answered, refused := 0, 0
		var mu sync.Mutex
		for client := range 8 {
			all.Go(func() {
				for i := 0; i < 20; i++ {
					w := r.post("/write", lines(fmt.Sprintf("m%d_%d", client, i), 10))
					mu.Lock()
					if w.Code == http.StatusNoContent {
						answered += 10
					} else if refused++; w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
						t.Errorf("answered %d, Retry-After %q", w.Code, w.Header().Get("Retry-After"))
					}
					mu.Unlock()
					time.Sleep(time.Duration(client+1) * 7 * time.Millisecond)
				}
			})
		}
		all.Wait()
		if err := r.finish(); err != nil {
			t.Fatal(err)
		}
		samples := uint64(0)
		for queue := range 3 {
			samples += r.wantLife(t, queue, true)
		}
		if answered == 0 || refused == 0 || samples < uint64(answered) || samples != uint64(len(r.stored(t))) {
			t.Fatalf("%d samples answered 204 and %d requests refused; the queues have %d", answered, refused, samples)
		}
		for _, tally := range r.Tallies() {
			if tally.Durable != tally.Numbered {
				t.Fatalf("%+v after the end", tally)
			}
		}
	})
}

func TestOnlyWhatFailedIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, nil)
		r.run(t)
		failed := false
		r.buffer.setFault(func(_ int, m message.Message) error {
			if m.Number == 2 && !failed {
				failed = true
				return errFlaky
			}
			return nil
		})
		// Three weeks: three messages, sent together as numbers 1 to 3.
		wantStatus(t, r.post("/write", "m value=1 1\nm value=2 700000000000000000\nm value=3 800000000000000000"), http.StatusNoContent)
		if n := r.wantLife(t, 0, false); n != 3 || !failed || len(r.buffer.messages(0)) != 4 {
			t.Fatalf("%d samples in %d messages", n, len(r.buffer.messages(0)))
		}
	})
}

func TestAFullBufferRefusesAtOnceAndIsTriedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, nil)
		r.run(t)
		r.buffer.setFault(func(int, message.Message) error { return buffer.ErrFull })
		begin := time.Now()
		first := make(chan *httptest.ResponseRecorder, 1)
		go func() { first <- r.post("/write", "first value=1 1") }()
		synctest.Wait()
		for range 3 {
			w := r.post("/write", "later value=1 1")
			wantStatus(t, w, http.StatusServiceUnavailable)
			if w.Header().Get("Retry-After") != "1" {
				t.Fatalf("Retry-After is %q", w.Header().Get("Retry-After"))
			}
		}
		wantStatus(t, <-first, http.StatusServiceUnavailable)
		if waited := time.Since(begin); waited != 0 {
			t.Fatalf("requests waited %s", waited)
		}
		r.buffer.setFault(nil)
		time.Sleep(2 * time.Second) // longer than the longest pause between attempts
		wantStatus(t, r.post("/write", "after value=1 1"), http.StatusNoContent)
		if err := r.finish(); err != nil {
			t.Fatal(err)
		}
		r.wantLife(t, 0, true)
		// The first was numbered, so it is sent though its client was told 503.
		got := strings.Join(r.stored(t), " ")
		if !strings.Contains(got, "first") || !strings.Contains(got, "after") || strings.Contains(got, "later") {
			t.Fatalf("stored: %s", got)
		}
		if c := r.Counts(); c.Refused != 4 || c.Samples != 1 || c.Requests != 5 {
			t.Fatalf("%+v", c)
		}
	})
}

func TestPastMaxUnsentRequestsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, func(c *Config) { c.MaxUnsent, c.GroupSamples, c.Linger = 10, 100, time.Second })
		r.run(t)
		answers := make(chan int, 3)
		go func() { answers <- r.post("/write", lines("many", 9)).Code }()
		synctest.Wait() // lingering: 9 of 10 wait
		go func() { answers <- r.post("/write", `text value="`+strings.Repeat("x", 4*textWeight)+`" 1`).Code }()
		synctest.Wait() // the text weighs five: past the bound
		wantStatus(t, r.post("/write", "more value=1 1"), http.StatusServiceUnavailable)
		for range 2 {
			if code := <-answers; code != http.StatusNoContent {
				t.Fatalf("answered %d", code)
			}
		}
		wantStatus(t, r.post("/write", "more value=1 1"), http.StatusNoContent)
		if n := dataMessages(r.buffer.messages(0)); n != 2 {
			t.Fatalf("%d messages; the linger gathers the first two requests in one", n)
		}
	})
}

func TestAnIdleLifeBeatsAndABusyOneNeedsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, nil)
		r.run(t)
		every := r.config.BeatEvery
		time.Sleep(3*every + every/2)
		for queue := range 2 {
			if got := r.buffer.messages(queue); len(got) != 4 || got[3].Role != message.Beat || len(got[3].Block) != 0 {
				t.Fatalf("queue %d has %d messages after three beats", queue, len(got))
			}
		}
		before := len(r.buffer.messages(0)) + len(r.buffer.messages(1))
		for range 10 {
			time.Sleep(every / 3)
			wantStatus(t, r.post("/write", lines("busy", 20)), http.StatusNoContent)
		}
		if got := len(r.buffer.messages(0)) + len(r.buffer.messages(1)) - before; got != 20 {
			t.Fatalf("%d messages of ten requests to two queues", got)
		}
		if err := r.finish(); err != nil {
			t.Fatal(err)
		}
		r.wantLife(t, 0, true)
		r.wantLife(t, 1, true)
	})
}

func TestOversizeGroupsAreDivided(t *testing.T) {
	r := newRig(t, 1, nil)
	r.buffer.maxBody = 4 << 10
	r.run(t)
	var b strings.Builder
	for i := range 200 {
		fmt.Fprintf(&b, "m,i=%d value=\"%x\" %d\n", i, sha256.Sum256([]byte{byte(i)}), i)
	}
	wantStatus(t, r.post("/write", b.String()), http.StatusNoContent)
	if err := r.finish(); err != nil {
		t.Fatal(err)
	}
	if n := r.wantLife(t, 0, true); n != 200 || dataMessages(r.buffer.messages(0)) < 2 {
		t.Fatalf("%d samples in %d messages", n, dataMessages(r.buffer.messages(0)))
	}
	if got := r.stored(t); len(got) != 200 {
		t.Fatalf("%d samples in the blocks", len(got))
	}
}

func TestASampleThatNeverFitsIsAnswered413(t *testing.T) {
	r := newRig(t, 1, nil)
	r.buffer.maxBody = 700
	r.run(t)
	var text strings.Builder // that no codec packs
	for i := range byte(30) {
		fmt.Fprintf(&text, "%x", sha256.Sum256([]byte{i}))
	}
	wantStatus(t, r.post("/write", "m value=\""+text.String()+"\" 1"), http.StatusRequestEntityTooLarge)
	wantStatus(t, r.post("/write", "n value=1 1"), http.StatusNoContent)
}

func TestStopSendsWhatWasHandedIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, func(c *Config) { c.GroupSamples = 10 })
		r.run(t)
		r.buffer.setFault(func(int, message.Message) error { return errFlaky })
		answers := make(chan int, 6)
		go func() { answers <- r.post("/write", lines("m0", 10)).Code }()
		synctest.Wait()
		// These come while the lane is about to be found stuck: hand them in past
		// the check that would refuse them.
		r.lanes[0].stuck.Store(false)
		for i := range 5 {
			go func() { answers <- r.post("/write", lines(fmt.Sprintf("m%d", i+1), 10)).Code }()
		}
		synctest.Wait()
		close(r.stop)
		synctest.Wait()
		r.buffer.setFault(nil)
		if err := <-r.ended; err != nil {
			t.Fatal(err)
		}
		for range 6 {
			if code := <-answers; code != http.StatusNoContent {
				t.Fatalf("answered %d", code)
			}
		}
		if n := r.wantLife(t, 0, true); n != 60 {
			t.Fatalf("%d samples of 60", n)
		}
		wantStatus(t, r.post("/write", "late value=1 1"), http.StatusServiceUnavailable)
	})
}

func TestAnEndOfContextAnswersNothingAsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, func(c *Config) { c.GroupSamples = 10 })
		r.run(t)
		r.buffer.setFault(func(int, message.Message) error { return errors.New("the disk is gone") })
		answers := make(chan int, 3)
		begin := time.Now()
		go func() { answers <- r.post("/write", lines("a", 10)).Code }()
		synctest.Wait()
		r.lanes[0].stuck.Store(false)
		for range 2 {
			go func() { answers <- r.post("/write", lines("b", 10)).Code }()
		}
		synctest.Wait()
		r.cancel()
		if err := <-r.ended; !errors.Is(err, context.Canceled) {
			t.Fatalf("Run gave %v", err)
		}
		for range 3 {
			if code := <-answers; code != http.StatusServiceUnavailable {
				t.Fatalf("answered %d; the sender must send again", code)
			}
		}
		if waited := time.Since(begin); waited != 0 {
			t.Fatalf("the answers took %s", waited)
		}
		if n := r.wantLife(t, 0, false); n != 0 {
			t.Fatalf("%d samples", n)
		}
		if tally := r.Tallies()[0]; tally.Durable != 1 || tally.Numbered != 2 || tally.Accepted != 10 {
			t.Fatalf("%+v: one message is numbered and not durable", tally)
		}
	})
}

func TestALifeThatCannotOpenEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, nil)
		r.buffer.setFault(func(int, message.Message) error { return buffer.ErrUnavailable })
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err := r.Run(ctx, r.stop, func() { t.Error("opened") })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if r.buffer.calls > 2*70 {
			t.Fatalf("%d calls in a minute", r.buffer.calls)
		}
	})
}

func TestRejectedIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 2, nil)
		r.run(t)
		told := func() (n uint64) {
			for queue := range 2 {
				for _, m := range r.buffer.messages(queue) {
					n += m.Rejected
				}
			}
			return n
		}
		wantStatus(t, r.post("/write", lines("m", 20)+"bad\nbad\n"), http.StatusBadRequest)
		if told() != 2 || r.Untold() != 0 {
			t.Fatalf("%d told with the good lines, %d untold; want 2 and 0", told(), r.Untold())
		}
		wantStatus(t, r.post("/write", "bad\n"), http.StatusBadRequest)
		if told() != 2 || r.Untold() != 1 {
			t.Fatalf("%d told, %d untold; want 2 and 1", told(), r.Untold())
		}
		r.lanes[0].stuck.Store(true) // what is answered 503 is neither
		wantStatus(t, r.post("/write", lines("m", 20)+"bad\n"), http.StatusServiceUnavailable)
		r.lanes[0].stuck.Store(false)
		time.Sleep(2 * r.config.BeatEvery)
		if told() != 3 || r.Untold() != 0 {
			t.Fatalf("%d told after a beat, %d untold; want 3 and 0", told(), r.Untold())
		}
		if c := r.Counts(); c.Rejected != 3 || c.Sent == 0 {
			t.Fatalf("%+v", c)
		}
	})
}

func TestManySmallRequestsAtOnceAreWelcome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, 1, func(c *Config) { c.Linger = time.Second })
		r.run(t)
		codes := make(chan int, 1000)
		for i := range cap(codes) {
			go func() { codes <- r.post("/write", fmt.Sprintf("m,i=%d value=1 1", i)).Code }()
		}
		for range cap(codes) {
			if code := <-codes; code != http.StatusNoContent {
				t.Fatalf("answered %d", code)
			}
		}
		if n := dataMessages(r.buffer.messages(0)); n > 2 {
			t.Fatalf("%d messages of requests that came together", n)
		}
	})
}

package buffertest

import (
	"sync"
	"testing"
	"time"

	"weir/internal/buffer"
)

func durableCases() []testCase {
	crash := func(a Abilities) bool { return a.Crash }
	return []testCase{
		{name: "Restart", run: func(t *testing.T, f Factory) { survives(t, f, false) }},
		{name: "Crash", needs: crash, run: func(t *testing.T, f Factory) { survives(t, f, true) }},
		{name: "AttemptsOverAll", needs: crash, run: attemptsOverAll},
		{name: "CrashAmidSends", needs: crash, run: crashAmidSends},
		{name: "CrashAfterBury", needs: crash, run: crashAfterBury},
	}
}

// end ends an open buffer, one way or the other.
func end(t *testing.T, p Place, d Driver, crash bool) {
	t.Helper()
	if crash {
		must(t, "crash", p.Crash())
		return
	}
	must(t, "close", d.Close())
}

// durableVisibility is the visibility timeout of tests that end a buffer with
// deliveries in flight. Where they come at once, it must not be what brings
// them.
func durableVisibility(f Factory) time.Duration {
	if f.AtOnce {
		return 0
	}
	return time.Second
}

// survives acks a part, holds a part and leaves a part, round by round.
func survives(t *testing.T, f Factory, crash bool) {
	p := place(t, f)
	o := Options{Visibility: durableVisibility(f)}
	left := map[string]int{} // attempts at least, by body
	for round := range 4 {
		d := open(t, p, o)
		for i := range 10 {
			left[string(body(round*10+i, 500))] = 0
			send(t, d, 1, body(round*10+i, 500))
		}
		seen := map[string]bool{}
		for i, got := range receive(t, d, 1, len(left)) {
			key := string(got.Body())
			before, ok := left[key]
			if !ok || seen[key] {
				t.Fatalf("round %d: %q came; seen already: %v", round, clip(got.Body()), seen[key])
			}
			seen[key] = true
			wantAttempts(t, got, before+1)
			left[key] = before + 1
			if i%3 == 0 {
				ack(t, got)
				delete(left, key)
			}
		}
		end(t, p, d, crash)
	}
	d := open(t, p, o)
	for _, got := range receive(t, d, 1, len(left)) {
		before, ok := left[string(got.Body())]
		if !ok {
			t.Fatalf("%q came, which was acked", clip(got.Body()))
		}
		wantAttempts(t, got, before+1)
		ack(t, got)
	}
	nothing(t, d, 1, briefly)
}

// attemptsOverAll takes one message through every way a delivery can end.
func attemptsOverAll(t *testing.T, f Factory) {
	p := place(t, f)
	o := Options{Visibility: time.Second}
	d := open(t, p, o)
	send(t, d, 0, bodies(0, 2, 10)...)
	ack(t, receiveOne(t, d, 0))
	begun := 0
	take := func() buffer.Delivery {
		t.Helper()
		got := receiveOne(t, d, 0)
		begun++
		wantAttempts(t, got, begun)
		return got
	}
	for round := range 3 {
		must(t, "nack", take().Nack(patient(t), 0))
		take() // times out
		must(t, "nack", take().Nack(patient(t), 10*time.Millisecond))
		take()
		end(t, p, d, round%2 == 0)
		d = open(t, p, o)
	}
	last := take()
	if f.Exact && last.Attempts() != begun {
		t.Errorf("attempts: %d; %d deliveries have begun", last.Attempts(), begun)
	}
	ack(t, last)
	send(t, d, 0, body(9, 10))
	if got := receiveOne(t, d, 0); f.Exact && got.Attempts() != 1 {
		t.Errorf("attempts of a new message after all this: %d; want 1", got.Attempts())
	}
}

// crashAmidSends crashes while senders send; what they were told is there must
// be there.
func crashAmidSends(t *testing.T, f Factory) {
	p := place(t, f)
	d := open(t, p, Options{})
	var mu sync.Mutex
	accepted := map[string]bool{}
	enough := make(chan struct{})
	stop := make(chan struct{})
	var group sync.WaitGroup
	for s := range 4 {
		group.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				b := body(s*1_000_000+n, 3000)
				if d.Send(t.Context(), 0, [][]byte{b}) != nil {
					return // the crash
				}
				mu.Lock()
				accepted[string(b)] = true
				if len(accepted) == 150 {
					close(enough)
				}
				mu.Unlock()
			}
		})
	}
	select {
	case <-enough:
	case <-time.After(patience):
		t.Error("the senders are stuck")
	}
	mu.Lock()
	told := make(map[string]bool, len(accepted))
	for b := range accepted {
		told[b] = true
	}
	mu.Unlock()
	must(t, "crash", p.Crash())
	close(stop)
	group.Wait()
	d = open(t, p, Options{})
	for len(told) > 0 {
		for _, got := range receive(t, d, 0, 1) {
			delete(told, string(got.Body()))
			ack(t, got)
		}
	}
}

func crashAfterBury(t *testing.T, f Factory) {
	p := place(t, f)
	d := open(t, p, Options{})
	send(t, d, 0, bodies(0, 2, 100)...)
	got := receive(t, d, 0, 2)
	must(t, "bury", d.Bury(patient(t), 0, got[0], "why"))
	must(t, "crash", p.Crash())
	d = open(t, p, Options{})
	letters, err := d.List(patient(t), 0, "", 10)
	must(t, "list", err)
	if len(letters) != 1 || string(letters[0].Body) != string(got[0].Body()) || letters[0].Reason != "why" {
		t.Fatalf("dead letters after a crash: %+v", letters)
	}
	must(t, "redrive", d.Redrive(patient(t), 0, letters[0].ID))
	must(t, "crash", p.Crash())
	d = open(t, p, Options{})
	seen := map[string]bool{}
	for len(seen) < 2 {
		g := receiveOne(t, d, 0)
		seen[string(g.Body())] = true
		ack(t, g)
	}
}

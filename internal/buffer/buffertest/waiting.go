package buffertest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

func waitingCases() []testCase {
	return []testCase{
		with("ReceiveWaits", receiveWaits),
		with("ReceiveHonoursContext", receiveHonoursContext),
		with("ReceiveGivesAtMostMax", receiveGivesAtMost),
		with("SendHonoursContext", sendHonoursContext),
		with("ReceivesThatGiveUpLoseNothing", givingUpLosesNothing),
	}
}

func receiveWaits(t *testing.T, d Driver) {
	for i := range 5 {
		sent := make(chan struct{})
		started := make(chan struct{})
		go func() {
			defer close(sent)
			<-started
			if errs := d.Send(patient(t), 0, [][]byte{body(i, 10)}); errs != nil {
				t.Errorf("send: %v", errors.Join(errs...))
			}
		}()
		close(started)
		got := receiveOne(t, d, 0)
		wantBody(t, got, body(i, 10))
		<-sent
		ack(t, got)
	}
}

func receiveHonoursContext(t *testing.T, d Driver) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := d.Receive(ctx, 0, 1)
		done <- err
	}()
	nothing(t, d, 0, briefly) // a second receiver waits meanwhile
	cancel()
	select {
	case err := <-done:
		wantError(t, "cancelled receive", err, context.Canceled)
	case <-time.After(patience):
		t.Fatal("a cancelled receive did not return")
	}
	_, err := d.Receive(ctx, 0, 1)
	wantError(t, "receive with a context that ended", err, context.Canceled)
}

func receiveGivesAtMost(t *testing.T, d Driver) {
	send(t, d, 0, bodies(0, 10, 10)...)
	seen := map[string]bool{}
	for len(seen) < 10 {
		got, err := d.Receive(patient(t), 0, 3)
		must(t, "receive", err)
		if len(got) < 1 || len(got) > 3 {
			t.Fatalf("%d deliveries; want 1 to 3", len(got))
		}
		for _, g := range got {
			seen[string(g.Body())] = true
			ack(t, g)
		}
	}
}

func sendHonoursContext(t *testing.T, d Driver) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	errs := d.Send(ctx, 0, [][]byte{body(1, 10), body(2, 10)})
	if len(errs) != 2 || errs[0] == nil || errs[1] == nil {
		t.Fatalf("send with a context that ended: %v", errs)
	}
	wantError(t, "send with a context that ended", errs[0], context.Canceled)
}

// givingUpLosesNothing has receivers that give up all the time. The
// visibility timeout is longer than the test waits, so a delivery that got
// lost on the way to one of them would be missed.
func givingUpLosesNothing(t *testing.T, d Driver) {
	const count = 100
	seen := map[string]int{}
	var mu sync.Mutex
	var group sync.WaitGroup
	ctx := patient(t)
	finished := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == count
	}
	for r := range 3 {
		group.Go(func() {
			for ctx.Err() == nil && !finished() {
				wait, cancel := context.WithTimeout(ctx, time.Duration(1+r)*time.Millisecond)
				got, err := d.Receive(wait, 0, 1+r*3)
				cancel()
				if err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("receive: %v", err)
				}
				for _, g := range got {
					mu.Lock()
					seen[string(g.Body())]++
					mu.Unlock()
					if err := g.Ack(ctx); err != nil {
						t.Errorf("ack: %v", err)
					}
				}
			}
		})
	}
	for i := range count {
		send(t, d, 0, body(i, 50))
	}
	group.Wait()
	if !finished() {
		t.Fatalf("%d of %d messages came", len(seen), count)
	}
}

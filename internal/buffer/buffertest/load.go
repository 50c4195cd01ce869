package buffertest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"weir/internal/buffer"
)

func loadCases() []testCase {
	return []testCase{
		{name: "Saturation", needs: func(a Abilities) bool { return a.Capacity }, run: saturation},
		with("ManySendersAndReceivers", manyAtOnce),
	}
}

// saturation fills a queue, sees the refusal, makes room and goes on.
func saturation(t *testing.T, f Factory) {
	const capacity = 4 << 20
	d := open(t, place(t, f), Options{Capacity: capacity})
	size := min(d.MaxBody(), 100_000)
	accepted, refused := 0, 0
	for refused == 0 {
		errs := d.Send(patient(t), 0, bodies(accepted, 8, size))
		for i := range 8 {
			if errs == nil || errs[i] == nil {
				accepted++
				continue
			}
			wantError(t, "send to a full queue", errs[i], buffer.ErrFull)
			refused++
		}
		if accepted*size > 2*capacity {
			t.Fatalf("accepted %d bytes with a capacity of %d", accepted*size, capacity)
		}
	}
	send(t, d, 1, body(1, size)) // the other queue has room
	if accepted*size < capacity/2 {
		t.Errorf("accepted %d bytes only with a capacity of %d", accepted*size, capacity)
	}
	for range 2 {
		ack(t, receive(t, d, 0, 4)...)
		accepted -= 4
		send(t, d, 0, body(1000, size)) // there is room again
		accepted++
	}
	ack(t, receive(t, d, 0, accepted)...)
	nothing(t, d, 0, briefly)
}

// manyAtOnce has senders and receivers on both queues, some of which nack.
func manyAtOnce(t *testing.T, d Driver) {
	const senders, each = 6, 40
	ctx := patient(t)
	var mu sync.Mutex
	left := map[string]bool{}
	for s := range senders {
		for i := range each {
			left[string(body(s*1000+i, 2000))] = true
		}
	}
	var group sync.WaitGroup
	for s := range senders {
		group.Go(func() {
			for i := 0; i < each; i += 4 {
				if errs := d.Send(ctx, s%2, bodies(s*1000+i, 4, 2000)); errs != nil {
					t.Errorf("send: %v", errors.Join(errs...))
				}
			}
		})
	}
	receiving, stop := context.WithCancel(ctx)
	defer stop()
	for r := range 4 {
		group.Go(func() {
			for n := 0; receiving.Err() == nil; n++ {
				got, err := d.Receive(receiving, r%2, 7)
				if err != nil && receiving.Err() == nil {
					t.Errorf("receive: %v", err)
					return
				}
				for i, g := range got {
					if (n+i)%5 == 0 && g.Attempts() < 3 {
						if err := g.Nack(ctx, time.Duration(i)*time.Millisecond); err != nil {
							t.Errorf("nack: %v", err)
						}
						continue
					}
					if err := g.Ack(ctx); err != nil {
						t.Errorf("ack: %v", err)
					}
					mu.Lock()
					delete(left, string(g.Body()))
					if len(left) == 0 {
						stop()
					}
					mu.Unlock()
				}
			}
		})
	}
	group.Wait()
	if len(left) > 0 {
		t.Fatalf("%d of %d messages did not come", len(left), senders*each)
	}
	nothing(t, d, 0, briefly)
	nothing(t, d, 1, briefly)
}

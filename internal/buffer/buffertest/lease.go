package buffertest

import (
	"sync"
	"testing"
	"time"

	"weir/internal/buffer"
)

func leaseCases() []testCase {
	return []testCase{
		with("HeldAndReleased", heldAndReleased),
		{name: "RunsOut", needs: func(a Abilities) bool { return a.Clock }, run: runsOut},
		with("OneOfManyGetsIt", oneOfMany),
		{name: "FreeAfterACrash", needs: func(a Abilities) bool { return a.Crash && a.AtOnce }, run: freeAfterCrash},
	}
}

func heldAndReleased(t *testing.T, d Driver) {
	ctx := patient(t)
	a, err := d.Acquire(ctx, 0, "a", time.Hour)
	must(t, "acquire", err)
	for _, owner := range []string{"b", "a"} {
		_, err = d.Acquire(ctx, 0, owner, time.Hour)
		wantError(t, "acquire of a held lease by "+owner, err, buffer.ErrHeld)
	}
	other, err := d.Acquire(ctx, 1, "b", time.Hour)
	must(t, "acquire of the other queue's", err)
	must(t, "renew", a.Renew(ctx))
	must(t, "release", a.Release(ctx))
	must(t, "release again", a.Release(ctx))
	wantError(t, "renew after release", a.Renew(ctx), buffer.ErrLost)
	b, err := d.Acquire(ctx, 0, "b", time.Hour)
	must(t, "acquire of a free lease", err)
	must(t, "release of a lease that is another's now", a.Release(ctx))
	must(t, "renew", b.Renew(ctx))
	must(t, "release", b.Release(ctx))
	must(t, "release", other.Release(ctx))
}

func runsOut(t *testing.T, f Factory) {
	var mu sync.Mutex
	now := time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)
	pass := func(d time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(d)
	}
	d := open(t, place(t, f), Options{Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}})
	ctx := patient(t)
	a, err := d.Acquire(ctx, 0, "a", 10*time.Second)
	must(t, "acquire", err)
	for range 3 {
		pass(9 * time.Second)
		must(t, "renew", a.Renew(ctx))
	}
	pass(9 * time.Second)
	_, err = d.Acquire(ctx, 0, "b", time.Second)
	wantError(t, "acquire of a lease that was renewed", err, buffer.ErrHeld)
	pass(time.Second)
	wantError(t, "renew of a lease that ran out", a.Renew(ctx), buffer.ErrLost)
	b, err := d.Acquire(ctx, 0, "b", 10*time.Second)
	must(t, "acquire of a lease that ran out", err)
	wantError(t, "renew of a lease that is another's", a.Renew(ctx), buffer.ErrLost)
	must(t, "release of a lease that is another's", a.Release(ctx))
	must(t, "renew", b.Renew(ctx))
}

func oneOfMany(t *testing.T, d Driver) {
	var mu sync.Mutex
	var held []buffer.Lease
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			l, err := d.Acquire(patient(t), 0, "one of many", time.Hour)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				held = append(held, l)
			}
		})
	}
	group.Wait()
	if len(held) != 1 {
		t.Fatalf("%d hold the lease", len(held))
	}
}

func freeAfterCrash(t *testing.T, f Factory) {
	p := place(t, f)
	d := open(t, p, Options{})
	_, err := d.Acquire(patient(t), 0, "a", time.Hour)
	must(t, "acquire", err)
	must(t, "crash", p.Crash())
	_, err = open(t, p, Options{}).Acquire(patient(t), 0, "b", time.Hour)
	must(t, "acquire after a crash", err)
}

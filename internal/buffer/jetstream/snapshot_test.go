package jetstream

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"weir/internal/buffer"
)

func send(t *testing.T, d *Driver, queue int, bodies ...string) {
	t.Helper()
	raw := make([][]byte, len(bodies))
	for i, b := range bodies {
		raw[i] = []byte(b)
	}
	for _, err := range d.Send(t.Context(), queue, raw) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func receive(t *testing.T, d *Driver, queue, want int) map[string]buffer.Delivery {
	t.Helper()
	got := map[string]buffer.Delivery{}
	for len(got) < want {
		list, err := d.Receive(t.Context(), queue, want)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range list {
			got[string(one.Body())] = one
		}
	}
	return got
}

// held gives the bodies in a queue, in order, and its dead letters.
func held(t *testing.T, d *Driver, queue int) (bodies, letters []string) {
	t.Helper()
	depth, err := d.Depth(t.Context(), queue)
	if err != nil {
		t.Fatal(err)
	}
	for body := range receive(t, d, queue, int(depth.Messages)) {
		bodies = append(bodies, body)
	}
	slices.Sort(bodies)
	dead, err := d.List(t.Context(), queue, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range dead {
		letters = append(letters, string(l.Body)+": "+l.Reason)
	}
	return bodies, letters
}

func TestASnapshotHoldsWhatTheBufferHolds(t *testing.T) {
	c := testConfig(filepath.Join(t.TempDir(), "buffer"))
	c.Queues = 2
	d := mustOpen(t, c)
	send(t, d, 0, "a", "b", "c", "d", "e", strings.Repeat("f", 100_000))
	send(t, d, 1, "x")
	got := receive(t, d, 0, 6)
	if err := got["b"].Ack(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.Bury(t.Context(), 0, got["c"], "no \"block\"\nof ours"); err != nil {
		t.Fatal(err)
	}
	acked := make(chan []error, 2)
	dir := filepath.Join(t.TempDir(), "copy")
	err := d.Snapshot(t.Context(), dir, func(ctx context.Context) error {
		// What is removed from now on is in the copy all the same.
		go func() { acked <- []error{got["d"].Ack(context.Background())} }()
		go func() { acked <- d.AckBatch(context.Background(), []buffer.Delivery{got["e"]}) }()
		select {
		case <-acked:
			t.Error("a message was removed while the snapshot's moment ran")
		case <-time.After(100 * time.Millisecond):
		}
		send(t, d, 1, "y") // sending goes on
		return ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := errors.Join(<-acked...); err != nil {
			t.Fatalf("an ack after the snapshot: %v", err)
		}
	}
	c.Dir = dir
	restored := mustOpen(t, c)
	bodies, letters := held(t, restored, 0)
	if want := []string{"a", "d", "e", strings.Repeat("f", 100_000)}; !slices.Equal(bodies, want) {
		t.Errorf("queue 0 of the copy holds %.20q; want a, d, e and f", bodies)
	}
	if want := []string{"c: no \"block\"\nof ours"}; !slices.Equal(letters, want) {
		t.Errorf("the copy has letters %q; want %q", letters, want)
	}
	if bodies, _ := held(t, restored, 1); !slices.Equal(bodies, []string{"x", "y"}) {
		t.Errorf("queue 1 of the copy holds %q; want x and y", bodies)
	}
}

func TestASnapshotWhoseMomentFailsIsAnError(t *testing.T) {
	d := mustOpen(t, testConfig(filepath.Join(t.TempDir(), "buffer")))
	send(t, d, 0, "a")
	broken := fmt.Errorf("no moment")
	if err := d.Snapshot(t.Context(), filepath.Join(t.TempDir(), "copy"), func(context.Context) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("a snapshot whose moment fails gives %v", err)
	}
	if err := receive(t, d, 0, 1)["a"].Ack(t.Context()); err != nil {
		t.Errorf("an ack after a snapshot that failed: %v", err)
	}
}

func TestARedriveWaitsForASnapshot(t *testing.T) {
	d := mustOpen(t, testConfig(filepath.Join(t.TempDir(), "buffer")))
	send(t, d, 0, "a")
	if err := d.Bury(t.Context(), 0, receive(t, d, 0, 1)["a"], "why"); err != nil {
		t.Fatal(err)
	}
	letters, err := d.List(t.Context(), 0, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	redriven := make(chan error, 1)
	c := testConfig(filepath.Join(t.TempDir(), "copy"))
	err = d.Snapshot(t.Context(), c.Dir, func(context.Context) error {
		go func() { redriven <- d.Redrive(context.Background(), 0, letters[0].ID) }()
		select {
		case err := <-redriven:
			t.Errorf("a letter was redriven while the snapshot's moment ran: %v", err)
		case <-time.After(100 * time.Millisecond):
		}
		return nil
	})
	if err = errors.Join(err, <-redriven); err != nil {
		t.Fatal(err)
	}
	bodies, dead := held(t, mustOpen(t, c), 0)
	if len(bodies)+len(dead) == 0 {
		t.Error("the copy has the message neither in the queue nor among the dead letters")
	}
}

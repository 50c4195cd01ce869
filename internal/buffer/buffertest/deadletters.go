package buffertest

import (
	"strings"
	"testing"
	"time"

	"weir/internal/buffer"
)

func deadLetterCases() []testCase {
	listing := func(a Abilities) bool { return a.Listing }
	return []testCase{
		with("BuryListRedrive", buryListRedrive),
		{name: "Pages", needs: listing, run: pages},
		with("NotFound", notFound),
		with("ReasonsOfAllKinds", reasons),
	}
}

// bury sends a message, receives and buries it.
func bury(t *testing.T, d Driver, queue int, b []byte, reason string) {
	t.Helper()
	send(t, d, queue, b)
	got := receiveOne(t, d, queue)
	wantBody(t, got, b)
	must(t, "bury", d.Bury(patient(t), queue, got, reason))
}

func buryListRedrive(t *testing.T, d Driver) {
	bury(t, d, 0, body(1, d.MaxBody()), "it can't be decoded")
	nothing(t, d, 0, briefly)
	letters, err := d.List(patient(t), 0, "", 10)
	must(t, "list", err)
	if len(letters) != 1 {
		t.Fatalf("%d dead letters; want 1", len(letters))
	}
	l := letters[0]
	if l.ID == "" || l.Reason != "it can't be decoded" || time.Since(l.Sent).Abs() > time.Minute || string(l.Body) != string(body(1, d.MaxBody())) {
		t.Fatalf("dead letter %q, reason %q, buried %v, %d bytes", l.ID, l.Reason, l.Sent, len(l.Body))
	}
	other, err := d.List(patient(t), 1, "", 10)
	must(t, "list", err)
	if len(other) != 0 {
		t.Fatalf("%d dead letters of the other queue", len(other))
	}
	must(t, "redrive", d.Redrive(patient(t), 0, l.ID))
	got := receiveOne(t, d, 0)
	wantBody(t, got, body(1, d.MaxBody()))
	ack(t, got)
	wantError(t, "redrive again", d.Redrive(patient(t), 0, l.ID), buffer.ErrNotFound)
	nothing(t, d, 0, briefly)
}

func pages(t *testing.T, f Factory) {
	d := open(t, place(t, f), Options{})
	const count = 7
	for i := range count {
		bury(t, d, 1, body(i, 10), "test")
	}
	for range 2 { // listing changes nothing
		after, n := "", 0
		for {
			letters, err := d.List(patient(t), 1, after, 3)
			must(t, "list", err)
			if len(letters) == 0 {
				break
			}
			if len(letters) > 3 {
				t.Fatalf("a page of %d letters; want at most 3", len(letters))
			}
			for _, l := range letters {
				if string(l.Body) != string(body(n, 10)) {
					t.Fatalf("letter %d is %q", n, l.Body)
				}
				after = l.ID
				n++
			}
		}
		if n != count {
			t.Fatalf("%d letters listed; want %d", n, count)
		}
	}
	letters, err := d.List(patient(t), 1, "", 100)
	must(t, "list", err)
	must(t, "redrive", d.Redrive(patient(t), 1, letters[2].ID))
	rest, err := d.List(patient(t), 1, letters[2].ID, 100) // after one that is gone
	must(t, "list", err)
	if len(rest) != count-3 || rest[0].ID != letters[3].ID {
		t.Fatalf("%d letters after the one redriven; want %d", len(rest), count-3)
	}
	ack(t, receiveOne(t, d, 1))
}

func notFound(t *testing.T, d Driver) {
	for _, id := range []string{"", "1", "18446744073709551615", "nonsense", "-1"} {
		wantError(t, "redrive of "+id, d.Redrive(patient(t), 0, id), buffer.ErrNotFound)
	}
	bury(t, d, 0, body(1, 10), "test")
	letters, err := d.List(patient(t), 0, "", 1)
	must(t, "list", err)
	wantError(t, "redrive from another queue", d.Redrive(patient(t), 1, letters[0].ID), buffer.ErrNotFound)
	must(t, "redrive", d.Redrive(patient(t), 0, letters[0].ID))
	ack(t, receiveOne(t, d, 0))
}

func reasons(t *testing.T, d Driver) {
	for _, reason := range []string{"", "two\r\nlines", "ключ \x00 ", strings.Repeat("long ", 20_000)} {
		bury(t, d, 0, body(1, 10), reason)
		letters, err := d.List(patient(t), 0, "", 10)
		must(t, "list", err)
		if len(letters) != 1 {
			t.Fatalf("%d letters; want 1", len(letters))
		}
		got := letters[0].Reason
		if len(reason) < 1000 && got != reason || len(reason) >= 1000 && !strings.HasPrefix(got, reason[:500]) {
			t.Errorf("reason %q came back as %q", clip([]byte(reason)), got[:min(len(got), 600)])
		}
		must(t, "redrive", d.Redrive(patient(t), 0, letters[0].ID))
		ack(t, receiveOne(t, d, 0))
	}
}

package buffer_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"weir/internal/buffer"
)

func TestErrorSaysWhatWhereAndHowToMend(t *testing.T) {
	err := error(&buffer.Error{Op: "send", Queue: 3, Hint: "make room", Err: buffer.ErrFull})
	if !errors.Is(err, buffer.ErrFull) {
		t.Errorf("%v is not its cause", err)
	}
	for _, part := range []string{"send", "queue 3", buffer.ErrFull.Error(), "(make room)"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	plain := &buffer.Error{Op: "send", Queue: 3, Err: buffer.ErrFull}
	if strings.Contains(plain.Error(), "(") {
		t.Errorf("%q has an empty hint", plain)
	}
}

// one is a delivery of which an ack fails with err.
type one struct {
	buffer.Delivery
	err   error
	acked int
}

func (d *one) Ack(context.Context) error {
	d.acked++
	return d.err
}

// single is a buffer that can't ack many at once.
type single struct{ buffer.Buffer }

// batch is one that can.
type batch struct {
	single
	calls int
}

func (b *batch) AckBatch(ctx context.Context, deliveries []buffer.Delivery) []error {
	b.calls++
	errs := make([]error, len(deliveries))
	for i, d := range deliveries {
		errs[i] = d.Ack(ctx)
	}
	return errs
}

// TestAckAll wants each delivery acked once, whatever became of the others,
// and every error kept.
func TestAckAll(t *testing.T) {
	lost, gone := errors.New("lost"), errors.New("gone")
	many := &batch{}
	for name, b := range map[string]buffer.Buffer{"one by one": single{}, "at once": many} {
		deliveries := []buffer.Delivery{&one{err: lost}, &one{}, &one{err: gone}, &one{}}
		err := buffer.AckAll(t.Context(), b, deliveries)
		if !errors.Is(err, lost) || !errors.Is(err, gone) {
			t.Errorf("%s: %v; want both errors", name, err)
		}
		for i, d := range deliveries {
			if n := d.(*one).acked; n != 1 {
				t.Errorf("%s: delivery %d was acked %d times", name, i, n)
			}
		}
		if err := buffer.AckAll(t.Context(), b, deliveries[1:2]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if many.calls != 2 {
		t.Errorf("%d calls for two batches", many.calls)
	}
}

package crash

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/test/harness"
)

// stock is what was found once nothing was in flight.
type stock struct {
	read, items *Tally
	dropped     uint64 // samples of dropped volumes
}

// finish lets the victim settle, and holds items, queries and ledger against
// what was sent; then again, with the week set apart discarded for the last
// time.
func (r *run) finish(ctx context.Context, wait func()) error {
	defer r.hand.sender.client.Close()
	if err := r.start(ctx); err != nil {
		return fmt.Errorf("the last start: %w", err)
	}
	wait()
	done, refusal := r.hand.told()
	r.summary.Seals, r.summary.Discards = done.seals, done.discards
	if err := errors.Join(r.record.Refusal(), refusal); err != nil {
		return fmt.Errorf("a good request was refused: %w", err)
	}
	attempts := r.record.All()
	r.summary.Attempts = len(attempts)
	found, err := r.takeStock(ctx)
	if err != nil {
		return err
	}
	if err := r.judge(attempts, found); err != nil {
		return err
	}
	if err := r.start(ctx); err != nil {
		return fmt.Errorf("the start before the last discard: %w", err)
	}
	if attempts, err = r.hand.discardAll(ctx, attempts, r.plan.Settle); err != nil {
		return err
	}
	if found, err = r.takeStock(ctx); err != nil {
		return err
	}
	if err := r.judge(attempts, found); err != nil {
		return fmt.Errorf("after the last discard: %w", err)
	}
	return nil
}

func (r *run) start(ctx context.Context) error {
	if err := r.victim.Start(r.plan.Flags(0)...); err != nil {
		return err
	}
	return r.ready(ctx)
}

// takeStock waits until nothing is in flight, reads everything, stops the
// victim and reads its items.
func (r *run) takeStock(ctx context.Context) (stock, error) {
	client := harness.NewClient(r.victim.URL())
	defer client.Close()
	found := stock{items: NewTally()}
	var settled, err error
	r.summary.Ledger, settled = client.Settled(ctx, r.plan.Settle)
	if found.dropped, r.summary.Volumes, err = r.hand.discarded(ctx); err != nil {
		return found, err
	}
	if found.read, err = r.readAll(ctx, client); err != nil {
		return found, err
	}
	r.summary.Merges += r.hand.merges(ctx)
	if err := r.victim.Stop(); err != nil {
		return found, err
	}
	return found, errors.Join(settled, r.victim.Items(ctx, found.items.ReadItems))
}

func (r *run) readAll(ctx context.Context, client *harness.Client) (*Tally, error) {
	read := NewTally()
	for _, ago := range append(weeksAgo(), doomedAgo) {
		start := slotStart(r.monday, ago, 0)
		lines, err := r.selectLines(ctx, client, "{}", start, start+int64(7*24*time.Hour))
		if err != nil {
			return nil, err
		}
		read.AddLines(lines)
	}
	return read, nil
}

func (r *run) judge(attempts []*Attempt, found stock) error {
	s := &r.summary
	s.Copies, s.Dropped = found.items.total, found.dropped
	s.Items = Check(itemsRule(r.plan.Resend), attempts, found.items)
	s.Read = Check(readRule(), attempts, found.read)
	wrong := []error{
		s.Items.Err(), s.Read.Err(), sameFound(found.read, found.items),
		checkDiscarded(found.dropped, s.Items, r.plan.Resend),
		checkLedger(s.Ledger, s.Items, found.items, found.dropped, r.plan.Resend),
	}
	if s.Items.Answered == 0 {
		wrong = append(wrong, errNothingSent)
	}
	return errors.Join(wrong...)
}

package history

import (
	"context"
	"fmt"
	"time"
)

// orders keeps the chunks of an import in their order, while the next is on its
// way already. It is guarded by its account's mu.
type orders struct {
	admitted uint64        // the chunks before it are in memory, or were
	stored   uint64        // the chunks before it are stored
	changed  chan struct{} // closed, and made anew, at each change
}

func (o *orders) change() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// Ticket is a chunk's place in memory. Leave gives it back.
type Ticket struct {
	importer *Importer
	account  *account
	of       Import
	number   uint64
	done     bool
}

// orderTime is how long a chunk waits for the one before it.
const orderTime = 30 * time.Second

// Admit lets a chunk in, behind the one before it. answered is how many chunks of
// the import the sender has had answers for: it may send the next two at once.
func (im *Importer) Admit(ctx context.Context, of Import, number, answered uint64) (*Ticket, error) {
	if number >= MaxChunks {
		return nil, fmt.Errorf("%w: chunk %d", ErrRequest, number)
	}
	a, err := im.account(ctx, of.Life)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, orderTime)
	defer cancel()
	a.mu.Lock()
	a.stored = max(a.stored, answered)
	a.admitted = max(a.admitted, answered)
	a.change()
	a.mu.Unlock()
	if err := a.wait(ctx, func() (bool, error) { return number <= a.admitted, nil }); err != nil {
		return nil, err
	}
	select {
	case im.places <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.admitted = max(a.admitted, number+1)
	a.change()
	return &Ticket{importer: im, account: a, of: of, number: number}, nil
}

// Leave gives the place back. Where the chunk is not stored, those behind it are
// to be sent again as well.
func (t *Ticket) Leave() {
	<-t.importer.places
	a := t.account
	a.mu.Lock()
	defer a.mu.Unlock()
	if t.done {
		a.stored = max(a.stored, t.number+1)
	} else {
		a.admitted = max(min(a.admitted, t.number), a.stored)
	}
	a.change()
}

// await waits until the chunk before is stored, and it is this one's turn.
func (t *Ticket) await(ctx context.Context) (leave func(), err error) {
	a := t.account
	err = a.wait(ctx, func() (bool, error) {
		if a.stored < t.number && a.admitted <= t.number {
			return false, fmt.Errorf("%w: the chunk before chunk %d was not stored; send both again", ErrBusy, t.number)
		}
		return a.stored >= t.number, nil
	})
	if err != nil {
		return nil, err
	}
	select {
	case t.importer.turn <- struct{}{}:
		return func() { <-t.importer.turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
}

// wait waits until something holds, which is asked under mu.
func (a *account) wait(ctx context.Context, holds func() (bool, error)) error {
	for {
		a.mu.Lock()
		ok, err := holds()
		changed := a.changed
		a.mu.Unlock()
		if ok || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%w: the chunk before is not here: %w", ErrBusy, ctx.Err())
		}
	}
}

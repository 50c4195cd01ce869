package query

import (
	"context"
	"fmt"
	"time"
)

const (
	// waiting is how many queries may wait for each that may run.
	waiting = 4
	// patience is how long one waits for its turn.
	patience = 5 * time.Second
)

// turns lets so many queries run at once, so that the limit on the memory of
// each bounds that of all. Some more wait.
type turns struct {
	running chan struct{} // has room for those that run
	present chan struct{} // and for those that wait too
}

func newTurns(most int) *turns {
	return &turns{make(chan struct{}, most), make(chan struct{}, most*(1+waiting))}
}

// busyError says that a query did not get its turn.
type busyError struct{ running, waiting int }

func (e *busyError) Error() string {
	return fmt.Sprintf("%d queries run, which is max_running, and %d wait: ask again in a moment, or ask for less at once", e.running, e.waiting)
}

// wait waits for a turn; done ends it. It gives a busyError where too many wait
// already, or it takes too long, and the context's error where that ends.
func (t *turns) wait(ctx context.Context) (done func(), err error) {
	select {
	case t.present <- struct{}{}:
	default:
		return nil, t.busy()
	}
	defer func() {
		if err != nil {
			<-t.present
		}
	}()
	done = func() { <-t.running; <-t.present }
	select {
	case t.running <- struct{}{}:
		return done, nil
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case t.running <- struct{}{}:
		return done, nil
	case <-timer.C:
		return nil, t.busy()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (t *turns) busy() error {
	running := len(t.running)
	return &busyError{running, max(0, len(t.present)-running)}
}

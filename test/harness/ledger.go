package harness

import (
	"context"
	"fmt"
	"time"
)

// Ledger is what /api/v1/ledger says.
type Ledger struct {
	Accepted     uint64 `json:"accepted"`
	Stored       uint64 `json:"stored"`
	InFlight     uint64 `json:"in_flight"`
	DeadLettered uint64 `json:"dead_lettered"`
	Quarantined  uint64 `json:"quarantined"`
	Rejected     uint64 `json:"rejected"`
	Unproven     uint64 `json:"unproven"`
}

// Balanced says whether every accepted sample is accounted for.
func (l Ledger) Balanced() bool {
	return l.Accepted == l.Stored+l.InFlight+l.DeadLettered+l.Quarantined && l.Unproven == 0
}

// Ledger reads the ledger of all time.
func (c *Client) Ledger(ctx context.Context) (Ledger, error) {
	var ledger Ledger
	err := c.JSON(ctx, "/api/v1/ledger", &ledger)
	return ledger, err
}

// Settled reads the ledger until nothing is in flight and nothing unproven.
func (c *Client) Settled(ctx context.Context, within time.Duration) (Ledger, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	// Asked ever more seldom: drawing up the ledger costs the server time that
	// a benchmark would take for the samples'.
	for pause := 25 * time.Millisecond; ; pause = min(2*pause, 400*time.Millisecond) {
		ledger, err := c.Ledger(ctx)
		if err == nil && ledger.InFlight == 0 && ledger.Unproven == 0 {
			return ledger, nil
		}
		select {
		case <-ctx.Done():
			return ledger, fmt.Errorf("not settled within %v: %+v, %w", within, ledger, errorOr(err, ctx.Err()))
		case <-time.After(pause):
		}
	}
}

func errorOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

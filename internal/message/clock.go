package message

import (
	"sync"
	"time"
)

// Clock is a hybrid logical clock (Kulkarni et al., 2014) whose logical part
// is the low bits of the ns: each reading is later than all before it and
// than all stamps it was shown. Safe for concurrent use.
type Clock struct {
	now func() time.Time

	mu   sync.Mutex
	last Stamp
}

// NewClock makes a clock over a physical one.
func NewClock(now func() time.Time) *Clock { return &Clock{now: now} }

// Now reads the clock and moves it on.
func (c *Clock) Now() Stamp {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(Stamp(c.now().UnixNano()), c.last+1)
	return c.last
}

// Observe moves the clock past a stamp of somebody else's, such as one found
// in a journal after the physical clock was set back.
func (c *Clock) Observe(s Stamp) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last, s)
}

package harness

import "sync"

// Tail is a writer that keeps the last bytes written to it. Safe for
// concurrent use.
type Tail struct {
	limit int

	mu      sync.Mutex
	kept    []byte
	dropped int
}

// NewTail makes a Tail that keeps about limit bytes.
func NewTail(limit int) *Tail { return &Tail{limit: limit} }

// Write keeps p. It never fails.
func (t *Tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p...)
	// Cutting only when twice the limit is there keeps the copying cheap.
	if len(t.kept) > 2*t.limit {
		cut := len(t.kept) - t.limit
		t.dropped += cut
		t.kept = append(t.kept[:0], t.kept[cut:]...)
	}
	return len(p), nil
}

// String gives what is kept.
func (t *Tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.dropped > 0 {
		return "… (earlier output left out)\n" + string(t.kept)
	}
	return string(t.kept)
}

package crash

import (
	"math/rand/v2"
	"sync"
)

// Record is all attempts of all clients. Safe for concurrent use; an attempt
// that is still out belongs to its client, and is not handed out.
type Record struct {
	mu       sync.Mutex
	done     []*Attempt // in the order in which they came to their outcome
	answered []*Attempt
	refusal  error
}

// Add keeps an attempt whose outcome is known.
func (r *Record) Add(a *Attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = append(r.done, a)
	if a.Outcome == Answered {
		r.answered = append(r.answered, a)
	}
}

// Refuse keeps the first answer that a good request must not get.
func (r *Record) Refuse(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refusal == nil {
		r.refusal = err
	}
}

// Refusal gives what Refuse kept.
func (r *Record) Refusal() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.refusal
}

// All gives the attempts so far.
func (r *Record) All() []*Attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]*Attempt(nil), r.done...)
}

// Some gives answered attempts: the last ones, which a crash endangers most,
// and others at random.
func (r *Record) Some(random *rand.Rand, last, others int) []*Attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.answered)
	some := append([]*Attempt(nil), r.answered[max(0, n-last):]...)
	for range min(others, n) {
		some = append(some, r.answered[random.IntN(n)])
	}
	return some
}

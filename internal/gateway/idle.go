package gateway

import "sync"

// idle keeps values for reuse, and lends the one first that came back last. A
// sync.Pool is emptied by the garbage collector, several times a second under
// load; here what is lost is a decoder's memory of all series, or megabytes to
// be allocated, cleared and grown anew. Safe for concurrent use.
type idle[T any] struct {
	most int // as many are kept; the others go
	make func() T

	mu   sync.Mutex
	kept []T
}

// get lends a value.
func (i *idle[T]) get() T {
	i.mu.Lock()
	if n := len(i.kept); n > 0 {
		var none T
		v := i.kept[n-1]
		i.kept[n-1] = none
		i.kept = i.kept[:n-1]
		i.mu.Unlock()
		return v
	}
	i.mu.Unlock()
	return i.make()
}

// put takes a value back; the caller has no more of it.
func (i *idle[T]) put(v T) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.kept) < i.most {
		i.kept = append(i.kept, v)
	}
}

package result

import (
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow/memory"
)

// recycler gives the buffers of columns that were written to those that come
// next. It is not safe for concurrent use: a file is written by one caller.
type recycler struct {
	free [bits.UintSize][][]byte // by the power of two that is their capacity
}

var _ memory.Allocator = (*recycler)(nil)

// Allocate gives bytes, all 0 as memory.Allocator asks for.
func (r *recycler) Allocate(size int) []byte {
	class := bits.Len(uint(max(size, minBuffer) - 1))
	if n := len(r.free[class]); n > 0 {
		b := r.free[class][n-1][:size]
		r.free[class] = r.free[class][:n-1]
		clear(b)
		return b
	}
	return make([]byte, size, 1<<class)
}

// minBuffer is the least capacity.
const minBuffer = 64

// Reallocate gives a buffer another size; what is added is 0.
func (r *recycler) Reallocate(size int, b []byte) []byte {
	if size <= cap(b) {
		had := len(b)
		b = b[:size]
		if size > had {
			clear(b[had:])
		}
		return b
	}
	grown := r.Allocate(size)
	copy(grown, b)
	r.Free(b)
	return grown
}

// Free takes a buffer back.
func (r *recycler) Free(b []byte) {
	if n := uint(cap(b)); n >= minBuffer && n&(n-1) == 0 {
		class := bits.Len(n - 1)
		r.free[class] = append(r.free[class], b[:0])
	}
}

package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestSharesAreFair: whatever workers come and go, each holds its fair share
// once those that give up queues have done so, all queues are held, and no
// queue ever has two holders.
func TestSharesAreFair(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		queues := 1 + rng.IntN(9)
		c := newClaims(queues, time.Now)
		held := map[*Worker]map[int]context.Context{}
		var members []*Worker
		for range 30 {
			switch {
			case len(members) < queues && (len(members) == 0 || rng.IntN(2) == 0):
				w := &Worker{}
				held[w] = map[int]context.Context{}
				members = append(members, w)
				c.join(w)
			case len(members) > 1:
				i := rng.IntN(len(members))
				c.leave(members[i])
				members = slices.Delete(members, i, i+1)
			}
			moved := 0
			for again := true; again; {
				again = false
				for w, of := range held {
					for queue, ctx := range of {
						if ctx.Err() == nil {
							continue
						}
						if !errors.Is(context.Cause(ctx), errYield) {
							t.Fatalf("seed %d: queue %d is taken away for %v", seed, queue, context.Cause(ctx))
						}
						delete(of, queue)
						c.give(queue, 0)
						again = true
						moved++
					}
					if queue, ctx, _, _ := c.tryNext(t.Context(), w); ctx != nil {
						for _, other := range held {
							if _, twice := other[queue]; twice {
								t.Fatalf("seed %d: queue %d has two holders", seed, queue)
							}
						}
						of[queue] = ctx
						again = true
					}
				}
			}
			all := 0
			for _, w := range members {
				n := len(held[w])
				all += n
				if n != queues/len(members) && n != (queues+len(members)-1)/len(members) {
					t.Fatalf("seed %d: a worker of %d holds %d of %d queues", seed, len(members), n, queues)
				}
			}
			if all != queues {
				t.Fatalf("seed %d: %d of %d queues are held", seed, all, queues)
			}
			if most := (queues + len(members) - 1) / len(members); moved > max(most, queues-most) {
				t.Fatalf("seed %d: %d of %d queues moved over one worker of %d", seed, moved, queues, len(members))
			}
		}
	}
}

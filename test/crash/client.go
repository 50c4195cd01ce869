package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"weir/test/harness"
)

// sender is one client: it sends one attempt after the other.
type sender struct {
	next   func() *Attempt
	random *rand.Rand
	client *harness.Client
	record *Record
	resend bool // send an unanswered attempt again until it is answered

	stop <-chan struct{} // closed: no new attempts
}

// run sends until stop is closed, and then until the attempt that is out has
// its outcome. A resender goes on till it is answered or ctx ends.
func (s *sender) run(ctx context.Context) {
	for {
		select {
		case <-s.stop:
			return
		case <-ctx.Done():
			return
		default:
		}
		a := s.next()
		for ok := false; !ok; {
			ok = s.send(ctx, a) || !s.resend
			if ctx.Err() != nil {
				ok = true
			}
		}
		s.record.Add(a)
	}
}

// send sends an attempt once and says whether it was answered 204.
func (s *sender) send(ctx context.Context, a *Attempt) bool {
	body := Encode(a, s.random)
	a.Sends++
	answer, err := s.client.Post(ctx, body.Path, body.Encoding, body.Bytes)
	switch {
	case err != nil:
		pause(ctx, 5+s.random.IntN(40))
		return false
	case answer.Status == http.StatusNoContent:
		a.Outcome = Answered
		pause(ctx, s.random.IntN(30))
		return true
	case answer.Status < http.StatusInternalServerError:
		s.record.Refuse(fmt.Errorf("attempt %d, POST %s: %s", a.Number, body.Path, answer))
	}
	pause(ctx, 5+s.random.IntN(40))
	return false
}

func pause(ctx context.Context, milliseconds int) {
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(milliseconds) * time.Millisecond):
	}
}

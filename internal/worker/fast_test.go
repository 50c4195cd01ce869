package worker

import (
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/journal"
	"weir/internal/message"
)

// TestFastMessagesAreFlushedAlone: once a second, in commits of their own, while
// what is steady waits for its age or for its size.
func TestFastMessagesAreFlushedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, 1)
		w := s.worker("a", nil)
		stop := start(s.T, w)
		s.send(0)
		s.role = message.Fast
		s.send(0)
		if time.Sleep(900 * time.Millisecond); s.commits() != 0 {
			s.Error("a fast flush before anything is a second old")
		}
		if time.Sleep(400 * time.Millisecond); s.commits() != 1 {
			s.Errorf("%d commits after 1.3 s; want that of the fast message", s.commits())
		}
		if h := w.Heads(); h[0].Messages != 1 {
			s.Errorf("%d messages wait; want the steady one", h[0].Messages)
		}
		for range 8 {
			s.send(0)
			time.Sleep(900 * time.Millisecond)
		}
		if n := s.commits(); n < 5 || n > 8 {
			s.Errorf("%d commits of eight fast messages over 8 s", n)
		}
		before := s.commits()
		if time.Sleep(3 * time.Second); s.commits() < before+1 {
			s.Error("the steady message was not flushed at its age")
		}
		stop()
		s.settled()
		by := map[journal.Class]Flushes{}
		for _, f := range w.Flushes() {
			by[f.Class] = f
		}
		if by[journal.Steady].Samples != 1 || by[journal.Fast].Samples != 9 || by[journal.Fast].Commits < 5 || by[journal.Fast].Bytes == 0 {
			s.Errorf("flushes are counted as %+v", by)
		}
	})
}

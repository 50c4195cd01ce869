package ledger

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/store"
)

// chain makes a life's messages in queue 0: a start and then data of ten
// samples each, a stamp apart.
func chain(life message.Life, from message.Stamp, at ...place) []kept {
	var out []kept
	for i, where := range at {
		m := kept{at: where, Message: message.Message{
			Role: message.Data, Life: life, Number: uint64(i), Stamp: from + message.Stamp(i), Samples: 10, Accepted: uint64(10 * i),
		}}
		if i == 0 {
			m.Role, m.Samples, m.Instance = message.Start, 0, "here"
		}
		out = append(out, m)
	}
	return out
}

// commitAll writes each committed message's own commit, and the heads.
func (w *world) commitAll() {
	var s journal.Snapshot
	for _, m := range w.messages {
		switch m.at {
		case inHead:
			s.Pending = append(s.Pending, journal.Pending{Message: m.Message})
		case committed, unacked:
			s.Commits = append(s.Commits, journal.Placed{Commit: commitOf([]kept{m})})
		}
	}
	w.journals = map[store.JournalID]journal.Snapshot{{}: s}
}

func accountOf(t *testing.T, l *Ledger, life message.Life) Account {
	t.Helper()
	for _, a := range l.Lives {
		if a.Life == life {
			return a
		}
	}
	t.Fatalf("life %v is not in %+v", life, l.Lives)
	return Account{}
}

func TestACrashedLifeIsUnprovenUntilTheQueueIsDrained(t *testing.T) {
	w := &world{heard: 2}
	// The crash left a message that nothing tells of: the next number may be in
	// the queue, and here it is.
	w.messages = append(chain(1, 100, committed, committed, queuedOnly), chain(2, 200, committed, inHead)...)
	w.commitAll()
	l := drawAll(t, w, 0, Everything)
	old := accountOf(t, l, 1)
	if old.State != Ended || !strings.Contains(old.Unproven, "crash") || l.Unproven != 1 || !l.Balanced() || l.Accepted != 20 {
		t.Fatalf("%+v; %+v", l, old)
	}
	if live := accountOf(t, l, 2); live.State != Open || live.Unproven != "" || live.Instance != "here" || live.InFlight != 10 {
		t.Fatalf("%+v", live)
	}
	// Received, it is in the head: all is known, though nothing is committed.
	w.messages[2].at = inHead
	w.commitAll()
	if l = drawAll(t, w, 0, Everything); l.Unproven != 0 || l.InFlight != 20 {
		t.Fatalf("%+v", l)
	}
	w.messages[2].at = committed
	w.commitAll()
	if l = drawAll(t, w, 0, Everything); l.Unproven != 0 || l.Stored != 20 || accountOf(t, l, 1).State != Ended {
		t.Fatalf("%+v", l)
	}
}

func TestWhatTheQueueHoldsOfALaterTimeProvesNothingAgainstACrashedLife(t *testing.T) {
	w := &world{heard: 2}
	w.messages = append(chain(1, 100, committed, committed), chain(2, 200, committed, queuedOnly)...)
	w.commitAll()
	if l := drawAll(t, w, 0, Everything); l.Unproven != 0 || l.InFlight != 10 || !l.Balanced() {
		t.Fatalf("%+v", l)
	}
}

func TestAClosedLifeIsNotTakenForACrash(t *testing.T) {
	w := &world{heard: 2}
	w.messages = append(chain(1, 100, committed, committed), chain(2, 200, committed, queuedOnly)...)
	w.messages[1].Role = message.Close
	w.commitAll()
	if a := accountOf(t, drawAll(t, w, 0, Everything), 1); a.State != Closed {
		t.Fatalf("%+v", a)
	}
	w.messages[1].at = inHead
	w.commitAll()
	if a := accountOf(t, drawAll(t, w, 0, Everything), 1); a.State != Closed {
		t.Fatalf("%+v", a)
	}
}

func TestWhatTheGatewayStillSendsIsInFlightAndWidensNothing(t *testing.T) {
	w := &world{heard: 1, untold: 3}
	w.messages = chain(1, 100, committed, committed, committed, unsent, unsent)
	w.commitAll()
	l := drawAll(t, w, 0, Everything)
	if !l.Balanced() || l.InFlight != 20 || l.Stored != 20 || l.Unproven != 0 || l.Rejected != 3 {
		t.Fatalf("%+v", l)
	}
	l = drawAll(t, w, 101, 102)
	if l.Start != 101 || l.End != 101 || l.Accepted != 10 || l.Rejected != 0 {
		t.Fatalf("a range of what is committed was widened: %+v", l)
	}
	if l = drawAll(t, w, 10, 20); l.End != 0 || l.Accepted != 0 || l.Rejected != 0 || len(l.Lives) != 0 {
		t.Fatalf("before all: %+v", l)
	}
}

// moving is a world in which the first look at the dead letters misses one.
type moving struct {
	*world
	looks int
}

func (m *moving) Buried(ctx context.Context, yield func(message.Message)) error {
	if m.looks++; m.looks == 1 {
		return nil
	}
	return m.world.Buried(ctx, yield)
}

func TestAMessageThatMovesMeanwhileIsFoundAtTheNextLook(t *testing.T) {
	w := &world{heard: 1}
	w.messages = chain(1, 100, committed, buried, committed)
	w.commitAll()
	m := &moving{world: w}
	l, err := Draw(context.Background(), m, 0, Everything)
	if err != nil || l.DeadLettered != 10 || l.Unproven != 0 || m.looks != 2 {
		t.Fatalf("%+v, %v after %d looks", l, err, m.looks)
	}
	w.messages[1].at = forgotten
	m.looks = 0
	l, err = Draw(context.Background(), m, 0, Everything)
	if err != nil || l.Balanced() || l.Unproven != 1 || m.looks != redraws {
		t.Fatalf("%+v, %v after %d looks", l, err, m.looks)
	}
	if a := accountOf(t, l, 1); !strings.Contains(a.Unproven, "10 samples of messages up to number 2") {
		t.Fatalf("%q", a.Unproven)
	}
}

// failing fails at one of its calls.
type failing struct {
	*world
	call string
	err  error
}

func (f *failing) fails(call string) error {
	if call == f.call {
		return f.err
	}
	return nil
}

func (f *failing) CatchUp(context.Context) error { return f.fails("catch up") }

func (f *failing) Buried(ctx context.Context, yield func(message.Message)) error {
	return errors.Join(f.fails("buried"), f.world.Buried(ctx, yield))
}

func (f *failing) Journals(ctx context.Context) (map[store.JournalID]journal.Snapshot, error) {
	j, err := f.world.Journals(ctx)
	return j, errors.Join(err, f.fails("journals"))
}

func (f *failing) Queued(ctx context.Context, queue int) (uint64, time.Time, error) {
	n, oldest, err := f.world.Queued(ctx, queue)
	return n, oldest, errors.Join(err, f.fails("queued"))
}

func TestASourceThatFailsIsAnErrorNotAnAnswer(t *testing.T) {
	w := &world{heard: 1, messages: chain(1, 100, committed, inHead)}
	w.commitAll()
	broken := errors.New("broken")
	for _, call := range []string{"catch up", "buried", "journals", "queued"} {
		if l, err := Draw(context.Background(), &failing{w, call, broken}, 0, Everything); !errors.Is(err, broken) || l != nil {
			t.Errorf("%s: %+v, %v", call, l, err)
		}
	}
}

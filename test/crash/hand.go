package crash

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/test/harness"
)

// Fate is what the hand means to happen to an attempt's samples.
type Fate int

// The fates. Discarding removes what was committed before: what was under way
// meanwhile may be in the next revision, which stays. So an attempt of the
// week set apart may be gone or not, until the last discard, which comes when
// nothing is in flight: then what was there has to be gone.
const (
	Kept Fate = iota
	Doomed
	Gone
)

// doomedAgo is the week set apart for discards; no client sends to it.
const doomedAgo = 20

// sealsALife is how many times weeks are sealed while one process lives: each
// revision is a table of its own, and what a start has to look at would grow
// with how long the start before it took.
const sealsALife = 4

// hand is who runs the service: it seals weeks while clients send to them, so
// that revisions pile up, and sends to a week of its own that it discards.
// Each of its calls may be cut short by a kill; it calls again later.
type hand struct {
	source *Source
	sender *sender
	random *rand.Rand
	monday int64
	left   atomic.Int64 // seals, while this process lives

	mu      sync.Mutex
	done    deeds
	refusal error
}

// deeds is what a hand was told to be done.
type deeds struct{ seals, discards int }

// run works until the senders are to stop.
func (h *hand) run(ctx context.Context) {
	for {
		select {
		case <-h.sender.stop:
			return
		case <-ctx.Done():
			return
		default:
		}
		switch h.random.IntN(8) {
		case 0:
			h.discard(ctx)
		case 1, 2:
			h.sendDoomed(ctx)
		default:
			if h.left.Add(-1) >= 0 {
				all := weeksAgo()
				h.seal(ctx, all[h.random.IntN(len(all))])
			}
		}
		pause(ctx, h.random.IntN(800))
	}
}

func (h *hand) sendDoomed(ctx context.Context) {
	a := h.source.MakeIn(doomedAgo)
	a.Fate = Doomed
	h.sender.send(ctx, a)
	h.sender.record.Add(a)
}

// week gives the name of a week as the service spells it.
func (h *hand) week(ago int64) string {
	year, week := time.Unix(0, slotStart(h.monday, ago, 0)).UTC().ISOWeek()
	return fmt.Sprintf("%04d-W%02d", year, week)
}

func (h *hand) seal(ctx context.Context, ago int64) bool {
	ok := h.call(ctx, "/api/v1/weeks/"+h.week(ago)+"/seal")
	if ok {
		h.mu.Lock()
		h.done.seals++
		h.mu.Unlock()
	}
	return ok
}

// discard seals the week set apart and drops it, and says whether it is gone.
// What is committed between the two leaves it be.
func (h *hand) discard(ctx context.Context) bool {
	week := h.week(doomedAgo)
	ok := h.seal(ctx, doomedAgo) && h.call(ctx, "/api/v1/weeks/"+week+"/discard?confirm="+week)
	if ok {
		h.mu.Lock()
		h.done.discards++
		h.mu.Unlock()
	}
	return ok
}

// call says whether a call was answered 200. A week that is not there yet and
// one that was written to since its seal are no faults.
func (h *hand) call(ctx context.Context, path string) bool {
	answer, err := h.sender.client.Do(ctx, harness.Request{Method: http.MethodPost, Path: path})
	switch {
	case err != nil:
		return false
	case answer.Status == http.StatusOK:
		return true
	case answer.Status >= http.StatusInternalServerError && answer.Status != http.StatusInternalServerError,
		answer.Status == http.StatusNotFound,
		answer.Status == http.StatusBadRequest && strings.Contains(answer.String(), "seal it first"):
		return false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refusal == nil {
		h.refusal = fmt.Errorf("POST %s: %s", path, answer)
	}
	return false
}

func (h *hand) told() (deeds, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.done, h.refusal
}

// discardAll sends to the week set apart, discards it for the last time, with
// nothing in flight, and sends to it anew. It gives all attempts.
func (h *hand) discardAll(ctx context.Context, attempts []*Attempt, settle time.Duration) ([]*Attempt, error) {
	attempts, err := h.sendSome(ctx, attempts, Doomed)
	if err != nil {
		return nil, err
	}
	if _, err := h.sender.client.Settled(ctx, settle); err != nil {
		return nil, err
	}
	if !h.discard(ctx) {
		_, err := h.told()
		return nil, errors.Join(errors.New("the week set apart could not be discarded, with nothing in flight"), err)
	}
	for _, a := range attempts {
		if a.Fate == Doomed {
			a.Fate = Gone
		}
	}
	return h.sendSome(ctx, attempts, Kept)
}

// sendSome sends attempts that have to be answered.
func (h *hand) sendSome(ctx context.Context, attempts []*Attempt, fate Fate) ([]*Attempt, error) {
	for range 5 {
		a := h.source.MakeIn(doomedAgo)
		a.Fate = fate
		if !h.sender.send(ctx, a) {
			return nil, fmt.Errorf("attempt %d, at the last discard, was not answered", a.Number)
		}
		attempts = append(attempts, a)
	}
	return attempts, nil
}

// volume is what the service says of a revision of a week.
type volume struct {
	Week     string `json:"week"`
	Revision int    `json:"revision"`
	State    string `json:"state"`
	Samples  uint64 `json:"samples"`
}

// discarded adds up the samples of dropped volumes, and counts all volumes.
func (h *hand) discarded(ctx context.Context) (samples uint64, volumes int, err error) {
	var all []volume
	if err := h.sender.client.JSON(ctx, "/api/v1/weeks", &all); err != nil {
		return 0, 0, err
	}
	for _, v := range all {
		if v.State != "dropped" {
			continue
		}
		if want := h.week(doomedAgo); v.Week != want {
			return 0, 0, fmt.Errorf("revision %d of %s was dropped; nobody asked for that", v.Revision, v.Week)
		}
		samples += v.Samples
	}
	return samples, len(all), nil
}

// merges gives how many merges the present process has made.
func (h *hand) merges(ctx context.Context) int {
	answer, err := h.sender.client.Do(ctx, harness.Request{Path: "/metrics"})
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(answer.Body)) {
		if text, ok := strings.CutPrefix(line, "weir_merge_merges_total "); ok {
			n, _ := strconv.ParseFloat(strings.TrimSpace(text), 64)
			return int(n)
		}
	}
	return 0
}

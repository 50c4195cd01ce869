package app

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"weir/internal/buffer"
	"weir/internal/message"
)

type queueAnswer struct {
	Queue       int        `json:"queue"`
	Messages    uint64     `json:"messages"`
	InFlight    uint64     `json:"in_flight"`
	Bytes       uint64     `json:"bytes"`
	Oldest      *time.Time `json:"oldest"`
	DeadLetters int        `json:"dead_letters"`
}

func (a *App) serveQueues(w http.ResponseWriter, r *http.Request) error {
	if err := knownParameters(r); err != nil {
		return err
	}
	letters := map[int]int{}
	err := eachLetter(r.Context(), a.queues, a.queues, func(queue int, _ buffer.DeadLetter) error { letters[queue]++; return nil })
	if err != nil {
		return err
	}
	out := []queueAnswer{}
	for queue := range a.queues.Queues() {
		d, err := a.queues.Depth(r.Context(), queue)
		if err != nil {
			return err
		}
		q := queueAnswer{Queue: queue, Messages: d.Messages, InFlight: d.InFlight, Bytes: d.Bytes, DeadLetters: letters[queue]}
		if !d.Oldest.IsZero() {
			q.Oldest = &d.Oldest
		}
		out = append(out, q)
	}
	return answer(w, out)
}

type letterAnswer struct {
	ID      string    `json:"id"`
	Queue   int       `json:"queue"`
	Reason  string    `json:"reason"`
	Buried  time.Time `json:"buried"`
	Bytes   int       `json:"bytes"`
	Life    string    `json:"life"`
	Number  uint64    `json:"number"`
	Week    string    `json:"week"`
	Samples uint64    `json:"samples"`
}

// queueOf reads the queue of a path.
func (a *App) queueOf(r *http.Request) (int, error) {
	n, err := strconv.Atoi(r.PathValue("queue"))
	if err != nil || n < 0 || n >= a.queues.Queues() {
		return 0, badRequest{fmt.Errorf("queue %q: there are queues 0 to %d", r.PathValue("queue"), a.queues.Queues()-1)}
	}
	return n, nil
}

func (a *App) serveLetters(w http.ResponseWriter, r *http.Request) error {
	queue, err := a.queueOf(r)
	if err != nil {
		return err
	}
	if err := knownParameters(r, "after", "max"); err != nil {
		return err
	}
	most := letterPage
	if text := r.URL.Query().Get("max"); text != "" {
		if most, err = strconv.Atoi(text); err != nil || most < 1 || most > 10_000 {
			return badRequest{fmt.Errorf("max %q: want 1 to 10000", text)}
		}
	}
	letters, err := a.queues.List(r.Context(), queue, r.URL.Query().Get("after"), most)
	if err != nil {
		return err
	}
	out := []letterAnswer{}
	for _, l := range letters {
		one := letterAnswer{ID: l.ID, Queue: queue, Reason: l.Reason, Buried: l.Sent, Bytes: len(l.Body)}
		if m, err := message.Decode(l.Body); err == nil {
			one.Life, one.Number, one.Week, one.Samples = m.Life.String(), m.Number, m.Week.String(), m.Samples
		}
		out = append(out, one)
	}
	return answer(w, out)
}

func (a *App) redriveOne(w http.ResponseWriter, r *http.Request) error {
	queue, err := a.queueOf(r)
	if err != nil {
		return err
	}
	if err := a.queues.Redrive(r.Context(), queue, r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// redriveAll redrives the letters that are there now, each as it was.
func (a *App) redriveAll(w http.ResponseWriter, r *http.Request) error {
	queue, err := a.queueOf(r)
	if err != nil {
		return err
	}
	var ids []string
	err = eachLetter(r.Context(), a.queues, a.queues, func(q int, l buffer.DeadLetter) error {
		if q == queue {
			ids = append(ids, l.ID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	n := 0
	for _, id := range ids {
		switch err := a.queues.Redrive(r.Context(), queue, id); {
		case err == nil:
			n++
		case !errors.Is(err, buffer.ErrNotFound): // another redrove it
			return fmt.Errorf("%d of %d redriven: %w", n, len(ids), err)
		}
	}
	return answer(w, map[string]int{"redriven": n})
}

package app

import (
	"fmt"
	"net/http"
	"time"

	"weir/internal/journal"
	"weir/internal/sample"
	"weir/internal/store"
)

// weekOf reads the week of a path.
func weekOf(r *http.Request) (sample.Week, error) {
	week, err := sample.ParseWeek(r.PathValue("week"))
	if err != nil {
		return 0, badRequest{err}
	}
	return week, nil
}

// sealWeek ends the week's open revision: what comes later is the next one's.
// It answers with the week's volumes.
func (a *App) sealWeek(w http.ResponseWriter, r *http.Request) error {
	if err := knownParameters(r); err != nil {
		return err
	}
	week, err := weekOf(r)
	if err != nil {
		return err
	}
	volumes, err := a.volumes(r, week)
	if err != nil {
		return err
	}
	for _, v := range volumes {
		if v.State == journal.VolumeOpen {
			if err := a.book.SealVolume(r.Context(), week, v.Revision); err != nil {
				return err
			}
		}
	}
	return a.answerWeek(w, r, week)
}

// discardWeek drops the week's sealed volumes without an archive. So that
// nobody does that by accident, the week is to be named twice.
func (a *App) discardWeek(w http.ResponseWriter, r *http.Request) error {
	if err := knownParameters(r, "confirm"); err != nil {
		return err
	}
	week, err := weekOf(r)
	if err != nil {
		return err
	}
	if r.URL.Query().Get("confirm") != week.String() {
		return badRequest{fmt.Errorf("the samples of %s would be gone for good: confirm=%s says that this is meant", week, week)}
	}
	volumes, err := a.volumes(r, week)
	if err != nil {
		return err
	}
	for _, v := range volumes {
		if v.State == journal.VolumeOpen {
			return badRequest{fmt.Errorf("week %s, revision %d: %w; seal it first", week, v.Revision, journal.ErrOpen)}
		}
	}
	for _, v := range volumes {
		if err := a.book.DiscardVolume(r.Context(), week, v.Revision, time.Now()); err != nil {
			return err
		}
	}
	return a.answerWeek(w, r, week)
}

func (a *App) volumes(r *http.Request, week sample.Week) ([]journal.VolumeRecord, error) {
	volumes, err := a.book.Volumes(r.Context(), week)
	if err == nil && len(volumes) == 0 {
		err = fmt.Errorf("week %s: %w", week, store.ErrNotFound)
	}
	return volumes, err
}

func (a *App) answerWeek(w http.ResponseWriter, r *http.Request, week sample.Week) error {
	out, err := a.describeWeek(r.Context(), week)
	if err != nil {
		return err
	}
	return answer(w, out)
}

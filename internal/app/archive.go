package app

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"weir/internal/archive"
	"weir/internal/journal"
	"weir/internal/objects"
	"weir/internal/pipeline/cuts"
	"weir/internal/sample"
	"weir/internal/store"
)

type archiveAnswer struct {
	Week           string   `json:"week"`
	Revision       int      `json:"revision"`
	State          string   `json:"state"`
	Rows           uint64   `json:"rows"`
	Bytes          uint64   `json:"bytes"`
	BytesPerSample *float64 `json:"bytes_per_sample"`
	Manifest       string   `json:"manifest"`

	Ends *time.Time `json:"ends"` // of a dropped revision, by retention.archives; of one that has ended when it did
}

// serveArchive lists the revisions of all weeks, and what their archives hold.
func (a *App) serveArchive(w http.ResponseWriter, r *http.Request) error {
	if err := knownParameters(r); err != nil {
		return err
	}
	list, err := a.archiver.List(r.Context())
	if err != nil {
		return err
	}
	out := []archiveAnswer{}
	for _, s := range list {
		one := archiveAnswer{Week: s.Week.String(), Revision: s.Revision, State: string(s.State), Rows: s.Rows, Bytes: s.Bytes, Manifest: s.Manifest}
		if s.Rows > 0 {
			each := float64(s.Bytes) / float64(s.Rows)
			one.BytesPerSample = &each
		}
		switch keep := time.Duration(a.config.Retention.Archives); {
		case s.State == journal.VolumeEnded:
			one.Ends = &s.Ended
		case s.State == journal.VolumeDropped && s.Manifest != "" && keep > 0:
			ends := time.Unix(0, s.Week.End()).UTC().Add(keep)
			one.Ends = &ends
		}
		out = append(out, one)
	}
	return answer(w, out)
}

func (a *App) archiveWeek(w http.ResponseWriter, r *http.Request) error {
	return a.longWork(w, r, a.archiver.Archive)
}

func (a *App) verifyWeek(w http.ResponseWriter, r *http.Request) error {
	return a.longWork(w, r, a.archiver.Verify)
}

func (a *App) restoreWeek(w http.ResponseWriter, r *http.Request) error {
	return a.longWork(w, r, a.archiver.Restore)
}

func (a *App) dropWeek(w http.ResponseWriter, r *http.Request) error {
	return a.longWork(w, r, func(ctx context.Context, week sample.Week, _ archive.Report) error {
		return a.archiver.Drop(ctx, week)
	})
}

// progressEvery is how often a client is told how far a long work is.
const progressEvery = 250 * time.Millisecond

type progressLine struct {
	Step     string `json:"step"`
	Revision int    `json:"revision"`
	Done     uint64 `json:"done"`
	Total    uint64 `json:"total"`
	Bytes    uint64 `json:"bytes"`
}

// longWork answers with a JSON line of progress now and then, and a last one
// that says that it is done, or why not. What fails before the first line is
// answered as ever. It ends when the client goes; whoever asks again goes on
// from there.
func (a *App) longWork(w http.ResponseWriter, r *http.Request, do func(context.Context, sample.Week, archive.Report) error) error {
	if err := knownParameters(r); err != nil {
		return err
	}
	week, err := weekOf(r)
	if err != nil {
		return err
	}
	lines, out := json.NewEncoder(w), http.NewResponseController(w)
	begun, last := false, time.Time{}
	tell := func(line any) {
		if !begun {
			w.Header().Set("Content-Type", "application/x-ndjson")
			begun = true
		}
		_ = lines.Encode(line) // a client that has gone can't be told
		_ = out.Flush()
	}
	err = do(r.Context(), week, func(p archive.Progress) {
		if now := time.Now(); now.Sub(last) >= progressEvery {
			last = now
			tell(progressLine(p))
		}
	})
	switch {
	case err != nil && !begun:
		return archiveError(err)
	case err != nil:
		a.logger.Error("archive work ended", "path", r.URL.Path, "error", err)
		tell(map[string]any{"error": map[string]any{"title": "Not done", "status": http.StatusInternalServerError, "detail": err.Error()}})
	default:
		tell(map[string]bool{"finished": true})
	}
	return nil
}

// archiveError says by its kind what a client can do about an error.
func archiveError(err error) error {
	if errors.Is(err, objects.ErrUnavailable) && !errors.Is(err, store.ErrUnavailable) {
		return errors.Join(err, store.ErrUnavailable)
	}
	if errors.Is(err, journal.ErrRemoved) || errors.Is(err, journal.ErrChanged) {
		return errors.Join(err, store.ErrUnavailable)
	}
	return err
}

// letGo lets go of the volumes that a process held which was killed: else they
// could not be dropped until that expires. Runs go on, and keep what they hold.
func (a *App) letGo(ctx context.Context) error {
	weeks, err := a.book.Weeks(ctx)
	if err != nil {
		return err
	}
	for _, week := range weeks {
		list, err := a.book.Volumes(ctx, week)
		if err != nil {
			return err
		}
		for _, v := range list {
			for _, p := range v.Pins {
				if strings.HasPrefix(p.Holder, cuts.OfRun) {
					continue
				}
				if err := a.book.Unpin(ctx, week, v.Revision, p.Holder); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

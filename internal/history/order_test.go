package history

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"weir/internal/sample"
	"weir/internal/store"
)

// The chunk that is sent ahead is stored behind the one before it, and is given
// back where that failed.
func TestChunksAreStoredInTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		of, start, want := Import{Life: 5}, week(t, "2026-W03").Start(), model{}
		line := func(n uint64) string {
			var text strings.Builder
			want.line(&text, "m", fmt.Sprint(n), start)
			return text.String()
		}
		results := make(chan error, 3)
		send := func(number, answered uint64, text string) {
			go func() {
				ticket, err := r.importer.Admit(t.Context(), of, number, answered)
				if err != nil {
					results <- err
					return
				}
				defer ticket.Leave()
				_, err = ticket.Take(t.Context(), Chunk{Format: FormatLines, Text: []byte(text)})
				results <- err
			}()
			synctest.Wait()
		}
		first, second := line(0), line(1)
		send(1, 0, second)
		if len(results) > 0 {
			t.Fatalf("chunk 1 is taken ahead of chunk 0: %v", <-results)
		}
		send(0, 0, first)
		for range 2 {
			r.must(<-results)
		}
		r.check(want, 2)
		// Chunk 2 fails, and 3 with it; then both are sent again.
		r.commit = func(context.Context, sample.Week) error { return store.ErrUnavailable }
		third, fourth := line(2), line(3)
		ticket, err := r.importer.Admit(t.Context(), of, 2, 2)
		r.must(err)
		send(3, 2, fourth)
		if _, err := ticket.Take(t.Context(), Chunk{Format: FormatLines, Text: []byte(third)}); !errors.Is(err, store.ErrUnavailable) {
			t.Error(err)
		}
		ticket.Leave()
		if err := <-results; !errors.Is(err, ErrBusy) {
			t.Errorf("chunk 3 behind one that failed: %v", err)
		}
		r.commit = func(context.Context, sample.Week) error { return nil }
		send(3, 2, fourth)
		send(2, 2, third)
		for range 2 {
			r.must(<-results)
		}
		r.check(want, 4)
		// One whose chunk before never comes is given back in time.
		send(6, 4, "")
		if err := <-results; !errors.Is(err, ErrBusy) {
			t.Errorf("chunk 6 without chunk 5: %v", err)
		}
		if len(r.importer.places) > 0 {
			t.Error("a place was not given back")
		}
		r.must(r.store.Close())
	})
}

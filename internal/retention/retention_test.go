package retention

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"weir/internal/journal"
	"weir/internal/sample"
	"weir/internal/store/pebble"
)

func TestAges(t *testing.T) {
	for text, want := range map[string]Age{
		"520w": Age(520 * week), "90d": Age(90 * day), "12h": Age(12 * time.Hour), "1m30s": Age(90 * time.Second), "0": 0, "0w": 0,
	} {
		var got Age
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want || want != 0 && got.String() != text {
			t.Errorf("%q is %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "520", "-1w", "w", "20000w", "often", "1.5d"} {
		if err := new(Age).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestConfigNamesTheKey(t *testing.T) {
	if err := Default().Validate(); err != nil {
		t.Error(err)
	}
	for key, change := range map[string]func(*Config){
		"archives": func(c *Config) { c.Archives = Age(time.Hour) },
		"results":  func(c *Config) { c.Results = 1 },
		"exports":  func(c *Config) { c.Exports = -1 },
		"runs":     func(c *Config) { c.Runs = 1 },
		"every":    func(c *Config) { c.Every = 0 },
	} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), key+" is ") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

const first = sample.Week(2900)

// dropped makes a book of three weeks of which the first two are dropped.
func dropped(t *testing.T) *journal.Book {
	t.Helper()
	config := pebble.Default()
	config.Dir, config.FS = "data", vfs.NewMem()
	s, err := pebble.Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	b := journal.NewBook(s, 2, rand.Uint64, nil)
	for w := first; w < first+3; w++ {
		_, err := b.EnsureWeek(t.Context(), w)
		if err == nil && w < first+2 {
			id := journal.VolumeID{Week: w}
			err = b.SealVolume(t.Context(), w, 0)
			if err == nil {
				_, err = b.ArchiveVolume(t.Context(), id, journal.Archive{Manifest: "m", Sealed: []uint64{1, 1}}, "")
			}
			if err == nil {
				_, err = b.VerifyVolume(t.Context(), id, "m")
			}
			if err == nil {
				err = b.DropVolume(t.Context(), w, 0, time.Unix(0, w.End()))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func states(t *testing.T, b *journal.Book) (out []string) {
	t.Helper()
	for w := first; w < first+3; w++ {
		v, err := b.Volume(t.Context(), w, 0)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, string(v.State))
	}
	return out
}

// TestWeeksEnd: dropped ones, once they are old, and neither held nor needed.
func TestWeeksEnd(t *testing.T) {
	b := dropped(t)
	now := time.Unix(0, (first + 1).Start()).Add(10*week - 1)
	needed, failure := map[sample.Week]bool{}, error(nil)
	c := Default()
	k := New(Options{
		Config: c, Book: b, Now: func() time.Time { return now }, Logger: slog.New(slog.DiscardHandler),
		Needed: func(context.Context) (map[sample.Week]bool, error) { return needed, failure },
	})
	look := func(want ...string) {
		t.Helper()
		if err := k.Look(t.Context()); !errors.Is(err, failure) {
			t.Errorf("looking: %v", err)
		}
		if got := states(t, b); !slices.Equal(got, want) {
			t.Errorf("weeks are %v; want %v", got, want)
		}
	}
	look("dropped", "dropped", "open") // for ever
	k.Config.Archives = Age(10 * week)
	look("dropped", "dropped", "open") // a nanosecond too young
	now = now.Add(1)
	needed[first] = true
	look("dropped", "dropped", "open")
	delete(needed, first)
	pin := journal.Pin{Holder: "run", Cut: []uint64{1, 1}, Expires: now.Add(time.Minute)}
	if err := b.Pin(t.Context(), first, 0, pin, now); err != nil {
		t.Fatal(err)
	}
	look("dropped", "dropped", "open")
	now = now.Add(time.Hour)
	failure = errors.New("no answer")
	look("dropped", "dropped", "open") // who needs what is not known
	failure = nil
	look("ended", "dropped", "open")
	now = now.Add(week)
	look("ended", "ended", "open")
	now = now.Add(week)
	look("ended", "ended", "open")
	if n := k.Counts().Ended; n != 2 {
		t.Errorf("%d volumes are counted as ended; want 2", n)
	}
}

// TestRunLooksNowAndThen: all sweepers, though one fails, until it is stopped.
func TestRunLooksNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		k := New(Options{
			Config: Default(), Now: time.Now, Logger: slog.New(slog.DiscardHandler),
			Sweepers: []func(context.Context) (Counts, error){
				func(context.Context) (Counts, error) {
					return Counts{Results: Removed{1, 10}, Runs: 1}, errors.New("full")
				},
				func(context.Context) (Counts, error) {
					looks++
					return Counts{Archive: Removed{2, 20}, Exports: Removed{3, 30}}, nil
				},
			},
		})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { k.Run(ctx); close(ended) }()
		time.Sleep(3*time.Hour + time.Minute)
		stop()
		<-ended
		want := Counts{Runs: 4, Archive: Removed{8, 80}, Results: Removed{4, 40}, Exports: Removed{12, 120}}
		if got := k.Counts(); looks != 4 || got != want {
			t.Errorf("%d looks removed %+v; want 4, and %+v", looks, got, want)
		}
	})
}

package tail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"weir/internal/feed"
	"weir/internal/sample"
)

// told is a feed that gives what a test wants.
type told func(ctx context.Context, r feed.Request, yield func(*feed.Event) error) error

func (f told) Tail(ctx context.Context, r feed.Request, yield func(*feed.Event) error) error {
	return f(ctx, r, yield)
}

func serve(t *testing.T, f told) (*Handler, *httptest.Server) {
	t.Helper()
	h := NewHandler(HandlerOptions{Feed: f, Logger: slog.New(slog.DiscardHandler), Parse: func(text string) (func(sample.Series) bool, error) {
		return func(s sample.Series) bool { return s.Metric == text }, nil
	}})
	mux := http.NewServeMux()
	h.Register(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return h, server
}

func get(t *testing.T, url string) (int, string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var b strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := answer.Body.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			return answer.StatusCode, b.String(), err
		}
	}
}

func TestAnswersAreLines(t *testing.T) {
	broken := errors.New("broken")
	_, server := serve(t, func(_ context.Context, r feed.Request, yield func(*feed.Event) error) error {
		if !r.Oldest || r.After != nil || r.MaxLag != time.Minute || !r.Match(sample.Series{Metric: "m"}) || r.Match(sample.Series{Metric: "x"}) {
			t.Errorf("the request is read as %+v", r)
		}
		cut := &feed.Cut{}
		place := feed.Journal{Week: 2968, Partition: 2}
		cut.Set(place, 5)
		series := sample.Series{Metric: "m", Tags: []sample.Tag{{Name: "a", Value: `"`}}}
		err := yield(&feed.Event{Journal: place, Position: 4, Accepted: time.Unix(0, 77), Cut: cut, Series: []feed.Points{
			{Series: series, Kind: sample.Float64, Times: []int64{1, 2}, Bits: []uint64{math.Float64bits(0.5), math.Float64bits(math.NaN())}, Qualities: []sample.Quality{0, 9}},
			{Series: series, Kind: sample.String, Times: []int64{3}, Texts: []string{"on"}},
			{Series: series, Kind: sample.Int64, Times: []int64{3}, Bits: []uint64{7}},
		}})
		cut.Set(place, 8)
		return errors.Join(err, yield(&feed.Event{Journal: place, Position: 7, Gap: &feed.Gap{Reason: feed.Dropped, From: 5, To: 8, Commits: 3, Samples: 12}, Cut: cut}),
			yield(&feed.Event{Cut: cut}), broken)
	})
	status, body, err := get(t, server.URL+"/api/v1/tail?match=m&from=oldest&max_lag=1m")
	want := `{"metric":"m","tags":{"a":"\""},"kind":"float64","times":[1,2],"values":[0.5,"NaN"],"quality":[0,9]}
{"metric":"m","tags":{"a":"\""},"kind":"string","times":[3],"values":["on"]}
{"metric":"m","tags":{"a":"\""},"kind":"int64","times":[3],"values":[7]}
{"token":"TOKEN1","accepted":77}
{"gap":{"reason":"dropped","week":"2026-W47","partition":2,"from":5,"to":8,"commits":3,"samples":12}}
{"token":"TOKEN2"}
{"token":"TOKEN2"}
{"error":{"title":"Tail failed","status":500,"detail":"broken"}}
`
	for i, position := range []uint64{5, 8} {
		cut := &feed.Cut{}
		cut.Set(feed.Journal{Week: 2968, Partition: 2}, position)
		want = strings.ReplaceAll(want, fmt.Sprintf("TOKEN%d", i+1), cut.Token())
	}
	if status != http.StatusOK || body != want || err == nil || err.Error() == "EOF" {
		t.Errorf("status %d, ended by %v:\n%s\nwant\n%s", status, err, body, want)
	}
}

func TestAnswersThatFailAtOnce(t *testing.T) {
	for want, err := range map[int]error{http.StatusBadRequest: feed.ErrToken, http.StatusInternalServerError: errors.New("broken")} {
		_, server := serve(t, func(context.Context, feed.Request, func(*feed.Event) error) error { return err })
		if status, body, _ := get(t, server.URL+"/api/v1/tail"); status != want || !strings.Contains(body, err.Error()) {
			t.Errorf("%v: %d %s", err, status, body)
		}
	}
}

func TestStopEndsAnswers(t *testing.T) {
	begun := make(chan struct{})
	h, server := serve(t, func(ctx context.Context, _ feed.Request, yield func(*feed.Event) error) error {
		err := yield(&feed.Event{Cut: &feed.Cut{}})
		close(begun)
		<-ctx.Done()
		return errors.Join(err, ctx.Err())
	})
	go func() {
		<-begun
		h.Stop()
	}()
	if status, body, err := get(t, server.URL+"/api/v1/tail"); status != http.StatusOK || body != "{\"token\":\"w1.AAAAAA\"}\n" || err.Error() != "EOF" {
		t.Errorf("%d %q, ended by %v", status, body, err)
	}
}

func TestReadersAreBounded(t *testing.T) {
	h, server := serve(t, func(context.Context, feed.Request, func(*feed.Event) error) error { return feed.ErrToken })
	for range maxReaders {
		h.places <- struct{}{}
	}
	if status, body, _ := get(t, server.URL+"/api/v1/tail"); status != http.StatusServiceUnavailable || !strings.Contains(body, "256") {
		t.Errorf("%d %s", status, body)
	}
	<-h.places
	if status, _, _ := get(t, server.URL+"/api/v1/tail"); status != http.StatusBadRequest {
		t.Errorf("%d once one has ended", status)
	}
}

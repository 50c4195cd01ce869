package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"weir/test/harness"
)

// system is a server under measurement: a process of its own on a new folder,
// fed by line protocol at /write.
type system interface {
	name() string
	place() place
	// commit returns when everything that was answered is where the system
	// keeps it for good. Its CPU until then is the cost of intake.
	commit(ctx context.Context) error
	// merge returns when the system has brought what it keeps together.
	merge(ctx context.Context) error
	// stop ends the process and lets it put down what it holds.
	stop() error
	reader
}

// place is where a system runs.
type place struct {
	url    string // without a slash at the end
	pid    int
	folder string
}

// weir is the program under test.
type weir struct {
	server *harness.Server
	client *harness.Client
	quiet  time.Duration // for how long nothing may change until merging counts as done
}

func startWeir(t testing.TB, quiet time.Duration) system {
	t.Helper()
	server := harness.NewServer(t)
	return &weir{server: server, client: server.Up(t), quiet: quiet}
}

func (w *weir) name() string { return "Weir" }

func (w *weir) place() place { return place{w.server.URL(), w.server.PID(), w.server.Data} }

// commit waits until the ledger says that nothing is in flight: every sample
// is in a synced item that a synced journal names.
func (w *weir) commit(ctx context.Context) error {
	_, err := w.client.Settled(ctx, 2*time.Minute)
	return err
}

// merge waits until the counts of merging and sweeping have not changed for a
// while that is longer than merge.settle and merge.grace.
func (w *weir) merge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 4*w.quiet)
	defer cancel()
	var last string
	since := time.Now()
	for time.Since(since) < w.quiet {
		answer, err := w.client.Do(ctx, harness.Request{Path: "/metrics"})
		if err != nil {
			return fmt.Errorf("merging did not come to rest: %w", err)
		}
		if now := mergeCounts(answer); now != last {
			last, since = now, time.Now()
		}
		time.Sleep(500 * time.Millisecond)
	}
	if last == "" {
		return errors.New("/metrics has no weir_merge_ line")
	}
	return nil
}

func mergeCounts(metrics harness.Answer) string {
	var counts strings.Builder
	for line := range strings.Lines(string(metrics.Body)) {
		if strings.HasPrefix(line, "weir_merge_") {
			counts.WriteString(line)
		}
	}
	return counts.String()
}

// items gives the bytes of all items that count.
func (w *weir) items(ctx context.Context) (int64, error) {
	var weeks []struct {
		Bytes int64 `json:"bytes"`
	}
	err := w.client.JSON(ctx, "/api/v1/weeks", &weeks)
	n := int64(0)
	for _, week := range weeks {
		n += week.Bytes
	}
	return n, err
}

// again starts the process once more on its folder.
func (w *weir) again(t testing.TB) { w.client = w.server.Up(t) }

func (w *weir) stop() error {
	w.client.Close()
	return w.server.Stop()
}

// atRest gives the bytes of a stopped system's folder. What is only there to
// make the next start fast is left out: VictoriaMetrics saves its caches in
// cache/. The rest counts, Weir's empty queues too.
func atRest(t testing.TB, folder string) int64 {
	t.Helper()
	caches := filepath.Join(folder, "cache")
	if _, err := os.Stat(caches); err != nil {
		return folderSize(t, folder)
	}
	return folderSize(t, folder) - folderSize(t, caches)
}

// fetch sends a GET and gives the body of a 200 with the time from the first
// byte sent to the last one received.
func fetch(ctx context.Context, url string) ([]byte, time.Duration, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, 0, err
	}
	request.Header.Set("Accept-Encoding", "identity") // packing the answer is no part of the query
	began := time.Now()
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, 0, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	took := time.Since(began)
	if err != nil {
		return nil, 0, fmt.Errorf("GET %s: %w", url, err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, 0, fmt.Errorf("GET %s: %s %.500s", url, answer.Status, body)
	}
	return body, took, nil
}

// jsonLines calls visit with each line of a body, decoded.
func jsonLines[T any](body []byte, visit func(T) error) error {
	for text := range strings.Lines(string(body)) {
		var one T
		if err := json.Unmarshal([]byte(text), &one); err != nil {
			return fmt.Errorf("%w in %.200s", err, text)
		}
		if err := visit(one); err != nil {
			return err
		}
	}
	return nil
}

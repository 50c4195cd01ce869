package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"weir/test/harness"
)

func TestKinds(t *testing.T) {
	server, c := start(t, flushSoon()...)

	t.Run("an int enters a float series", func(t *testing.T) {
		write(t, c, "mixed value=1.5 1\n")
		settled(t, c)
		write(t, c, "mixed value=2i 2\n")
		post(t, c, "/api/v1/samples", `{"metric":"mixed","time":3,"value":3,"kind":"int64"}`, http.StatusNoContent)
		expect(t, c, "mixed", "mixed{} 1=1.5 2=2 3=3")
	})

	t.Run("an int that no float64 equals does not", func(t *testing.T) {
		p := explained(t, post(t, c, "/write", "mixed value=9007199254740993i 4\n", http.StatusBadRequest))
		if len(p.Errors) != 1 || !strings.Contains(p.Errors[0].Reason, "9007199254740993") {
			t.Errorf("%+v", p)
		}
		expect(t, c, "mixed", "mixed{} 1=1.5 2=2 3=3")
	})

	t.Run("another kind is rejected once the series is known", func(t *testing.T) {
		write(t, c, "fixed value=1i 1\n")
		settled(t, c)
		for _, value := range []string{"2.5", "true", `"text"`} {
			p := explained(t, post(t, c, "/write", "fixed value="+value+" 2\n", http.StatusBadRequest))
			if len(p.Errors) != 1 || !strings.Contains(p.Errors[0].Reason, "int64") {
				t.Errorf("%s: %+v", value, p)
			}
		}
		expect(t, c, "fixed", "fixed{} 1=1")
	})

	t.Run("a kind is kept over weeks", func(t *testing.T) {
		write(t, c, "lasting value=1i 1\n")
		settled(t, c)
		explained(t, post(t, c, "/write", "lasting value=true 1700000000000000000\n", http.StatusBadRequest))
	})

	t.Run("a kind is kept over a restart", func(t *testing.T) {
		if err := server.Stop(); err != nil {
			t.Fatal(err)
		}
		c := server.Up(t, flushSoon()...)
		explained(t, post(t, c, "/write", "fixed value=true 3\n", http.StatusBadRequest))
		expect(t, c, "fixed", "fixed{} 1=1")
	})
}

// refused is a line of /api/v1/quarantine.
type refused struct {
	Metric string            `json:"metric"`
	Kind   string            `json:"kind"`
	Times  []int64           `json:"times"`
	Values []json.RawMessage `json:"values"`
	Reason string            `json:"reason"`
}

// Two clients send two kinds for one new series at once. Whoever loses is
// rejected in the answer, or, after a 204, found in the quarantine with the
// reason. Nothing is lost.
func TestTwoKindsAtOnce(t *testing.T) {
	_, c := start(t, flushSoon()...)
	const rounds = 40
	accepted := map[string]int{} // answered 204, by series and value
	var mu sync.Mutex
	for i := range rounds {
		metric := fmt.Sprintf("race_%d", i)
		var both sync.WaitGroup
		for at, value := range []string{`"text"`, "true"} {
			both.Go(func() {
				answer, err := c.Post(t.Context(), "/write", harness.Identity, fmt.Appendf(nil, "%s value=%s %d\n", metric, value, at))
				switch {
				case err != nil:
					t.Error(err)
				case answer.Status == http.StatusNoContent:
					mu.Lock()
					accepted[metric+" "+value]++
					mu.Unlock()
				case answer.Status == http.StatusBadRequest:
					p := explained(t, answer)
					if len(p.Errors) != 1 || p.Accepted != 0 {
						t.Errorf("%+v", p)
					}
				default:
					t.Error(answer)
				}
			})
		}
		both.Wait()
	}
	ledger := settled(t, c)
	found := map[string]int{}
	stored := 0
	for _, line := range read(t, c, `{__name__=~"race_.*"}`) {
		for _, value := range line.Values {
			found[line.Metric+" "+string(value)]++
			stored++
		}
	}
	quarantined := quarantine(t, c, found)
	for sample, n := range accepted {
		if found[sample] != n {
			t.Errorf("%s was answered 204 and is there %d times", sample, found[sample])
		}
	}
	if len(found) != len(accepted) {
		t.Errorf("%d samples accepted, %d found", len(accepted), len(found))
	}
	if int(ledger.Accepted) != len(accepted) || int(ledger.Stored) != stored || int(ledger.Quarantined) != quarantined {
		t.Errorf("ledger %+v; stored %d, quarantined %d", ledger, stored, quarantined)
	}
	t.Logf("%d of %d losers went to the quarantine, the others were rejected", quarantined, rounds)
}

// quarantine adds what is in the quarantine to what was found.
func quarantine(t *testing.T, c *harness.Client, found map[string]int) int {
	t.Helper()
	answer, err := c.Do(t.Context(), harness.Request{Path: "/api/v1/quarantine"})
	if err != nil || answer.Status != http.StatusOK {
		t.Fatal(answer, err)
	}
	n := 0
	for text := range strings.Lines(string(answer.Body)) {
		var line refused
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("%v in %q", err, text)
		}
		if line.Reason == "" {
			t.Errorf("no reason: %s", text)
		}
		for _, value := range line.Values {
			found[line.Metric+" "+string(value)]++
			n++
		}
	}
	return n
}

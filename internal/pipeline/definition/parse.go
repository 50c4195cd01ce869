package definition

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"go.yaml.in/yaml/v4"
)

// Limits of a definition.
const (
	maxText        = 64 << 10
	maxName        = 64
	maxSteps       = 32
	maxConcurrency = 100
	maxAttempts    = 100
)

// Parser reads definitions.
type Parser struct {
	// Checks judges the steps' parameters.
	Checks Checks
	// Now is from when on the schedule is looked over for ticks in hours that
	// a change of clocks skips; the zero time looks for none.
	Now time.Time
}

// Parse reads a definition of a file's name. The error is *Faults.
func (p Parser) Parse(file string, text []byte) (Definition, error) {
	r := &reader{}
	sum := sha256.Sum256(text)
	d := Definition{Text: string(text), Hash: hex.EncodeToString(sum[:16])}
	if len(text) > maxText {
		r.fault(place{}, "the definition has %d bytes; the limit is %d", len(text), maxText)
	} else if n := r.document(text); n != nil {
		r.definition(n, &d)
		r.lookOver(d, p)
	}
	if len(r.faults) > 0 {
		return Definition{}, &Faults{file, r.sorted()}
	}
	return d, nil
}

// document gives the root of the text's one document.
func (r *reader) document(text []byte) *yaml.Node {
	var node, more yaml.Node
	documents := yaml.NewDecoder(bytes.NewReader(text))
	switch err := documents.Decode(&node); {
	case errors.Is(err, io.EOF) || err == nil && len(node.Content) == 0:
		r.fault(place{}, "the definition is empty; begin with \"pipeline: NAME\"")
		return nil
	case err != nil:
		r.syntax(err)
		return nil
	}
	switch err := documents.Decode(&more); {
	case err == nil:
		r.fault(placeOf(&more), "a second document begins; give each pipeline a file of its own")
	case !errors.Is(err, io.EOF):
		r.syntax(err)
	}
	return node.Content[0]
}

func (r *reader) definition(n *yaml.Node, d *Definition) {
	f, ok := r.mapping(n, "the definition", "pipeline", "schedule", "delay", "backfill", "concurrency",
		"retries", "timeout", "late_after", "rerun_stale", "when", "steps")
	if !ok {
		return
	}
	r.require(f, "pipeline", "steps")
	d.Name = parsed(r, f, "pipeline", "", parseName)
	if f.has("schedule") {
		r.schedule(f.values["schedule"], d)
	}
	d.Delay = parsed(r, f, "delay", 0, ParseDuration)
	d.Backfill = parsed(r, f, "backfill", Backfill{All: true}, parseBackfill)
	d.Concurrency = parsed(r, f, "concurrency", 1, upTo(maxConcurrency))
	d.Retries = r.retries(f)
	d.Timeout = parsed(r, f, "timeout", time.Hour, parseLength)
	d.LateAfter = parsed(r, f, "late_after", 0, parseLength)
	d.RerunStale = parsed(r, f, "rerun_stale", false, parseBool)
	if f.has("when") {
		if when, ok := r.mapping(f.values["when"], "when", "watermark"); ok {
			d.Watermark = parsed(r, when, "watermark", false, parseBool)
		}
	}
	if f.has("steps") {
		r.steps(f.values["steps"], d)
	}
}

func (r *reader) retries(f fields) Retries {
	unset := Retries{Attempts: 3, Backoff: 10 * time.Second, Most: 5 * time.Minute}
	if !f.has("retries") {
		return unset
	}
	g, ok := r.mapping(f.values["retries"], "retries", "attempts", "backoff", "most")
	if !ok {
		return unset
	}
	set := Retries{
		Attempts: parsed(r, g, "attempts", unset.Attempts, upTo(maxAttempts)),
		Backoff:  parsed(r, g, "backoff", unset.Backoff, parseLength),
	}
	set.Most = parsed(r, g, "most", max(unset.Most, set.Backoff), parseLength)
	if set.Most < set.Backoff {
		r.fault(g.at("most"), "most: the longest pause, %s, is less than the first, %s; raise it", set.Most, set.Backoff)
	}
	return set
}

// lookOver judges what can only be seen where the schedule, or a step, is right in
// itself.
func (r *reader) lookOver(d Definition, p Parser) {
	if !p.Now.IsZero() && d.Schedule.sound {
		if err := d.Schedule.checkClocks(p.Now); err != nil {
			r.fault(d.Schedule.place, "%v", err)
		}
	}
	for _, s := range d.Steps {
		if s.ImportHistory != nil && d.Schedule.Every != (Period{}) && d.Schedule.Every.length() < 7*Day {
			r.fault(s.places[string(s.Kind)], "step %q takes whole weeks, from Monday to Monday in UTC, and none lies in a window of less: give it a pipeline of its own, with every: 1w and a Monday's midnight as start", s.Name)
		}
		check := p.Checks[s.Kind]
		if check == nil || !s.sound {
			continue
		}
		if err := check(s); err != nil {
			at := s.places[string(s.Kind)]
			var key *KeyError
			if errors.As(err, &key) {
				if p, ok := s.places[string(s.Kind)+"."+key.Key]; ok {
					at = p
				}
			}
			r.fault(at, "step %q: %v", s.Name, err)
		}
	}
}

func parseName(text string) (string, error) { return text, CheckName(text) }

// CheckName holds a name against what records' keys, file names and command
// lines can carry.
func CheckName(name string) error {
	bad := len(name) > maxName || name == "" || name[0] == '-'
	for _, c := range []byte(name) {
		bad = bad || c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9')
	}
	if bad {
		return fmt.Errorf("name %.80q: use lower-case letters, digits and '-', at most %d, and not '-' first", name, maxName)
	}
	return nil
}

func parseBackfill(text string) (Backfill, error) {
	switch text {
	case "all":
		return Backfill{All: true}, nil
	case "none":
		return Backfill{}, nil
	}
	d, err := parseLength(text)
	if err != nil {
		return Backfill{}, fmt.Errorf("%q: write all, none, or for how long back windows are made up, such as 2d", text)
	}
	return Backfill{Within: d}, nil
}

// parseLength reads a duration above 0.
func parseLength(text string) (time.Duration, error) {
	d, err := ParseDuration(text)
	if err == nil && d == 0 {
		err = errors.New("it must be more than 0; leave the key out for the default")
	}
	return d, err
}

func parseBool(text string) (bool, error) {
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("%q: write true or false", text)
}

func upTo(most int) func(string) (int, error) {
	return func(text string) (int, error) {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > most {
			return 0, fmt.Errorf("%q: write a number from 1 to %d", text, most)
		}
		return n, nil
	}
}

package erase

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"weir/internal/journal"
	"weir/internal/objects"
	"weir/internal/sample"
)

// ReportVersion is that of reports that this program writes.
const ReportVersion = 1

// State is where an erasure stands.
type State string

// The states.
const (
	Dry        State = "dry run"    // nothing was removed
	Unfinished State = "unfinished" // asked for again it goes on
	Proven     State = "proven"     // all places were read again, and none had any
)

// Report is the record of an erasure: what was asked for, and how much was where.
// It holds no sample, and of the series only hashes once it is proven.
type Report struct {
	Version  int        `json:"version"`
	ID       string     `json:"id"`
	State    State      `json:"state"`
	Selector string     `json:"selector"`
	From     *time.Time `json:"from"` // null: from the first
	To       *time.Time `json:"to"`   // null: to the last
	Asked    time.Time  `json:"asked"`
	Ended    time.Time  `json:"ended,omitzero"` // of the last attempt
	Attempts int        `json:"attempts"`
	Series   []string   `json:"series"`            // SHA-256 of their ids (32 hex digits), in hex
	Pending  []string   `json:"pending,omitempty"` // the ids themselves, until it is proven
	Places   []Count    `json:"places"`
	Notes    []string   `json:"notes"`
	Error    string     `json:"error,omitempty"`
}

// Count is what was in a place.
type Count struct {
	Place   string `json:"place"`
	Unit    string `json:"unit"`
	Found   uint64 `json:"found"`
	Removed uint64 `json:"removed"`
	Left    uint64 `json:"left"` // when it was read again
}

// Left gives how much was found when all was read again.
func (r *Report) Left() (n uint64) {
	for _, c := range r.Places {
		n += c.Left
	}
	return n
}

// found takes a look at all places. What an earlier one found more was removed since.
func (r *Report) found(all []Found) {
	for _, f := range all {
		c := r.place(f)
		c.Found = max(c.Found, f.Count)
		c.Left = f.Count
		c.Removed = c.Found - c.Left
	}
}

func (r *Report) place(f Found) *Count {
	for i := range r.Places {
		if r.Places[i].Place == f.Place {
			return &r.Places[i]
		}
	}
	r.Places = append(r.Places, Count{Place: f.Place, Unit: f.Unit})
	return &r.Places[len(r.Places)-1]
}

// pend notes which series are not proven to be gone.
func (r *Report) pend(t *Target) {
	r.Pending = nil
	for _, m := range t.Series {
		r.Pending = append(r.Pending, m.ID.String())
	}
}

func (e *Eraser) newReport(r *Request) *Report {
	now := e.Now().UTC()
	out := &Report{
		Version: ReportVersion, ID: fmt.Sprintf("%s-%08x", now.Format("20060102T150405Z"), uint32(e.Random())), State: Unfinished,
		Selector: r.Selector, From: timeOf(r.Target.From, math.MinInt64), To: timeOf(r.Target.To, math.MaxInt64),
		Asked: now, Places: []Count{}, Notes: []string{}, Series: []string{},
	}
	out.hash(&r.Target)
	return out
}

func (r *Report) hash(t *Target) {
	for _, m := range t.Series {
		sum := sha256.Sum256([]byte(m.ID.String()))
		if text := hex.EncodeToString(sum[:]); !slices.Contains(r.Series, text) {
			r.Series = append(r.Series, text)
		}
	}
	slices.Sort(r.Series)
}

func timeOf(at, none int64) *time.Time {
	if at == none {
		return nil
	}
	t := time.Unix(0, at).UTC()
	return &t
}

// Times gives the range of an erasure in ns.
func (r *Report) Times() (from, to int64) {
	from, to = Always()
	if r.From != nil {
		from = r.From.UnixNano()
	}
	if r.To != nil {
		to = r.To.UnixNano()
	}
	return from, to
}

// begin writes the record before anything is removed: a new one, or one of the same
// selector and times that is not finished.
func (e *Eraser) begin(ctx context.Context, r *Request) (*Report, error) {
	all, err := e.List(ctx)
	if err != nil {
		return nil, err
	}
	report := e.newReport(r)
	for i := range all {
		if from, to := all[i].Times(); all[i].State == Unfinished && all[i].Selector == r.Selector && from == r.Target.From && to == r.Target.To {
			report = &all[i]
			report.hash(&r.Target)
		}
	}
	report.Attempts++
	report.pend(&r.Target)
	return report, e.save(ctx, report)
}

const recordEnding = ".json"

// save writes a record in the place of what it was.
func (e *Eraser) save(ctx context.Context, r *Report) error {
	body, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	w, err := e.Records.Create(ctx, r.ID+recordEnding)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(append(body, '\n')); err != nil {
		return err
	}
	return w.Close()
}

// List gives the records, oldest first.
func (e *Eraser) List(ctx context.Context) ([]Report, error) {
	all, err := e.Records.List(ctx, "")
	if err != nil {
		return nil, err
	}
	out := []Report{}
	for _, o := range all {
		if !strings.HasSuffix(o.Name, recordEnding) {
			continue
		}
		r, err := e.read(ctx, o.Name)
		if err != nil {
			return nil, fmt.Errorf("erasure %s: %w", o.Name, err)
		}
		out = append(out, *r)
	}
	return out, nil
}

// Get gives a record.
func (e *Eraser) Get(ctx context.Context, id string) (*Report, error) {
	if objects.CheckName(id+recordEnding) != nil || strings.Contains(id, "/") {
		return nil, fmt.Errorf("erasure %q: %w", id, ErrNotFound)
	}
	r, err := e.read(ctx, id+recordEnding)
	if errors.Is(err, objects.ErrNotFound) {
		return nil, fmt.Errorf("erasure %q: %w", id, ErrNotFound)
	}
	return r, err
}

// maxRecord bounds what is read as a record, in bytes.
const maxRecord = 256 << 20

func (e *Eraser) read(ctx context.Context, name string) (*Report, error) {
	r, err := e.Records.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // it was read
	if r.Size() > maxRecord {
		return nil, fmt.Errorf("it has %d bytes: %w", r.Size(), ErrRecord)
	}
	body := make([]byte, r.Size())
	if _, err := r.ReadAt(body, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return parseReport(body)
}

// ErrRecord means that a record is not what was written, or of a newer program.
var ErrRecord = errors.New("record of an erasure can't be read")

func parseReport(body []byte) (*Report, error) {
	r := &Report{}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(r); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	if r.Version < 1 || r.Version > ReportVersion || r.ID == "" {
		return nil, fmt.Errorf("%w: version %d, id %q", ErrRecord, r.Version, r.ID)
	}
	for _, id := range r.Pending {
		if raw, err := hex.DecodeString(id); err != nil || len(raw) != len(sample.SeriesID{}) {
			return nil, fmt.Errorf("%w: series %q", ErrRecord, id)
		}
	}
	return r, nil
}

func isHeld(err error) bool { return errors.Is(err, ErrHeld) || errors.Is(err, journal.ErrPinned) }

package app

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"weir/internal/block"
	"weir/internal/journal"
	"weir/internal/query"
	"weir/internal/sample"
	"weir/internal/store"
)

type weekAnswer struct {
	Week       string     `json:"week"`
	Revision   int        `json:"revision"`
	State      string     `json:"state"`
	Table      string     `json:"table"`
	Partitions int        `json:"partitions"`
	Series     int        `json:"series"`
	Samples    uint64     `json:"samples"`
	Items      int        `json:"items"`
	Bytes      uint64     `json:"bytes"`
	OnDisk     uint64     `json:"on_disk"`
	First      *time.Time `json:"first"`
	Last       *time.Time `json:"last"`
}

func (a *App) serveWeeks(w http.ResponseWriter, r *http.Request) error {
	if err := knownParameters(r); err != nil {
		return err
	}
	weeks, err := a.book.Weeks(r.Context())
	if err != nil {
		return err
	}
	out := []weekAnswer{}
	for _, week := range weeks {
		of, err := a.describeWeek(r.Context(), week)
		if err != nil {
			return err
		}
		out = append(out, of...)
	}
	return answer(w, out)
}

// describeWeek adds up what a week's journals say of its volumes.
func (a *App) describeWeek(ctx context.Context, week sample.Week) ([]weekAnswer, error) {
	record, _, err := a.book.Week(ctx, week)
	if err != nil {
		return nil, err
	}
	volumes, err := a.book.Volumes(ctx, week)
	if err != nil {
		return nil, err
	}
	var out []weekAnswer
	for _, v := range volumes {
		one := weekAnswer{Week: week.String(), Revision: v.Revision, State: string(v.State), Table: v.Table, Partitions: record.Partitions}
		first, last := int64(math.MaxInt64), int64(math.MinInt64)
		for partition := range record.Partitions {
			j := a.book.Journal(store.JournalID{Week: week, Partition: partition})
			if err := j.Refresh(ctx); err != nil {
				return nil, err
			}
			s := j.Snapshot()
			j.View(func(s *journal.State) { one.Series += s.Series() })
			for _, c := range s.Commits {
				if c.Revision != v.Revision {
					continue
				}
				one.Samples += c.Stored()
				if n := len(c.Hours); n > 0 {
					first = min(first, c.Hours[0].Start)
					last = max(last, c.Hours[n-1].Start+int64(time.Hour))
				}
			}
			for n := range s.Items.All() {
				if n.Revision == v.Revision && !v.Gone() {
					one.Items++
					one.Bytes += uint64(n.Bytes)
				}
			}
		}
		if first < last {
			from, to := time.Unix(0, first).UTC(), time.Unix(0, last).UTC()
			one.First, one.Last = &from, &to
		}
		if sizer, ok := a.store.(store.Sizer); ok && !v.Gone() {
			if one.OnDisk, err = sizer.Size(ctx, v.Table); err != nil {
				return nil, err
			}
		}
		out = append(out, one)
	}
	return out, nil
}

// serveQuarantine lists what was accepted and could not be stored, a line a
// series of an item.
func (a *App) serveQuarantine(w http.ResponseWriter, r *http.Request) error {
	if err := knownParameters(r, "match", "start", "end"); err != nil {
		return err
	}
	sel := query.NewSelector()
	if text := r.URL.Query().Get("match"); text != "" {
		var err error
		if sel, err = query.ParseSelector(text); err != nil {
			return badRequest{fmt.Errorf("match: %w", err)}
		}
	}
	start, end := int64(math.MinInt64), int64(math.MaxInt64)
	for name, to := range map[string]*int64{"start": &start, "end": &end} {
		if text := r.URL.Query().Get(name); text != "" {
			t, err := query.ParseTime(text, time.Now().UnixNano())
			if err != nil {
				return badRequest{fmt.Errorf("%s: %w", name, err)}
			}
			*to = t
		}
	}
	if err := a.book.Load(r.Context()); err != nil {
		return err
	}
	lines, begun := json.NewEncoder(w), false
	err := a.eachRefused(r.Context(), func(reason string, s sample.Series, of sample.Sample) error {
		if !sel.MatchesSeries(s) || of.Time < start || of.Time >= end {
			return nil
		}
		if !begun {
			w.Header().Set("Content-Type", "application/x-ndjson")
		}
		begun = true
		return lines.Encode(refusedLine(reason, s, of))
	})
	switch {
	case err != nil && begun:
		a.logger.Error("quarantine not listed to its end", "error", err)
		panic(http.ErrAbortHandler) // the status is sent: a cut connection tells that lines lack
	case err == nil && !begun:
		w.Header().Set("Content-Type", "application/x-ndjson")
	}
	return err
}

type refusedSample struct {
	Metric string            `json:"metric"`
	Tags   map[string]string `json:"tags"`
	Kind   string            `json:"kind"`
	Times  []int64           `json:"times"`
	Values []any             `json:"values"`
	Reason string            `json:"reason"`
}

func refusedLine(reason string, s sample.Series, of sample.Sample) refusedSample {
	return refusedSample{
		Metric: s.Metric, Tags: tagMap(s), Kind: of.Value.Kind.String(),
		Times: []int64{of.Time}, Values: []any{jsonValue(of.Value)}, Reason: reason,
	}
}

func tagMap(s sample.Series) map[string]string {
	out := map[string]string{}
	for _, t := range s.Tags {
		out[t.Name] = t.Value
	}
	return out
}

// jsonValue gives a value as JSON can carry it.
func jsonValue(v sample.Value) any {
	switch v.Kind {
	case sample.Int64:
		return v.Int()
	case sample.Bool:
		return v.Bool()
	case sample.String:
		return v.Text
	}
	switch f := v.Float(); {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "+Inf"
	case math.IsInf(f, -1):
		return "-Inf"
	default:
		return f
	}
}

// eachRefused calls f with each quarantined sample.
func (a *App) eachRefused(ctx context.Context, f func(string, sample.Series, sample.Sample) error) error {
	for _, j := range a.book.Journals() {
		wanted := map[store.ItemKey]string{}
		for _, c := range j.Snapshot().Commits {
			for _, q := range c.Quarantined {
				wanted[c.Key(q.Item)] = q.Reason
			}
		}
		if len(wanted) == 0 {
			continue
		}
		err := eachItem(ctx, a.store, journal.QuarantineTable, wanted, func(reason string, b *block.Batch, run, i int) error {
			s, err := sample.ParseKey([]byte(b.Keys[run-len(b.Handles)]))
			if err != nil {
				return err
			}
			return f(reason, s, sampleOf(b, run, i))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func sampleOf(b *block.Batch, run, i int) sample.Sample {
	return sample.Sample{Time: b.Times[i], Value: b.Value(b.Kinds[run], i), Quality: b.Quality(i)}
}

// eachItem reads the named items of a table and calls f for each sample.
func eachItem[T any](ctx context.Context, tables store.Tables, table string, named map[store.ItemKey]T, f func(T, *block.Batch, int, int) error) error {
	buckets := map[sample.Shard]struct{}{}
	for key := range named {
		buckets[key.Bucket] = struct{}{}
	}
	var b block.Batch
	for bucket := range buckets {
		var failed error
		err := tables.Query(ctx, table, bucket, math.MinInt64, math.MaxInt64, func(item store.Item) bool {
			of, ok := named[item.Key]
			if !ok {
				return true
			}
			if failed = block.Decode(&b, item.Body); failed != nil {
				return false
			}
			for run := range b.Runs() {
				start, end := b.Run(run)
				for i := start; i < end && failed == nil; i++ {
					failed = f(of, &b, run, i)
				}
			}
			return failed == nil
		})
		if err == nil {
			err = failed
		}
		if err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
	}
	return nil
}

// itemSample is one sample of an item as it is written.
type itemSample struct {
	Metric string            `json:"metric"`
	Tags   map[string]string `json:"tags"`
	Time   int64             `json:"time"`
	Value  any               `json:"value"`
	Table  string            `json:"table"`
	Flush  string            `json:"flush"`
}

// DumpItems writes every sample of every item that counts, as written, one
// JSON object a line: what an auditor counts. The instance must not be running
// on the folder.
func DumpItems(ctx context.Context, a *App, w io.Writer) error {
	lines := json.NewEncoder(w)
	for _, j := range a.book.Journals() {
		revisions := map[int]map[store.ItemKey]store.FlushID{}
		for n := range j.Snapshot().Items.All() {
			if revisions[n.Revision] == nil {
				revisions[n.Revision] = map[store.ItemKey]store.FlushID{}
			}
			revisions[n.Revision][n.Key] = n.Key.Flush
		}
		for revision, named := range revisions {
			if err := a.dumpVolume(ctx, lines, j, revision, named); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *App) dumpVolume(ctx context.Context, lines *json.Encoder, j *journal.Journal, revision int, named map[store.ItemKey]store.FlushID) error {
	volume, err := a.book.Volume(ctx, j.ID().Week, revision)
	if err != nil || volume.Gone() {
		return err
	}
	return eachItem(ctx, a.store, volume.Table, named, func(flush store.FlushID, b *block.Batch, run, i int) error {
		var known journal.Registration
		j.View(func(s *journal.State) { known, _ = s.Registration(b.Handles[run]) })
		series, err := sample.ParseKey([]byte(known.Key))
		if err != nil {
			return fmt.Errorf("handle %x of journal %s: %w", b.Handles[run], j.ID(), err)
		}
		s := sampleOf(b, run, i)
		return lines.Encode(itemSample{series.Metric, tagMap(series), s.Time, jsonValue(s.Value), volume.Table, flush.String()})
	})
}

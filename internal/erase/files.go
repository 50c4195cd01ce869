package erase

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"weir/internal/archive"
	"weir/internal/export"
	"weir/internal/journal"
	"weir/internal/objects"
	"weir/internal/result"
	"weir/internal/sample"
	"weir/internal/warehouse"
)

// Names of the places that are files.
const (
	PlaceArchives    = "archives"
	PlaceOldArchives = "archive leftovers" // parts that no record names
	PlaceResults     = "results"
	PlaceExports     = "exports"
	PlaceWarehouse   = "warehouse"
)

// Archives is the archives of all volumes, dropped ones too.
type Archives struct {
	Book     *journal.Book
	Archiver *archive.Archiver
}

var _ Place = (*Archives)(nil)

func (t *Target) ids() (ids []sample.SeriesID) {
	for _, m := range t.Series {
		ids = append(ids, m.ID)
	}
	return ids
}

func (a *Archives) each(ctx context.Context, tell Tell, do func(*journal.VolumeRecord) error) error {
	weeks, err := a.Book.Weeks(ctx)
	if err != nil {
		return err
	}
	for i, week := range weeks {
		tell(uint64(i), uint64(len(weeks)))
		volumes, err := a.Book.Volumes(ctx, week)
		if err != nil {
			return err
		}
		for _, v := range volumes {
			if v.Archive == nil || v.State == journal.VolumeEnded {
				continue // of one that has ended there are only leftovers
			}
			if err := do(&v); err != nil {
				return fmt.Errorf("week %s, revision %d: %w", week, v.Revision, err)
			}
		}
	}
	return nil
}

// Count reads the parts that may hold samples.
func (a *Archives) Count(ctx context.Context, t *Target, tell Tell) ([]Found, error) {
	e := archive.Erasure{Series: t.ids(), From: t.From, To: t.To}
	all := []Found{{PlaceArchives, unitRows, 0}, {PlaceOldArchives, unitRows, 0}}
	err := a.each(ctx, tell, func(v *journal.VolumeRecord) error {
		n, err := a.Archiver.Count(ctx, v, e)
		all[0].Count += n
		return err
	})
	if err == nil {
		all[1].Count, err = a.Archiver.Leftovers(ctx, e, false)
	}
	return all, err
}

// Erase writes archives anew. It comes after Volumes, which waited for all who read
// a table to archive it.
func (a *Archives) Erase(ctx context.Context, t *Target, tell Tell) error {
	e := archive.Erasure{Series: t.ids(), From: t.From, To: t.To}
	err := a.each(ctx, tell, func(v *journal.VolumeRecord) error {
		_, err := a.Archiver.Erase(ctx, journal.VolumeID{Week: v.Week, Revision: v.Revision}, e)
		return err
	})
	if err == nil {
		_, err = a.Archiver.Leftovers(ctx, e, true)
	}
	return err
}

// rows is the target as rows of tables say it.
func (t *Target) rows() *result.Erasure {
	e := &result.Erasure{IDs: map[string]bool{}, Names: map[string]bool{}, From: t.From, To: t.To}
	for _, m := range t.Series {
		e.IDs[m.ID.String()] = true
		e.Names[result.Name(m.Metric, warehouse.Tags(m.Series))] = true
	}
	return e
}

// Runs is the records of runs, as far as they name results.
type Runs interface {
	// Results gives the manifests that steps of runs have handed on.
	Results(ctx context.Context) ([]Handed, error)
	// Replace makes a step hand on another manifest, with so many rows and bytes.
	Replace(ctx context.Context, old Handed, manifest, sum string, m *result.Manifest) error
}

// Handed is a manifest that a step of a run has handed on.
type Handed struct {
	Manifest string // the object's name
	SHA256   string
	Run      any // whose it is, for Replace
}

// Results is the Parquet files of analyses. One that a run names is written anew, and
// the run's record names the new one; one that nobody names is removed where it
// holds rows of the target.
type Results struct {
	Objects objects.Objects
	Runs    Runs
	Attempt func() string // a name that nobody else has
}

var _ Place = (*Results)(nil)

// resultsOf is what there is.
type resultsOf struct {
	handed    map[string][]Handed
	manifests map[string]*result.Manifest
	loose     []string // files that no manifest names
}

const manifestName = "/manifest.json"

func (r *Results) look(ctx context.Context) (*resultsOf, error) {
	handed, err := r.Runs.Results(ctx)
	if err != nil {
		return nil, err
	}
	all, err := r.Objects.List(ctx, "")
	if err != nil {
		return nil, err
	}
	of := &resultsOf{handed: map[string][]Handed{}, manifests: map[string]*result.Manifest{}}
	for _, h := range handed {
		of.handed[h.Manifest] = append(of.handed[h.Manifest], h)
	}
	named := map[string]bool{}
	for _, o := range all {
		if !strings.HasSuffix(o.Name, manifestName) {
			continue
		}
		sum := ""
		if h := of.handed[o.Name]; len(h) > 0 {
			sum = h[0].SHA256
		}
		m, err := result.ReadManifest(ctx, r.Objects, o.Name, sum)
		if errors.Is(err, objects.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("results: %w", err)
		}
		of.manifests[o.Name] = m
		for _, f := range m.Files {
			named[f.Name] = true
		}
	}
	for _, o := range all {
		if strings.HasSuffix(o.Name, ".parquet") && !named[o.Name] {
			of.loose = append(of.loose, o.Name)
		}
	}
	return of, nil
}

// countLoose counts the rows of a file that no manifest names.
func (r *Results) countLoose(ctx context.Context, name string, e *result.Erasure) (uint64, error) {
	columns, f, err := result.Describe(ctx, r.Objects, name)
	if errors.Is(err, objects.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n, _, err := result.CountFile(ctx, r.Objects, columns, &f, e)
	return n, err
}

func (r *Results) countManifest(ctx context.Context, m *result.Manifest, e *result.Erasure) (rows uint64, err error) {
	for i := range m.Files {
		n, _, err := result.CountFile(ctx, r.Objects, m.Columns, &m.Files[i], e)
		if err != nil {
			return rows, err
		}
		rows += n
	}
	return rows, nil
}

// Count reads all files.
func (r *Results) Count(ctx context.Context, t *Target, tell Tell) ([]Found, error) {
	all, e := []Found{{PlaceResults, unitRows, 0}}, t.rows()
	of, err := r.look(ctx)
	if err != nil {
		return all, err
	}
	done := uint64(0)
	for _, name := range slices.Sorted(maps.Keys(of.manifests)) {
		n, err := r.countManifest(ctx, of.manifests[name], e)
		if err != nil {
			return all, fmt.Errorf("results: manifest %s: %w", name, err)
		}
		all[0].Count += n
		done++
		tell(done, uint64(len(of.manifests)))
	}
	for _, name := range of.loose {
		n, err := r.countLoose(ctx, name, e)
		if err != nil {
			return all, fmt.Errorf("results: no manifest names it, so it may be deleted by hand: %w", err)
		}
		all[0].Count += n
	}
	return all, nil
}

// Erase writes results anew. What reads or makes them must have ended, but for what
// began after the sources were erased.
func (r *Results) Erase(ctx context.Context, t *Target, tell Tell) error {
	of, err := r.look(ctx)
	if err != nil {
		return err
	}
	e, done := t.rows(), uint64(0)
	for _, name := range slices.Sorted(maps.Keys(of.manifests)) {
		if err := r.erase(ctx, name, of.manifests[name], of.handed[name], e); err != nil {
			return fmt.Errorf("results: manifest %s: %w", name, err)
		}
		done++
		tell(done, uint64(len(of.manifests)))
	}
	for _, name := range of.loose {
		n, err := r.countLoose(ctx, name, e)
		if err == nil && n > 0 {
			err = r.Objects.Delete(ctx, name)
		}
		if err != nil {
			return fmt.Errorf("results: %w", err)
		}
	}
	return nil
}

func (r *Results) erase(ctx context.Context, name string, m *result.Manifest, handed []Handed, e *result.Erasure) error {
	n, err := r.countManifest(ctx, m, e)
	if err != nil || n == 0 {
		return err
	}
	if len(handed) == 0 {
		return m.Remove(ctx, r.Objects, name, nil)
	}
	next, named, sum, err := result.Erase(ctx, r.Objects, name, m, r.Attempt(), e)
	if err != nil {
		return err
	}
	for _, h := range handed {
		if err := r.Runs.Replace(ctx, h, named, sum, next); err != nil {
			return err
		}
	}
	return m.Remove(ctx, r.Objects, name, next)
}

// Exports is the files that were given away, as far as they are here still.
type Exports struct {
	Objects objects.Objects
}

var _ Place = (*Exports)(nil)

func (x *Exports) each(ctx context.Context, tell Tell, do func(manifest string) error) error {
	manifests, err := export.List(ctx, x.Objects)
	if err != nil {
		return err
	}
	for i, name := range manifests {
		tell(uint64(i), uint64(len(manifests)))
		if err := do(name); err != nil {
			return fmt.Errorf("exports: %w", err)
		}
	}
	return nil
}

// Count reads all files that say whose their rows are.
func (x *Exports) Count(ctx context.Context, t *Target, tell Tell) ([]Found, error) {
	all, e := []Found{{PlaceExports, unitRows, 0}}, t.rows()
	err := x.each(ctx, tell, func(manifest string) error {
		n, _, err := export.CountErasable(ctx, x.Objects, manifest, e)
		all[0].Count += n
		return err
	})
	return all, err
}

// Erase writes files anew under their own names.
func (x *Exports) Erase(ctx context.Context, t *Target, tell Tell) error {
	e := t.rows()
	return x.each(ctx, tell, func(manifest string) error {
		_, err := export.Erase(ctx, x.Objects, manifest, e)
		return err
	})
}

// Unknown gives the files whose rows do not say whose they are.
func (x *Exports) Unknown(ctx context.Context, t *Target) (files []string, err error) {
	e := t.rows()
	err = x.each(ctx, func(uint64, uint64) {}, func(manifest string) error {
		m, err := export.ReadManifest(ctx, x.Objects, manifest)
		if err != nil {
			return err
		}
		if _, known := e.Rule(m.Columns); !known && m.Rows > 0 {
			files = append(files, strings.TrimSuffix(manifest, ".manifest.json"))
		}
		return nil
	})
	return files, err
}

// Warehouse is the warehouse's tables. Table series is emptied of the series too, but
// does not count: it holds no samples, and the next load of a run puts it there again
// as long as it is registered.
type Warehouse struct {
	Warehouse warehouse.Warehouse
}

var _ Place = (*Warehouse)(nil)

// Count counts rows.
func (w *Warehouse) Count(ctx context.Context, t *Target, _ Tell) ([]Found, error) {
	all := []Found{{PlaceWarehouse, unitRows, 0}}
	rows, err := w.Warehouse.Erase(ctx, warehouse.Erasure{Series: t.ids(), From: t.From, To: t.To, Count: true})
	for table, n := range rows {
		if table != warehouse.TableSeries {
			all[0].Count += uint64(n)
		}
	}
	return all, err
}

// Erase removes rows.
func (w *Warehouse) Erase(ctx context.Context, t *Target, _ Tell) error {
	_, err := w.Warehouse.Erase(ctx, warehouse.Erasure{Series: t.ids(), From: t.From, To: t.To})
	return err
}

// Output is what a step that makes a result hands on, as far as an erasure changes it.
// Keys that it does not know stay as they are.
func Output(old json.RawMessage, manifest, sum string, m *result.Manifest) (json.RawMessage, error) {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(old, &all); err != nil {
		return nil, err
	}
	bytes := int64(0)
	for _, f := range m.Files {
		bytes += f.Bytes
	}
	for key, value := range map[string]any{"manifest": manifest, "sha256": sum, "rows": m.Rows, "bytes": bytes} {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		all[key] = text
	}
	return json.Marshal(all)
}

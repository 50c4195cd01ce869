package steps

import (
	"context"
	"encoding/json"
	"fmt"

	"weir/internal/export"
	"weir/internal/pipeline"
	"weir/internal/pipeline/definition"
	"weir/internal/warehouse"
)

// Loaded is what a load step hands on.
type Loaded struct {
	Table   string `json:"table"`
	Rows    uint64 `json:"rows"`
	Applied bool   `json:"applied"` // false: it was loaded before, or a newer revision was
}

func (w *Worker) load(ctx context.Context, t pipeline.Task) (any, error) {
	m, err := w.resultOf(ctx, t, t.Step.Load.From)
	if err != nil {
		return nil, err
	}
	d, err := definition.Parser{}.Parse(t.Pipeline, []byte(t.Text))
	if err != nil {
		return nil, err
	}
	if from, ok := d.Step(t.Step.Load.From); ok && from.Analyse != nil {
		series, err := w.Inputs.Series(ctx, from.Analyse.Select, m.Start, m.End)
		if err == nil {
			err = w.Warehouse.PutSeries(ctx, series)
		}
		if err != nil {
			return nil, err
		}
	}
	applied, err := w.Warehouse.Load(ctx, m, w.Results)
	return Loaded{Table: m.Table, Rows: m.Rows, Applied: applied}, damaged(t.Step.Load.From, err)
}

// Exported is what a step that writes a file hands on.
type Exported struct {
	File   string `json:"file"` // below the folder of exports
	Rows   uint64 `json:"rows"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// exportName gives the name of what a step writes, without its ending: the same
// for every attempt.
func exportName(t pipeline.Task, folder string) string {
	return fmt.Sprintf("%s/%s.%s.%s.r%d", folder, t.Pipeline, t.Step.Name, windowName(t.Window), t.Revision)
}

func (w *Worker) export(ctx context.Context, t pipeline.Task) (any, error) {
	format, err := export.ParseFormat(t.Step.Export.Format)
	if err != nil {
		return nil, err
	}
	m, err := w.resultOf(ctx, t, t.Step.Export.From)
	if err != nil {
		return nil, err
	}
	folder := t.Step.Export.Folder
	told, err := export.WriteResult(ctx, w.Exports, exportName(t, folder), format, m, w.Results)
	if err != nil {
		return nil, damaged(t.Step.Export.From, err)
	}
	return Exported{File: folder + "/" + told.File, Rows: told.Rows, Bytes: told.Bytes, SHA256: told.SHA256}, nil
}

func (w *Worker) sql(ctx context.Context, t pipeline.Task) (any, error) {
	format, err := export.ParseFormat(t.Step.SQL.Format)
	if err != nil {
		return nil, err
	}
	rows, err := w.Warehouse.Query(ctx, t.Step.SQL.Statement, w.Limits)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	m := &export.Manifest{
		Version: export.Version, Pipeline: t.Pipeline, Step: t.Step.Name,
		Start: int64(t.Start), End: int64(t.End), Revision: t.Revision, Format: format,
	}
	var names []string
	for _, c := range rows.Columns() {
		names = append(names, c.Name)
	}
	folder := t.Step.SQL.Folder
	if err := export.Write(ctx, w.Exports, exportName(t, folder), m, export.Source{Columns: names, Each: each(rows)}); err != nil {
		return nil, err
	}
	return Exported{File: folder + "/" + m.File, Rows: m.Rows, Bytes: m.Bytes, SHA256: m.SHA256}, nil
}

// each gives the rows of an answer in the words of exports.
func each(rows warehouse.Rows) func(context.Context, func([]any) error) error {
	return func(_ context.Context, yield func([]any) error) error {
		var values []any
		for rows.Next() {
			values = values[:0]
			for _, v := range rows.Values() {
				switch v := v.(type) {
				case warehouse.Number:
					values = append(values, json.Number(v))
				case warehouse.JSON:
					values = append(values, json.RawMessage(v))
				default:
					values = append(values, v)
				}
			}
			if err := yield(values); err != nil {
				return err
			}
		}
		return rows.Err()
	}
}

// Archived is what an archive step hands on.
type Archived struct {
	Weeks   []string `json:"weeks"`
	Dropped bool     `json:"dropped"`
}

func (w *Worker) archive(ctx context.Context, t pipeline.Task) (any, error) {
	before := t.End.Time().Add(-t.Step.Archive.OlderThan)
	weeks, err := w.Archiver.Ended(ctx, before)
	if err != nil {
		return nil, err
	}
	out := Archived{Weeks: []string{}, Dropped: t.Step.Archive.Drop}
	for _, week := range weeks {
		err := w.Archiver.Archive(ctx, week)
		if err == nil && t.Step.Archive.Drop {
			err = w.Archiver.Drop(ctx, t.RunKey, week)
		}
		if err != nil {
			return nil, fmt.Errorf("week %s: %w", week, err)
		}
		out.Weeks = append(out.Weeks, week.String())
	}
	return out, nil
}

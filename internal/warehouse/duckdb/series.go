//go:build cgo

package duckdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"errors"

	client "github.com/duckdb/duckdb-go/v2"

	"weir/internal/warehouse"
)

// PutSeries puts series into table series.
func (d *Driver) PutSeries(ctx context.Context, series []warehouse.Series) (err error) {
	ctx, s, err := d.begin(ctx, "put series")
	if err != nil {
		return err
	}
	defer func() {
		s.end(err)
		err = wrap("put series", warehouse.TableSeries, err)
	}()
	if len(series) == 0 {
		return nil
	}
	// A temporary table is the connection's own, which other calls use later.
	const incoming = "incoming"
	_, err = s.conn.ExecContext(ctx, `CREATE OR REPLACE TEMP TABLE incoming (series VARCHAR, metric VARCHAR, tags VARCHAR,
		kind VARCHAR, first_week VARCHAR, last_week VARCHAR)`)
	if err != nil {
		return err
	}
	defer func() {
		_, dropped := s.conn.ExecContext(context.WithoutCancel(ctx), "DROP TABLE IF EXISTS temp.main."+incoming)
		err = errors.Join(err, dropped)
	}()
	if err := s.conn.Raw(func(c any) error { return appendSeries(c.(driver.Conn), incoming, series) }); err != nil {
		return err
	}
	return d.transact(ctx, s, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `MERGE INTO series AS old
			USING (SELECT series, any_value(metric) AS metric, any_value(tags) AS tags, any_value(kind) AS kind,
				min(first_week) AS first_week, max(last_week) AS last_week FROM temp.main.incoming GROUP BY series) AS new
			ON old.series = new.series
			WHEN MATCHED AND (new.first_week < old.first_week OR new.last_week > old.last_week) THEN UPDATE
				SET first_week = least(old.first_week, new.first_week), last_week = greatest(old.last_week, new.last_week)
			WHEN NOT MATCHED THEN INSERT VALUES (new.series, new.metric, new.tags, new.kind, new.first_week, new.last_week)`)
		return err
	})
}

func appendSeries(c driver.Conn, table string, series []warehouse.Series) error {
	a, err := client.NewAppender(c, "temp", "main", table)
	if err != nil {
		return err
	}
	for _, s := range series {
		id := s.Series.ID()
		err = a.AppendRow(hex.EncodeToString(id[:]), s.Series.Metric, warehouse.Tags(s.Series), s.Kind.String(), s.First.String(), s.Last.String())
		if err != nil {
			break
		}
	}
	return errors.Join(err, a.Close())
}

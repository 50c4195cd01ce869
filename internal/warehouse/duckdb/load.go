//go:build cgo

package duckdb

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"weir/internal/objects"
	"weir/internal/result"
	"weir/internal/warehouse"
)

// key is what a load is recorded under.
type key struct {
	pipeline, step, target string
	start, end             int64
}

// record is a row of table loads.
type record struct {
	key
	revision      int
	rows          uint64
	manifest, cut string
}

// Load puts a result into its table.
func (d *Driver) Load(ctx context.Context, m *result.Manifest, from objects.Objects) (applied bool, err error) {
	err = m.Validate()
	if err == nil {
		err = warehouse.CheckTable(m)
	}
	if errors.Is(err, result.ErrCorrupt) {
		err = fmt.Errorf("%w: %w", warehouse.ErrPart, err)
	}
	if err != nil {
		return false, wrap("load", m.Table, err)
	}
	body, err := json.Marshal(m)
	if err != nil {
		return false, err
	}
	sum := sha256.Sum256(body)
	r := record{key{m.Pipeline, m.Step, m.Table, m.Start, m.End}, m.Revision, m.Rows, hex.EncodeToString(sum[:]), m.Cut}
	return d.apply(ctx, r, application{
		files: m.Files, from: from, judge: judgeColumns(m.Columns),
		change: func(ctx context.Context, tx *sql.Tx, load int64, s *staging) error {
			return replaceRows(ctx, tx, m, load, s)
		},
		recorded: func(ctx context.Context, q queryer) (bool, error) {
			return recorded(ctx, q, "revision >= ?", r)
		},
	})
}

// application is how a load is applied.
type application struct {
	files    []result.File
	from     objects.Objects
	judge    func(described) error
	change   func(ctx context.Context, tx *sql.Tx, load int64, s *staging) error
	recorded func(ctx context.Context, q queryer) (bool, error)
}

// apply stages, checks, and then changes and records in one transaction, unless
// that was done before.
func (d *Driver) apply(ctx context.Context, r record, a application) (applied bool, err error) {
	ctx, s, err := d.begin(ctx, "load")
	if err != nil {
		return false, err
	}
	defer func() {
		s.end(err)
		err = wrap("load", r.target, err)
	}()
	if done, err := a.recorded(ctx, s.conn); err != nil || done {
		return false, err
	}
	staged, err := d.stage(ctx, a.files, a.from)
	if err != nil {
		return false, err
	}
	defer staged.remove()
	if err := staged.check(ctx, s.conn, a.judge); err != nil {
		return false, err
	}
	err = d.transact(ctx, s, func(tx *sql.Tx) error {
		// Another call may have been first.
		if done, err := a.recorded(ctx, tx); err != nil || done {
			return err
		}
		var load int64
		if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(load), 0) + 1 FROM loads").Scan(&load); err != nil {
			return err
		}
		if err := a.change(ctx, tx, load, staged); err != nil {
			return err
		}
		applied = true
		return r.put(ctx, tx, load)
	})
	return applied && err == nil, err
}

// transact changes the tables in one transaction, alone.
func (d *Driver) transact(ctx context.Context, s *session, change func(*sql.Tx) error) error {
	done, err := d.write(ctx)
	if err != nil {
		return err
	}
	defer done()
	tx, err := s.conn.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := change(tx); err != nil {
		return errors.Join(err, ignoreDone(tx.Rollback()))
	}
	return tx.Commit()
}

// ignoreDone leaves out that the transaction has ended, as it has where its
// context did.
func ignoreDone(err error) error {
	if errors.Is(err, sql.ErrTxDone) {
		return nil
	}
	return err
}

// sameLoad finds the records of a key; its arguments are those of key.args.
const sameLoad = "pipeline = ? AND step = ? AND target = ? AND window_start = make_timestamp_ns(?) AND window_end = make_timestamp_ns(?)"

func (k key) args(more ...any) []any {
	return append([]any{k.pipeline, k.step, k.target, k.start, k.end}, more...)
}

func recorded(ctx context.Context, q queryer, condition string, r record) (bool, error) {
	var found bool
	err := q.QueryRowContext(ctx, "SELECT count(*) > 0 FROM loads WHERE "+sameLoad+" AND "+condition, r.args(r.revision)...).Scan(&found)
	return found, err
}

func (r record) put(ctx context.Context, tx *sql.Tx, load int64) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO loads VALUES (?, ?, ?, ?, make_timestamp_ns(?), make_timestamp_ns(?), ?, ?, ?, ?, now()::TIMESTAMP)`,
		load, r.pipeline, r.step, r.target, r.start, r.end, int64(r.revision), int64(r.rows), r.manifest, r.cut)
	return err
}

// replaceRows puts a result's rows in the place of those of the revision before.
func replaceRows(ctx context.Context, tx *sql.Tx, m *result.Manifest, load int64, s *staging) error {
	if err := prepareTable(ctx, tx, m); err != nil {
		return err
	}
	k := key{m.Pipeline, m.Step, m.Table, m.Start, m.End}
	for _, statement := range []string{
		"DELETE FROM " + name(m.Table) + " WHERE load IN (SELECT load FROM loads WHERE " + sameLoad + ")",
		"DELETE FROM loads WHERE " + sameLoad,
	} {
		if _, err := tx.ExecContext(ctx, statement, k.args()...); err != nil {
			return err
		}
	}
	columns, values := make([]string, len(m.Columns)), make([]string, len(m.Columns))
	for i, c := range m.Columns {
		columns[i], values[i] = name(c.Name), fmt.Sprintf("CAST(%s AS %s)", name(c.Name), typeOf(c.Type))
	}
	statement := fmt.Sprintf("INSERT INTO %s (%s, pipeline, revision, step, load) SELECT %s, ?, ?, ?, ? FROM ",
		name(m.Table), strings.Join(columns, ", "), strings.Join(values, ", "))
	for _, p := range s.parts {
		done, err := tx.ExecContext(ctx, statement+p.source(), m.Pipeline, int64(m.Revision), m.Step, load)
		if err != nil {
			return wrongPart(p, err)
		}
		if err := wantRows(done, p); err != nil {
			return err
		}
	}
	return nil
}

func wantRows(done sql.Result, p part) error {
	n, err := done.RowsAffected()
	if err == nil && uint64(n) != p.rows {
		err = partError(p.name, fmt.Errorf("%d rows were read from it, and its manifest says %d", n, p.rows))
	}
	return err
}

//go:build cgo

package duckdb

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	client "github.com/duckdb/duckdb-go/v2"

	"weir/internal/warehouse"
)

// rows is an answer, and the transaction that it is read in.
type rows struct {
	ctx     context.Context
	session *session
	cancel  context.CancelFunc
	begun   bool
	most    int

	answer  *sql.Rows
	columns []warehouse.Column
	readers []reader
	values  []any
	read    int
	err     error
	closed  bool
}

func (r *rows) Columns() []warehouse.Column { return r.columns }
func (r *rows) Values() []any               { return r.values }
func (r *rows) Err() error                  { return r.err }

func (r *rows) Next() bool {
	if r.err != nil || r.closed {
		return false
	}
	if !r.answer.Next() {
		r.err = r.explain(r.answer.Err())
		return false
	}
	if r.read++; r.read > r.most {
		r.err = r.explain(&warehouse.Error{Op: "query", Err: fmt.Errorf("%w: it has more than %d rows", warehouse.ErrLimit, r.most),
			Hint: "add a LIMIT, aggregate, or raise warehouse.max_rows"})
		return false
	}
	if r.values == nil {
		r.values = make([]any, len(r.columns))
	}
	cells := make([]any, len(r.columns))
	for i := range cells {
		cells[i] = &r.values[i]
	}
	if err := r.answer.Scan(cells...); err != nil {
		r.err = r.explain(err)
		return false
	}
	for i, v := range r.values {
		if v != nil {
			r.values[i] = r.readers[i](v)
		}
	}
	return true
}

// Close rolls the transaction back.
func (r *rows) Close() error {
	r.end(r.err)
	return nil
}

func (r *rows) end(err error) {
	if r.closed {
		return
	}
	r.closed = true
	if r.answer != nil {
		_ = r.answer.Close()
	}
	if r.begun {
		// The connection is used again, and the query's time may be over.
		_, failed := r.session.conn.ExecContext(context.WithoutCancel(r.ctx), "ROLLBACK")
		err = errors.Join(err, failed)
	}
	r.session.end(err)
	r.cancel()
}

// explain gives the port's error.
func (r *rows) explain(err error) error {
	if err == nil {
		return nil
	}
	var known *warehouse.Error
	if errors.As(err, &known) {
		return err
	}
	if r.ctx.Err() != nil {
		return r.endError(err)
	}
	e := &warehouse.Error{Op: "query", Err: fmt.Errorf("%w: %w", warehouse.ErrQuery, err)}
	switch {
	case isKind(err, client.ErrorTypeOutOfMemory):
		e.Err, e.Hint = fmt.Errorf("%w: %w", warehouse.ErrLimit, err), "ask for less at once, or raise warehouse.memory"
	case isDiskFull(err), isBroken(err), isKind(err, client.ErrorTypeIO):
		return wrap("query", "", err)
	case errors.Is(err, errChanges):
		e.Hint = "the tables are changed by pipelines alone"
	case says(err, "multi-statement"):
		e.Err, e.Hint = fmt.Errorf("%w: it is not one statement alone", warehouse.ErrQuery), "send one at a time; a PIVOT has to name its values by IN"
	case isKind(err, client.ErrorTypePermission):
		e.Hint = "a query reads tables, and no files"
	}
	return e
}

// endError says why the query's context ended.
func (r *rows) endError(err error) error {
	var late *timeoutError
	switch cause := context.Cause(r.ctx); {
	case errors.As(cause, &late):
		return &warehouse.Error{Op: "query", Err: fmt.Errorf("%w: %w", warehouse.ErrLimit, late), Hint: "ask for less, or raise warehouse.timeout"}
	case r.session.driver.ctx.Err() != nil:
		return &warehouse.Error{Op: "query", Err: warehouse.ErrClosed}
	default:
		return &warehouse.Error{Op: "query", Err: errors.Join(cause, err)}
	}
}

// reader makes a value of the port's of DuckDB's.
type reader func(any) any

// readAs gives how a column is asked for, and what is made of it then.
func readAs(kind, column string) (string, reader) {
	switch kind {
	case "BOOLEAN", "BIGINT", "UBIGINT", "DOUBLE", "VARCHAR":
		return column, plain
	case "TINYINT", "SMALLINT", "INTEGER", "UTINYINT", "USMALLINT", "UINTEGER":
		return "CAST(" + column + " AS BIGINT)", plain
	case "FLOAT":
		return column, readFloat
	case "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE":
		return column, readTime
	case "HUGEINT", "UHUGEINT", "BIGNUM":
		return "CAST(" + column + " AS VARCHAR)", readNumber
	case "JSON":
		return "CAST(" + column + " AS VARCHAR)", readJSON
	}
	switch {
	case strings.HasPrefix(kind, "DECIMAL("):
		return "CAST(" + column + " AS VARCHAR)", readNumber
	case strings.HasSuffix(kind, "]"), strings.HasPrefix(kind, "STRUCT("), strings.HasPrefix(kind, "MAP("):
		return "CAST(to_json(" + column + ") AS VARCHAR)", readJSON
	}
	return "CAST(" + column + " AS VARCHAR)", plain
}

func plain(v any) any { return v }

func readTime(v any) any {
	if t, ok := v.(time.Time); ok {
		return t.UTC()
	}
	return v
}

// readFloat gives the float64 of the same shortest decimal.
func readFloat(v any) any {
	f, ok := v.(float32)
	if !ok {
		return v
	}
	wide, err := strconv.ParseFloat(strconv.FormatFloat(float64(f), 'g', -1, 32), 64)
	if err != nil {
		return float64(f)
	}
	return wide
}

// readNumber gives digits that JSON takes too: DuckDB writes .5 for 0.5.
func readNumber(v any) any {
	text, ok := v.(string)
	if !ok {
		return v
	}
	sign := ""
	if rest, found := strings.CutPrefix(text, "-"); found {
		sign, text = "-", rest
	}
	if strings.HasPrefix(text, ".") {
		text = "0" + text
	}
	return warehouse.Number(sign + text)
}

// readJSON gives text as it is where it is no JSON, as that of a list with NaN.
func readJSON(v any) any {
	text, ok := v.(string)
	if !ok || !json.Valid([]byte(text)) {
		return v
	}
	return warehouse.JSON(text)
}

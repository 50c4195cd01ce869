//go:build cgo

package duckdb

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	client "github.com/duckdb/duckdb-go/v2"

	"weir/internal/warehouse"
)

// Query runs a statement in a transaction that reads only and is rolled back.
func (d *Driver) Query(ctx context.Context, statement string, l warehouse.Limits) (warehouse.Rows, error) {
	limited, cancel := context.WithTimeoutCause(ctx, l.Timeout, &timeoutError{l.Timeout})
	ctx, s, err := d.begin(limited, "query")
	if err != nil {
		cancel()
		return nil, err
	}
	r := &rows{ctx: ctx, session: s, cancel: cancel, most: l.Rows}
	if err := r.run(statement); err != nil {
		err = r.explain(err)
		r.end(err)
		return nil, err
	}
	return r, nil
}

// timeoutError is why a query's context ended.
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string { return fmt.Sprintf("it took longer than %s", e.after) }

// run begins the transaction and the statement.
func (r *rows) run(statement string) error {
	if _, err := r.session.conn.ExecContext(r.ctx, "BEGIN TRANSACTION READ ONLY"); err != nil {
		return err
	}
	r.begun = true
	kind, err := r.examine(statement)
	if err != nil {
		return err
	}
	// DuckDB holds an answer in memory, whole and beyond its limit. So no
	// statement is run as it stands, but those whose answer is short.
	text := statement
	if kind == client.STATEMENT_TYPE_SELECT {
		if text, err = r.bound(statement); err != nil {
			return err
		}
	}
	r.answer, err = r.session.conn.QueryContext(r.ctx, text) //nolint:gocritic,rowserrcheck // end closes it, Next checks it
	if err != nil {
		return err
	}
	if kind == client.STATEMENT_TYPE_SELECT {
		return nil
	}
	names, err := r.answer.Columns()
	for _, column := range names {
		r.columns = append(r.columns, warehouse.Column{Name: column, Type: "VARCHAR"})
		r.readers = append(r.readers, plain)
	}
	return err
}

var errChanges = errors.New("it is none of SELECT, WITH, FROM, VALUES, DESCRIBE, SHOW, SUMMARIZE and EXPLAIN, and others could change something")

// examine prepares the statement and says what kind it is of.
func (r *rows) examine(statement string) (kind client.StmtType, err error) {
	err = r.session.conn.Raw(func(c any) error {
		// Not PrepareContext, which runs all statements but the last.
		prepared, err := c.(*client.Conn).Prepare(statement)
		if err != nil {
			return err
		}
		stmt := prepared.(*client.Stmt)
		defer stmt.Close() //nolint:errcheck // nothing was run
		if kind, err = stmt.StatementType(); err != nil {
			return err
		}
		if kind != client.STATEMENT_TYPE_SELECT && kind != client.STATEMENT_TYPE_EXPLAIN {
			return errChanges
		}
		if stmt.NumInput() > 0 {
			return errors.New("it has parameters, and nothing to put in their place")
		}
		return nil
	})
	return kind, err
}

// bound gives a statement that answers the same, in values that are read as
// they are, and at most one row over the limit.
func (r *rows) bound(statement string) (string, error) {
	source := "query(" + quoted(statement) + ")"
	described, err := r.session.conn.QueryContext(r.ctx, "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM "+source+")")
	if err != nil {
		return "", err
	}
	defer described.Close() //nolint:errcheck // Err tells
	var values, aliases []string
	for described.Next() {
		var c warehouse.Column
		if err := described.Scan(&c.Name, &c.Type); err != nil {
			return "", err
		}
		alias := fmt.Sprintf("c%d", len(r.columns))
		value, read := readAs(c.Type, alias)
		r.columns, r.readers = append(r.columns, c), append(r.readers, read)
		values, aliases = append(values, value), append(aliases, alias)
	}
	if err := described.Err(); err != nil {
		return "", err
	}
	return fmt.Sprintf("SELECT %s FROM (SELECT * FROM %s LIMIT %d) AS answer(%s)",
		strings.Join(values, ", "), source, r.most+1, strings.Join(aliases, ", ")), nil
}

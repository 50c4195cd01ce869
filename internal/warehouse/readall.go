package warehouse

import (
	"context"
	"errors"
	"fmt"
)

// ReadAll reads every row of every table, and gives the error of the first that
// can't be read.
func ReadAll(ctx context.Context, w Warehouse, l Limits) error {
	tables, err := firstColumn(ctx, w, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'main'", l)
	if err != nil {
		return err
	}
	for _, table := range tables {
		if _, err := firstColumn(ctx, w, fmt.Sprintf(`SELECT bit_xor(hash(t)) FROM "%s" AS t`, table), l); err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
	}
	return nil
}

func firstColumn(ctx context.Context, w Warehouse, statement string, l Limits) (column []any, err error) {
	rows, err := w.Query(ctx, statement, l)
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		column = append(column, rows.Values()[0])
	}
	return column, errors.Join(rows.Err(), rows.Close())
}

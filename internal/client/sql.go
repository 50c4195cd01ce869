package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
)

// SQLColumn is a column of an answer of the warehouse.
type SQLColumn struct {
	Name string `json:"name"`
	Type string `json:"type"` // in the warehouse's own words
}

// SQL asks the warehouse. It calls begin once, with the columns, and then row for
// each row, with the JSON of its values, which are valid only during the call.
func (c *Client) SQL(ctx context.Context, statement string, begin func([]SQLColumn) error, row func([]json.RawMessage) error) error {
	body, err := json.Marshal(map[string]string{"sql": statement})
	if err != nil {
		return err
	}
	r := request{method: http.MethodPost, path: "/api/v1/sql", body: bytes.NewReader(body),
		header: map[string]string{"Content-Type": "application/json"}}
	width := -1
	return c.lines(ctx, r, func(w *wireLine) error {
		if w.Columns != nil {
			width = len(w.Columns)
			return begin(w.Columns)
		}
		var values []json.RawMessage
		if err := json.Unmarshal(w.Values, &values); err != nil {
			return fmt.Errorf("a row of the answer can't be read: %w", err)
		}
		if len(values) != width {
			return fmt.Errorf("a row of the answer has %d values for %d columns", len(values), width)
		}
		return row(values)
	})
}

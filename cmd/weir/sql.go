package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"weir/internal/client"
	"weir/internal/output"
)

type sqlFlags struct {
	file string
	rows int
}

func newSQL(g *global) *cobra.Command {
	var f sqlFlags
	cmd := &cobra.Command{
		Use:   "sql STATEMENT | -",
		Short: "Ask the warehouse by SQL",
		Long: `Ask the warehouse by SQL (DuckDB's): one statement, which changes nothing.
Table rollup holds what pipelines made of the samples, series the series,
samples imported history, loads what was loaded when; SHOW TABLES lists all of
them, DESCRIBE names a table's columns. Tags are JSON: tags->>'host'.

With - the statement is read from standard input, with --file from a file.
--output json writes one array of objects; integers and decimals are exact,
times are RFC 3339 in UTC, NaN and infinities are strings.`,
		Example: `  weir sql "select count(*), sum(count) from rollup"
  weir sql "select tags->>'host' as host, max(max) from rollup group by host" --output csv
  weir sql "from loads order by loaded_at desc limit 10"
  weir sql "describe rollup"
  weir sql --file report.sql --output json | jq .`,
		Args:              arguments(cobra.MaximumNArgs(1), "one statement"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			statement, err := statementOf(cmd.InOrStdin(), f.file, args)
			if err != nil {
				return err
			}
			return g.sql(cmd.Context(), statement, f.rows)
		},
	}
	cmd.Flags().StringVar(&f.file, "file", "", "read the statement from a file")
	cmd.Flags().IntVar(&f.rows, "rows", 200, "rows in a table, at most; 0 means all")
	return cmd
}

// statementOf gives the statement that the command line names.
func statementOf(in io.Reader, file string, args []string) (string, error) {
	var text []byte
	var err error
	switch {
	case file != "" && len(args) > 0:
		return "", usagef("give a statement, or --file, but not both")
	case file != "":
		text, err = os.ReadFile(file)
	case len(args) == 0:
		return "", usagef("give a statement, such as weir sql \"select count(*) from rollup\", - to read it from standard input, or --file")
	case args[0] == "-":
		text, err = io.ReadAll(in)
	default:
		text = []byte(args[0])
	}
	if err == nil && strings.TrimSpace(string(text)) == "" {
		return "", usagef("the statement is empty")
	}
	return string(text), err
}

func (g *global) sql(ctx context.Context, statement string, most int) error {
	c, err := g.client()
	if err != nil {
		return err
	}
	switch g.format {
	case output.FormatJSON:
		return g.writeObjects(ctx, c, statement)
	case output.FormatCSV:
		return g.writeRecords(ctx, c, statement)
	}
	return g.showRows(ctx, c, statement, most)
}

// writeObjects writes an array of objects, one a line. An answer that breaks
// off leaves the array open, so that nobody takes it for whole.
func (g *global) writeObjects(ctx context.Context, c *client.Client, statement string) error {
	out := bufio.NewWriter(g.out)
	var names [][]byte
	separator := "[\n"
	err := c.SQL(ctx, statement, func(columns []client.SQLColumn) error {
		for _, column := range columns {
			name, err := json.Marshal(column.Name)
			if err != nil {
				return err
			}
			names = append(names, name)
		}
		return nil
	}, func(values []json.RawMessage) error {
		_, _ = out.WriteString(separator)
		separator = ",\n"
		for i, v := range values {
			before := byte(',')
			if i == 0 {
				before = '{'
			}
			_ = out.WriteByte(before)
			_, _ = out.Write(names[i])
			_ = out.WriteByte(':')
			_, _ = out.Write(v)
		}
		return out.WriteByte('}') // a buffered writer keeps its first error
	})
	if err == nil {
		end := "\n]\n"
		if separator == "[\n" {
			end = "[]\n"
		}
		_, _ = out.WriteString(end)
	}
	return errors.Join(err, out.Flush())
}

func (g *global) writeRecords(ctx context.Context, c *client.Client, statement string) error {
	out := csv.NewWriter(g.out)
	var record []string
	err := c.SQL(ctx, statement, func(columns []client.SQLColumn) error {
		for _, column := range columns {
			record = append(record, column.Name)
		}
		return out.Write(record)
	}, func(values []json.RawMessage) error {
		for i, v := range values {
			record[i] = ""
			if cell := cellOf(v); cell != nil {
				record[i] = fmt.Sprint(cell)
			}
		}
		return out.Write(record)
	})
	out.Flush()
	return errors.Join(err, out.Error())
}

func (g *global) showRows(ctx context.Context, c *client.Client, statement string, most int) error {
	list := &output.Table{Empty: "no rows"}
	err := c.SQL(ctx, statement, func(columns []client.SQLColumn) error {
		for _, column := range columns {
			list.Columns = append(list.Columns, output.Column{Name: column.Name, Title: column.Name, Right: isNumeric(column.Type)})
		}
		return nil
	}, func(values []json.RawMessage) error {
		if most > 0 && len(list.Rows) == most {
			return errEnough
		}
		row := make([]any, len(values))
		for i, v := range values {
			row[i] = cellOf(v)
		}
		list.Rows = append(list.Rows, row)
		return nil
	})
	more := errors.Is(err, errEnough)
	if err != nil && !more {
		return err
	}
	if err := g.print(list); err != nil {
		return err
	}
	if more {
		fmt.Fprintf(g.err, "only the first %d rows are shown: --rows shows more, --output csv or json all\n", most)
	}
	return nil
}

// cellOf gives the text of a JSON value, nil for null.
func cellOf(value json.RawMessage) any {
	value = bytes.TrimSpace(value)
	switch {
	case bytes.Equal(value, []byte("null")):
		return nil
	case len(value) > 0 && value[0] == '"':
		var text string
		if json.Unmarshal(value, &text) == nil {
			return text
		}
	}
	return string(value)
}

func isNumeric(kind string) bool {
	base, _, _ := strings.Cut(kind, "(")
	switch base {
	case "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT",
		"BIGNUM", "FLOAT", "DOUBLE", "DECIMAL":
		return !strings.HasSuffix(kind, "]")
	}
	return false
}

package sql

import (
	"strconv"
	"strings"
	"time"

	"weir/internal/jsonline"
	"weir/internal/sample"
	"weir/internal/warehouse"
)

func appendColumns(dst []byte, columns []warehouse.Column) []byte {
	dst = append(dst, `{"columns":[`...)
	for i, c := range columns {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"name":`...)
		dst = jsonline.AppendText(dst, c.Name)
		dst = append(dst, `,"type":`...)
		dst = jsonline.AppendText(dst, c.Type)
		dst = append(dst, '}')
	}
	return append(dst, "]}\n"...)
}

func appendRow(dst []byte, values []any) []byte {
	dst = append(dst, `{"values":[`...)
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendValue(dst, v)
	}
	return append(dst, "]}\n"...)
}

func appendError(dst []byte, status int, title, detail string) []byte {
	dst = append(dst, `{"error":{"title":`...)
	dst = jsonline.AppendText(dst, title)
	dst = append(dst, `,"status":`...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, `,"detail":`...)
	dst = jsonline.AppendText(dst, detail)
	return append(dst, "}}\n"...)
}

// appendValue appends a value's JSON: integers and decimals exactly, floats in
// the shortest form that reads back equal, times in RFC 3339, and as strings
// what JSON has no number for.
func appendValue(dst []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(dst, "null"...)
	case bool:
		return strconv.AppendBool(dst, v)
	case int64:
		return strconv.AppendInt(dst, v, 10)
	case uint64:
		return strconv.AppendUint(dst, v, 10)
	case float64:
		return jsonline.AppendValue(dst, sample.FloatValue(v))
	case time.Time:
		dst = append(dst, '"')
		dst = v.UTC().AppendFormat(dst, time.RFC3339Nano)
		return append(dst, '"')
	case warehouse.Number:
		return append(dst, v...)
	case warehouse.JSON:
		// Within a value, line ends would break the line.
		return append(dst, strings.NewReplacer("\n", " ", "\r", " ").Replace(string(v))...)
	case string:
		return jsonline.AppendText(dst, v)
	}
	panic("sql: a warehouse gave a value of a type that its port does not name")
}

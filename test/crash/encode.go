package crash

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"time"

	"weir/test/harness"
)

// Body is an attempt as a request.
type Body struct {
	Path     string
	Encoding string
	Bytes    []byte
}

// Encode writes an attempt in one of the ways that clients do.
func Encode(a *Attempt, random *rand.Rand) Body {
	encodings := [...]string{harness.Identity, harness.Identity, harness.Gzip, harness.Zstd}
	body := Body{Encoding: encodings[random.IntN(len(encodings))]}
	switch random.IntN(4) {
	case 0:
		body.Path, body.Bytes = "/api/v1/samples", jsonLines(a)
	case 1:
		body.Path, body.Bytes = "/write?precision=us", lineProtocol(a, int64(time.Microsecond))
	case 2:
		body.Path, body.Bytes = "/api/v2/write?precision=ns", lineProtocol(a, 1)
	default:
		body.Path, body.Bytes = "/write", lineProtocol(a, 1)
	}
	return body
}

// lineProtocol writes the samples of a line together.
func lineProtocol(a *Attempt, precision int64) []byte {
	var out []byte
	const width = lineFields
	for i, s := range a.Samples {
		if i%width == 0 {
			out = append(out, measurement+",lane="+s.Series.Lane+" "...)
		} else {
			out = append(out, ',')
		}
		out = append(out, s.Series.Field+"="+s.Value...)
		if s.Series.Field == "count" {
			out = append(out, 'i')
		}
		if i%width == width-1 {
			out = append(out, ' ')
			out = strconv.AppendInt(out, s.Time/precision, 10)
			out = append(out, '\n')
		}
	}
	return out
}

func jsonLines(a *Attempt) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	for _, s := range a.Samples {
		line := map[string]any{
			"metric": measurement + "_" + s.Series.Field,
			"tags":   map[string]string{"lane": s.Series.Lane},
			"time":   s.Time,
			"value":  json.RawMessage(s.Value),
		}
		if s.Series.Field == "count" {
			line["kind"] = "int64"
		}
		if err := encoder.Encode(line); err != nil {
			panic("crash: a sample has no JSON: " + err.Error())
		}
	}
	return out.Bytes()
}

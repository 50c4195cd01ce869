package query

import (
	"strconv"
	"strings"
	"time"

	"weir/internal/jsonline"
	"weir/internal/sample"
)

// spillEvery is how many samples are appended between two looks at how much
// was gathered.
const spillEvery = 256

// format is a form of select's and aggregate's answers.
type format interface {
	contentType() string
	begin(s *stream)
	points(s *stream, p *Points) error
	// fail appends what tells of an error once the status was sent.
	fail(s *stream, status int, title, detail string)
}

// jsonLines writes one JSON object a line, a line a series.
type jsonLines struct{}

func (jsonLines) contentType() string { return "application/x-ndjson" }
func (jsonLines) begin(*stream)       {}

func (jsonLines) points(s *stream, p *Points) error {
	s.buf = append(s.buf, '{')
	s.buf = jsonline.AppendSeries(s.buf, p.Info.Series, p.Info.Kind)
	err := s.timeArray(p)
	if err == nil {
		err = s.array(`,"values":[`, p, appendValue)
	}
	if err == nil && anyNotGood(p.Qualities) {
		err = s.array(`,"quality":[`, p, func(dst []byte, p *Points, i int) []byte {
			return strconv.AppendUint(dst, uint64(p.Qualities[i]), 10)
		})
	}
	if err != nil {
		return err
	}
	s.buf = append(s.buf, "}\n"...)
	return s.spill()
}

// timeArray appends the array of times, which many lines have in common.
func (s *stream) timeArray(p *Points) error {
	if s.repeat(p.Times) {
		return nil
	}
	at := len(s.buf)
	err := s.array(`,"times":[`, p, func(dst []byte, p *Points, i int) []byte {
		return strconv.AppendInt(dst, p.Times[i], 10)
	})
	s.keep(p.Times, at)
	return err
}

func appendValue(dst []byte, p *Points, i int) []byte { return jsonline.AppendValue(dst, p.value(i)) }

// array appends a JSON array with one element a sample.
func (s *stream) array(opening string, p *Points, element func([]byte, *Points, int) []byte) error {
	s.buf = append(s.buf, opening...)
	for i := range p.Times {
		if i > 0 {
			s.buf = append(s.buf, ',')
		}
		s.buf = element(s.buf, p, i)
		if i%spillEvery == 0 {
			if err := s.spill(); err != nil {
				return err
			}
		}
	}
	s.buf = append(s.buf, ']')
	return nil
}

// fail appends a last line {"error":{…}} that no series can be mistaken for.
// What was begun of a line stays broken off.
func (jsonLines) fail(s *stream, status int, title, detail string) {
	s.buf = append(s.buf, "\n{\"error\":{\"title\":"...)
	s.buf = jsonline.AppendText(s.buf, title)
	s.buf = append(s.buf, `,"status":`...)
	s.buf = strconv.AppendInt(s.buf, int64(status), 10)
	s.buf = append(s.buf, `,"detail":`...)
	s.buf = jsonline.AppendText(s.buf, detail)
	s.buf = append(s.buf, "}}\n"...)
}

func anyNotGood(qualities []sample.Quality) bool {
	for _, q := range qualities {
		if q != sample.Good {
			return true
		}
	}
	return false
}

// csvRows writes CSV (RFC 4180), a row a sample: series, time (RFC 3339, UTC),
// value, quality (a number, 0 for Good).
type csvRows struct{}

func (csvRows) contentType() string { return "text/csv; charset=utf-8; header=present" }

func (csvRows) begin(s *stream) { s.buf = append(s.buf, "series,time,value,quality\r\n"...) }

func (csvRows) points(s *stream, p *Points) error {
	series := appendCSV(nil, p.Info.Series.String())
	for i, t := range p.Times {
		s.buf = append(s.buf, series...)
		s.buf = append(s.buf, ',')
		s.buf = time.Unix(0, t).UTC().AppendFormat(s.buf, time.RFC3339Nano)
		s.buf = append(s.buf, ',')
		if p.Info.Kind == sample.String {
			s.buf = appendCSV(s.buf, p.Texts[i])
		} else {
			s.buf = jsonline.AppendPlain(s.buf, p.value(i))
		}
		s.buf = append(s.buf, ',')
		var quality sample.Quality
		if p.Qualities != nil {
			quality = p.Qualities[i]
		}
		s.buf = strconv.AppendUint(s.buf, uint64(quality), 10)
		s.buf = append(s.buf, "\r\n"...)
		if err := s.spill(); err != nil {
			return err
		}
	}
	return nil
}

// fail appends a row that has no time and no value.
func (csvRows) fail(s *stream, _ int, title, detail string) {
	s.buf = appendCSV(s.buf, "error: "+title+": "+detail)
	s.buf = append(s.buf, ",,,\r\n"...)
}

// appendCSV appends a field, in quotes where it needs them.
func appendCSV(dst []byte, text string) []byte {
	if text != "" && !strings.ContainsAny(text, "\",\r\n") {
		return append(dst, text...)
	}
	dst = append(dst, '"')
	for i := range len(text) {
		if text[i] == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, text[i])
	}
	return append(dst, '"')
}

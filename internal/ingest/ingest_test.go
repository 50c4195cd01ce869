package ingest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/influxdata/line-protocol/v2/lineprotocol"

	"weir/internal/sample"
)

// read takes a whole file, in one batch.
func read(t *testing.T, file string, o Options) (Batch, error) {
	t.Helper()
	r, err := New(strings.NewReader(file), o)
	if err != nil {
		return Batch{}, err
	}
	var b Batch
	if err := r.Next(&b); err != nil && !errors.Is(err, io.EOF) {
		return b, err
	}
	return b, nil
}

func options(change func(*Options)) Options {
	o := Default()
	o.Metric = "m"
	if change != nil {
		change(&o)
	}
	return o
}

func TestRows(t *testing.T) {
	const head = "time,value\n"
	for _, c := range []struct {
		name, file string
		change     func(*Options)
		want       string
		bad        []Bad
	}{
		{"a column named value", head + "1,5\n2,6.50\n", nil, "m value=5 1000000000\nm value=6.50 2000000000\n", nil},
		{"several columns", "date,a,b\n2016-07-01 00:00:00,1,2\n", nil, "m a=1,b=2 1467331200000000000\n", nil},
		{"CRLF, byte order mark, blank lines, no end", "\xef\xbb\xbftime,value\r\n\r\n1,5\r\n\r\n2,6", nil, "m value=5 1000000000\nm value=6 2000000000\n", nil},
		{"quotes", "\"time\",\"a, b\"\n\"1\",\"5\"\n", nil, "m a\\,\\ b=5 1000000000\n", nil},
		{"empty cells", "time,a,b\n1,,2\n2,,\n3,NaN,null\n4,1,\n", nil, "m b=2 1000000000\nm a=1 4000000000\n", nil},
		{"columns without a name are left out", ",time,value\n0,1,5\n", nil, "m value=5 1000000000\n", nil},
		{"semicolons", "time;value\n1;5\n", nil, "m value=5 1000000000\n", nil},
		{"tabs by choice", "time\tva,lue\n1\t5\n", func(o *Options) { o.Delimiter = '\t' }, "m va\\,lue=5 1000000000\n", nil},
		{"ragged rows", head + "1\n2,5\n3,6,7\n", nil, "m value=5 2000000000\n", []Bad{
			{2, "has 1 cells; the header has 2"}, {4, "has 3 cells; the header has 2"},
		}},
		{"forms of numbers", head + "1,+5\n2,.5\n3,5.\n4,-1e3\n5,1E400\n6,0x10\n7,1_000\n8,abc\n9,inf\n", nil,
			"m value=5 1000000000\nm value=0.5 2000000000\nm value=5 3000000000\nm value=-1000 4000000000\n", []Bad{
				{6, `column "value": "1E400" is beyond the largest float64, or infinite`},
				{7, `column "value": "0x10" is no number: is it a tag (--tag-columns), of another kind (--kind), or not wanted (--columns)?`},
				{8, `column "value": "1_000" is no number: is it a tag (--tag-columns), of another kind (--kind), or not wanted (--columns)?`},
				{9, `column "value": "abc" is no number: is it a tag (--tag-columns), of another kind (--kind), or not wanted (--columns)?`},
				{10, `column "value": "inf" is beyond the largest float64, or infinite`},
			}},
		{"a bad cell costs its whole row", "time,a,b\n1,5,x\n", nil, "", []Bad{
			{2, `column "b": "x" is no number: is it a tag (--tag-columns), of another kind (--kind), or not wanted (--columns)?`},
		}},
		{"kinds", "time,i,b,s\n1,-9223372036854775808,true,\"say \"\"a\\b\"\"\"\n2,1.5,,\n3,,maybe,\n4,,,NaN\n5,,,\"\xff\"\n", func(o *Options) {
			o.Kinds = map[string]sample.Kind{"i": sample.Int64, "b": sample.Bool, "s": sample.String}
		}, "m i=-9223372036854775808i,b=true,s=\"say \\\"a\\\\b\\\"\" 1000000000\nm s=\"NaN\" 4000000000\n", []Bad{
			{3, `column "i": "1.5" is no int64`}, {4, `column "b": "maybe" is no bool: write true or false`},
			{6, `column "s": "\xff" is not valid UTF-8`},
		}},
		{"tags and units", "time,site,a,b,c\n1,s 1,2,3,4\n2,,5,,\n", func(o *Options) {
			o.Metric, o.Tags, o.TagColumns = "plant one", []sample.Tag{{Name: "k=", Value: "v,"}}, []string{"site"}
			o.Units = map[string]string{"b": "kWh", "a": "°C"}
		}, `plant\ one,k\==v\,,site=s\ 1,unit=°C a=2 1000000000
plant\ one,k\==v\,,site=s\ 1,unit=kWh b=3 1000000000
plant\ one,k\==v\,,site=s\ 1 c=4 1000000000
plant\ one,k\==v\,,unit=°C a=5 2000000000
`, nil},
		{"tags that line protocol can't carry", "time,k,value\n1,a\\,5\n2,\"a\nb\",5\n4,ok,5\n", func(o *Options) { o.TagColumns = []string{"k"} },
			"m,k=ok value=5 4000000000\n", []Bad{
				{2, `column "k": the cell "a\\" ends in a backslash, which line protocol can't carry in names and tags`},
				{3, `column "k": the cell "a\nb" holds a line break, which line protocol can't carry in names and tags`},
			}},
		{"chosen columns", "time,a,b,note\n1,2,3,hello\n", func(o *Options) { o.Columns = []string{"b"} }, "m b=3 1000000000\n", nil},
		{"another time column", "when,time,value\n5,1,6\n", func(o *Options) { o.Time, o.Columns = "when", []string{"value"} }, "m value=6 5000000000\n", nil},
		{"a quote that is not closed", head + "1,\"5\n2,6\n3,7\n", nil, "m value=6 2000000000\nm value=7 3000000000\n", []Bad{
			{2, "has a quote that is not closed before the file ends"},
		}},
		{"text after a quote", head + "\"1\"x,5\n2,6\n", nil, "m value=6 2000000000\n", []Bad{
			{2, "has text after a closing quote: double the quotes inside a quoted cell"},
		}},
		{"times", head + ",5\nyesterday,5\n1,5\n2026-01-01,5\n", nil, "m value=5 1000000000\n", []Bad{
			{2, `column "time": the time is empty`},
			{3, `column "time": "yesterday" is no time in a form that is known: say which with --time-format`},
			{5, `column "time": "2026-01-01" is no time as a number`},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, err := read(t, c.file, options(c.change))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, string(b.Body)); d != "" {
				t.Errorf("body (-want +got):\n%s", d)
			}
			if d := cmp.Diff(c.bad, b.Bad); d != "" && len(c.bad)+len(b.Bad) > 0 {
				t.Errorf("bad rows (-want +got):\n%s", d)
			}
			if n := strings.Count(string(b.Body), "\n"); n != len(b.Rows) {
				t.Errorf("%d lines, but %d rows are named", n, len(b.Rows))
			}
			if n := len(decode(t, b.Body)); n != b.Samples {
				t.Errorf("%d values, but %d samples are claimed", n, b.Samples)
			}
		})
	}
}

// decode reads line protocol with a decoder that is not ours.
func decode(t *testing.T, body []byte) map[string]string {
	t.Helper()
	d, got := lineprotocol.NewDecoderWithBytes(body), map[string]string{}
	for d.Next() {
		name, err := d.Measurement()
		key := string(name)
		for err == nil {
			var k, v []byte
			if k, v, err = d.NextTag(); k == nil {
				break
			}
			key += fmt.Sprintf(",%q=%q", k, v)
		}
		fields := map[string]string{}
		for err == nil {
			var k []byte
			var v lineprotocol.Value
			if k, v, err = d.NextField(); k == nil {
				break
			}
			fields[string(k)] = v.String()
		}
		at, timeErr := d.Time(lineprotocol.Nanosecond, time.Time{})
		if err != nil || timeErr != nil {
			t.Fatalf("%v, %v in\n%s", err, timeErr, body)
		}
		for k, v := range fields {
			got[fmt.Sprintf("%s %s %d", key, k, at.UnixNano())] = v
		}
	}
	return got
}

func TestLineBreaksInTextsKeepRowNumbersRight(t *testing.T) {
	b, err := read(t, "time,s\n1,\"a\nb\nc\"\n2,d\n", options(func(o *Options) { o.Kinds = map[string]sample.Kind{"s": sample.String} }))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]int{2, 2, 2, 5}, b.Rows); d != "" {
		t.Errorf("rows of the body's lines (-want +got):\n%s", d)
	}
}

func TestHeaderRefusals(t *testing.T) {
	kinds := func(name string) func(*Options) {
		return func(o *Options) { o.Kinds = map[string]sample.Kind{name: sample.Int64} }
	}
	for _, c := range []struct {
		file   string
		change func(*Options)
		want   string
	}{
		{"", nil, "the file is empty"},
		{"a,b\n", nil, "no column is called time, timestamp or date: name the time column with --time; the columns are a, b"},
		{"time,a\n", func(o *Options) { o.Time = "t" }, `no column "t" for the time; its columns are time, a`},
		{"time,a,a\n", nil, `columns 2 and 3 are both called "a"`},
		{"time\n", nil, "no column is left for values"},
		{"time,a\n", kinds("b"), `a unit or kind is given for "b"`},
		{"time,a\n", func(o *Options) { o.Units = map[string]string{"time": "s"} }, `a unit or kind is given for "time"`},
		{"time,a\n", func(o *Options) { o.Units = map[string]string{"a": ""} }, "is empty"},
		{"time,a\n", func(o *Options) { o.TagColumns = []string{"b"} }, `no column "b" for a tag`},
		{"time,a,b\n", func(o *Options) { o.TagColumns = []string{"b", "b"} }, "named twice among the tags"},
		{"time,a\n", func(o *Options) { o.TagColumns = []string{"time"} }, "can't be the time and a tag"},
		{"time,a,b\n", func(o *Options) { o.TagColumns, o.Tags = []string{"b"}, []sample.Tag{{Name: "b", Value: "x"}} }, "for all rows and by a column"},
		{"time,a,unit\n", func(o *Options) { o.TagColumns, o.Units = []string{"unit"}, map[string]string{"a": "x"} }, "by a column and by units"},
		{"time,a\n", func(o *Options) {
			o.Tags, o.Units = []sample.Tag{{Name: "unit", Value: "x"}}, map[string]string{"a": "x"}
		}, "give one of them"},
		{"time,a\n", func(o *Options) { o.Columns = []string{"a", "a"} }, "named twice among the values"},
		{"time,a\n", func(o *Options) { o.Columns = []string{"b"} }, `no column "b" for values`},
		{"time,a\n", func(o *Options) { o.Columns = []string{"time"} }, "can't be a value and the time"},
		{"time,a\\\n", nil, "ends in a backslash"},
		{"time,a,b\\\n", func(o *Options) { o.TagColumns = []string{`b\`} }, "ends in a backslash"},
		{"time,a\n", func(o *Options) { o.Metric = "" }, "name is empty"},
		{"time,a\n", func(o *Options) { o.Metric = "#m" }, "begin with #"},
		{"time,a\n", func(o *Options) { o.Tags = []sample.Tag{{Name: "k", Value: "a\nb"}} }, "line break"},
		{"time,a\n", func(o *Options) { o.TimeFormat = "moonphase" }, "use one of auto, rfc3339"},
		{"time,a\n", func(o *Options) { o.BatchLines = 0 }, "at least one line"},
		{"\xff\xfet\x00", nil, "UTF-16"},
		{"\x1f\x8b\x08", nil, "compressed"},
		{"\"time,a\n", nil, "header: line 1 has a quote that is not closed"},
		{"time,a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v\n", func(o *Options) { o.Time = "x" }, "and 3 more"},
	} {
		if _, err := read(t, c.file, options(c.change)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: want an error with %q, got %v", c.file, c.want, err)
		}
	}
}

func TestBatchesAreBoundedAndWhole(t *testing.T) {
	var file strings.Builder
	file.WriteString("time,value\n")
	for i := range 1000 {
		if i%10 == 3 {
			file.WriteString("bad\n")
		}
		fmt.Fprintf(&file, "%d,%d\n", i, i)
	}
	for _, change := range []func(*Options){
		func(o *Options) { o.BatchLines = 7 }, func(o *Options) { o.BatchBytes = 50 }, nil,
	} {
		o := options(change)
		r, err := New(strings.NewReader(file.String()), o)
		if err != nil {
			t.Fatal(err)
		}
		var b Batch
		samples, bad, last := 0, 0, 1
		for {
			err := r.Next(&b)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil || len(b.Rows)+len(b.Bad) > o.BatchLines || len(b.Body) > o.BatchBytes+100 {
				t.Fatalf("a batch of %d lines, %d bytes: %v", len(b.Rows), len(b.Body), err)
			}
			for _, row := range b.Rows {
				if row <= last {
					t.Fatalf("row %d follows %d", row, last)
				}
				last = row
			}
			samples, bad = samples+b.Samples, bad+len(b.Bad)
		}
		if samples != 1000 || bad != 100 || r.Rows() != 1100 {
			t.Errorf("%d samples and %d bad in %d rows", samples, bad, r.Rows())
		}
		if r.TimeColumn() != "time" || len(r.ValueColumns()) != 1 {
			t.Errorf("columns %q, %q", r.TimeColumn(), r.ValueColumns())
		}
	}
}

// A reader that breaks must not look like a file that ends.
func TestReadErrorsAreNotTheEnd(t *testing.T) {
	for _, broken := range []error{errors.New("the disk is gone"), fmt.Errorf("connection lost: %w", io.EOF)} {
		for _, file := range []string{"time,value\n1,5\n2,", "time,value\n1,5\n2,\"6"} {
			r, err := New(io.MultiReader(strings.NewReader(file), errorReader{broken}), options(nil))
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Next(&Batch{}); err == nil || errors.Is(err, io.EOF) || !strings.Contains(err.Error(), broken.Error()) {
				t.Errorf("%q, %v: %v", file, broken, err)
			}
		}
	}
}

type errorReader struct{ err error }

func (e errorReader) Read([]byte) (int, error) { return 0, e.err }

// The project's public data, where it is at hand.
func TestRealFiles(t *testing.T) {
	roots := []string{"../../examples/data", "../../../shared/data"}
	found := 0
	for _, root := range roots {
		if found > 0 {
			break
		}
		files, _ := filepath.Glob(filepath.Join(root, "nab/*/*.csv"))
		more, _ := filepath.Glob(filepath.Join(root, "*/ETTh1.csv"))
		top, _ := filepath.Glob(filepath.Join(root, "ETTh1.csv"))
		for _, path := range append(append(files, more...), top...) {
			found++
			body, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			rows := strings.Count(strings.TrimSpace(string(body)), "\n")
			o := options(func(o *Options) { o.Metric, o.BatchLines, o.BatchBytes = Stem(path), 1<<20, 1<<30 })
			b, err := read(t, string(body), o)
			columns := strings.Count(string(body[:strings.IndexByte(string(body), '\n')]), ",")
			if err != nil || len(b.Bad) > 0 || b.Samples != rows*columns {
				t.Errorf("%s: %d samples of %d rows of %d columns, %d bad: %v", path, b.Samples, rows, columns, len(b.Bad), err)
			}
		}
	}
	if found == 0 {
		t.Skip("no data folder is at hand")
	}
}

package jsonl

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"weir/internal/gateway/intake"
	"weir/internal/sample"
)

// collector keeps what a decoder gives, in words.
type collector struct {
	emitted  []string
	rejected []string
	fault    *intake.Fault // the last one
	refuse   error
}

func (c *collector) Emit(series string, s sample.Sample) error {
	if c.refuse != nil {
		return c.refuse
	}
	c.emitted = append(c.emitted, words(series, s))
	return nil
}

func (c *collector) Reject(line int, err error) {
	if !errors.As(err, &c.fault) {
		panic(err)
	}
	c.rejected = append(c.rejected, fmt.Sprintf("%d: %v", line, err))
}

func words(series string, s sample.Sample) string {
	text := fmt.Sprintf("%s %s @%d", series, valueText(s.Value), s.Time)
	if s.Quality != sample.Good {
		text += fmt.Sprintf(" q%d", s.Quality)
	}
	return text
}

func valueText(v sample.Value) string {
	switch v.Kind {
	case sample.Float64:
		return strconv.FormatFloat(v.Float(), 'g', -1, 64)
	case sample.Int64:
		return strconv.FormatInt(v.Int(), 10) + "i"
	case sample.Bool:
		return strconv.FormatBool(v.Bool())
	}
	return strconv.Quote(v.Text)
}

// bySeries resolves a key to the series' text; ParseKey takes no key but the
// canonical one.
func bySeries(key []byte) (string, error) {
	s, err := sample.ParseKey(key)
	return s.String(), err
}

const now = 1_767_571_200_123_456_789

func decode(body string, o Options) *collector {
	c := new(collector)
	New(bySeries, o).Decode([]byte(body), now, c)
	return c
}

func TestDecodeAcceptsAnObject(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`{"metric":"cpu","value":1.5}`, `cpu 1.5 @1767571200123456789`},
		{`{"metric":"cpu","tags":{"b":"2","a":"1"},"time":7,"value":1,"quality":0,"kind":"float64"}`, `cpu{a="1",b="2"} 1 @7`},
		{`{"kind":"int64","value":1,"tags":{},"metric":"cpu","time":"7"}`, `cpu 1i @7`},
		{`{"metric":"m","time":"2026-01-05T00:00:00Z","value":1}`, `m 1 @1767571200000000000`},
		{`{"metric":"m","time":"2026-01-05T01:30:00.123456789+01:30","value":1}`, `m 1 @1767571200123456789`},
		{`{"metric":"m","time":"1969-12-31T23:59:59.999999999Z","value":1}`, `m 1 @-1`},
		{`{"metric":"m","time":-1,"value":1}`, `m 1 @-1`},
		{`{"metric":"m","time":"-9223372036854775808","value":1}`, `m 1 @-9223372036854775808`},
		{`{"metric":"m","time":9223372036854775807,"value":1}`, `m 1 @9223372036854775807`},
		{`{"metric":"m","time":"2262-04-11T23:47:16.854775807Z","value":1}`, `m 1 @9223372036854775807`},
		{`{"metric":"m","time":7,"value":9223372036854775807,"kind":"int64"}`, `m 9223372036854775807i @7`},
		{`{"metric":"m","time":7,"value":-9223372036854775808,"kind":"int64"}`, `m -9223372036854775808i @7`},
		{`{"metric":"m","time":7,"value":-0,"kind":"int64"}`, `m 0i @7`},
		{`{"metric":"m","time":7,"value":-0}`, `m -0 @7`},
		{`{"metric":"m","time":7,"value":9007199254740993}`, `m 9.007199254740992e+15 @7`},
		{`{"metric":"m","time":7,"value":1E+2}`, `m 100 @7`},
		{`{"metric":"m","time":7,"value":4.9e-324}`, `m 5e-324 @7`},
		{`{"metric":"m","time":7,"value":true}`, `m true @7`},
		{`{"metric":"m","time":7,"value":false,"kind":"bool"}`, `m false @7`},
		{`{"metric":"m","time":7,"value":"NaN"}`, `m "NaN" @7`},
		{`{"metric":"m","time":7,"value":"NaN","kind":"float64"}`, `m NaN @7`},
		{`{"metric":"m","time":7,"value":"+Inf","kind":"float64"}`, `m +Inf @7`},
		{`{"metric":"m","time":7,"value":"Inf","kind":"float64"}`, `m +Inf @7`},
		{`{"metric":"m","time":7,"value":"-Inf","kind":"float64"}`, `m -Inf @7`},
		{`{"metric":"m","time":7,"value":"","kind":"string"}`, `m "" @7`},
		{`{"metric":"m","time":7,"value":1,"quality":4294967295}`, `m 1 @7 q4294967295`},
		{`{"metric":"m","tags":{"a":"","b":"1"},"time":7,"value":1}`, `m{b="1"} 1 @7`},
		{`{"m\u0065tric":"\u00e9\ud83d\ude00\/\\\"\b\f\n\r\t","time":7,"value":"\u0000"}`, "é😀/\\\"\b\f\n\r\t \"\\x00\" @7"},
		{"\ufeff \t\r\n{ \"metric\" : \"m\" , \"time\" : 7 , \"value\" : 1 } \n", `m 1 @7`},
		{"{\"metric\":\"m\",\"time\":7,\"value\":1}\x20", `m 1 @7`},
	} {
		for _, form := range []string{"%s", "[%s]", " [ %s ] ", "%s\n\n"} {
			body := strings.ReplaceAll(form, "%s", c.body)
			if strings.HasPrefix(c.body, "\ufeff") && form != "%s" {
				continue
			}
			got := decode(body, Options{})
			if len(got.rejected) > 0 || len(got.emitted) != 1 || got.emitted[0] != c.want {
				t.Errorf("%s: emitted %q, rejected %q; want %q", body, got.emitted, got.rejected, c.want)
			}
		}
	}
}

// What is wrong with one object, in each form of a body, leaves those around
// it alone.
func TestDecodeRejectsAnObject(t *testing.T) {
	for _, c := range []struct{ body, want string }{
		{`{}`, `column 1: the key "metric" is missing`},
		{`{"metric":"m"}`, `column 1: the key "value" is missing`},
		{`{"metric":"","value":1}`, `column 1: the metric's name is empty`},
		{`{"metric":7,"value":1}`, `column 11: metric is a number; write it as a string`},
		{`{"metric":"m","value":null}`, `column 23: value is null; write a number, a boolean or a string`},
		{`{"metric":"m","value":[1]}`, `value is an array; write a number`},
		{`{"metric":"m","value":{"a":1}}`, `value is an object; write a number`},
		{`{"metric":"m","vale":1}`, `column 15: unknown key "vale"; the nearest known one is "value", and all are metric, tags, time, value, quality and kind`},
		{`{"metric":"m","value":1,"timestamp":{"a":[1,{"b":null}]}}`, `unknown key "timestamp"; the nearest known one is "time"`},
		{`{"metric":"m","value":1,"Tags":{}}`, `the nearest known one is "tags"`},
		{`{"metric":"m","value":1,"status":3}`, `unknown key "status"; the nearest known one is`},
		{`{"metric":"m","value":1,"value":2}`, `column 25: key "value" is given twice`},
		{`{"metric":"m","value":1,"tags":{},"tags":{"a":"b"}}`, `key "tags" is given twice`},
		{`{"metric":"m","value":1,"tags":{"a":"1","b":"2","a":"3"}}`, `tag "a" is given twice`},
		{`{"metric":"m","value":1,"tags":{"":"1"}}`, `a tag's name is empty`},
		{`{"metric":"m","value":1,"tags":{"a":1}}`, `column 37: the value of tag "a" is a number; write it as a string`},
		{`{"metric":"m","value":1,"tags":null}`, `tags is null; write an object of strings`},
		{`{"metric":"m","value":1,"tags":["a"]}`, `tags is an array; write an object`},
		{`{"metric":"m","value":1,"time":null}`, `time is null; write RFC 3339 or whole ns since 1970, or leave it out`},
		{`{"metric":"m","value":1,"time":1.5}`, `time "1.5" is no whole number of ns`},
		{`{"metric":"m","value":1,"time":1e18}`, `time "1e18" is no whole number of ns`},
		{`{"metric":"m","value":1,"time":9223372036854775808}`, `lies outside the years 1677 to 2262`},
		{`{"metric":"m","value":1,"time":"99999999999999999999"}`, `lies outside the years 1677 to 2262`},
		{`{"metric":"m","value":1,"time":"2262-04-11T23:47:16.854775808Z"}`, `time "2262-04-11T23:47:16.854775808Z" lies outside`},
		{`{"metric":"m","value":1,"time":"0001-01-01T00:00:00Z"}`, `lies outside the years`},
		{`{"metric":"m","value":1,"time":"2026-01-05T00:00:00"}`, `is neither RFC 3339, such as 2026-01-05T00:00:00Z, nor whole ns since 1970`},
		{`{"metric":"m","value":1,"time":"2026-01-05T0:00:00Z"}`, `is neither RFC 3339`},
		{`{"metric":"m","value":1,"time":"2026-02-30T00:00:00Z"}`, `is neither RFC 3339`},
		{`{"metric":"m","value":1,"time":"2026-01-05T00:00:00,5Z"}`, `is neither RFC 3339`},
		{`{"metric":"m","value":1,"time":"2026-01-05T00:00:00.Z"}`, `is neither RFC 3339`},
		{`{"metric":"m","value":1,"time":"2026-01-05T00:00:00+24:00"}`, `is neither RFC 3339`},
		{`{"metric":"m","value":1,"time":"2026-01-05T00:00:00+0100"}`, `is neither RFC 3339`},
		{`{"metric":"m","value":1,"time":"now"}`, `is neither RFC 3339`},
		{`{"metric":"m","value":1,"time":""}`, `is neither RFC 3339`},
		{`{"metric":"m","value":1,"kind":"float"}`, `column 32: unknown kind "float": use float64, int64, bool or string`},
		{`{"metric":"m","value":1,"kind":1}`, `kind is a number; write float64`},
		{`{"metric":"m","value":1,"kind":"bool"}`, `value is a number, but kind is bool`},
		{`{"metric":"m","value":1,"kind":"string"}`, `value is a number, but kind is string`},
		{`{"metric":"m","value":true,"kind":"int64"}`, `value is a boolean, but kind is int64`},
		{`{"metric":"m","value":"1","kind":"int64"}`, `value is a string, but kind is int64`},
		{`{"metric":"m","value":1.0,"kind":"int64"}`, `value "1.0" is no integer; write it without fraction and exponent`},
		{`{"metric":"m","value":1e3,"kind":"int64"}`, `value "1e3" is no integer`},
		{`{"metric":"m","value":9223372036854775808,"kind":"int64"}`, `value "9223372036854775808" is past what an int64 holds`},
		{`{"metric":"m","value":1e999}`, `value "1e999" is past what a float64 holds`},
		{`{"metric":"m","value":"nan","kind":"float64"}`, `value "nan" is a string, but kind is float64; write a number, or "NaN"`},
		{`{"metric":"m","value":1,"quality":-1}`, `quality "-1" is no OPC UA status code`},
		{`{"metric":"m","value":1,"quality":4294967296}`, `quality "4294967296" is no OPC UA status code`},
		{`{"metric":"m","value":1,"quality":"Good"}`, `quality is a string; write an integer from 0`},
		{`{"metric":"m\ud83d","value":1}`, `column 13: "\\ud83d" is half of a surrogate pair, and no character`},
		{`{"metric":"m\udE00\ud83d","value":1}`, `is half of a surrogate pair`},
		{`{"metric":"m\ud83d\u0041","value":1}`, `is half of a surrogate pair`},
		{`{"metric":"m\x","value":1}`, `column 13: "\\x" is no escape in JSON; write \\ for a backslash`},
		{`{"metric":"m\u12g4","value":1}`, `\u needs four hexadecimal digits after it`},
		{"{\"metric\":\"m\xff\",\"value\":1}", `column 11: the string "m\xff" is not valid UTF-8`},
		{"{\"metric\":\"m\",\"value\":\"\\n\xc3\"}", `is not valid UTF-8`},
		{`{"metric":"` + strings.Repeat("m", 1025) + `","value":1}`, `the limit is 1024`},
		{`{"metric":"m","value":"` + strings.Repeat("x", 70_000) + `"}`, `the value has 70000 bytes, and the limit for a string is 65536`},
		{`{"metric":"m","value":1,"tags":{` + manyTags(129) + `}}`, `more than 128 tags`},
		{`{"metric":"m","value":1,"tags":{"a":"` + strings.Repeat("x", 17_000) + `"}}`, `the limit is about`},
		{`{"metric":"m","value":1,"tags":{"a":"` + strings.Repeat("x", 1<<20) + `"}}`, `and the limit is 1048576`},
	} {
		const before, after = `{"metric":"a","value":1,"time":1}`, `{"metric":"b","value":2,"time":2}`
		for form, line := range map[string]int{"%s": 1, "A\n%s\nB": 2, "A%s B": 1, "[A,%s,B]": 2, "\n[\nA\n,\n%s\n,B]\n": 2} {
			body := strings.NewReplacer("A", before, "B", after, "%s", c.body).Replace(form)
			got := decode(body, Options{})
			want := fmt.Sprintf("%d: ", line)
			says := c.want
			if form == "A%s B" { // its column counts from the line's start
				_, says, _ = strings.Cut(says, ": ")
			}
			if len(got.rejected) != 1 || !strings.HasPrefix(got.rejected[0], want) || !strings.Contains(got.rejected[0], says) {
				t.Fatalf("%.120s: rejected %.300q; want %s%s", body, got.rejected, want, says)
			}
			if string(got.fault.Text) != c.body && !strings.Contains(form, "A%s") {
				t.Errorf("%.120s: the fault's text is %.120q", body, got.fault.Text)
			}
			kept := []string{`a 1 @1`, `b 2 @2`}
			if form == "%s" {
				kept = nil
			}
			if diff := cmp.Diff(kept, got.emitted); diff != "" {
				t.Errorf("%.120s: %s", body, diff)
			}
		}
	}
}

func manyTags(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"t%d":"x"`, i)
	}
	return b.String()[1:]
}

func TestDecodeRecoversFromSyntaxByTheLine(t *testing.T) {
	for _, c := range []struct{ name, bad, want string }{
		{"open object", `{"metric":"m","value":1`, `2: column 1: expected a comma or the object's end, but found "{"`},
		{"open string", `{"metric":"m`, `2: column 11: the string that begins here has no closing quote on its line`},
		{"open string, escaped", `{"metric":"m\n`, `2: column 11: the string that begins here has no closing quote on its line`},
		{"control character", "{\"metric\":\"m\x01\"}", `2: column 13: control character '\x01' in a string; write it as \u0001`},
		{"trailing comma", `{"metric":"m","value":1,}`, `2: column 25: expected a key in double quotes, but found "}"`},
		{"no colon", `{"metric" "m"}`, `2: column 11: expected a colon after key "metric", but found "\""`},
		{"no quotes", `{metric:"m"}`, `2: column 2: expected a key in double quotes, but found "metric"`},
		{"NaN", `{"metric":"m","value":NaN}`, `2: column 23: expected a value, but found "NaN"; JSON has no such number`},
		{"word", `{"metric":"m","value":yes}`, `expected a value, but found "yes"`},
		{"leading zero", `{"metric":"m","value":01}`, `2: column 23: "01" is no number in JSON; leave the zeros before it out`},
		{"plus", `{"metric":"m","value":+1}`, `expected a value, but found "+1"`},
		{"point", `{"metric":"m","value":1.}`, `is no number in JSON; a digit must follow the point`},
		{"exponent", `{"metric":"m","value":1e+}`, `is no number in JSON; a digit must follow the e`},
		{"minus", `{"metric":"m","value":-}`, `"-" is no number in JSON`},
		{"array of values", `{"metric":"m","value":[1 2]}`, `expected a comma or the array's end, but found "2"`},
		{"nested array's end", `{"metric":"m","x":[1,]}`, `expected a value, but found "]"`},
		{"nested object's end", `{"metric":"m","x":{"a":1,}}`, `expected a key in double quotes`},
		{"bad tags", `{"metric":"m","tags":{"a":x}}`, `expected a value, but found "x"`},
		{"bad tags' key", `{"metric":"m","tags":{a:1}}`, `expected a key in double quotes`},
		{"deep", `{"metric":"m","value":` + strings.Repeat("[", 100_000), `values nest deeper than 16`},
		{"deep objects", strings.Repeat(`{"a":`, 100_000), `values nest deeper than 16`},
		{"deep array", strings.Repeat(`[`, 100_000), `expected an object such as {"metric":"cpu","value":1}, but found "["`},
		{"garbage", `hello, world`, `2: column 1: expected an object such as {"metric":"cpu","value":1}, but found "hello"`},
		{"number", `17`, `2: column 1: expected an object`},
		{"comma", `,`, `write objects one a line, or in [ ] with commas between them`},
		{"several lines", "{\n\"metric\":\"m\",\n\"value\":x\n}", `3: column 1`},
	} {
		body := "{\"metric\":\"a\",\"value\":1,\"time\":1}\n" + c.bad + "\n\n{\"metric\":\"b\",\"value\":2,\"time\":2}\n"
		got := decode(body, Options{})
		want := strings.TrimPrefix(strings.TrimPrefix(c.want, "2: column 1: expected a comma"), "3: column 1")
		if len(got.rejected) != 1 || !strings.Contains(got.rejected[0], want) || !strings.HasPrefix(got.rejected[0], "2: ") {
			t.Errorf("%s: rejected %.300q; want %q", c.name, got.rejected, c.want)
		}
		if diff := cmp.Diff([]string{`a 1 @1`, `b 2 @2`}, got.emitted); diff != "" {
			t.Errorf("%s: %s", c.name, diff)
		}
		if string(got.fault.Text) != c.bad {
			t.Errorf("%s: the fault's text is %.80q", c.name, got.fault.Text)
		}
		if c.name == "several lines" && !strings.Contains(got.rejected[0], "(the lines after it up to 5 begin no object and went with it)") {
			t.Errorf("%s: %q does not say which lines went with it", c.name, got.rejected)
		}
		// The same as the last thing of the body.
		if got := decode(c.bad, Options{}); len(got.rejected) != 1 && !strings.HasPrefix(c.bad, "[") || len(got.emitted) > 0 {
			t.Errorf("%s alone: emitted %q, rejected %.300q", c.name, got.emitted, got.rejected)
		}
	}
}

func TestDecodeStopsAtSyntaxInAnArray(t *testing.T) {
	const good = `{"metric":"a","value":1,"time":1}`
	for body, want := range map[string]string{
		`[` + good + `,{"metric":}, ` + good + `]`: `2: column 11: expected a value, but found "}"; and what follows it was not read`,
		`[` + good + ` ` + good + `]`:              `2: column 1: after element 1 comes "{", and not a comma or the array's end; what follows it was not read`,
		`[` + good + `,]`:                          `2: column 1: expected a value, but found "]"; and what follows it was not read`,
		`[` + good:                                 `2: column 1: after element 1 comes the end of the body`,
		`[` + good + `,`:                           `2: column 1: expected a value, but found the end of the body`,
		`[` + good + `]` + good:                    `2: column 1: after the array's end comes "{"; it was not read`,
		`[` + good + `,` + strings.Repeat("[", 99): `2: column 17: values nest deeper than 16`,
	} {
		got := decode(body, Options{})
		if len(got.rejected) != 1 || !strings.HasPrefix(got.rejected[0], want) || len(got.emitted) != 1 {
			t.Errorf("%s: emitted %q, rejected %q; want %q", body, got.emitted, got.rejected, want)
		}
	}
}

func TestDecodeOfElementsThatAreNoObjects(t *testing.T) {
	got := decode(`[1,"x",null,true,[{"metric":"m"}],{"metric":"a","value":1,"time":1}]`, Options{})
	for i, class := range []string{"a number", "a string", "null", "a boolean", "an array"} {
		if want := fmt.Sprintf(`%d: column 1: this is %s; a sample is an object`, i+1, class); len(got.rejected) != 5 || !strings.HasPrefix(got.rejected[i], want) {
			t.Fatalf("rejected %q; want %q", got.rejected, want)
		}
	}
	if len(got.emitted) != 1 {
		t.Errorf("emitted %q", got.emitted)
	}
}

func TestDecodeOfNothing(t *testing.T) {
	for _, body := range []string{"", " \n\r\t ", "[]", " [ ] ", "\ufeff"} {
		if got := decode(body, Options{}); len(got.emitted)+len(got.rejected) > 0 {
			t.Errorf("%q: emitted %q, rejected %q", body, got.emitted, got.rejected)
		}
	}
}

// Objects on one line, and lines that hold many, cost no more than their bytes.
func TestDecodeOfOneLongLineIsLinear(t *testing.T) {
	const n = 50_000
	c := new(collector)
	New(func([]byte) (string, error) { return "", nil }, Options{}).Decode([]byte(strings.Repeat(`{"metric":"m","value":1}`, n)), now, c)
	if len(c.emitted) != n {
		t.Errorf("%d of %d objects came; rejected %.1q", len(c.emitted), n, c.rejected)
	}
}

func TestEmitsErrorRejectsTheObject(t *testing.T) {
	full := errors.New("series holds int64")
	c := &collector{refuse: full}
	New(bySeries, Options{}).Decode([]byte("\n  {\"metric\":\"m\",\"value\":1}"), now, c)
	if diff := cmp.Diff([]string{"2: column 3: series holds int64"}, c.rejected); diff != "" || !errors.Is(c.fault, full) {
		t.Errorf("%s: the fault wraps %v", diff, c.fault.Err)
	}
}

// A series that can't be resolved is asked for again, one that can is asked
// for once, however its object is written.
func TestResolveIsAskedOnceASeries(t *testing.T) {
	asked := map[string]int{}
	down := errors.New("not now")
	d := New(func(key []byte) (string, error) {
		s, err := bySeries(key)
		asked[s]++
		if s == "b" && down != nil {
			return "", down
		}
		return s, err
	}, Options{})
	body := []byte(`{"metric":"m","tags":{"a":"1","b":"2"},"value":1}
{"value":1,"tags":{"b":"2","c":"","\u0061":"1"},"metric":"\u006d"}
{"metric":"b","value":1}`)
	c := new(collector)
	d.Decode(body, now, c)
	d.Decode(body, now, c)
	if len(c.emitted) != 4 || len(c.rejected) != 2 || asked[`m{a="1",b="2"}`] != 1 || asked["b"] != 2 {
		t.Fatalf("emitted %q, rejected %q, asked %v", c.emitted, c.rejected, asked)
	}
	down = nil
	d.Decode(body, now, c)
	d.Decode(body, now, c)
	d.Forget()
	d.Decode(body, now, c)
	if asked["b"] != 4 || asked[`m{a="1",b="2"}`] != 2 {
		t.Fatalf("asked %v", asked)
	}
}

func TestDecodeStopsAtTheLimitOfFaults(t *testing.T) {
	for body, want := range map[string]string{
		"{}\n{}\nx\n{}\n{\"metric\":\"m\",\"value\":1}": "4: column 1: this object and what follows it was not read: the body has 3 faults before it, and the limit is 3",
		"{}\n{}\n{}\n":     `3: column 1: the key "metric" is missing`,
		`[{},{},{},{},{}]`: "4: column 1: this object and what follows",
		`[{},{},{}]`:       `3: column 1: the key "metric" is missing`,
	} {
		got := decode(body, Options{MaxFaults: 3})
		if last := got.rejected[len(got.rejected)-1]; !strings.HasPrefix(last, want) || len(got.emitted) > 0 {
			t.Errorf("%q: emitted %q, rejected %q; want the last %q", body, got.emitted, got.rejected, want)
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	for _, o := range []Options{{CacheSeries: 10}, {CacheBytes: 1000}} {
		d := New(bySeries, o)
		for i := range 1000 {
			d.Decode(fmt.Appendf(nil, `{"metric":"m%d","value":1}`, i), now, new(collector))
			if len(d.series) > 20 {
				t.Fatalf("%+v: %d series are kept", o, len(d.series))
			}
		}
	}
	if (Options{MaxObject: -1}).Validate() == nil || Default().Validate() != nil {
		t.Error("Validate takes a bound below 0, or refuses the default")
	}
}

// Whatever a sample holds, what encoding/json writes of it comes back.
func TestDecodeReadsWhatEncodingJSONWrites(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		tags := rapid.MapOfN(rapid.StringN(1, 8, -1), rapid.StringN(1, 8, -1), 0, 5).Draw(t, "tags")
		at := rapid.Int64().Draw(t, "time")
		object := map[string]any{"metric": rapid.StringN(1, 20, -1).Draw(t, "metric"), "tags": tags, "quality": rapid.Uint32().Draw(t, "quality")}
		switch rapid.IntRange(0, 2).Draw(t, "time as") {
		case 0:
			object["time"] = at
		case 1:
			object["time"] = strconv.FormatInt(at, 10)
		case 2:
			object["time"] = time.Unix(0, at).UTC().Format(time.RFC3339Nano)
		}
		var want sample.Value
		switch rapid.SampledFrom([]sample.Kind{sample.Float64, sample.Int64, sample.Bool, sample.String}).Draw(t, "kind") {
		case sample.Float64:
			f := rapid.Float64().Filter(func(f float64) bool { return !math.IsInf(f, 0) }).Draw(t, "float")
			object["value"], want = f, sample.FloatValue(f)
		case sample.Int64:
			i := rapid.Int64().Draw(t, "int")
			object["value"], object["kind"], want = i, "int64", sample.IntValue(i)
		case sample.Bool:
			b := rapid.Bool().Draw(t, "bool")
			object["value"], want = b, sample.BoolValue(b)
		default:
			s := rapid.StringN(0, 50, -1).Draw(t, "string")
			object["value"], want = s, sample.StringValue(s)
		}
		one, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		pretty, err := json.MarshalIndent([]any{object}, " ", "\t")
		if err != nil {
			t.Fatal(err)
		}
		var list []sample.Tag
		for name, text := range tags {
			list = append(list, sample.Tag{Name: name, Value: text})
		}
		series, err := sample.NewSeries(object["metric"].(string), list)
		if err != nil {
			t.Fatal(err)
		}
		w := words(series.String(), sample.Sample{Time: at, Value: want, Quality: sample.Quality(object["quality"].(uint32))})
		for _, body := range []string{string(one), string(pretty)} {
			if got := decode(body, Options{}); len(got.emitted) != 1 || got.emitted[0] != w {
				t.Fatalf("%s: emitted %q, rejected %q; want %q", body, got.emitted, got.rejected, w)
			}
		}
	})
}

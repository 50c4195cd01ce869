package lineprotocol

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"weir/internal/gateway/intake"
	"weir/internal/sample"
)

// collector keeps what a decoder gives, in words.
type collector struct {
	emitted  []string
	rejected []string
	refuse   func(series string, s sample.Sample) error
}

func (c *collector) Emit(series string, s sample.Sample) error {
	if c.refuse != nil {
		if err := c.refuse(series, s); err != nil {
			return err
		}
	}
	c.emitted = append(c.emitted, fmt.Sprintf("%s %s @%d", series, valueText(s.Value), s.Time))
	return nil
}

// EmitLine takes what Emit would, or nothing.
func (c *collector) EmitLine(l *intake.Line[string]) bool {
	// The sink's memory of series and kinds comes back with these and no others.
	memo := fmt.Sprintf("%q %d", l.Series, l.Kinds)
	if *l.Memo != nil && *l.Memo != memo {
		panic(fmt.Sprintf("a memo of %q came with %q", *l.Memo, memo))
	}
	*l.Memo = memo
	before := len(c.emitted)
	for i, series := range l.Series {
		if c.Emit(series, sample.Sample{Time: l.Time, Value: sample.Value{Kind: l.Kinds[i], Bits: l.Bits[i]}}) != nil {
			c.emitted = c.emitted[:before]
			return false
		}
	}
	return true
}

func (c *collector) Reject(line int, err error) {
	c.rejected = append(c.rejected, fmt.Sprintf("%d: %v", line, err))
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

// bySeries resolves a key to the series' text.
func bySeries(key []byte) (string, error) {
	s, err := sample.ParseKey(key)
	return s.String(), err
}

const now = 1_767_571_200_123_456_789

func decode(body string, p Precision, o Options) *collector {
	c := new(collector)
	New(bySeries, o).Decode([]byte(body), p, now, c)
	return c
}

func TestDecodeAccepts(t *testing.T) {
	for _, c := range []struct {
		name, body string
		want       []string
	}{
		{"fields of one line", "cpu,host=a usage_user=1,usage_idle=2.5 7",
			[]string{`cpu_usage_user{host="a"} 1 @7`, `cpu_usage_idle{host="a"} 2.5 @7`}},
		{"a field named value", "cpu,host=a value=1 7", []string{`cpu{host="a"} 1 @7`}},
		{"tags are sorted", "m,b=2,a=1 f=1 7", []string{`m_f{a="1",b="2"} 1 @7`}},
		{"no tags, no time", "m f=1", []string{`m_f 1 @1767571200123456789`}},
		{"no newline, spaces everywhere", "  m,a=1   f=1   7  ", []string{`m_f{a="1"} 1 @7`}},
		{"blank lines, comments, CRLF", "\r\n\n# m f=0\r\n  # x\nm f=1 7\r\n#m f=0", []string{`m_f 1 @7`}},
		{"carriage return at the end", "m f=1\r", []string{`m_f 1 @1767571200123456789`}},
		{"byte order mark", "\ufeffm f=1 7", []string{`m_f 1 @7`}},
		{"negative time", "m f=1 -7", []string{`m_f 1 @-7`}},
		{"extreme times", "m f=1 9223372036854775807\nm f=1 -9223372036854775808",
			[]string{`m_f 1 @9223372036854775807`, `m_f 1 @-9223372036854775808`}},
		{"integers", "m a=0i,b=-0i,c=9223372036854775807i,d=-9223372036854775808i,e=007i,f=5u,g=9223372036854775807u,h=00000000000000000000012i 7",
			[]string{`m_a 0i @7`, `m_b 0i @7`, `m_c 9223372036854775807i @7`, `m_d -9223372036854775808i @7`, `m_e 7i @7`, `m_f 5i @7`,
				`m_g 9223372036854775807i @7`, `m_h 12i @7`}},
		{"floats", "m a=1.,b=.5,c=1e3,d=-1.2E-5,e=-0,f=0.1,g=1e+2,h=123456789012345678901234567890,i=4.9e-324,j=1e-999,k=0.30000000000000004 7",
			[]string{`m_a 1 @7`, `m_b 0.5 @7`, `m_c 1000 @7`, `m_d -1.2e-05 @7`, `m_e -0 @7`, `m_f 0.1 @7`, `m_g 100 @7`, `m_h 1.2345678901234568e+29 @7`,
				`m_i 5e-324 @7`, `m_j 0 @7`, `m_k 0.30000000000000004 @7`}},
		{"booleans", "m a=t,b=T,c=true,d=True,e=TRUE,f=f,g=F,h=false,i=False,j=FALSE 7",
			[]string{`m_a true @7`, `m_b true @7`, `m_c true @7`, `m_d true @7`, `m_e true @7`, `m_f false @7`, `m_g false @7`, `m_h false @7`, `m_i false @7`, `m_j false @7`}},
		{"strings", `m a="",b="x y,z=1",c="say \"hi\"",d="back\\slash\\",e="\n\x\,",f="é" 7`,
			[]string{`m_a "" @7`, `m_b "x y,z=1" @7`, `m_c "say \"hi\"" @7`, `m_d "back\\slash\\" @7`, `m_e "\\n\\x\\," @7`, `m_f "é" @7`}},
		{"a line break in a string", "m a=\"x\ny\",b=1 7\nn f=2 8", []string{`m_a "x\ny" @7`, `m_b 1 @7`, `n_f 2 @8`}},
		{"escapes", `my\ m\,x=1\=,t\ a\,g\==v\ a\,l\=\"\x f\ i\,e\=l\"d=1 7`,
			[]string{`my m,x=1\=_f i,e=l\"d{t a,g=="v a,l=\\\"\\x"} 1 @7`}},
		{"backslashes that escape nothing", `m\\,a=\\b f\n=1 7`, []string{`m\,a=\\b_f\n 1 @7`}},
		{"quotes in names", `"m",a="x" "f"=1 7`, []string{`"m"_"f"{a="\"x\""} 1 @7`}},
		{"a field twice", "m f=1,f=2 7", []string{`m_f 1 @7`, `m_f 2 @7`}},
		{"field order changes", "m a=1,b=2 7\nm b=3,a=4 8\nm c=5 9\nm b=6,c=7 10",
			[]string{`m_a 1 @7`, `m_b 2 @7`, `m_b 3 @8`, `m_a 4 @8`, `m_c 5 @9`, `m_b 6 @10`, `m_c 7 @10`}},
		{"heads that begin alike", "m,a=1 f=1 7\nm,a=1,b=2 f=1 7\nm,a=1 f=1 8\nm,a=12 f=1 8\nm f=1 9",
			[]string{`m_f{a="1"} 1 @7`, `m_f{a="1",b="2"} 1 @7`, `m_f{a="1"} 1 @8`, `m_f{a="12"} 1 @8`, `m_f 1 @9`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := decode(c.body, Nanosecond, Options{})
			if diff := cmp.Diff(c.want, got.emitted); diff != "" || len(got.rejected) > 0 {
				t.Errorf("%q: rejected %q; emitted (-want +got):\n%s", c.body, got.rejected, diff)
			}
		})
	}
}

func TestDecodeRejects(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, c := range []struct{ name, body, want string }{
		{"head alone", "m", `1: column 2: the line ends before its fields`},
		{"head and space", "m ", `1: column 3: a field is missing here`},
		{"tags alone", "m,a=1", `1: column 6: the line ends before its fields`},
		{"no measurement", ",a=1 f=1", `1: column 1: the measurement's name is missing before ','`},
		{"tag without value", "m,a= f=1", `1: column 5: tag "a" has no value; give it one or leave the tag out`},
		{"tag without '='", "m,a f=1", `1: column 4: tag "a" has no '='; write name=value`},
		{"tag without name", "m,=1 f=1", `1: column 3: a tag's name is missing after the comma`},
		{"comma and no tag", "m, f=1", `1: column 3: a tag's name is missing after the comma`},
		{"two '=' in a tag", "m,a=1=2 f=1", `1: column 6: '=' can't stand here; write a backslash before it`},
		{"tag twice", "m,a=1,b=2,a=1 f=1", `1: column 1: tag "a" is given twice; give it once`},
		{"tag twice, escaped", `m,a\ =1,a\ =2 f=1`, `1: column 1: tag "a " is given twice`},
		{"control character", "m\t,a=1 f=1", `1: column 2: control character '\t' in a measurement`},
		{"lone carriage return", "m,a=1\rx f=1", `1: column 6: control character '\r' in a tag's value`},
		{"measurement not UTF-8", "m\xff f=1", `1: column 1: "m\xff" is not valid UTF-8`},
		{"tag not UTF-8", "m,a=\xff f=1", `1: column 5: "\xff" is not valid UTF-8`},
		{"field not UTF-8", "m \xff=1", `1: column 3: field "\xff" is not valid UTF-8`},
		{"string not UTF-8", "m f=\"\xff\"", `1: column 7: the string of field "f" is not valid UTF-8`},
		{"field without '='", "m f", `1: column 4: field "f" has no '='; write name=value`},
		{"field without value", "m f=", `1: column 5: field "f" has no value; give it one or leave the field out`},
		{"field without value, in between", "m f=,g=1", `1: column 5: field "f" has no value`},
		{"field without name", "m =1", `1: column 3: a field is missing here`},
		{"comma at the end", "m f=1, 7", `1: column 7: a field is missing here`},
		{"text", "m f=abc", `1: column 5: field "f" has the value "abc", which is no number, integer (1i), boolean or string; put text in double quotes`},
		{"long text", "m f=" + long, `1: column 5: field "f" has the value "` + long[:48] + `"… (200 bytes), which`},
		{"NaN", "m f=NaN", `1: column 5: field "f" is "NaN", which line protocol has no place for; leave the field out`},
		{"infinity", "m f=-Inf", `1: column 5: field "f" is "-Inf", which line protocol has no place for`},
		{"plus", "m f=+1", `1: column 5: field "f" has the value "+1"`},
		{"hexadecimal", "m f=0x10", `1: column 5: field "f" has the value "0x10"`},
		{"underscore", "m f=1_000", `1: column 5: field "f" has the value "1_000"`},
		{"minus alone", "m f=-", `1: column 5: field "f" has the value "-"`},
		{"dot alone", "m f=.", `1: column 5: field "f" has the value "."`},
		{"exponent alone", "m f=1e", `1: column 5: field "f" has the value "1e"`},
		{"two dots", "m f=1.2.3", `1: column 5: field "f" has the value "1.2.3"`},
		{"float past its range", "m f=1e400", `1: column 5: field "f" is "1e400", which is past what a float64 holds`},
		{"int past its range", "m f=9223372036854775808i", `1: column 5: field "f" is "9223372036854775808i", which no int64 holds; send it as a float`},
		{"int far past its range", "m f=-99999999999999999999i", `1: column 5: field "f" is "-99999999999999999999i", which no int64 holds`},
		{"uint past int64", "m f=9223372036854775808u", `1: column 5: field "f" is "9223372036854775808u", past the largest int64, 9223372036854775807; send it as a float`},
		{"uint past uint64", "m f=99999999999999999999u", `which no int64 holds`},
		{"negative uint", "m f=-1u", `1: column 5: field "f" has the value "-1u"`},
		{"fraction as int", "m f=1.5i", `1: column 5: field "f" has the value "1.5i"`},
		{"bad boolean", "m f=tRUE", `1: column 5: field "f" has the value "tRUE"`},
		{"open string", "m f=\"abc", `1: column 5: the string of field "f" has no closing quote in the 3 bytes after it`},
		{"string and more", `m f="abc"d`, `1: column 10: after the string of field "f" comes "d"; write a backslash before a quote within a string`},
		{"time no number", "m f=1 x", `1: column 7: the time "x" is no whole number; write it in ns since 1970`},
		{"time with fraction", "m f=1 1.5", `1: column 7: the time "1.5" is no whole number`},
		{"time with exponent", "m f=1 1e9", `1: column 7: the time "1e9" is no whole number`},
		{"minus as time", "m f=1 -", `1: column 7: the time "-" is no whole number`},
		{"time past int64", "m f=1 9223372036854775808", `1: column 7: the time "9223372036854775808" in ns lies outside the years 1677 to 2262; is the precision right?`},
		{"time far past int64", "m f=1 -123456789012345678901234567890", `in ns lies outside the years`},
		{"more after the time", "m f=1 7 8", `1: column 9: after the time comes "8"; end the line there`},
		{"string after a space", `m f="a" "b"`, `1: column 9: the time "\"b\"" is no whole number`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := decode("a f=1 1\n"+c.body+"\nb f=2 2\n", Nanosecond, Options{})
			want := strings.Replace(c.want, "1: ", "2: ", 1)
			if len(got.rejected) != 1 || !strings.Contains(got.rejected[0], want) && c.name != "open string" {
				t.Errorf("%q: rejected %q; want %q", c.body, got.rejected, want)
			}
			if diff := cmp.Diff([]string{"a_f 1 @1", "b_f 2 @2"}, got.emitted); diff != "" {
				t.Errorf("%q: emitted (-want +got):\n%s", c.body, diff)
			}
			alone := decode(c.body, Nanosecond, Options{})
			if len(alone.rejected) != 1 || !strings.Contains(alone.rejected[0], c.want) || len(alone.emitted) > 0 {
				t.Errorf("%q as the last line: emitted %q, rejected %q; want %q", c.body, alone.emitted, alone.rejected, c.want)
			}
		})
	}
}

func TestDecodeCountsLinesAcrossStrings(t *testing.T) {
	got := decode("m f=\"a\nb\nc\" 1\nbad\nm f=1 2\nm f=\"a\nb\",g=x 3\nbad\n", Nanosecond, Options{})
	want := []string{"4: column 4: the line ends", "6: column 13: field \"g\" has the value \"x\"", "8: column 4: the line ends"}
	if len(got.rejected) != len(want) || len(got.emitted) != 2 {
		t.Fatalf("emitted %q, rejected %q", got.emitted, got.rejected)
	}
	for i, w := range want {
		if !strings.HasPrefix(got.rejected[i], w) {
			t.Errorf("rejected %q; want %q", got.rejected[i], w)
		}
	}
	if !strings.HasSuffix(got.rejected[1], "(with the line breaks of its strings it runs to line 7)") {
		t.Errorf("%q does not say that it spans lines", got.rejected[1])
	}
}

// A quote that is missing costs its own line, and not those up to the next.
func TestDecodeRecoversFromAMissingQuote(t *testing.T) {
	got := decode("m f=\"abc 1\nm f=\"def\" 2\nm f=3 3\n", Nanosecond, Options{})
	if diff := cmp.Diff([]string{`m_f "def" @2`, `m_f 3 @3`}, got.emitted); diff != "" || len(got.rejected) != 1 {
		t.Errorf("rejected %q; emitted (-want +got):\n%s", got.rejected, diff)
	}
}

func TestDecodeKeepsToItsBounds(t *testing.T) {
	o := Options{MaxLine: 64, MaxFields: 3, MaxString: 8}
	tags := strings.Builder{}
	for i := range sample.MaxTags + 1 {
		fmt.Fprintf(&tags, ",t%d=1", i)
	}
	for _, c := range []struct{ body, want string }{
		{"m f=" + strings.Repeat("1", 70), "the line has 74 bytes, and the limit is 64"},
		{"m f=\"" + strings.Repeat("x", 70) + "\"", "no closing quote in the 64 bytes after it"},
		{"m a=1,b=2,c=3,d=4", "more than 3 fields"},
		{`m f="123456789"`, `has 9 bytes, and the limit is 8`},
		{"m" + tags.String() + " f=1", "more than 128 tags"},
		{strings.Repeat("m", sample.MaxMetric-1) + " f=1", "the limit is 1024"},
		{"m,t=" + strings.Repeat("x", sample.MaxKey) + " f=1", "the limit is"},
	} {
		limits := o
		if len(c.body) > 200 {
			limits.MaxLine = 0
		}
		got := decode(c.body+"\nm f=1 1\n", Nanosecond, limits)
		if len(got.rejected) != 1 || !strings.Contains(got.rejected[0], c.want) || len(got.emitted) != 1 {
			t.Errorf("%.40q: emitted %q, rejected %q; want %q", c.body, got.emitted, got.rejected, c.want)
		}
	}
	if got := decode(`m a=1,b=2,c="12345678" 1`, Nanosecond, o); len(got.emitted) != 3 {
		t.Errorf("a line just within its bounds: %q", got.rejected)
	}
	for body, want := range map[string]string{
		strings.Repeat("bad\n", 5) + "m f=1 1\n": "4: column 1: this line and what follows it was not read: the body has 3 faults before it, and the limit is 3",
		"bad\nbad\nbad\n\nm f=1\n":               "5: column 1: this line and what follows",
		"bad\nbad\nbad\n\n":                      "3: column 4: the line ends",
		"refused a=1,b=2,c=3,d=4 1\nm f=1\n":     "2: column 1: this line and what follows it was not read: the body has 4 faults before it",
		"bad\nm f=1 1\nbad\nm f=1 1\nm f=1 1\n":  "3: column 4: the line ends",
	} {
		c := &collector{refuse: func(series string, _ sample.Sample) error {
			if strings.HasPrefix(series, "refused") {
				return errors.New("no")
			}
			return nil
		}}
		New(bySeries, Options{MaxFaults: 3}).Decode([]byte(body), Nanosecond, now, c)
		if last := c.rejected[len(c.rejected)-1]; !strings.HasPrefix(last, want) || len(c.rejected) > 5 {
			t.Errorf("%q: rejected %q; want the last %q", body, c.rejected, want)
		}
	}
	if (Options{MaxLine: -1}).Validate() == nil || Default().Validate() != nil {
		t.Error("Validate takes a bound below 0, or refuses the default")
	}
}

func TestDecodeScalesTimes(t *testing.T) {
	for _, c := range []struct {
		name     string
		time     string
		want     int64
		rejected bool
	}{
		{"ns", "7", 7, false}, {"", "7", 7, false}, {"n", "7", 7, false},
		{"us", "7", 7_000, false}, {"u", "-7", -7_000, false}, {"ms", "7", 7_000_000, false},
		{"s", "1767571200", 1767571200e9, false}, {"m", "1", 60e9, false}, {"h", "-1", -3600e9, false},
		{"s", "9223372036", 9223372036e9, false}, {"s", "9223372037", 0, true}, {"s", "-9223372037", 0, true},
		{"ms", "1767571200000000000", 0, true},
		{"ns", "", now, false}, {"us", "", now - 789, false}, {"s", "", 1767571200e9, false}, {"h", "", 1767571200e9, false},
	} {
		p, err := ParsePrecision(c.name)
		if err != nil {
			t.Fatal(err)
		}
		got := decode("m value=1 "+c.time, p, Options{})
		want := fmt.Sprintf("m 1 @%d", c.want)
		if c.rejected != (len(got.rejected) == 1) || !c.rejected && got.emitted[0] != want {
			t.Errorf("%q in %s: emitted %q, rejected %q; want %d", c.time, p, got.emitted, got.rejected, c.want)
		}
	}
	for _, name := range []string{"d", "NS", "ns ", "min", strings.Repeat("x", 99)} {
		if _, err := ParsePrecision(name); err == nil || !strings.Contains(err.Error(), "use ns (or n), us (or u), ms, s, m (minutes) or h") || len(err.Error()) > 150 {
			t.Errorf("ParsePrecision(%.9q): %v", name, err)
		}
	}
}

func TestPrecisionFloorsAtTheFarEnd(t *testing.T) {
	for _, p := range []Precision{Nanosecond, Microsecond, Millisecond, Second, Minute, Hour} {
		for _, ns := range []int64{math.MinInt64, -1, 0, 1, math.MaxInt64} {
			got := p.floor(ns)
			if got > ns || ns != math.MinInt64 && (got%int64(p) != 0 || ns-got >= int64(p)) {
				t.Errorf("%d rounded down to %s is %d", ns, p, got)
			}
		}
		if back, err := ParsePrecision(p.String()); err != nil || back != p {
			t.Errorf("%s reads back as %s, %v", p, back, err)
		}
	}
	if s := Precision(5).String(); s != "5 ns" {
		t.Errorf("a precision of 5 ns is named %q", s)
	}
}

func TestEmitsErrorRejectsOneValue(t *testing.T) {
	full := errors.New("series holds float64")
	c := &collector{refuse: func(series string, _ sample.Sample) error {
		if strings.HasPrefix(series, "m_b") {
			return full
		}
		return nil
	}}
	faults := &faultKeeper{collector: c}
	New(bySeries, Options{}).Decode([]byte("\n m,x=1 a=1,b=2,c=3 7\r\n"), Nanosecond, now, faults)
	if diff := cmp.Diff([]string{`m_a{x="1"} 1 @7`, `m_c{x="1"} 3 @7`}, c.emitted); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{`2: column 12: field "b": series holds float64`}, c.rejected); diff != "" {
		t.Error(diff)
	}
	f := faults.fault
	if !errors.Is(f, full) || !f.Value || string(f.Text) != "m,x=1 a=1,b=2,c=3 7" {
		t.Errorf("the fault holds %q, value %v, and wraps %v", f.Text, f.Value, f.Err)
	}
	New(bySeries, Options{}).Decode([]byte("bad\r\n"), Nanosecond, now, faults)
	if f := faults.fault; f.Value || string(f.Text) != "bad" {
		t.Errorf("the fault of a line holds %q, value %v", f.Text, f.Value)
	}
}

type faultKeeper struct {
	*collector
	fault *intake.Fault
}

func (k *faultKeeper) Reject(line int, err error) {
	if !errors.As(err, &k.fault) {
		panic(err)
	}
	k.collector.Reject(line, err)
}

// A series that can't be resolved is asked for again; one that can is asked
// for once; a bad line asks for none.
func TestResolveIsAskedOnceASeries(t *testing.T) {
	asked := map[string]int{}
	down := true
	d := New(func(key []byte) (string, error) {
		s, err := bySeries(key)
		asked[s]++
		if strings.HasPrefix(s, "m_b") && down {
			return "", errors.New("not now")
		}
		return s, err
	}, Options{})
	body := []byte("m a=1,b=2 7\nm b=2,a=1 8\nbad f=1,f=x\nbad\n")
	c := new(collector)
	d.Decode(body, Nanosecond, now, c)
	if len(c.emitted) != 2 || len(c.rejected) != 4 || asked["m_a"] != 1 || asked["m_b"] != 2 || len(asked) != 2 {
		t.Fatalf("emitted %q, rejected %q, asked %v", c.emitted, c.rejected, asked)
	}
	down = false
	c = new(collector)
	d.Decode(body, Nanosecond, now, c)
	d.Decode(body, Nanosecond, now, c)
	if len(c.emitted) != 8 || asked["m_a"] != 1 || asked["m_b"] != 3 {
		t.Fatalf("emitted %q, asked %v", c.emitted, asked)
	}
	d.Forget()
	d.Decode(body, Nanosecond, now, c)
	if asked["m_a"] != 2 || asked["m_b"] != 4 {
		t.Fatalf("after Forget: asked %v", asked)
	}
}

// However small the cache, and whatever was decoded before, a body means the
// same.
func TestCacheChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := Options{CacheHeads: rapid.IntRange(1, 6).Draw(t, "heads"), CacheBytes: rapid.SampledFrom([]int{1, 600, 1 << 20}).Draw(t, "bytes")}
		warm := New(bySeries, o)
		for range 4 {
			var body strings.Builder
			for range rapid.IntRange(1, 20).Draw(t, "lines") {
				body.WriteString(rapid.SampledFrom([]string{"m", "m,a=1", "m,a=2", "m,a=1,b=2", "m,b=2,a=1", `m\ ,a=1`, "n", "m,a="}).Draw(t, "head"))
				separator := " "
				for range rapid.IntRange(1, 24).Draw(t, "fields") {
					fmt.Fprintf(&body, "%sf%d=%d", separator, rapid.IntRange(0, 30).Draw(t, "field"), rapid.IntRange(0, 9).Draw(t, "value"))
					separator = ","
				}
				body.WriteString(rapid.SampledFrom([]string{" 7\n", "\n", " x\n", "\r\n"}).Draw(t, "end"))
			}
			got := new(collector)
			warm.Decode([]byte(body.String()), Nanosecond, now, got)
			want := decode(body.String(), Nanosecond, Options{})
			if diff := cmp.Diff(want.emitted, got.emitted) + cmp.Diff(want.rejected, got.rejected); diff != "" {
				t.Fatalf("%q:\n%s", body.String(), diff)
			}
			if len(warm.cache.heads) > o.CacheHeads {
				t.Fatalf("%d heads are kept; the bound is %d", len(warm.cache.heads), o.CacheHeads)
			}
		}
	})
}

// The strings that a sink gets are its own: the body's buffer is used again.
func TestStringsOutliveTheBody(t *testing.T) {
	for _, n := range []int{5, 500} {
		body := []byte(`m f="` + strings.Repeat("a", n) + `" 7`)
		var kept []sample.Sample
		d := New(func([]byte) (int, error) { return 0, nil }, Options{})
		d.Decode(body, Nanosecond, now, sinkFunc(func(_ int, s sample.Sample) { kept = append(kept, s) }))
		clear(body)
		if kept[0].Value.Text != strings.Repeat("a", n) {
			t.Errorf("a string of %d bytes changed with the body", n)
		}
	}
}

type sinkFunc func(int, sample.Sample)

func (f sinkFunc) Emit(series int, s sample.Sample) error { f(series, s); return nil }
func (f sinkFunc) Reject(int, error)                      {}

func TestKeptStringsAreBounded(t *testing.T) {
	d := New(func([]byte) (int, error) { return 0, nil }, Options{})
	for i := range 3 * keptTexts {
		d.Decode(fmt.Appendf(nil, `m f="%d" 7`, i), Nanosecond, now, sinkFunc(func(int, sample.Sample) {}))
	}
	if n := len(d.parser.texts); n > keptTexts {
		t.Errorf("%d strings are kept; the bound is %d", n, keptTexts)
	}
}

func TestFloatsAreThoseOfStrconv(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(
			rapid.Custom(func(t *rapid.T) string {
				f := math.Float64frombits(rapid.Uint64().Draw(t, "bits"))
				if math.IsNaN(f) || math.IsInf(f, 0) {
					f = 0
				}
				return strconv.FormatFloat(f, rapid.SampledFrom([]byte("gef")).Draw(t, "format"), rapid.IntRange(-1, 20).Draw(t, "digits"), 64)
			}),
			rapid.StringMatching(`-?[0-9]{1,22}(\.[0-9]{0,22})?([eE][-+]?[0-9]{1,3})?`),
			rapid.StringMatching(`-?[0-9]{0,22}\.[0-9]{1,30}`),
		).Draw(t, "text")
		want, err := strconv.ParseFloat(text, 64)
		got := decode("m value="+text+" 7", Nanosecond, Options{})
		if err != nil {
			if len(got.rejected) != 1 {
				t.Fatalf("%s: emitted %q; strconv says %v", text, got.emitted, err)
			}
			return
		}
		if w := fmt.Sprintf("m %s @7", valueText(sample.FloatValue(want))); len(got.emitted) != 1 || got.emitted[0] != w {
			t.Fatalf("%s: emitted %q, rejected %q; want %s", text, got.emitted, got.rejected, w)
		}
	})
}

func TestParseIntIsThatOfStrconv(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.StringMatching(`-?[0-9]{0,24}`), rapid.StringMatching(`[0-9]{1,9}[^0-9]?[0-9]{0,12}`),
			rapid.Custom(func(t *rapid.T) string { return strconv.FormatInt(rapid.Int64().Draw(t, "int"), 10) })).Draw(t, "text")
		got, end, ok := parseInt([]byte(text), 0)
		digits := len(text)
		for i := range text {
			if (text[i] < '0' || text[i] > '9') && (i > 0 || text[i] != '-') {
				digits = i
				break
			}
		}
		want, err := strconv.ParseInt(text[:digits], 10, 64)
		if end != digits || ok != (err == nil) || ok && got != want {
			t.Fatalf("%q: %d up to %d, %v; strconv gives %d, %v", text, got, end, ok, want, err)
		}
	})
}

package query

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weir/internal/sample"
)

func TestParseSelector(t *testing.T) {
	for text, want := range map[string]string{
		``:                                     `{}`,
		` { } `:                                `{}`,
		`cpu`:                                  `cpu`,
		` cpu {} `:                             `cpu`,
		`cpu_usage_user{hostname="host_1"}`:    `cpu_usage_user{hostname="host_1"}`,
		`{site="s1"}`:                          `{site="s1"}`,
		`m{a="b",c!="d",e=~"re",f!~"re",}`:     `m{a="b",c!="d",e=~"re",f!~"re"}`,
		"m { a = 'b' , c != `d\\n` }":          `m{a="b",c!="d\\n"}`,
		`m{a="\"\t\\\x41\u00e9\303\251"}`:      "m{a=\"\\\"\\t\\\\Aéé\"}",
		`{__name__="a b"}`:                     `{__name__="a b"}`,
		`{__name__="cpu",x="1"}`:               `cpu{x="1"}`,
		`{__name__=~"cpu_.*"}`:                 `{__name__=~"cpu_.*"}`,
		`cpu{__name__!~"x"}`:                   `cpu{__name__!~"x"}`,
		`{"a metric","a tag"="b"}`:             `{__name__="a metric","a tag"="b"}`,
		`a.b:c/d-e@Zürich{größe="5"}`:          `a.b:c/d-e@Zürich{größe="5"}`,
		`m{a=""}`:                              `m{a=""}`,
		`{x=~"\\d+"}`:                          `{x=~"\\d+"}`,
		"{x=~`\\Qa.b`}":                        `{x=~"\\Qa.b"}`,
		`{a="x",a!="y"}`:                       `{a="x",a!="y"}`,
		`{"x=y{},"="1","__name__"="quoted\n"}`: `{"x=y{},"="1",__name__="quoted\n"}`,
	} {
		sel, err := ParseSelector(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if sel.String() != want {
			t.Errorf("%s is read as %s; want %s", text, sel, want)
		}
	}
}

func TestParseSelectorRefuses(t *testing.T) {
	many := "{" + strings.Repeat(`a="b",`, maxMatchers+1) + "}"
	for text, want := range map[string]string{
		`cpu{`:                 `column 5: expected a tag's name or "}", found the end`,
		`cpu{host}`:            `column 9: expected =, !=, =~ or !~ after the tag's name, found "}"`,
		`cpu{host=}`:           `column 10: expected a quoted value, such as "a", found "}"`,
		`cpu{host=h1}`:         `column 10: expected a quoted value, such as "a", found "h1}"`,
		`cpu{host="h1"`:        `column 14: expected "," or "}", found the end`,
		`cpu{host="h1" x="2"}`: `column 15: expected "," or "}", found "x=\"2\"}"`,
		`cpu{host="h1}`:        `column 10: the text that begins here is not closed by "`,
		"cpu{host=`h1}":        "column 10: the text that begins here is not closed by `",
		"cpu{host='a\nb'}":     `column 10: the text that begins here is not closed by '`,
		`cpu{é="\q"}`:          `column 8: no such escape as "\\q"; write \\ for a backslash`,
		`cpu{a="\xff"}`:        `column 7: the text's escapes give something that is not valid UTF-8`,
		`cpu{}x`:               `column 6: expected the end, found "x"`,
		`cpu mem`:              `column 5: expected a metric name or "{", found "mem"`,
		`rate(cpu[5m])`:        `column 5: found "(cpu[5m])": a selector holds no functions and no ranges; those are given beside it`,
		`cpu{host=="a"}`:       `column 10: expected a quoted value, such as "a", found "=\"a\"}"`,
		`{=~"a"}`:              `column 2: expected a tag's name or "}", found "=~\"a\"}"`,
		`{,}`:                  `column 2: expected a tag's name or "}", found ",}"`,
		`{""="a"}`:             `column 2: a name is empty`,
		`cpu{__name__="mem"}`:  `column 5: the metric is named twice`,
		`{"a","b"}`:            `column 6: the metric is named twice`,
		`{a=~"("}`:             `column 5: the regular expression is not one: missing closing ): "("`,
		`{a=~"x)(y"}`:          `column 5: the regular expression is not one: unexpected ): "x)(y"`,
		`{a=~"(x{500}){2}|(?:yyyyyyyyyyyyyyyyyyyyyyyyyy{999})"}`: ``,
		"{a=~`" + strings.Repeat(`\w{1000}`, 50) + "`}":          `column 5: the regular expression repeats too much`,
		`{a=~"` + strings.Repeat("x", maxPattern+1) + `"}`:       `column 5: the regular expression has 4097 bytes; the limit is 4096`,
		"cp\ufffd\xffu":                    `column 4: it is not valid UTF-8`,
		many:                               `more than 64 matchers`,
		strings.Repeat("x", maxSelector+1): `column 1: it has 65537 bytes; the limit is 65536`,
		`cpu"x"`:                           `column 4: expected a metric name or "{", found "\"x\""`,
		`{a="b"}}`:                         `column 8: expected the end, found "}"`,
	} {
		_, err := ParseSelector(text)
		var syntax *SyntaxError
		if want == "" {
			if err != nil {
				t.Errorf("%.60s: %v", text, err)
			}
			continue
		}
		if !errors.As(err, &syntax) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v; want %s", text, err, want)
		}
	}
}

func TestMatchesSeries(t *testing.T) {
	series, err := sample.NewSeries("cpu_usage", []sample.Tag{{Name: "host", Value: "web-1"}, {Name: "text", Value: "a\nb"}})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		``: true, `{}`: true, `cpu_usage`: true, `cpu`: false,
		`{host="web-1"}`: true, `{host="web"}`: false, `{host!="web"}`: true, `{host!="web-1"}`: false,
		`{host=~"web"}`: false, `{host=~"web.*"}`: true, `{host=~"x|web-1"}`: true, `{host=~"web-1|x"}`: true,
		`{host!~"web"}`: true, `{host!~"w.*"}`: false,
		`{none=""}`: true, `{none!=""}`: false, `{host=""}`: false, `{host!=""}`: true,
		`{none=~".*"}`: true, `{none=~".+"}`: false, `{none!~".+"}`: true, `{none!="x"}`: true, `{none=~"x|"}`: true,
		`{__name__=~"cpu_.+"}`: true, `{__name__!="cpu_usage"}`: false, `cpu_usage{__name__=~"cpu.*"}`: true,
		`{text=~"a.b"}`: true, `{text=~"(?-s)a.b"}`: false, "{host=~`\\Qweb-1`}": true, `{host=~"(?i)WEB-1"}`: true,
		`{host=~"^web-1$"}`: true, `{text=~"a"}`: false, `{text=~"(?m)a$"}`: false,
		`cpu_usage{host="web-1",text!=""}`: true, `cpu_usage{host="web-1",text=""}`: false,
	} {
		if got := mustSelector(t, text).MatchesSeries(series); got != want {
			t.Errorf("%s matches %s: %v; want %v", text, series, got, want)
		}
	}
}

func TestSelectorForAnIndex(t *testing.T) {
	for text, want := range map[string]string{
		`cpu{a="1",b!="2",c=~"3",d=""}`: `"cpu" true [{a 1}]`,
		`{__name__="x",a="1",b="2"}`:    `"x" true [{a 1} {b 2}]`,
		`{__name__=~"x"}`:               `"" false []`,
		``:                              `"" false []`,
	} {
		sel := mustSelector(t, text)
		metric, named := sel.Metric()
		if got := fmt.Sprintf("%q %v %v", metric, named, sel.Equalities()); got != want {
			t.Errorf("%s gives %s; want %s", text, got, want)
		}
	}
}

// Whatever series there is, the selector that writes it down matches it, and no
// other.
func TestSelectorOfAnySeries(t *testing.T) {
	name := rapid.StringN(1, 6, 12).Filter(func(s string) bool { return s != MetricName })
	text := rapid.StringN(1, 6, 12)
	rapid.Check(t, func(t *rapid.T) {
		metric := text.Draw(t, "metric")
		tag, value := name.Draw(t, "tag"), text.Draw(t, "value")
		series, err := sample.NewSeries(metric, []sample.Tag{{Name: tag, Value: value}})
		if err != nil {
			t.Skip(err)
		}
		var matchers []Matcher
		for _, pair := range [][2]string{{MetricName, metric}, {tag, value}} {
			m, err := NewMatcher(pair[0], Equal, pair[1])
			if err != nil {
				t.Fatal(err)
			}
			matchers = append(matchers, m)
		}
		written := NewSelector(matchers...).String()
		sel, err := ParseSelector(written)
		if err != nil {
			t.Fatalf("%s: %v", written, err)
		}
		if !sel.MatchesSeries(series) || len(sel.Matchers()) != 2 {
			t.Fatalf("%s does not match %s", written, series)
		}
		other := sample.Series{Metric: metric, Tags: []sample.Tag{{Name: tag, Value: value + "x"}}}
		if sel.MatchesSeries(other) {
			t.Fatalf("%s matches %s", written, other)
		}
	})
}

func FuzzParseSelector(f *testing.F) {
	for _, seed := range []string{``, `cpu`, `m{a="b",c!='d',e=~"r.*",f!~"(x|y)"}`, `{"a b","c"=` + "`d`}", `{__name__="x\u00e9"}`, `{a=~"\\Qx"}`} {
		f.Add(seed)
	}
	series := sample.Series{Metric: "cpu", Tags: []sample.Tag{{Name: "a", Value: "b"}, {Name: "e", Value: "rx"}}}
	f.Fuzz(func(t *testing.T, text string) {
		sel, err := ParseSelector(text)
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Column < 1 || syntax.Column > len([]rune(text))+1 {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		again, err := ParseSelector(sel.String())
		if err != nil || again.String() != sel.String() {
			t.Fatalf("%q is written as %q, which reads as %q, %v", text, sel, again, err)
		}
		if sel.MatchesSeries(series) != again.MatchesSeries(series) {
			t.Fatalf("%q and %q don't match the same", text, sel)
		}
	})
}

func TestSelectorsMayShareSeries(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"cpu", "cpu", true}, {"cpu", "disk", false}, {`cpu{host="a"}`, `cpu{host="b"}`, false}, {`cpu{host="a"}`, `cpu{rack="b"}`, true},
		{`{__name__=~".+"}`, "cpu", true}, {`cpu{host=~"a.*"}`, `cpu{host="b"}`, true},
	} {
		a, errA := ParseSelector(c.a)
		b, errB := ParseSelector(c.b)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if a.MayShare(b) != c.want || b.MayShare(a) != c.want {
			t.Errorf("%s and %s: want %v", c.a, c.b, c.want)
		}
	}
}

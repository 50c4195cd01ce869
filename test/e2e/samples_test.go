package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestSamples(t *testing.T) {
	_, c := start(t, flushNever()...)
	send := func(t *testing.T, body string) {
		t.Helper()
		post(t, c, "/api/v1/samples", body, http.StatusNoContent)
	}

	t.Run("object, array, lines", func(t *testing.T) {
		send(t, `{"metric":"forms","tags":{"form":"object"},"time":1,"value":1}`)
		send(t, ` [ {"metric":"forms","tags":{"form":"array"},"time":1,"value":1} , {"metric":"forms","tags":{"form":"array"},"time":2,"value":2} ] `)
		send(t, "{\"metric\":\"forms\",\"tags\":{\"form\":\"lines\"},\"time\":1,\"value\":1}\n{\"metric\":\"forms\",\"tags\":{\"form\":\"lines\"},\"time\":2,\"value\":2}\n")
		expect(t, c, "forms", "forms{form=object} 1=1", "forms{form=array} 1=1 2=2", "forms{form=lines} 1=1 2=2")
	})

	t.Run("times", func(t *testing.T) {
		send(t, `[{"metric":"times","time":"1970-01-01T00:00:01.000000001Z","value":1},{"metric":"times","time":"1970-01-01T02:00:02+02:00","value":2},{"metric":"times","time":3,"value":3}]`)
		expect(t, c, "times", "times{} 3=3 1000000001=1 2000000000=2")
	})

	t.Run("kinds", func(t *testing.T) {
		send(t, `[{"metric":"kind_number","time":1,"value":1},
{"metric":"kind_int","time":1,"value":9223372036854775807,"kind":"int64"},
{"metric":"kind_int","time":2,"value":-9223372036854775808,"kind":"int64"},
{"metric":"kind_bool","time":1,"value":true},
{"metric":"kind_text","time":1,"value":"a\u00e9\n"}]`)
		want := map[string]string{"kind_number": "float64", "kind_int": "int64", "kind_bool": "bool", "kind_text": "string"}
		for _, line := range read(t, c, `{__name__=~"kind_.*"}`) {
			if want[line.Metric] != line.Kind {
				t.Errorf("%s is %s", line.Metric, line.Kind)
			}
			delete(want, line.Metric)
		}
		if len(want) != 0 {
			t.Errorf("not read: %v", want)
		}
		expect(t, c, "kind_int", "kind_int{} 1=9223372036854775807 2=-9223372036854775808")
		expect(t, c, "kind_text", `kind_text{} 1="aé\n"`)
	})

	t.Run("floats read back equal, in the shortest form", func(t *testing.T) {
		for i, text := range []string{"0.1", "-0", "1e-7", "1.7976931348623157e308", "5e-324", "0.30000000000000004", "123456789012345680000", "3", "1e21"} {
			metric := fmt.Sprintf("float_%d", i)
			send(t, fmt.Sprintf(`{"metric":%q,"time":1,"value":%s}`, metric, text))
			lines := read(t, c, metric)
			if len(lines) != 1 || len(lines[0].Values) != 1 {
				t.Fatalf("%s: %+v", text, lines)
			}
			got := strings.Replace(string(lines[0].Values[0]), "e+", "e", 1)
			if got != text {
				t.Errorf("%s reads %s", text, lines[0].Values[0])
			}
		}
	})

	t.Run("NaN and infinities", func(t *testing.T) {
		send(t, `[{"metric":"odd","time":1,"value":"NaN","kind":"float64"},{"metric":"odd","time":2,"value":"+Inf","kind":"float64"},{"metric":"odd","time":3,"value":"-Inf","kind":"float64"}]`)
		expect(t, c, "odd", `odd{} 1="NaN" 2="+Inf" 3="-Inf"`)
		send(t, `{"metric":"odd_text","time":1,"value":"NaN"}`)
		if lines := read(t, c, "odd_text"); len(lines) != 1 || lines[0].Kind != "string" {
			t.Errorf("%+v", lines)
		}
	})

	t.Run("quality", func(t *testing.T) {
		send(t, `[{"metric":"good","time":1,"value":1,"quality":0},{"metric":"bad","time":1,"value":1},{"metric":"bad","time":2,"value":2,"quality":2147483648},{"metric":"bad","time":3,"value":3,"quality":4294967295}]`)
		for _, line := range read(t, c, `{__name__=~"good|bad"}`) {
			want := ""
			if line.Metric == "bad" {
				want = "[0 2147483648 4294967295]"
			}
			got := ""
			if line.Quality != nil {
				got = fmt.Sprint(line.Quality)
			}
			if got != want {
				t.Errorf("%s has quality %q", line.Metric, got)
			}
		}
	})

	t.Run("what is refused", func(t *testing.T) {
		for _, body := range []string{
			`{"metric":"refused","time":1}`,
			`{"time":1,"value":1}`,
			`{"metric":"refused","time":"yesterday","value":1}`,
			`{"metric":"refused","time":1,"value":1.5,"kind":"int64"}`,
			`{"metric":"refused","time":1,"value":9223372036854775808,"kind":"int64"}`,
			`{"metric":"refused","time":1,"value":1,"kind":"decimal"}`,
			`{"metric":"refused","time":1,"value":"x","kind":"float64"}`,
			`{"metric":"refused","time":1,"value":null}`,
			`{"metric":"refused","time":1,"value":[1]}`,
			`{"metric":"refused","time":1,"value":1,"quality":-1}`,
			`{"metric":"refused","time":1,"value":1,"quality":4294967296}`,
			`{"metric":"refused","tags":{"a":NaN},"time":1,"value":1}`,
			`{"metric":"refused","tags":{"a":1},"time":1,"value":1}`,
			`{"metric":"refused","metric":"twice","time":1,"value":1}`,
			`{"metric":"refused","tags":{"":"x"},"time":1,"value":1}`,
			"{\"metric\":\"refused\xff\",\"time\":1,\"value\":1}",
			`{"metric":"refused","time":1,"value":NaN}`,
			`{"metric":"refused","time":1,"value":1`,
			`[{"metric":"refused"`,
			`"refused"`,
			`42`,
			strings.Repeat("[", 100_000),
			strings.Repeat(`{"tags":`, 100_000),
		} {
			p := explained(t, post(t, c, "/api/v1/samples", body, http.StatusBadRequest))
			if len(p.Errors) == 0 || p.Errors[0].Reason == "" {
				t.Errorf("%.80q: no reason: %+v", body, p)
			}
		}
		expect(t, c, "refused")
	})

	t.Run("a NaN tag is a text", func(t *testing.T) {
		send(t, `{"metric":"tagged","tags":{"a":"NaN"},"time":1,"value":1}`)
		expect(t, c, `tagged{a="NaN"}`, "tagged{a=NaN} 1=1")
	})

	t.Run("an empty tag is none", func(t *testing.T) {
		send(t, `[{"metric":"untagged","tags":{"a":""},"time":1,"value":1},{"metric":"untagged","time":2,"value":2}]`)
		expect(t, c, `untagged{a=""}`, "untagged{} 1=1 2=2")
	})
}

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"weir/test/harness"
)

func TestWrite(t *testing.T) {
	_, c := start(t, flushNever()...)

	t.Run("precisions", func(t *testing.T) {
		for _, path := range []string{"/write", "/api/v2/write"} {
			for precision, factor := range map[string]int64{"": 1, "ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9} {
				name := fmt.Sprintf("precision%s%s", precision, strings.ReplaceAll(path, "/", "_"))
				at := int64(1_700_000_000)
				if precision == "" {
					post(t, c, path, fmt.Sprintf("%s value=1 %d\n", name, at), http.StatusNoContent)
				} else {
					post(t, c, path+"?precision="+precision, fmt.Sprintf("%s value=1 %d\n", name, at), http.StatusNoContent)
				}
				expect(t, c, name, fmt.Sprintf("%s{} %d=1", name, at*factor))
			}
		}
		p := explained(t, post(t, c, "/write?precision=fortnight", "m value=1 1", http.StatusBadRequest))
		if !strings.Contains(p.Detail, "fortnight") || !strings.Contains(p.Detail, "ms") {
			t.Errorf("the known precisions are not named: %+v", p)
		}
	})

	t.Run("names, tags, kinds", func(t *testing.T) {
		write(t, c, `cpu,hostname=host_1,region=eu usage_user=1,usage_idle=2i,value=t 1000
disk\ one,a\ b=c\,d text="a \"quoted\" ,= text",value=-0.5 1000
`)
		expect(t, c, `{hostname="host_1"}`,
			`cpu_usage_user{hostname=host_1,region=eu} 1000=1`,
			`cpu_usage_idle{hostname=host_1,region=eu} 1000=2`,
			`cpu{hostname=host_1,region=eu} 1000=true`)
		expect(t, c, `{"a b"="c,d"}`,
			`disk one_text{a b=c,d} 1000="a \"quoted\" ,= text"`,
			`disk one{a b=c,d} 1000=-0.5`)
		kinds := map[string]string{}
		for _, line := range read(t, c, `{hostname="host_1"}`) {
			kinds[line.Metric] = line.Kind
		}
		if kinds["cpu_usage_user"] != "float64" || kinds["cpu_usage_idle"] != "int64" || kinds["cpu"] != "bool" {
			t.Errorf("kinds %v", kinds)
		}
	})

	t.Run("without a time", func(t *testing.T) {
		before := time.Now().UnixNano()
		write(t, c, "untimed value=1\n")
		lines := read(t, c, "untimed")
		if len(lines) != 1 || len(lines[0].Times) != 1 || lines[0].Times[0] < before || lines[0].Times[0] > time.Now().UnixNano() {
			t.Errorf("%+v", lines)
		}
	})

	t.Run("encodings", func(t *testing.T) {
		for i, encoding := range []string{harness.Identity, harness.Gzip, harness.Zstd} {
			for j, path := range []string{"/write", "/api/v1/samples"} {
				metric := fmt.Sprintf("encoding_%d_%d", i, j)
				body := metric + " value=7 5\n"
				if j == 1 {
					body = fmt.Sprintf(`{"metric":%q,"time":5,"value":7}`, metric)
				}
				answer, err := c.Post(t.Context(), path, encoding, []byte(body))
				if err != nil || answer.Status != http.StatusNoContent {
					t.Fatal(path, encoding, answer, err)
				}
				expect(t, c, metric, metric+"{} 5=7")
			}
		}
	})

	t.Run("empty bodies and comments", func(t *testing.T) {
		write(t, c, "")
		write(t, c, "# nothing\n\n\r\n")
	})
}

func TestPartialAnswers(t *testing.T) {
	_, c := start(t, flushNever()...)

	t.Run("line protocol", func(t *testing.T) {
		answer := post(t, c, "/write", "partial value=1 1\npartial value= 2\n\npartial,a value=3 3\npartial value=4 4\nno fields 5\n", http.StatusBadRequest)
		p := explained(t, answer)
		lines := []int{}
		for _, e := range p.Errors {
			lines = append(lines, e.Line)
			if e.Reason == "" {
				t.Errorf("line %d has no reason", e.Line)
			}
		}
		if fmt.Sprint(lines) != "[2 4 6]" || p.Accepted != 2 || p.Rejected != 3 {
			t.Errorf("%s", answer)
		}
		expect(t, c, "partial", "partial{} 1=1 4=4")
	})

	t.Run("JSON lines", func(t *testing.T) {
		answer := post(t, c, "/api/v1/samples", `{"metric":"partial_json","time":1,"value":1}
{"metric":"partial_json","time":2,"value":}
{"metric":"partial_json","tims":3,"value":3}
{"metric":"partial_json","time":4,"value":4}
`, http.StatusBadRequest)
		p := explained(t, answer)
		if len(p.Errors) != 2 || p.Errors[0].Line != 2 || p.Errors[1].Line != 3 || p.Accepted != 2 {
			t.Errorf("%s", answer)
		}
		if len(p.Errors) == 2 && !strings.Contains(p.Errors[1].Reason, `time`) {
			t.Errorf("the nearest known key is not named: %s", answer)
		}
		expect(t, c, "partial_json", "partial_json{} 1=1 4=4")
	})

	t.Run("JSON array", func(t *testing.T) {
		answer := post(t, c, "/api/v1/samples",
			`[{"metric":"partial_array","time":1,"value":1},{"metric":"","time":2,"value":2},{"metric":"partial_array","time":3,"value":3}]`,
			http.StatusBadRequest)
		p := explained(t, answer)
		if len(p.Errors) != 1 || p.Errors[0].Line != 2 {
			t.Errorf("%s", answer)
		}
		expect(t, c, "partial_array", "partial_array{} 1=1 3=3")
	})

	t.Run("counted by the ledger", func(t *testing.T) {
		ledger, err := c.Ledger(t.Context())
		if err != nil || ledger.Accepted != 6 || ledger.Rejected != 6 {
			t.Errorf("%+v, %v", ledger, err)
		}
	})
}

func TestTimes(t *testing.T) {
	_, c := start(t, flushNever()...)
	now := time.Now()

	t.Run("every past week is accepted", func(t *testing.T) {
		for i, at := range []time.Time{
			now, now.AddDate(0, 0, -7), now.AddDate(-1, 0, 0), now.AddDate(-20, 0, 0),
			time.Unix(0, 0), time.Unix(0, -1), time.Date(1700, 1, 1, 0, 0, 0, 0, time.UTC),
		} {
			metric := fmt.Sprintf("past_%d", i)
			write(t, c, metric+" value=1 "+itoa(at.UnixNano())+"\n")
			expect(t, c, metric, metric+"{} "+itoa(at.UnixNano())+"=1")
		}
	})

	t.Run("up to a day ahead is accepted", func(t *testing.T) {
		at := itoa(now.Add(23*time.Hour + 59*time.Minute).UnixNano())
		write(t, c, "ahead value=1 "+at+"\n")
		expect(t, c, "ahead", "ahead{} "+at+"=1")
	})

	t.Run("further ahead is rejected", func(t *testing.T) {
		at := itoa(now.Add(25 * time.Hour).UnixNano())
		for path, body := range map[string]string{
			"/write":          "beyond value=1 " + at + "\nbeyond value=2 1\n",
			"/api/v1/samples": `[{"metric":"beyond","time":` + at + `,"value":1},{"metric":"beyond","time":1,"value":2}]`,
		} {
			p := explained(t, post(t, c, path, body, http.StatusBadRequest))
			if len(p.Errors) != 1 || p.Errors[0].Line != 1 || !strings.Contains(p.Errors[0].Reason, "ahead") {
				t.Errorf("%+v", p)
			}
		}
		expect(t, c, "beyond", "beyond{} 1=2")
	})

	t.Run("times that int64 can't hold are rejected", func(t *testing.T) {
		for _, body := range []string{"far value=1 9223372036854775808\n", "far value=1 -99999999999999999999\n", "far value=1 1e9\n"} {
			p := explained(t, post(t, c, "/write", body, http.StatusBadRequest))
			if len(p.Errors) != 1 {
				t.Errorf("%q: %+v", body, p)
			}
		}
		explained(t, post(t, c, "/write?precision=s", "far value=1 9223372036854775\n", http.StatusBadRequest))
		expect(t, c, "far")
	})
}

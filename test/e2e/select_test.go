package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"weir/test/harness"
)

func TestSelect(t *testing.T) {
	_, c := start(t, flushSoon()...)
	write(t, c, `cpu,host=a,site=s1 user=1 10
cpu,host=b,site=s1 user=2 10
cpu,host=ab,site=s2 user=3 10
mem,host=a,site=s1 used=4i 10
load value=5 10
`)
	settled(t, c)
	write(t, c, "cpu,host=a,site=s1 user=6 20\ncpu,host=a,site=s1 user=7 15\n") // in the head, out of order

	const (
		a    = "cpu_user{host=a,site=s1} 10=1 15=7 20=6"
		b    = "cpu_user{host=b,site=s1} 10=2"
		ab   = "cpu_user{host=ab,site=s2} 10=3"
		mem  = "mem_used{host=a,site=s1} 10=4"
		load = "load{} 10=5"
	)
	for match, want := range map[string][]string{
		`cpu_user{host="a"}`:                         {a},
		`cpu_user`:                                   {a, b, ab},
		`{site="s1"}`:                                {a, b, mem},
		`{host="a"}`:                                 {a, mem},
		`cpu_user{host!="a"}`:                        {b, ab},
		`cpu_user{host=~"a|b"}`:                      {a, b},
		`cpu_user{host=~"a"}`:                        {a}, // anchored at both ends
		`cpu_user{host=~"b"}`:                        {b},
		`cpu_user{host=~"a.*"}`:                      {a, ab},
		`cpu_user{host!~"a.*"}`:                      {b},
		`cpu_user{host=~".*b",site!="s1"}`:           {ab},
		`{__name__="load"}`:                          {load},
		`{__name__=~"mem.*|load"}`:                   {mem, load},
		`{host=""}`:                                  {load},
		`{host!="",site=~"s1",__name__!="mem_used"}`: {a, b},
		`{}`:            {a, b, ab, mem, load},
		`nothing`:       nil,
		`cpu{host="a"}`: nil,
	} {
		expect(t, c, match, want...)
	}

	t.Run("start is inclusive, end exclusive", func(t *testing.T) {
		for _, r := range [][3]string{
			{"10", "20", " 10=1 15=7"}, {"11", "21", " 15=7 20=6"}, {"15", "16", " 15=7"}, {"20", "21", " 20=6"},
			{"1970-01-01T00:00:00.000000010Z", "1970-01-01T01:00:00.000000015+01:00", " 10=1"},
		} {
			expectLines(t, r[0]+" to "+r[1], readRange(t, c, `cpu_user{host="a"}`, r[0], r[1]), "cpu_user{host=a,site=s1}"+r[2])
		}
		expectLines(t, "16 to 20", readRange(t, c, `cpu_user{host="a"}`, "16", "20"))
	})

	t.Run("by POST with a form", func(t *testing.T) {
		form := url.Values{"match": {`cpu_user{host="b"}`}, "start": {"0"}, "end": {"100"}}.Encode()
		answer, err := c.Do(t.Context(), harness.Request{
			Path: "/api/v1/select", Body: []byte(form), Header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
		})
		if err != nil || answer.Status != http.StatusOK || !strings.Contains(string(answer.Body), `"times":[10],"values":[2]`) {
			t.Error(answer, err)
		}
	})

	t.Run("what can't be asked", func(t *testing.T) {
		for query, want := range map[string]string{
			"match=cpu{host=":                             "",
			"match=cpu{host%3D~%22(%22}":                  "",
			"start=1&end=2":                               "match",
			"match=cpu&start=5&end=5":                     "before",
			"match=cpu&start=yesterday":                   "yesterday",
			"match=cpu&strat=5":                           "start",
			"match=cpu&match=mem":                         "match",
			"match=cpu&start=2026-01-01T00:00:00+01:00":   "%2B",
			"match=cpu&start=2026-01-01T00:00:00&end=now": "",
		} {
			answer, err := c.Do(t.Context(), harness.Request{Path: "/api/v1/select?" + query})
			if err != nil || answer.Status != http.StatusBadRequest {
				t.Errorf("%s: %s, %v", query, answer, err)
				continue
			}
			if p := explained(t, answer); !strings.Contains(p.Detail, want) {
				t.Errorf("%s: want %q in %q", query, want, p.Detail)
			}
		}
	})
}

// What was answered 204 is read at once, though nothing is flushed for an
// hour. Each answer is asked for as soon as the write is answered, so this
// is stricter than the 100 ms of the contract.
func TestSeenAtOnce(t *testing.T) {
	_, c := start(t, flushNever()...)
	for i := range 100 {
		metric := fmt.Sprintf("seen_%d", i%10)
		write(t, c, fmt.Sprintf("%s value=%d %d\n", metric, i, i))
		lines := readRange(t, c, metric, itoa(int64(i)), itoa(int64(i+1)))
		expectLines(t, metric, lines, fmt.Sprintf("%s{} %d=%d", metric, i, i))
	}
}

func TestDuplicates(t *testing.T) {
	server, c := start(t, flushSoon()...)

	t.Run("the sample accepted last wins", func(t *testing.T) {
		write(t, c, "again value=1 1\nagain value=2 1\n") // in one request: the later line
		expect(t, c, "again", "again{} 1=2")
		write(t, c, "again value=3 1\n") // in the head, or in another flush
		expect(t, c, "again", "again{} 1=3")
		settled(t, c)
		expect(t, c, "again", "again{} 1=3")
		write(t, c, "again value=4 1\n") // over a flush
		expect(t, c, "again", "again{} 1=4")
		settled(t, c)
		expect(t, c, "again", "again{} 1=4")
	})

	t.Run("each is accepted, and the order overwrites", func(t *testing.T) {
		ledger := settled(t, c)
		if ledger.Accepted != 4 {
			t.Errorf("%+v", ledger)
		}
	})

	t.Run("also after a restart", func(t *testing.T) {
		if err := server.Stop(); err != nil {
			t.Fatal(err)
		}
		c := server.Up(t, flushSoon()...)
		expect(t, c, "again", "again{} 1=4")
	})
}

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// fake answers in the shapes of a real instance, with samples of its own. It
// rejects lines that hold "refuse-me", and those with a time after 2026-01-12.
type fake struct {
	mux *http.ServeMux

	mu     sync.Mutex
	bodies bytes.Buffer
}

func newFake() *fake {
	f := &fake{mux: http.NewServeMux()}
	ok := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }
	}
	f.mux.HandleFunc("GET /readyz", ok("ready\n"))
	f.mux.HandleFunc("POST /write", f.write)
	f.mux.HandleFunc("POST /api/v1/samples", f.write)
	f.mux.HandleFunc("GET /api/v1/select", f.samples)
	f.mux.HandleFunc("GET /api/v1/aggregate", f.samples)
	f.mux.HandleFunc("GET /api/v1/series", ok(`{"id":"0a","metric":"cpu","tags":{"host":"a"},"kind":"float64","weeks":["2026-W01","2026-W02"]}
{"id":"0b","metric":"cpu","tags":{"host":"b"},"kind":"float64","weeks":["2026-W02"]}
{"id":"0c","metric":"disk_used","tags":{},"kind":"int64","weeks":["2026-W02","2026-W03","2026-W05","2026-W06"]}
`))
	f.mux.HandleFunc("GET /api/v1/weeks", ok(`[{"week":"2026-W02","revision":0,"state":"open","table":"samples_2026_w02","partitions":2,"series":3,"samples":1234567,"items":12,"bytes":2469134,"first":"2026-01-05T00:00:00Z","last":"2026-01-05T11:59:50Z"},
{"week":"2026-W03","revision":0,"state":"open","table":"samples_2026_w03","partitions":2,"series":0,"samples":0,"items":0,"bytes":0}]`))
	f.mux.HandleFunc("GET /api/v1/ledger", f.ledger)
	f.mux.HandleFunc("GET /api/v1/queues", ok(`[{"queue":0,"messages":12,"in_flight":2,"bytes":34567,"oldest":"2026-01-05T11:59:59Z","dead_letters":1},{"queue":1,"messages":0,"in_flight":0,"bytes":0,"oldest":null,"dead_letters":0}]`))
	f.mux.HandleFunc("GET /api/v1/queues/0/dead-letters", ok(`[{"id":"18","queue":0,"reason":"block: checksum","buried":"2026-01-05T10:00:00Z","bytes":2048,"life":"00ff","number":7,"week":"2026-W02","samples":5000},{"id":"19","queue":0,"reason":"block: checksum","buried":"2026-01-05T10:00:01Z","bytes":2048,"life":"00ff","number":8,"week":"2026-W02","samples":5000}]`))
	f.mux.HandleFunc("GET /api/v1/queues/1/dead-letters", ok(`[]`))
	f.mux.HandleFunc("POST /api/v1/queues/0/dead-letters/redrive", ok(`{"redriven":2}`))
	f.mux.HandleFunc("POST /api/v1/queues/1/dead-letters/redrive", ok(`{"redriven":0}`))
	f.mux.HandleFunc("POST /api/v1/queues/0/dead-letters/18/redrive", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	f.mux.HandleFunc("POST /api/v1/sql", answerSQL)
	f.mux.HandleFunc("GET /api/v1/quarantine", ok(`{"metric":"cpu","tags":{"host":"a"},"kind":"int64","times":[1767571200000000000],"values":[5],"reason":"the series holds float64"}
`))
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) { f.mux.ServeHTTP(w, r) }

func (f *fake) received() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bodies.String()
}

func (f *fake) write(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var faults []map[string]any
	number, kept := 0, 0
	for line := range strings.Lines(string(body)) {
		number++
		fields := strings.Fields(line)
		at := fields[len(fields)-1]
		late := len(at) == 19 && at > "1768176000000000000"
		if strings.Contains(line, "refuse-me") || late {
			fault := map[string]any{"line": number, "reason": "refused for the test"}
			faults = append(faults, fault, fault) // as of two values
			continue
		}
		f.bodies.WriteString(line)
		kept += 1 + strings.Count(fields[max(0, len(fields)-2)], ",")
	}
	if len(faults) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"title": "Lines rejected", "status": http.StatusBadRequest, "detail": "some lines were rejected",
		"accepted": kept, "rejected": len(faults), "errors": faults,
	})
}

func problem(w http.ResponseWriter, status int, title, detail string, faults any) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"title": title, "status": status, "detail": detail, "errors": faults})
}

// samples answers a selection or aggregation with what its selector names.
func (f *fake) samples(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	line := func(text string) { _, _ = io.WriteString(w, text+"\n") }
	switch q.Get("match") {
	case "none":
	case "bad{":
		problem(w, http.StatusBadRequest, "Bad selector", "column 5: a tag is expected", nil)
	case "text":
		line(`{"metric":"text","tags":{},"kind":"string","times":[1767571200000000000],"values":["a\u001bb"]}`)
	case "broken":
		line(`{"metric":"cpu","tags":{},"kind":"float64","times":[1],"values":[1]}`)
		line(`{"error":{"title":"Read failed","status":500,"detail":"the disk is gone"}}`)
	case "many":
		for i := range 105 {
			line(fmt.Sprintf(`{"metric":"m","tags":{"n":"%d"},"kind":"int64","times":[1767571200000000000,1767571210000000000],"values":[%d,%d]}`, i, i, i+1))
		}
	case "asked": // what was asked, as a series
		parts := []string{}
		for _, k := range []string{"start", "end", "window", "fn", "by"} {
			if q.Has(k) {
				parts = append(parts, fmt.Sprintf("%q:%q", k, q.Get(k)+"."))
			}
		}
		line(`{"metric":"asked","tags":{` + strings.Join(parts, ",") + `},"kind":"bool","times":[1767571200000000000],"values":[true]}`)
	default:
		line(`{"metric":"cpu","tags":{"host":"a"},"kind":"float64","times":[1767571200000000000,1767571210000000000,1767571220000000000],"values":[1.5,"NaN",3e20],"quality":[0,0,2150694912]}`)
		line(`{"metric":"cpu","tags":{"host":"b"},"kind":"float64","times":[1767571200000000000,1767571210000000000],"values":[2,1e-9]}`)
	}
}

func (f *fake) ledger(w http.ResponseWriter, r *http.Request) {
	lives := `"lives":[{"life":"00ff00ff00ff","queue":0,"instance":"a","state":"open","accepted":600,"stored":600,"in_flight":0,"dead_lettered":0,"quarantined":0,"unproven":""},
{"life":"11ee11ee11ee","queue":0,"instance":"a","state":"ended","accepted":400,"stored":380,"in_flight":15,"dead_lettered":5,"quarantined":0,"unproven":"%s"}]`
	switch r.URL.Query().Get("start") {
	case "":
		_, _ = fmt.Fprintf(w, `{"start":null,"end":"2026-01-05T12:00:00Z","accepted":1000,"stored":980,"in_flight":15,"dead_lettered":5,"quarantined":0,"rejected":3,"unproven":0,"balanced":true,"overwritten":2,`+lives+`}`, "")
	case "2026-01-05T11:00:00Z":
		_, _ = fmt.Fprintf(w, `{"start":"2026-01-05T10:59:58Z","end":null,"accepted":1001,"stored":980,"in_flight":15,"dead_lettered":5,"quarantined":0,"rejected":3,"unproven":1,"balanced":false,"overwritten":2,`+lives+`}`, "its last message is not in the queue yet")
	default:
		_, _ = io.WriteString(w, `{"start":null,"end":null,"accepted":0,"stored":0,"in_flight":0,"dead_lettered":0,"quarantined":0,"rejected":0,"unproven":1,"balanced":false,"overwritten":0,"lives":[]}`)
	}
}

// answerSQL answers statements by their text.
func answerSQL(w http.ResponseWriter, r *http.Request) {
	var ask struct{ SQL string }
	_ = json.NewDecoder(r.Body).Decode(&ask)
	line := func(text string) { _, _ = io.WriteString(w, text+"\n") }
	switch strings.TrimSpace(ask.SQL) {
	case "values":
		line(`{"columns":[{"name":"host name","type":"VARCHAR"},{"name":"n","type":"HUGEINT"},{"name":"mean","type":"DOUBLE"},{"name":"at","type":"TIMESTAMP_NS"},{"name":"list","type":"INTEGER[]"}]}`)
		line(`{"values":["a,\"b\"",18446744073709551616,0.1,"2026-01-05T00:00:00.123456789Z",[1,2]]}`)
		line(`{"values":[null,-1,"NaN",null,null]}`)
	case "none":
		line(`{"columns":[{"name":"one","type":"INTEGER"}]}`)
	case "many":
		line(`{"columns":[{"name":"n","type":"INTEGER"}]}`)
		for i := range 300 {
			line(fmt.Sprintf(`{"values":[%d]}`, i))
		}
	case "broken":
		line(`{"columns":[{"name":"n","type":"INTEGER"}]}`)
		line(`{"values":[1]}`)
		line(`{"error":{"title":"Limit exceeded","status":422,"detail":"it has more than 1 rows"}}`)
	case "ragged":
		line(`{"columns":[{"name":"n","type":"INTEGER"}]}`)
		line(`{"values":[1,2]}`)
	default:
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusBadRequest)
		line(`{"title":"Bad statement","status":400,"detail":"syntax error at or near \"` + ask.SQL + `\""}`)
	}
}

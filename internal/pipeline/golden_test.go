package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"weir/internal/store"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestGoldenRecords: what version 1 wrote is read, and written as it was.
func TestGoldenRecords(t *testing.T) {
	if *update {
		synctest.Test(t, writeGolden)
	}
	run := golden[Run](t, "testdata/v1-run.json")
	if run.RunKey != (RunKey{"p", january(t), 0}) || run.State != Failed || !run.Stale || run.Steps[0].State != Done ||
		string(run.Steps[0].Output) != `"n3"` || run.Steps[1].Failures != 1 || run.Cut != "cut-000001" || run.Why != ByTick {
		t.Errorf("the run is %+v", run)
	}
	st := golden[state](t, "testdata/v1-state.json")
	if st.Name != "p" || len(st.Pending) != 1 || len(st.Asked) != 1 || len(st.Open) != 1 || !st.Runs || st.Noticed != st.Pending[0].To {
		t.Errorf("the state is %+v", st)
	}
	if key := runKey(run.RunKey); key != "pipelines/runs/p/2026-w01/98867251edfa0000-988675981eb2a000/000000" {
		t.Errorf("the run's key is %s", key)
	}
}

func golden[T any](t *testing.T, file string) T {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	value, err := decode[T](store.Record{Key: file, Value: text})
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.MarshalIndent(value, "", "  ")
	if err != nil || !bytes.Equal(append(again, '\n'), text) {
		t.Errorf("%s is written as %s, %v", file, again, err)
	}
	return value
}

func writeGolden(t *testing.T) {
	r := newRig(t, "2026-01-01T01:30:00Z")
	r.worker.refuse["b"] = ErrPermanent
	s := r.scheduler(r.records)
	stop := r.start(s)
	r.apply(s, hourly())
	time.Sleep(time.Minute)
	if err := s.MarkStale(t.Context(), RunKey{"p", january(t), 0}); err != nil {
		t.Fatal(err)
	}
	r.worker.set(func(l *labour) { l.hang = true })
	time.Sleep(3 * time.Hour)
	if _, err := s.RunWindow(context.WithoutCancel(t.Context()), mustParse(t, hourly()), Window{Start: january(t).Start - 1, End: january(t).Start}); err != nil {
		t.Fatal(err)
	}
	stop()
	for file, key := range map[string]string{"v1-run.json": runKey(RunKey{"p", january(t), 0}), "v1-state.json": stateKey("p")} {
		record, err := r.records.Get(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		if err := json.Indent(&text, record.Value, "", "  "); err != nil {
			t.Fatal(err)
		}
		text.WriteByte('\n')
		if err := os.WriteFile("testdata/"+file, text.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

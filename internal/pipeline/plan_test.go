package pipeline

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"weir/internal/pipeline/definition"
)

func january(t testing.TB) Window {
	t.Helper()
	w, err := definition.ParseWindow("2026-01-01T00:00:00Z/2026-01-01T01:00:00+00:00")
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestPlanPicture(t *testing.T) {
	p, err := NewPlan(mustParse(t, daily), january(t), 2)
	if err != nil {
		t.Fatal(err)
	}
	line := func(step string) string {
		return "weir task --pipeline daily --window 2026-01-01T00:00:00Z/2026-01-01T01:00:00Z --revision 2 --step " + step + " --attempt attempt"
	}
	want := "daily 2026-01-01T00:00:00Z/2026-01-01T01:00:00Z revision 2\n\n" +
		"● a (analyse)\n  " + line("a") + "\n\n" +
		"└─ ● b (load)    after a\n     " + line("b") + "\n" +
		"└─ ● c (export)  after a\n     " + line("c") + "\n\n" +
		"   └─ ● d (archive) after b, c\n        " + line("d") + "\n"
	if got := p.Picture(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestPlanRefuses(t *testing.T) {
	d := mustParse(t, daily)
	if _, err := NewPlan(d, Window{Start: 2, End: 2}, 0); err == nil {
		t.Error("an empty window has a plan")
	}
	d.Steps[0].After = []string{"d"}
	if _, err := NewPlan(d, january(t), 0); err == nil {
		t.Error("a cycle has a plan")
	}
}

// TestPlanIsInOrder: every task comes after those that it waits for, one level
// below the lowest of them.
func TestPlanIsInOrder(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		d := Definition{Name: "p"}
		names := rapid.Permutation(strings.Split("abcdefghij", "")).Draw(r, "names")
		for i, name := range names {
			s := Step{Name: name, Kind: definition.KindArchive}
			for _, before := range names[:i] {
				if rapid.IntRange(0, 3).Draw(r, "edge") == 0 {
					s.After = append(s.After, before)
				}
			}
			d.Steps = append(d.Steps, s)
		}
		d.Steps = rapid.Permutation(d.Steps).Draw(r, "order")
		p, err := NewPlan(d, january(t), 0)
		if err != nil || len(p.Tasks) != len(d.Steps) {
			r.Fatalf("%v, %d tasks", err, len(p.Tasks))
		}
		level := map[string]int{}
		for i, task := range p.Tasks {
			want := 0
			for _, before := range task.After {
				at, ok := level[before]
				if !ok {
					r.Fatalf("%s comes before %s", task.Step, before)
				}
				want = max(want, at+1)
			}
			if task.Level != want || i > 0 && task.Level < p.Tasks[i-1].Level {
				r.Fatalf("%s is on level %d; want %d", task.Step, task.Level, want)
			}
			level[task.Step] = task.Level
			if n, err := ParseTask(task.Command); err != nil || n.Step != task.Step || n.RunKey != p.RunKey {
				r.Fatalf("%v is read as %+v, %v", task.Command, n, err)
			}
		}
	})
}

func TestTaskArguments(t *testing.T) {
	name := TaskName{RunKey{"p", january(t), 3}, "a", "n17"}
	got, err := ParseTask(name.Args())
	if err != nil || got != name {
		t.Errorf("%+v, %v", got, err)
	}
	if !strings.HasPrefix(name.Command(), "weir task --pipeline p --window 2026-01-01T00:00:00Z/") {
		t.Error(name.Command())
	}
	good := name.Args()[1:]
	if got, err := ParseTask(good); err != nil || got != name {
		t.Errorf("without \"task\": %+v, %v", got, err)
	}
	for i, bad := range map[int]string{0: "pipeline", 1: "P/../x", 3: "yesterday", 5: "-1", 7: "", 9: "../a"} {
		args := slices.Clone(good)
		args[i] = bad
		if got, err := ParseTask(args); err == nil {
			t.Errorf("%v is read as %+v", args, got)
		}
	}
	for _, args := range [][]string{nil, good[:9], good[:8], append(slices.Clone(good), good[:2]...), append(slices.Clone(good), "--x", "y")} {
		if got, err := ParseTask(args); err == nil {
			t.Errorf("%v is read as %+v", args, got)
		}
	}
	for _, text := range []string{"", "2026-01-01T00:00:00Z", "a/b", "2026-01-01T00:00:00Z/b", "2026-01-02T00:00:00Z/2026-01-01T00:00:00Z"} {
		if w, err := definition.ParseWindow(text); err == nil {
			t.Errorf("window %q is read as %s", text, w)
		}
	}
}

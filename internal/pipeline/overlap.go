package pipeline

import (
	"context"
	"fmt"
	"slices"

	"weir/internal/pipeline/definition"
)

// Overlaps says which steps of other pipelines load rows beside those of a
// definition's: of the same analysis, which has one table, and of series that both may
// take, as shared judges by their selectors. Who sums over the table counts twice then.
func Overlaps(d Definition, others []Definition, shared func(a, b string) bool) []string {
	var out []string
	for _, own := range loaded(d) {
		for _, o := range others {
			if o.Name == d.Name {
				continue
			}
			for _, theirs := range loaded(o) {
				if own.Analyse.Analysis != theirs.Analyse.Analysis || !shared(own.Analyse.Select, theirs.Analyse.Select) {
					continue
				}
				out = append(out, fmt.Sprintf(
					"step %q and step %q of pipeline %s load rows into one table that may be of the same series: where their windows overlap, a sum over both counts twice; say in statements where pipeline = '%s'",
					own.Name, theirs.Name, o.Name, d.Name))
			}
		}
	}
	return out
}

// loaded gives the analyse steps whose results a step loads.
func loaded(d Definition) []Step {
	return slices.DeleteFunc(slices.Clone(d.Steps), func(s Step) bool {
		return s.Analyse == nil || !slices.ContainsFunc(d.Steps, func(l Step) bool { return l.Load != nil && l.Load.From == s.Name })
	})
}

// overlaps is Overlaps with all pipelines that have a definition. Those that can't be
// read are left out.
func (s *Scheduler) overlaps(ctx context.Context, d Definition) ([]string, error) {
	if s.c.Shared == nil {
		return nil, nil
	}
	records, err := s.records.Scan(ctx, statePrefix)
	if err != nil {
		return nil, err
	}
	var others []Definition
	for _, r := range records {
		st, err := decode[state](r)
		if err != nil {
			return nil, err
		}
		if st.Definition == "" {
			continue
		}
		if of, err := s.definition(ctx, st.Name, st.Definition); err == nil {
			others = append(others, of)
		}
	}
	return Overlaps(d, others, s.c.Shared), nil
}

// nextTick gives the first tick that comes after now; 0 for none.
func (s *Scheduler) nextTick(d Definition, st *state) Instant {
	from := st.Noticed
	if passed, ok := d.Schedule.Floor(s.now().Add(-d.Delay)); ok {
		from = max(from, passed) // what ended up to there is due, whether noticed or not
	}
	for w := range d.Schedule.Windows(from, definition.LastInstant) {
		return w.End.Add(d.Delay)
	}
	return 0
}

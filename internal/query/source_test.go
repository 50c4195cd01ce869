package query

import (
	"context"
	"slices"
	"sort"
	"testing"
	"unsafe"

	"weir/internal/sample"
)

// memory is a Source over slices. It hands its Points out in memory that it
// overwrites after each call, as the contract lets it.
type memory struct {
	all     []Points
	err     error // given by Samples before the series of index failAt
	failAt  int
	shuffle bool // give the list backwards
}

func (m *memory) Series(_ context.Context, sel Selector, start, end int64) ([]SeriesInfo, error) {
	if m.err != nil && m.failAt < 0 {
		return nil, m.err
	}
	var list []SeriesInfo
	for _, p := range m.all {
		if sel.MatchesSeries(p.Info.Series) && len(p.Times) > 0 && p.Times[0] < end && p.Times[len(p.Times)-1] >= start {
			list = append(list, *p.Info)
		}
	}
	slices.SortFunc(list, func(a, b SeriesInfo) int { return Compare(a.Series, b.Series) })
	if m.shuffle {
		slices.Reverse(list)
	}
	return list, nil
}

func (m *memory) Windows(ctx context.Context, r Reading, w Windowing, yield func(*SeriesInfo, []Cell) error) error {
	return m.Samples(ctx, r, func(p *Points) error { return yield(p.Info, w.Samples(nil, p)) })
}

func (m *memory) Samples(ctx context.Context, r Reading, yield func(*Points) error) error {
	series, start, end := r.Series, r.Start, r.End
	byID := map[sample.SeriesID]Points{}
	for _, p := range m.all {
		byID[p.Info.ID] = p
	}
	var out Points
	for i := range series {
		if err := ctx.Err(); err != nil {
			return err
		}
		if m.err != nil && i == m.failAt {
			return m.err
		}
		p := byID[series[i].ID]
		from := sort.Search(len(p.Times), func(i int) bool { return p.Times[i] >= start })
		to := sort.Search(len(p.Times), func(i int) bool { return p.Times[i] >= end })
		if from >= to {
			continue
		}
		if err := r.Budget.Read(to - from); err != nil {
			return err
		}
		out.Info = &series[i]
		out.Times = append(out.Times[:0], p.Times[from:to]...)
		out.Bits, out.Texts, out.Qualities = nil, nil, nil
		var lentTexts [][]byte
		if p.Bits != nil {
			out.Bits = append(out.Bits, p.Bits[from:to]...)
		}
		if p.Texts != nil {
			for _, text := range p.Texts[from:to] {
				lent := []byte(text)
				lentTexts = append(lentTexts, lent)
				out.Texts = append(out.Texts, unsafe.String(unsafe.SliceData(lent), len(lent)))
			}
		}
		if p.Qualities != nil {
			out.Qualities = append(out.Qualities, p.Qualities[from:to]...)
		}
		if err := yield(&out); err != nil {
			return err
		}
		for i := range out.Times {
			out.Times[i] = -1
		}
		for i := range out.Bits {
			out.Bits[i] = 0xdead
		}
		for _, lent := range lentTexts {
			copy(lent, "overwritten")
		}
	}
	return nil
}

type fataler interface {
	Helper()
	Fatal(...any)
}

// newPoints makes the Points of one series; tags are name, value pairs.
func newPoints(t fataler, metric string, tags []string, kind sample.Kind) Points {
	t.Helper()
	var list []sample.Tag
	for i := 0; i < len(tags); i += 2 {
		list = append(list, sample.Tag{Name: tags[i], Value: tags[i+1]})
	}
	series, err := sample.NewSeries(metric, list)
	if err != nil {
		t.Fatal(err)
	}
	return Points{Info: &SeriesInfo{Series: series, ID: series.ID(), Kind: kind}}
}

// with adds samples to Points.
func (p Points) with(values ...sample.Sample) Points {
	for _, v := range values {
		p.Times = append(p.Times, v.Time)
		if p.Info.Kind == sample.String {
			p.Texts = append(p.Texts, v.Value.Text)
		} else {
			p.Bits = append(p.Bits, v.Value.Bits)
		}
		if v.Quality != sample.Good || p.Qualities != nil {
			for len(p.Qualities) < len(p.Times)-1 {
				p.Qualities = append(p.Qualities, sample.Good)
			}
			p.Qualities = append(p.Qualities, v.Quality)
		}
		if w := sample.WeekOf(v.Time); !slices.Contains(p.Info.Weeks, w) {
			p.Info.Weeks = append(p.Info.Weeks, w)
		}
	}
	return p
}

func mustSelector(t testing.TB, text string) Selector {
	t.Helper()
	sel, err := ParseSelector(text)
	if err != nil {
		t.Fatal(err)
	}
	return sel
}

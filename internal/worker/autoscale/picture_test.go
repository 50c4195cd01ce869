package autoscale

import (
	"bytes"
	"fmt"
	"math"
)

const (
	pictureWidth  = 760
	panelHeight   = 110
	panelLeft     = 64
	panelRight    = 20
	panelGap      = 34
	pictureTop    = 44
	pictureHeight = pictureTop + 3*(panelHeight+panelGap) + 12
)

// curve is one line of a panel.
type curve struct {
	name, class string
	value       func(moment) float64
	steps       bool
}

// panel is curves over one scale; level, if more than 0, is a dashed line.
type panel struct {
	title  string
	curves []curve
	level  float64
	least  float64 // the scale's least top
}

// picture draws a simulation: load, latency and workers over time. It is
// legible on light and dark ground.
func picture(s scenario, moments []moment) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" role="img" aria-label="%s">`+"\n", pictureWidth, pictureHeight, s.title)
	b.WriteString(`<style>
svg{--ink:#24292f;--dim:#6e7781;--grid:#d8dee4;--a:#0969da;--b:#bc4c00;--c:#1a7f37;background:#fff}
@media (prefers-color-scheme:dark){svg{--ink:#e6edf3;--dim:#8b949e;--grid:#30363d;--a:#58a6ff;--b:#f0883e;--c:#3fb950;background:#0d1117}}
text{font:12px system-ui,sans-serif;fill:var(--dim)} .title{font-size:15px;font-weight:600;fill:var(--ink)} .name{fill:var(--ink)}
path{fill:none;stroke-width:1.6;stroke-linejoin:round} .a{stroke:var(--a)} .b{stroke:var(--b)} .c{stroke:var(--c)} path.c{stroke-width:5;opacity:.5} .dash{stroke:var(--dim);stroke-width:1;stroke-dasharray:4 3}
text.a{stroke:none;fill:var(--a)} text.b{stroke:none;fill:var(--b)} text.c{stroke:none;fill:var(--c)} .grid{stroke:var(--grid);stroke-width:1}
</style>
`)
	fmt.Fprintf(&b, `<text class="title" x="%d" y="24">%s</text>`+"\n", panelLeft, s.title)
	for i, p := range []panel{
		{title: "load", least: 10, curves: []curve{
			{"backlog, messages", "b", func(m moment) float64 { return m.backlog }, false},
			{"arrivals, messages/s", "a", func(m moment) float64 { return m.arrivals }, false},
		}},
		{title: "latency", least: 4, level: Default().TargetLatency.Seconds(), curves: []curve{
			{"age of the oldest that waits, s (dashed: target)", "b", func(m moment) float64 { return m.oldest }, false},
		}},
		{title: "workers", least: 4, curves: []curve{
			{"running", "c", func(m moment) float64 { return float64(m.running) }, true},
			{"desired", "a", func(m moment) float64 { return float64(m.desired) }, true},
		}},
	} {
		p.draw(&b, pictureTop+i*(panelHeight+panelGap)+14, moments)
	}
	y := pictureTop + 3*(panelHeight+panelGap) - 6
	for i := range 7 {
		at := len(moments) * i / 6
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%d s</text>`+"\n", place(at, len(moments)), y, at)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// place gives where a moment is drawn, from left to right.
func place(i, of int) float64 {
	return panelLeft + float64(i)/float64(of)*(pictureWidth-panelLeft-panelRight)
}

func (p panel) draw(b *bytes.Buffer, top int, moments []moment) {
	most := p.least
	for _, c := range p.curves {
		for _, m := range moments {
			most = max(most, c.value(m))
		}
	}
	most = nice(most)
	height := func(v float64) float64 { return float64(top) + panelHeight*(1-v/most) }
	for i := range 3 {
		v := most * float64(i) / 2
		fmt.Fprintf(b, `<path class="grid" d="M%d %.1fH%d"/><text x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n",
			panelLeft, height(v), pictureWidth-panelRight, panelLeft-8, height(v)+4, v)
	}
	if p.level > 0 {
		fmt.Fprintf(b, `<path class="dash" d="M%d %.1fH%d"/>`+"\n", panelLeft, height(p.level), pictureWidth-panelRight)
	}
	x := panelLeft
	for _, c := range p.curves {
		fmt.Fprintf(b, `<path class="%s" d="`, c.class)
		before := math.NaN()
		for i, m := range moments {
			v := c.value(m)
			switch y := height(v); {
			case i == 0:
				fmt.Fprintf(b, "M%.1f %.1f", place(i, len(moments)), y)
			case v == before && i+1 < len(moments) && c.value(moments[i+1]) == v:
				// it goes on as it was
			case c.steps:
				fmt.Fprintf(b, "H%.1fV%.1f", place(i, len(moments)), y)
			default:
				fmt.Fprintf(b, "L%.1f %.1f", place(i, len(moments)), y)
			}
			before = v
		}
		b.WriteString("\"/>\n")
		fmt.Fprintf(b, `<text class="%s" x="%d" y="%d">%s</text>`+"\n", c.class, x, top-8, c.name)
		x += 24 + 6*len(c.name)
	}
}

// nice rounds a scale's top up to one that halves well.
func nice(v float64) float64 {
	for step := 1.0; ; step *= 10 {
		for _, n := range []float64{2, 4, 6, 10} {
			if v <= n*step {
				return n * step
			}
		}
	}
}

package main

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// plainEvery is the time between two lines of progress where there is no
// terminal to draw a bar on.
const plainEvery = 10 * time.Second

// progress shows how far a long work has come: a bar on a terminal, else a
// line now and then. It is used by one goroutine at a time.
type progress struct {
	g     *global
	title string
	total int64
	note  atomic.Pointer[string] // read while the bar is drawn

	bars *mpb.Progress
	bar  *mpb.Bar
	last time.Time
}

// newProgress begins a progress of that total, in units of the caller's; with
// bytes it shows them as such.
func (g *global) newProgress(title string, total int64, bytes bool) *progress {
	p := &progress{g: g, title: title, total: max(total, 1), last: g.now()}
	if !g.detect(g.err).TTY {
		return p
	}
	p.note.Store(new(string))
	note := decor.Any(func(decor.Statistics) string { return *p.note.Load() })
	after := []decor.Decorator{decor.Percentage(decor.WC{W: 5}), decor.Name("  "), note}
	if bytes {
		after = []decor.Decorator{decor.CountersKibiByte(" % .1f of % .1f  "), note}
	}
	after = append(after, decor.Name("  "), decor.OnComplete(decor.AverageETA(decor.ET_STYLE_GO), ""))
	p.bars = mpb.New(mpb.WithOutput(g.err), mpb.WithAutoRefresh(), mpb.WithWidth(64))
	p.bar = p.bars.AddBar(p.total,
		mpb.PrependDecorators(decor.Name(title, decor.WC{C: decor.DindentRight | decor.DextraSpace})),
		mpb.AppendDecorators(after...))
	return p
}

// set says how far it is, and what else is worth knowing.
func (p *progress) set(current int64, note string) {
	current = min(current, p.total)
	if p.bar != nil {
		p.note.Store(&note)
		p.bar.SetCurrent(max(current, p.bar.Current()))
		return
	}
	if now := p.g.now(); now.Sub(p.last) >= plainEvery {
		p.last = now
		fmt.Fprintf(p.g.err, "%s: %d %%, %s\n", p.title, 100*current/p.total, note)
	}
}

// say writes a line beside the progress.
func (p *progress) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if p.bars != nil {
		fmt.Fprintln(p.bars, text)
		return
	}
	fmt.Fprintln(p.g.err, text)
}

// end draws the progress for the last time; done says whether all was.
func (p *progress) end(done bool) {
	if p.bar == nil {
		return
	}
	if done {
		p.bar.SetTotal(p.total, true)
		p.bar.SetCurrent(p.total)
	} else {
		p.bar.Abort(false)
	}
	p.bars.Wait()
}

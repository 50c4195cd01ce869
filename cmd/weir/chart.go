package main

import (
	"context"
	"errors"
	"fmt"

	"weir/internal/client"
	"weir/internal/output"
	"weir/internal/sample"
)

// maxCharted is how many series are fetched for a chart, which draws fewer
// and counts the rest.
const maxCharted = 100

// drawChart draws what is a number; of the other series it tells.
func (g *global) drawChart(ctx context.Context, f queryFlags, ask asking) error {
	var lines []output.Line
	texts := 0
	err := ask(ctx, func(l *client.Line) error {
		if len(lines) == maxCharted {
			return errEnough
		}
		if l.Kind == sample.String {
			texts++
			return nil
		}
		line := output.Line{Name: l.Series.String(), Times: l.Times, Values: make([]float64, len(l.Values))}
		for i, v := range l.Values {
			switch v.Kind {
			case sample.Float64:
				line.Values[i] = v.Float()
			default: // a bool's bits are 0 and 1
				line.Values[i] = float64(v.Int())
			}
		}
		lines = append(lines, line)
		return nil
	})
	more := errors.Is(err, errEnough)
	if err != nil && !more {
		return err
	}
	if len(lines) == 0 && texts == 0 {
		_, err := fmt.Fprintln(g.out, "no samples")
		return err
	}
	at := g.detect(g.out)
	o := output.ChartOptions{Title: chartTitle(f), Width: at.Width, Color: at.Color}
	if err := output.Chart(g.out, o, lines); err != nil {
		return err
	}
	if texts > 0 {
		fmt.Fprintf(g.err, "%d series of strings can't be drawn\n", texts)
	}
	if more {
		fmt.Fprintf(g.err, "there are more than %d series: narrow the selector, or group them with --window and --by\n", maxCharted)
	}
	return nil
}

func chartTitle(f queryFlags) string {
	if f.window == "" {
		return f.selection.Match
	}
	function := f.function
	if function == "" {
		function = defaultFunction
	}
	return function + " of " + f.selection.Match + " in each " + f.window
}

package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"weir/internal/client"
	"weir/internal/output"
)

// stages is what the instance says of itself: samples and bytes by stage.
type stages struct {
	samples int64 // accepted
	intake  int64 // bytes of requests, unpacked
	buffer  int64 // bytes of messages
}

// measure reads the instance's metrics.
func (t *tour) measure(ctx context.Context) (_ stages, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, t.server+"/metrics", nil)
	if err != nil {
		return stages{}, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return stages{}, err
	}
	defer func() { err = errors.Join(err, answer.Body.Close()) }()
	var s stages
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		name, text, _ := strings.Cut(lines.Text(), " ")
		to := map[string]*int64{
			"weir_gateway_samples_total":       &s.samples,
			"weir_gateway_bytes_total":         &s.intake,
			"weir_gateway_message_bytes_total": &s.buffer,
		}[name]
		if to == nil {
			continue
		}
		value, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return s, fmt.Errorf("metric %s: %w", name, err)
		}
		*to = int64(value)
	}
	return s, lines.Err()
}

// tell sums up what went in and what is where.
func (t *tour) tell(ctx context.Context) error {
	for _, part := range []func(context.Context) error{t.tellSources, t.tellStages, t.tellLedger, t.process, t.tellArchive, t.tellWarehouse, t.tellQuery} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (t *tour) heading(text string) {
	t.printf("\n%s\n%s\n", text, strings.Repeat("─", len([]rune(text))))
}

func (t *tour) tellSources(context.Context) error {
	t.heading("What went in, through HTTP, each answer after its samples were on disk")
	list := &output.Table{Columns: []output.Column{
		{Name: "source", Title: "SOURCE"},
		{Name: "samples", Title: "SAMPLES", Right: true, Show: output.Thousands},
		{Name: "bytes", Title: "AS SENT", Right: true, Show: output.Bytes},
		{Name: "rate", Title: "SAMPLES/S", Right: true, Show: output.Thousands},
	}}
	for i, s := range t.sources {
		n := t.sent[i]
		list.Rows = append(list.Rows, []any{s.title, n.samples, n.bytes, int64(float64(n.samples) / max(n.took.Seconds(), 1e-3))})
	}
	return list.Write(t.Out, output.FormatTable, t.Terminal)
}

// tellStages shows how many bytes a sample takes at each stage.
func (t *tour) tellStages(ctx context.Context) error {
	now, err := t.measure(ctx)
	if err != nil {
		return err
	}
	weeks, err := t.client.Weeks(ctx)
	if err != nil {
		return err
	}
	var items, samples, bytes int64
	used := 0
	for _, w := range weeks {
		items, samples, bytes = items+w.Items, samples+w.Samples, bytes+w.Bytes
		if w.Samples > 0 {
			used++
		}
	}
	t.heading("What is where")
	list := &output.Table{Columns: []output.Column{
		{Name: "stage", Title: "STAGE"},
		{Name: "samples", Title: "SAMPLES", Right: true, Show: output.Thousands},
		{Name: "bytes", Title: "BYTES", Right: true, Show: output.Bytes},
		{Name: "each", Title: "BYTES A SAMPLE", Right: true, Show: func(cell any) string { return fmt.Sprintf("%.2f", cell) }},
		{Name: "note", Title: ""},
	}}
	each := func(bytes, samples int64) float64 { return float64(bytes) / float64(max(samples, 1)) }
	t.stored, t.atRest = samples, each(bytes, samples)
	list.Rows = [][]any{
		{"requests (line protocol)", now.samples, now.intake, each(now.intake, now.samples), ""},
		{"buffer (messages, fsynced)", now.samples, now.buffer, each(now.buffer, now.samples), ""},
		{"week tables (items)", samples, bytes, each(bytes, samples), fmt.Sprintf("%s items in %d weeks", output.Thousands(items), used)},
	}
	return list.Write(t.Out, output.FormatTable, t.Terminal)
}

func (t *tour) tellLedger(ctx context.Context) error {
	l, err := t.client.Ledger(ctx, "", "")
	if err != nil {
		return err
	}
	t.heading("The ledger: what became of every accepted sample")
	t.printf("  accepted %s = stored %s + in flight %s + dead-lettered %s + quarantined %s\n",
		output.Thousands(l.Accepted), output.Thousands(l.Stored), output.Thousands(l.InFlight),
		output.Thousands(l.DeadLettered), output.Thousands(l.Quarantined))
	if !l.Balanced || l.Unproven > 0 {
		return fmt.Errorf("the ledger is not balanced, or %d lives are unproven: see weir ledger", l.Unproven)
	}
	t.printf("  ✓ balanced, and nothing is unproven\n")
	return nil
}

// tellQuery shows a query and its answer as a chart.
func (t *tour) tellQuery(ctx context.Context) error {
	a := client.Aggregation{
		Selection: client.Selection{Match: `transformer_OT{source="ett"}`, Start: "2016-07-01T00:00:00Z", End: "2018-07-01T00:00:00Z"},
		Window:    "168h", Function: "mean",
	}
	t.heading("A query, over weeks that are in the archive: the oil temperature's mean of each week")
	t.printf("$ weir query '%s' --start %s --end %s --window %s --fn %s --chart\n\n", a.Match, a.Start, a.End, a.Window, a.Function)
	var lines []output.Line
	err := t.client.Aggregate(ctx, a, func(l *client.Line) error {
		line := output.Line{Name: l.Series.String()}
		for i, at := range l.Times {
			line.Times = append(line.Times, at)
			line.Values = append(line.Values, l.Values[i].Float())
		}
		lines = append(lines, line)
		return nil
	})
	if err != nil {
		return err
	}
	if len(lines) != 1 || len(lines[0].Times) < 100 {
		return fmt.Errorf("the query answered %d series; want one of over 100 weeks", len(lines))
	}
	return output.Chart(t.Out, output.ChartOptions{Title: "oil temperature, °C", Width: t.Terminal.Width, Color: t.Terminal.Color}, lines)
}

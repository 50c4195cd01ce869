package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"weir/internal/client"
	"weir/internal/output"
)

// window is what the tour's pipeline runs over: all that was sent.
const windowStart = "2013-01-01T00:00:00Z"

// process runs the example's pipeline by the command that a person would use.
func (t *tour) process(ctx context.Context) error {
	t.heading("A pipeline: hourly and daily rollups, the warehouse, a report, the archive")
	end := t.Now().UTC().Truncate(time.Hour).Add(time.Hour).Format(time.RFC3339)
	args := []string{"pipeline", "run", filepath.Join(t.Examples, "..", "pipelines", "tour.yaml"), "--window", windowStart + "/" + end}
	t.printf("$ weir pipeline run examples/pipelines/tour.yaml --window %s/%s\n", windowStart, end)
	command := exec.CommandContext(ctx, t.Program, args...)
	command.Env = append(os.Environ(), "WEIR_SERVER="+t.server)
	command.Stdout, command.Stderr = t.Out, t.Out
	if err := command.Run(); err != nil {
		return fmt.Errorf("weir pipeline run: %w", err)
	}
	runs, err := t.client.Runs(ctx, "", "", 0)
	if err != nil {
		return err
	}
	if len(runs) != 1 || runs[0].State != "done" {
		return fmt.Errorf("there are %d runs; want one that is done", len(runs))
	}
	return t.tellSteps(&runs[0])
}

// tellSteps shows what each step of a run left.
func (t *tour) tellSteps(r *client.Run) error {
	list := &output.Table{Columns: []output.Column{
		{Name: "step", Title: "STEP"}, {Name: "took", Title: "TOOK", Right: true},
		{Name: "rows", Title: "ROWS", Right: true, Show: output.Thousands}, {Name: "left", Title: "LEFT"},
	}}
	for _, s := range r.Steps {
		var out struct {
			Rows  *int64   `json:"rows"`
			File  string   `json:"file"`
			Table string   `json:"table"`
			Bytes int64    `json:"bytes"`
			Weeks []string `json:"weeks"`
		}
		if err := json.Unmarshal(s.Output, &out); err != nil {
			return fmt.Errorf("step %s: %w", s.Name, err)
		}
		row := []any{s.Name, tookOf(s), nil, ""}
		if out.Rows != nil {
			row[2] = *out.Rows
		}
		switch {
		case out.Weeks != nil:
			row[3] = fmt.Sprintf("%d weeks archived, verified and dropped", len(out.Weeks))
		case out.Table != "":
			row[3] = "table " + out.Table
		case out.File != "":
			row[3] = "exports/" + out.File
		default:
			row[3] = "Parquet, " + output.Bytes(out.Bytes)
		}
		list.Rows = append(list.Rows, row)
	}
	return list.Write(t.Out, output.FormatTable, t.Terminal)
}

func tookOf(s client.RunStep) string {
	from, errFrom := time.Parse(time.RFC3339Nano, s.Started)
	to, errTo := time.Parse(time.RFC3339Nano, s.Ended)
	if errFrom != nil || errTo != nil {
		return ""
	}
	return to.Sub(from).Round(time.Millisecond).String()
}

// tellArchive shows what the archive holds.
func (t *tour) tellArchive(ctx context.Context) error {
	list, err := t.client.Archives(ctx)
	if err != nil {
		return err
	}
	weeks, left, rows, bytes := 0, 0, int64(0), int64(0)
	for _, a := range list {
		if a.State != "dropped" {
			left++
			continue
		}
		weeks, rows, bytes = weeks+1, rows+a.Rows, bytes+a.Bytes
	}
	if weeks == 0 {
		return fmt.Errorf("no week was archived and dropped, of %d", len(list))
	}
	t.printf("\n  The archive has %d weeks, %s samples, %s: %.2f bytes a sample; %d weeks are in tables still.\n",
		weeks, output.Thousands(rows), output.Bytes(bytes), float64(bytes)/float64(max(rows, 1)), left)
	return nil
}

// question is what the warehouse is asked.
const question = "select date_trunc('month', window_start) as month, avg(mean) as mean from rollup " +
	"where step = 'daily' and metric = 'transformer_OT' group by month order by month"

// tellWarehouse asks the warehouse by SQL, and draws the answer.
func (t *tour) tellWarehouse(ctx context.Context) error {
	t.heading("The warehouse: the oil temperature's mean of each month")
	t.printf("$ weir sql \"%s\"\n\n", question)
	line := output.Line{Name: "mean"}
	err := t.client.SQL(ctx, question, func([]client.SQLColumn) error { return nil }, func(values []json.RawMessage) error {
		var month time.Time
		var mean float64
		if err := json.Unmarshal(values[0], &month); err != nil {
			return err
		}
		if err := json.Unmarshal(values[1], &mean); err != nil {
			return err
		}
		line.Times, line.Values = append(line.Times, month.UnixNano()), append(line.Values, mean)
		return nil
	})
	if err != nil {
		return err
	}
	if len(line.Times) != 24 {
		return fmt.Errorf("the warehouse answered %d months; want 24", len(line.Times))
	}
	return output.Chart(t.Out, output.ChartOptions{Title: "oil temperature, °C", Width: t.Terminal.Width, Color: t.Terminal.Color}, []output.Line{line})
}

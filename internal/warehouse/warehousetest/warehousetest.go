// Package warehousetest is the suite that every driver of the warehouse must
// pass, unchanged. A driver's test hands it how to open one. It imports its port
// and what that speaks of, and writes its Parquet files by a library that no
// driver reads them with.
package warehousetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"weir/internal/warehouse"
)

// Open gives an empty warehouse, and again the same one for the same test, once
// the one before was closed, as after a restart. It is called concurrently.
type Open func(t *testing.T) warehouse.Warehouse

// Run runs the suite.
func Run(t *testing.T, open Open) {
	for name, test := range map[string]func(*testing.T, Open){
		"IsThereFromTheStart":        testTables,
		"LoadsOnce":                  testOnce,
		"NeverOlderOverNewer":        testOrder,
		"ReplacesWhatItLoadedOnly":   testNeighbours,
		"LoadsConcurrently":          testConcurrent,
		"EmptyResultRemoves":         testEmpty,
		"OutlivesRestart":            testRestart,
		"NewColumns":                 testNewColumns,
		"ChangedTypes":               testChangedTypes,
		"TakenNames":                 testTakenNames,
		"CorruptPart":                testCorruptPart,
		"MissingPart":                testMissingPart,
		"PartOfAnotherShape":         testShapes,
		"WrongManifest":              testWrongManifest,
		"UnavailableObjects":         testUnavailable,
		"EveryValue":                 testValues,
		"Series":                     testSeries,
		"History":                    testHistory,
		"HistoryInAnyOrder":          testHistoryOrder,
		"HistoryRevisions":           testHistoryRevisions,
		"WrongHistory":               testWrongHistory,
		"Erases":                     testErase,
		"QueriesChangeNothing":       testReadOnly,
		"QueriesReachNoFile":         testNoFiles,
		"QueriesAreBounded":          testLimits,
		"QueriesSeeOneState":         testBeside,
		"AnswersTypes":               testTypes,
		"ClosesTwiceAndEndsQueries":  testClose,
		"CancelledCallsChangeNothng": testCancelled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open)
		})
	}
}

// ample are limits that no test means to meet.
var ample = warehouse.Limits{Rows: 100_000, Timeout: time.Minute}

// ask gives all rows of an answer.
func ask(t *testing.T, w warehouse.Warehouse, format string, args ...any) [][]any {
	t.Helper()
	statement := fmt.Sprintf(format, args...)
	out, _, err := try(t.Context(), w, statement, ample)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return out
}

// try is ask where an error may come.
func try(ctx context.Context, w warehouse.Warehouse, statement string, l warehouse.Limits) ([][]any, []warehouse.Column, error) {
	rows, err := w.Query(ctx, statement, l)
	if err != nil {
		return nil, nil, err
	}
	var out [][]any
	for rows.Next() {
		out = append(out, append([]any{}, rows.Values()...))
	}
	err = rows.Err()
	if e := rows.Close(); err == nil {
		err = e
	}
	return out, rows.Columns(), err
}

// want compares an answer with rows that are printed alike.
func want(t *testing.T, got [][]any, rows ...[]any) {
	t.Helper()
	if g, w := written(got), written(rows); g != w {
		t.Errorf("got\n%swant\n%s", g, w)
	}
}

func written(rows [][]any) string {
	s := ""
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				s += " | "
			}
			if at, ok := cell.(time.Time); ok {
				cell = at.Format(time.RFC3339Nano)
			}
			s += fmt.Sprint(cell)
		}
		s += "\n"
	}
	return s
}

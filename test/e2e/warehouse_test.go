package e2e

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"weir/test/harness"
)

// TestWarehouseThatCannotBeOpened wants intake and queries to go on beside it,
// and the file to stay as it is until it is mended.
func TestWarehouseThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	server := harness.NewServer(t)
	file := filepath.Join(server.Data, "warehouse", "weir.duckdb")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	const garbage = "this is no database, whoever put it here"
	if err := os.WriteFile(file, []byte(garbage), 0o644); err != nil {
		t.Fatal(err)
	}
	c := server.Up(t, flushSoon()...)
	write(t, c, "cpu value=1 1767571200000000000\n")
	if got := read(t, c, "cpu"); len(got) != 1 {
		t.Errorf("read %v", got)
	}
	const question = `{"sql":"select 1 as one"}`
	for range 2 {
		if a := post(t, c, "/api/v1/sql", question, http.StatusInternalServerError); !strings.Contains(string(a.Body), "Warehouse is corrupt") || !strings.Contains(string(a.Body), file) {
			t.Errorf("%s", a.Body)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != garbage {
		t.Errorf("the file is %q, %v", got, err)
	}
	// Once it is moved away, the next statement makes a new one.
	if err := os.Rename(file, file+".aside"); err != nil {
		t.Fatal(err)
	}
	if a := post(t, c, "/api/v1/sql", question, http.StatusOK); !strings.Contains(string(a.Body), `{"values":[1]}`) {
		t.Errorf("%s", a.Body)
	}
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		t.Error("no file was made")
	}
}

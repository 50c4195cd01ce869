package e2e

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"weir/test/harness"
)

// spoil flips bits all over a file, since some that footers hold are never read,
// and gives what brings it back.
func spoil(t *testing.T, file string) (back func()) {
	t.Helper()
	body, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(body)
	for part := range 15 {
		damaged[(part+1)*len(damaged)/16] ^= 0x40
	}
	put := func(body []byte) {
		t.Helper()
		if err := os.WriteFile(file, body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(damaged)
	return func() { t.Helper(); put(body) }
}

// only gives the one file that a pattern below a data folder names.
func (p *plant) only(pattern ...string) string {
	p.t.Helper()
	found, err := filepath.Glob(filepath.Join(append([]string{p.server.Data}, pattern...)...))
	if err != nil || len(found) != 1 {
		p.t.Fatalf("%s: %s, %v; want one", filepath.Join(pattern...), found, err)
	}
	return found[0]
}

// fails runs a command that has to fail and to say all of these.
func (p *plant) fails(parts []string, arguments ...string) {
	p.t.Helper()
	result := run(p.t, p.server, 1, arguments...)
	if !containsAll(result.Stderr, parts) {
		p.t.Errorf("weir %q does not say all of %q: %s", arguments, parts, result)
	}
}

// TestDamagedArchive: a part with flipped bits is found by verify, and another
// archive written while the week's table is there. Once that is dropped, a query
// names the part and how to mend it, and what a backup brings back is read again.
func TestDamagedArchive(t *testing.T) {
	t.Parallel()
	p := &plant{t: t}
	p.server, p.client = start(t, append(flushSoon(), "--set", "partitions=1")...)
	p.samples()
	const monday = 1767571200_000000000
	const match, of = "load", "2026-01-05"
	ask := harness.Query("/api/v1/select", "match", match, "start", of, "end", "2026-01-12")
	before := get(t, p.client, ask, http.StatusOK)
	other := harness.Query("/api/v1/select", "match", match, "start", "2026-01-12", "end", "2026-01-19")
	beside := get(t, p.client, other, http.StatusOK)

	p.weir("archive", "2026-W02")
	part := p.only("archive", "week=2026-W02", "rev=0", "bucket=*", "*.parquet")
	name := strings.TrimPrefix(part, filepath.Join(p.server.Data, "archive")+"/")
	spoil(t, part)
	p.fails([]string{"2026-W02, revision 0", name, "corrupt", "SHA-256", "weir archive 2026-W02 writes another"}, "archive", "verify", "2026-W02")
	p.fails([]string{"not verified", "archive it first"}, "archive", "drop", "2026-W02")
	if got := get(t, p.client, ask, http.StatusOK); got != before {
		t.Error("a damaged archive changes what the table answers")
	}
	p.weir("archive", "2026-W02")
	p.weir("archive", "drop", "2026-W02")
	if got := get(t, p.client, ask, http.StatusOK); got != before {
		t.Error("what the second archive answers differs")
	}

	named := p.partOfManifest("2026-W02")
	back := spoil(t, filepath.Join(p.server.Data, "archive", named))
	text := get(t, p.client, ask, http.StatusInternalServerError)
	if !containsAll(text, []string{named, "corrupt", "backup of the archive", "weir archive verify"}) {
		t.Errorf("a query of a damaged part says %s", text)
	}
	p.fails([]string{named, "corrupt"}, "query", match, "--start", of, "--end", "2026-01-12")
	p.fails([]string{named, "corrupt", "backup of the archive"}, "archive", "verify", "2026-W02")
	p.fails([]string{named, "corrupt"}, "archive", "restore", "2026-W02")
	if got := get(t, p.client, other, http.StatusOK); got != beside {
		t.Error("another week is not read as before")
	}
	write(t, p.client, fmt.Sprintf("load,host=new value=1 %d\n", int64(monday)+weekLength))
	back()
	p.weir("archive", "verify", "2026-W02")
	if got := get(t, p.client, ask, http.StatusOK); got != before {
		t.Error("what the part that is back answers differs")
	}
	p.weir("archive", "restore", "2026-W02")
	if got := get(t, p.client, ask, http.StatusOK); got != before {
		t.Error("what the restored week answers differs")
	}
	ledgerBalances(t, p.server)
}

// get gives the body of an answer of this status.
func get(t *testing.T, c *harness.Client, path string, want int) string {
	t.Helper()
	answer, err := c.Do(t.Context(), harness.Request{Path: path})
	if err != nil || answer.Status != want {
		t.Fatalf("%s: want %d, got %.500s, %v", path, want, answer, err)
	}
	return string(answer.Body)
}

// partOfManifest gives the name of the one part that counts of a week.
func (p *plant) partOfManifest(week string) string {
	p.t.Helper()
	var manifest string
	for _, a := range p.archives() {
		if a.Week == week {
			manifest = a.Manifest
		}
	}
	body, err := os.ReadFile(filepath.Join(p.server.Data, "archive", manifest))
	if err != nil {
		p.t.Fatal(err)
	}
	var m struct{ Files []struct{ Name string } }
	if err := json.Unmarshal(body, &m); err != nil || len(m.Files) != 1 {
		p.t.Fatalf("parts are %v, %v; want one", m.Files, err)
	}
	return m.Files[0].Name
}

// warehouseFile is where the embedded warehouse is, below the data folder.
func (p *plant) warehouseFile() string {
	return filepath.Join(p.server.Data, "warehouse", "weir.duckdb")
}

// garbage puts a file that is no database in the warehouse's place, and gives
// what moves it away.
func (p *plant) garbage() (away func()) {
	p.t.Helper()
	file := p.warehouseFile()
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = os.WriteFile(file, []byte(strings.Repeat("no database ", 1000)), 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return func() {
		p.t.Helper()
		if err := os.Rename(file, file+".aside"); err != nil {
			p.t.Fatal(err)
		}
	}
}

// TestDamagedResult: a load whose part has flipped bits, or is gone, fails and
// says whose it was, and a rerun makes the part anew and loads it. The run is
// brought to stand between its steps by a warehouse that is no database.
func TestDamagedResult(t *testing.T) {
	t.Parallel()
	window := days()[0]
	whole := newPlant(t)
	whole.samples()
	whole.weir("pipeline", "run", whole.file, "--window", window)
	want := whole.table()
	for name, damage := range map[string]func(t *testing.T, part string){
		"flipped": func(t *testing.T, part string) { spoil(t, part) },
		"gone": func(t *testing.T, part string) {
			if err := os.Remove(part); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlant(t)
			p.samples()
			away := p.garbage()
			p.fails([]string{"step load", p.warehouseFile(), "corrupt", "move it away"}, "pipeline", "run", p.file, "--window", window)
			away()
			part := p.only("results", "rollups", "hourly", "*", "rev=0", "*", "*.parquet")
			damage(t, part)
			p.fails([]string{"step load", "step hourly", "damaged", filepath.Base(part), "rerun"}, "pipeline", "rerun", "rollups", "--window", window)
			if _, err := os.Stat(p.warehouseFile()); err == nil && p.loads() != "0" {
				t.Errorf("%s loads of a damaged part are recorded", p.loads())
			}
			p.weir("pipeline", "rerun", "rollups", "--window", window)
			if got := p.table(); got != want {
				t.Errorf("after the rerun the warehouse holds\n%s\nwant\n%s", got, want)
			}
			if runs := p.runs(); len(runs) != 1 || runs[0].State != "done" || runs[0].Revision != 0 || p.loads() != "1" {
				t.Errorf("runs are %+v, loads %s", runs, p.loads())
			}
		})
	}
}

// loads gives how many loads the warehouse has recorded.
func (p *plant) loads() string {
	p.t.Helper()
	_, count, _ := strings.Cut(strings.TrimSpace(p.weir("sql", "--output", "csv", "select count(*) as n from loads")), "\n")
	return count
}

// holder is a program that has a database open, as the duckdb shell would.
const holder = `
import duckdb, sys
db = duckdb.connect(sys.argv[1])
for statement in sys.argv[2:]:
    db.execute(statement)
print("open", flush=True)
sys.stdin.read()
`

// hold has DuckDB's Python package open the warehouse and run statements, and
// gives what closes it.
func (p *plant) hold(statements ...string) (end func()) {
	p.t.Helper()
	program := exec.CommandContext(p.t.Context(), pythonOfOthers(p.t), append([]string{"-c", holder, p.warehouseFile()}, statements...)...)
	program.Stderr = os.Stderr
	in, err1 := program.StdinPipe()
	out, err2 := program.StdoutPipe()
	if err := errors.Join(err1, err2, program.Start()); err != nil {
		p.t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		p.t.Fatalf("the program that is to hold the warehouse says %q, %v", line, err)
	}
	return func() {
		p.t.Helper()
		if err := errors.Join(in.Close(), program.Wait()); err != nil {
			p.t.Fatal(err)
		}
	}
}

// TestWarehouseThatIsRefused: one that another program has open, and one that a
// newer Weir or a newer DuckDB wrote, fails loads and statements with a clear
// error and is left as it is, while samples come and are read; once that is
// over, a rerun loads what the run computed.
func TestWarehouseThatIsRefused(t *testing.T) {
	if testing.Short() {
		t.Skip("the packages of Python are installed once: left out by -short")
	}
	t.Parallel()
	p := newPlant(t)
	p.samples()
	text := strings.Replace(rollups, "steps:", "retries: {attempts: 2, backoff: 100ms, most: 100ms}\nsteps:", 1)
	if err := os.WriteFile(p.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p.weir("pipeline", "run", p.file, "--window", days()[0])
	if err := p.server.Stop(); err != nil {
		t.Fatal(err)
	}
	refused := func(window string, want ...string) {
		t.Helper()
		p.client = p.server.Up(t)
		p.fails(append(want, "step load"), "pipeline", "run", p.file, "--window", window)
		p.fails(want, "sql", "select 1")
		write(t, p.client, "beside value=1 1\n")
		expect(t, p.client, "beside", "beside{} 1=1")
	}
	mended := func(window, loads string) {
		t.Helper()
		p.weir("pipeline", "rerun", "rollups", "--window", window)
		if got := p.loads(); got != loads {
			t.Errorf("%s loads are recorded; want %s", got, loads)
		}
		if err := p.server.Stop(); err != nil {
			t.Fatal(err)
		}
	}

	end := p.hold()
	refused(days()[1], "in use by another process", "close the other program")
	end()
	mended(days()[1], "2")

	p.hold("update weir_version set version = 99")()
	refused(days()[2], "version 99", "use the weir that wrote it")
	if err := p.server.Stop(); err != nil {
		t.Fatal(err)
	}
	p.hold("update weir_version set version = 1")()
	p.client = p.server.Up(t)
	mended(days()[2], "3")

	body, err := os.ReadFile(p.warehouseFile())
	if err != nil {
		t.Fatal(err)
	}
	newer := restamp(bytes.Clone(body), 200)
	if err := os.WriteFile(p.warehouseFile(), newer, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(days()[3], "version this program does not know", "use the weir that wrote it")
	if now, err := os.ReadFile(p.warehouseFile()); err != nil || !bytes.Equal(now, newer) {
		t.Errorf("the file was changed, %v", err)
	}
	if err := os.WriteFile(p.warehouseFile(), body, 0o600); err != nil {
		t.Fatal(err)
	}
	mended(days()[3], "4")
}

// restamp writes another storage version into the first header of a database of
// DuckDB's, whose checksum is an XOR of its words, each times a constant.
func restamp(body []byte, version byte) []byte {
	const checksum, magic, storage, factor = 0, 8, 12, 0xbf58476d1ce4e5b9
	word := func(at int) uint64 { return binary.LittleEndian.Uint64(body[at:]) }
	sum := word(checksum) ^ word(magic)*factor
	body[storage] = version
	binary.LittleEndian.PutUint64(body[checksum:], sum^word(magic)*factor)
	return body
}

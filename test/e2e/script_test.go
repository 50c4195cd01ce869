package e2e

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"weir/test/harness"
)

var updateFlag = flag.Bool("update", false, "write what commands print into the scripts of testdata")

// TestScripts runs the scripts of testdata/script, each beside a server of its
// own. $WEIR_SERVER names the server, $DATA its folder; `settle` waits until
// nothing is in flight, `down` ends the server by SIGTERM, `up` starts it.
func TestScripts(t *testing.T) {
	programs := t.TempDir()
	if err := os.Symlink(harness.Binary(t), filepath.Join(programs, "weir")); err != nil {
		t.Fatal(err)
	}
	type serverKey struct{}
	server := func(ts *testscript.TestScript) *harness.Server { return ts.Value(serverKey{}).(*harness.Server) }
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script"),
		UpdateScripts: *updateFlag,
		Setup: func(env *testscript.Env) error {
			s := harness.NewServer(env.T().(testing.TB), flushSoon()...)
			env.Values[serverKey{}] = s
			env.Setenv("PATH", programs+string(os.PathListSeparator)+os.Getenv("PATH"))
			env.Setenv("WEIR_SERVER", s.URL())
			env.Setenv("DATA", s.Data)
			env.Setenv("NO_COLOR", "1")
			return startServer(s)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"settle": func(ts *testscript.TestScript, _ bool, _ []string) {
				_, err := harness.NewClient(server(ts).URL()).Settled(context.Background(), 20*time.Second)
				ts.Check(err)
			},
			"down": func(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(server(ts).Stop()) },
			"up":   func(ts *testscript.TestScript, _ bool, _ []string) { ts.Check(startServer(server(ts))) },
		},
	})
}

func startServer(s *harness.Server) error {
	if err := s.Start(); err != nil {
		return err
	}
	return s.WaitReady(context.Background())
}

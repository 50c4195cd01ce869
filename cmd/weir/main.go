// Command weir is the command line of Weir: it starts a server, and reaches a
// running one over HTTP.
//
// It owns flags, help, progress and exit codes: 0 for success, 1 for failure,
// 2 for a command line that is wrong. It refuses logic of its own: commands
// call the packages below internal, and it imports no driver.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // pipelines know time zones also where the machine does not

	"weir/internal/app"
)

func main() {
	if err := app.Prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "weir:", err)
		os.Exit(1)
	}
	d := processDeps()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, newRoot(d, newUp(d), newDemo(d), newConfig(d), newDoctor(d)), os.Args[1:])
	stop()
	os.Exit(code)
}

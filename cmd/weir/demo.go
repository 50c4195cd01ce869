package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"weir/internal/demo"
	"weir/internal/output"
)

func newDemo(d deps) *cobra.Command {
	o := demo.Options{Out: d.out, Err: d.err, Now: d.now}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Start an instance, send it real and simulated data, and show what became of it",
		Long: `Starts a real instance on a folder of its own, sends it two years of a
transformer's load, twelve series of the Numenta Anomaly Benchmark and a fleet
of simulated power meters, by the same commands that you would use, and sums up
what is where. Then a pipeline rolls all of it up into the warehouse, exports a
report, and archives, verifies and drops the weeks that are older than four; SQL
and a query are answered from what is left. Takes under a minute and leaves
nothing behind.`,
		Example: `  weir demo
  weir demo --keep                         # leave it running to look around
  weir demo --meters 10000 --for 1h`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) (err error) {
			if o.Program, err = os.Executable(); err != nil {
				return err
			}
			o.Terminal = output.Detect(d.out, d.getenv)
			return demo.Run(c.Context(), o)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.Keep, "keep", false, "leave the instance running until Ctrl-C")
	f.StringVar(&o.Data, "data", "", "data folder (default: a new one, removed in the end)")
	f.StringVar(&o.HTTP, "http", "", "where to listen (default: a free port of loopback)")
	f.StringVar(&o.Examples, "examples", "examples/data", "folder with the example data")
	f.IntVar(&o.Meters, "meters", 1000, "how many power meters")
	f.DurationVar(&o.For, "for", 4*time.Hour, "how long they are simulated")
	return c
}

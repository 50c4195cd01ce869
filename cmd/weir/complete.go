package main

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"weir/internal/client"
)

// completeTime is how long a shell waits for what a running instance knows.
const completeTime = 300 * time.Millisecond

// maxCompletions is how many names are offered at most.
const maxCompletions = 200

func choices(names ...string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeFlag panics where there is no such flag, which is a broken program.
func completeFlag(cmd *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic("weir: " + err.Error())
	}
}

// completeMetrics offers the metrics of the running instance, as far as it
// tells them in time, to the first argument.
func (g *global) completeMetrics(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	const directive = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	if len(args) > 0 || strings.ContainsAny(begun, `{}"`) {
		return nil, directive
	}
	c, err := g.client()
	if err != nil {
		return nil, directive
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completeTime)
	defer cancel()
	var names []string
	enough := errors.New("enough")
	// What came before an error, or before time was up, is still good.
	_ = c.Series(ctx, client.Selection{Match: `{__name__=~` + quoteLabel(regexp.QuoteMeta(begun)+".*") + `}`}, func(s *client.SeriesLine) error {
		if i, found := slices.BinarySearch(names, s.Series.Metric); !found {
			names = slices.Insert(names, i, s.Series.Metric)
		}
		if len(names) == maxCompletions {
			return enough
		}
		return nil
	})
	return names, directive
}

// quoteLabel quotes a text for a selector.
func quoteLabel(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(text) + `"`
}

package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"weir/internal/app"
	"weir/internal/backup"
	"weir/internal/client"
	"weir/internal/output"
)

func newBackup(g *global) *cobra.Command {
	var verify bool
	cmd := &cobra.Command{
		Use:   "backup FOLDER",
		Short: "Copy a running instance to a folder, and bring it back",
		Long: `Copy the running instance to a folder, best on another disk. Intake, queries and
pipelines go on. The backup has every sample that was acknowledged before it
began; what is in the folder already is not copied again. It counts only once
all of it is on disk: one that was cut short is no backup, and the next one
takes on what it had copied.

The config file is not in it; scheduled pipelines are.`,
		Example: `  weir backup /mnt/backups/weir
  weir backup /mnt/backups/weir --verify
  weir backup list /mnt/backups/weir
  weir backup restore /mnt/backups/weir weir-restored`,
		Args: arguments(cobra.ExactArgs(1), "the folder of the backups"),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := g.takeBackup(cmd.Context(), args[0])
			if err != nil || !verify {
				return err
			}
			return g.verifyBackup(cmd.Context(), args[0], name)
		},
	}
	cmd.Flags().BoolVar(&verify, "verify", false, "then read it back and try to restore it")
	cmd.AddCommand(newBackupList(g), newBackupVerify(g), newBackupRestore(g), newBackupPrune(g))
	return cmd
}

// place opens the folder of the backups for a call.
func place(dir string, use backup.Use, call func(*backup.Place) error) error {
	p, err := backup.OpenPlace(dir, use)
	if err != nil {
		return err
	}
	return errors.Join(call(p), p.Close())
}

// shown shows how far a work is, in bytes, and ends with what came of it.
func (g *global) shown(title string, work func(backup.Progress) error) error {
	var p *progress
	err := work(func(done, total int64) {
		if p == nil {
			p = g.newProgress(title, total, true)
		}
		p.set(done, output.Bytes(done)+" of "+output.Bytes(total))
	})
	if p != nil {
		p.end(err == nil)
	}
	return err
}

func (g *global) takeBackup(ctx context.Context, dir string) (name string, err error) {
	c, err := g.client()
	if err != nil {
		return "", err
	}
	begun := g.now()
	err = place(dir, backup.ToMake, func(p *backup.Place) error {
		return c.Lend(ctx, func(ctx context.Context, lent *client.Lent) error {
			of := &backup.Copy{ID: lent.ID, Begun: lent.Begun, Taken: lent.Taken, Version: lent.Version, Folders: lent.Folders}
			for _, f := range lent.Files {
				of.Files = append(of.Files, backup.File(f))
			}
			var taken backup.Taken
			err := g.shown("copy", func(tell backup.Progress) (err error) {
				taken, err = p.Take(ctx, of, lent, tell)
				return err
			})
			if err != nil {
				return err
			}
			name = taken.Name
			return g.printTaken(taken, g.now().Sub(begun))
		})
	})
	return name, err
}

func (g *global) printTaken(t backup.Taken, took time.Duration) error {
	return g.print(&output.Table{
		Columns: []output.Column{
			{Name: "backup"}, {Name: "files", Right: true, Show: output.Thousands},
			{Name: "bytes", Right: true, Show: output.Bytes}, {Name: "copied", Right: true, Show: output.Bytes},
			{Name: "there_already", Right: true, Show: output.Bytes},
			{Name: "seconds", Right: true, Show: func(cell any) string { return fmt.Sprintf("%.1f", cell) }},
		},
		Rows: [][]any{{t.Name, t.Files, t.Bytes, t.Copied, t.Bytes - t.Copied, took.Seconds()}},
	})
}

func newBackupList(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "list FOLDER",
		Short: "List the backups of a folder",
		Long: `List the backups of a folder, the oldest first: when they were taken, what they
hold, and how much of it no backup before has.`,
		Example: "  weir backup list /mnt/backups/weir",
		Args:    arguments(cobra.ExactArgs(1), "the folder of the backups"),
		RunE: func(_ *cobra.Command, args []string) error {
			return place(args[0], backup.ToRead, func(p *backup.Place) error { return g.listBackups(p) })
		},
	}
}

func (g *global) listBackups(p *backup.Place) error {
	names, err := p.Names()
	if err != nil {
		return err
	}
	list := &output.Table{
		Columns: []output.Column{
			{Name: "backup"}, {Name: "taken"}, {Name: "by"}, {Name: "files", Right: true, Show: output.Thousands},
			{Name: "bytes", Right: true, Show: output.Bytes}, {Name: "new", Right: true, Show: output.Bytes},
		},
		Empty: "no backups: `weir backup` takes one",
	}
	seen := map[backup.Content]bool{}
	var damaged []error
	for _, name := range names {
		m, err := p.Manifest(name)
		if err != nil {
			damaged = append(damaged, err)
			continue
		}
		var fresh int64
		for _, f := range m.Files {
			for _, c := range f.Content {
				if !seen[c] {
					seen[c] = true
					fresh += c.Bytes
				}
			}
		}
		list.Rows = append(list.Rows, []any{m.Name, m.Taken.Format(time.RFC3339), m.By, len(m.Files), m.Bytes(), fresh})
	}
	return errors.Join(append(damaged, g.print(list))...)
}

func newBackupVerify(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "verify FOLDER [BACKUP]",
		Short: "Read a backup back, and try to restore it",
		Long: `Read all of a backup, the newest if none is named, and compare it with its
hashes. Then restore it within the folder of the backups, open it as an instance
would, commit what its queues hold, draw up its ledger, and read its journals,
items, archives and warehouse. Content that is not what was written is set
aside, so that the next backup copies it anew.`,
		Example:           "  weir backup verify /mnt/backups/weir\n  weir backup verify /mnt/backups/weir 2026-11-26T05-40-00Z",
		Args:              arguments(cobra.RangeArgs(1, 2), "the folder of the backups, and one of them"),
		ValidArgsFunction: completeBackups(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return g.verifyBackup(cmd.Context(), args[0], optional(args, 1))
		},
	}
}

func optional(args []string, at int) string {
	if len(args) > at {
		return args[at]
	}
	return ""
}

func (g *global) verifyBackup(ctx context.Context, dir, name string) error {
	return place(dir, backup.ToWrite, func(p *backup.Place) error {
		m, err := p.Manifest(name)
		if err != nil {
			return err
		}
		if err := g.shown("read "+m.Name, func(tell backup.Progress) error { return p.Verify(ctx, m, tell) }); err != nil {
			return fmt.Errorf("backup %s: %w", m.Name, err)
		}
		var r app.Report
		err = g.shown("restore "+m.Name, func(tell backup.Progress) error {
			return p.Trial(ctx, m, func(dir string) (err error) {
				r, err = app.TryRestored(ctx, dir, g.version)
				return err
			}, tell)
		})
		if err != nil {
			return fmt.Errorf("backup %s can't be restored: %w", m.Name, err)
		}
		for _, problem := range r.Problems {
			fmt.Fprintln(g.err, problem)
		}
		if len(r.Problems) > 0 {
			return fmt.Errorf("backup %s, as restored, has %d problems", m.Name, len(r.Problems))
		}
		return g.print(&output.Table{
			Columns: []output.Column{
				{Name: "backup"}, {Name: "bytes", Right: true, Show: output.Bytes}, {Name: "journals", Right: true, Show: output.Thousands},
				{Name: "series", Right: true, Show: output.Thousands}, {Name: "items", Right: true, Show: output.Thousands},
				{Name: "samples", Right: true, Show: output.Thousands}, {Name: "state"},
			},
			Rows: [][]any{{m.Name, m.Bytes(), r.Journals, r.Series, r.Items, int64(r.Samples), "verified"}},
		})
	})
}

func newBackupRestore(g *global) *cobra.Command {
	return &cobra.Command{
		Use:   "restore FOLDER [BACKUP] DATA",
		Short: "Restore a backup to a new data folder",
		Long: `Restore a backup, the newest if none is named, to a data folder that is not there
yet, or empty. All is compared with its hashes on the way. One that was cut short
is refused by "weir up", and begun anew by the same command.

A restored instance is a fork: do not let it and the first one both take
samples, or run pipelines that give something away.`,
		Example: `  weir backup restore /mnt/backups/weir weir-restored
  weir backup restore /mnt/backups/weir 2026-11-26T05-40-00Z weir-restored
  weir up --data weir-restored`,
		Args:              arguments(cobra.RangeArgs(2, 3), "the folder of the backups, one of them, and a new data folder"),
		ValidArgsFunction: completeBackups(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			to, name := args[len(args)-1], ""
			if len(args) == 3 {
				name = args[1]
			}
			return place(args[0], backup.ToRead, func(p *backup.Place) error {
				m, err := p.Manifest(name)
				if err != nil {
					return err
				}
				err = g.shown("restore "+m.Name, func(tell backup.Progress) error { return p.Restore(cmd.Context(), m, to, tell) })
				if err != nil {
					return err
				}
				return g.print(&output.Table{
					Columns: []output.Column{{Name: "backup"}, {Name: "taken"}, {Name: "bytes", Right: true, Show: output.Bytes}, {Name: "data"}},
					Rows:    [][]any{{m.Name, m.Taken.Format(time.RFC3339), m.Bytes(), to}},
				})
			})
		},
	}
}

func newBackupPrune(g *global) *cobra.Command {
	keep := ""
	cmd := &cobra.Command{
		Use:   "prune FOLDER --keep N",
		Short: "Remove old backups",
		Long: `Remove all backups of a folder but the newest N, and the content that no other
names. What backups left that were cut short goes too.`,
		Example: "  weir backup prune /mnt/backups/weir --keep 14",
		Args:    arguments(cobra.ExactArgs(1), "the folder of the backups"),
		RunE: func(_ *cobra.Command, args []string) error {
			n, err := strconv.Atoi(keep)
			if err != nil || n < 1 {
				return usagef("--keep %q: want the number of backups to keep, at least 1", keep)
			}
			return place(args[0], backup.ToWrite, func(p *backup.Place) error {
				done, err := p.Prune(n)
				if err != nil {
					return err
				}
				return g.print(&output.Table{
					Columns: []output.Column{
						{Name: "removed", Right: true, Show: output.Thousands}, {Name: "files", Right: true, Show: output.Thousands}, {Name: "bytes", Right: true, Show: output.Bytes},
					},
					Rows: [][]any{{len(done.Names), done.Files, done.Bytes}},
				})
			})
		},
	}
	cmd.Flags().StringVar(&keep, "keep", "", "how many of the newest stay")
	return cmd
}

// completeBackups offers the backups of the folder that was given, and folders.
func completeBackups(at int) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) != at {
			return nil, cobra.ShellCompDirectiveFilterDirs
		}
		found, err := filepath.Glob(filepath.Join(args[0], "*", "manifest.json"))
		if err != nil || len(found) == 0 {
			return nil, cobra.ShellCompDirectiveFilterDirs
		}
		names := make([]string, len(found))
		for i, f := range found {
			names[i] = filepath.Base(filepath.Dir(f))
		}
		return names, cobra.ShellCompDirectiveDefault
	}
}

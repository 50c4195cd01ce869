package backup

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"weir/internal/datafolder"
)

// spare is the room that a copy must leave on the instance's disk.
const spare = 256 << 20

// Part is one part of an instance.
type Part struct {
	Folder string // below the data folder
	Copier Copier
	// Fixed says which files never change once they are there.
	Fixed func(name string) bool
	// Doubled says that a copy takes as much room as the part.
	Doubled bool
}

// LenderOptions is what a Lender needs.
type LenderOptions struct {
	Data    string
	Parts   []Part // those whose moment the others are copied in come first
	Version string
	Now     func() time.Time
	Logger  *slog.Logger
	// Free gives the room on a folder's disk, or false where that is not known.
	Free func(dir string) (int64, bool)
}

// Lender lends copies of an instance, one at a time. A copy is made of links as
// far as files never change. It is there as long as somebody has it; what a crash
// left is removed by the next NewLender.
type Lender struct {
	LenderOptions
	stopped context.Context
	Stop    context.CancelFunc // takes back what is lent

	turn chan struct{} // held by who has a copy
	mu   sync.Mutex
	lent *lent // nil: nothing
}

// lent is a copy that somebody has.
type lent struct {
	id    string
	dir   string
	files map[string]bool
}

// NewLender makes a lender.
func NewLender(o LenderOptions) (*Lender, error) {
	l := &Lender{LenderOptions: o, turn: make(chan struct{}, 1)}
	l.stopped, l.Stop = context.WithCancel(context.Background())
	if err := os.RemoveAll(l.dir()); err != nil {
		return nil, fmt.Errorf("remove what a backup left that was cut short: %w", err)
	}
	return l, nil
}

func (l *Lender) dir() string { return filepath.Join(l.Data, datafolder.LentFolder) }

// turnTime is how long a call waits for the copy before to be taken back: who
// hung up does not know when that is done.
const turnTime = 5 * time.Second

// Lend makes a copy. Give it back with the function.
func (l *Lender) Lend(ctx context.Context) (_ *Copy, giveBack func(), err error) {
	wait := time.NewTimer(turnTime)
	defer wait.Stop()
	select {
	case l.turn <- struct{}{}:
	case <-wait.C:
		return nil, nil, fmt.Errorf("%w of this instance: wait until it has ended", ErrBusy)
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	defer func() {
		if err != nil {
			l.takeBack()
		}
	}()
	if err := l.checkRoom(); err != nil {
		return nil, nil, err
	}
	c := &Copy{ID: rand.Text(), Begun: l.Now(), Version: l.Version}
	if err := l.take(ctx, c); err != nil {
		return nil, nil, fmt.Errorf("copy the instance: %w", err)
	}
	of := &lent{id: c.ID, dir: l.dir(), files: make(map[string]bool, len(c.Files))}
	for _, f := range c.Files {
		of.files[f.Path] = true
	}
	l.mu.Lock()
	l.lent = of
	l.mu.Unlock()
	return c, l.takeBack, nil
}

func (l *Lender) takeBack() {
	l.mu.Lock()
	l.lent = nil
	l.mu.Unlock()
	if err := os.RemoveAll(l.dir()); err != nil {
		l.Logger.Warn("the copy for a backup is not removed; the next start will do it", "folder", l.dir(), "error", err)
	}
	<-l.turn
}

// take copies the parts, each in the moment of the one before.
func (l *Lender) take(ctx context.Context, c *Copy) error {
	dir := l.dir()
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	next := func(context.Context) error { return nil }
	for _, p := range slices.Backward(l.Parts) {
		inner := next
		next = func(ctx context.Context) error { return p.Copier.Snapshot(ctx, filepath.Join(dir, p.Folder), inner) }
	}
	if err := next(ctx); err != nil {
		return err
	}
	c.Taken = l.Now()
	format, err := os.ReadFile(filepath.Join(l.Data, datafolder.FormatFile))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, datafolder.FormatFile), format, 0o644)
	}
	if err != nil {
		return err
	}
	return l.list(c)
}

// list names what was copied.
func (l *Lender) list(c *Copy) error {
	dir := l.dir()
	if err := l.add(c, dir, func(string) bool { return false }, false); err != nil {
		return err
	}
	for _, p := range l.Parts {
		err := l.add(c, filepath.Join(dir, p.Folder), p.Fixed, true)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (l *Lender) add(c *Copy, root string, fixed func(string) bool, deep bool) error {
	return filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(l.dir(), path)
		switch {
		case err != nil:
			return err
		case e.IsDir() && !deep && path != root:
			return filepath.SkipDir
		case e.IsDir() && path == l.dir(), e.Name() == "LOCK":
			return nil
		case e.IsDir():
			c.Folders = append(c.Folders, filepath.ToSlash(name))
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		c.Files = append(c.Files, File{filepath.ToSlash(name), info.Size(), info.ModTime().UnixNano(), fixed(e.Name())})
		return nil
	})
}

// checkRoom refuses a copy for which the instance's own disk has no room: that
// would end the intake.
func (l *Lender) checkRoom() error {
	var need int64 = spare
	for _, p := range l.Parts {
		if !p.Doubled {
			continue
		}
		err := filepath.WalkDir(filepath.Join(l.Data, p.Folder), func(_ string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || err == nil && e.IsDir() {
				return nil
			}
			if err != nil {
				return err
			}
			info, err := e.Info()
			if err == nil {
				need += info.Size()
			}
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	if free, known := l.Free(l.Data); known && free < need {
		return noRoom(l.Data, need, free, "a backup copies the queues and the warehouse beside themselves first")
	}
	return nil
}

func noRoom(dir string, need, free int64, why string) error {
	return fmt.Errorf("%w on the disk of %s: %d MiB are free and %d MiB are needed (%s): make room and try again",
		ErrNoRoom, dir, free>>20, (need+1<<20-1)>>20, why)
}

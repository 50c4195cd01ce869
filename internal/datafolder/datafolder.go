// Package datafolder owns the folder that holds all data of an instance: its
// layout, its version, and that one process works on it.
//
// It refuses to know what is in the parts. It imports nothing of ours.
//
//	DIR/FORMAT     "weir-data 1"
//	DIR/LOCK       held by the one process that works on the folder
//	DIR/buffer     the queues
//	DIR/store      journals, records, and a folder a volume
//	DIR/archive    weeks as Parquet
//	DIR/results    what analyses gave
//	DIR/exports    what pipelines give away
//	DIR/warehouse  the tables for SQL, made by the first statement or load
//	DIR/lent       a copy of all that, as long as a backup is taken
//	DIR/RESTORING  as long as a backup is being restored to the folder
package datafolder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Format is the version of the layout.
const Format = 1

// Names in the folder.
const (
	FormatFile    = "FORMAT"
	LentFolder    = "lent"
	RestoringFile = "RESTORING"
)

const formatName = "weir-data"

// ErrNone means that a folder holds no data of Weir's.
var ErrNone = errors.New("no data folder")

// Folder is a data folder that this process holds.
type Folder struct {
	dir  string
	lock *os.File
}

// Find opens a data folder that is there. Nothing is made where there is
// none.
func Find(dir string) (*Folder, error) {
	switch _, err := os.Stat(filepath.Join(dir, FormatFile)); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("data folder %s: %w: there is no %s in it; name a data folder with --data", dir, ErrNone, FormatFile)
	case err != nil:
		return nil, fmt.Errorf("data folder: %w", err)
	}
	return Open(dir)
}

// Open makes the data folder if it is not there, takes its lock and
// checks its format. A folder of another format is left as it is.
func Open(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "LOCK"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("data folder %s is in use by another weir; stop that one, or name another folder with --data: %w", dir, err), lock.Close())
	}
	f := &Folder{dir: dir, lock: lock}
	err = f.checkWhole()
	if err == nil {
		err = f.checkFormat()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// checkWhole refuses a folder to which a backup is being restored, or was until
// that was cut short.
func (f *Folder) checkWhole() error {
	_, err := os.Stat(filepath.Join(f.dir, RestoringFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	return fmt.Errorf("data folder %s is not whole: a restore to it has not ended; call the same `weir backup restore` again, it begins anew", f.dir)
}

func (f *Folder) checkFormat() error {
	path := filepath.Join(f.dir, FormatFile)
	want := fmt.Sprintf("%s %d", formatName, Format)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f.writeFormat(path, want+"\n")
	}
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if got := strings.TrimSpace(string(text)); got != want {
		return fmt.Errorf("data folder %s is of format %q, and this program knows %q: use the weir that wrote it, or a newer one; nothing was changed", f.dir, got, want)
	}
	return nil
}

// writeFormat puts the format down in one step that lasts.
func (f *Folder) writeFormat(path, text string) error {
	for _, name := range []string{"buffer", "store", "archive"} {
		if _, err := os.Stat(filepath.Join(f.dir, name)); err == nil {
			return fmt.Errorf("data folder %s holds %s, but no %s: it is not whole; restore it, or name another folder with --data", f.dir, name, FormatFile)
		}
	}
	temporary := path + ".new"
	file, err := os.Create(temporary)
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	return errors.Join(syncFolder(f.dir), syncFolder(filepath.Dir(filepath.Clean(f.dir))))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close gives the folder back.
func (f *Folder) Close() error { return f.lock.Close() }

package app

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"weir/internal/backup"
)

// dataFormat is the version of the data folder's layout:
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
const dataFormat = 1

const (
	formatName = "weir-data"
	formatFile = "FORMAT"
)

// ErrNoFolder means that a folder holds no data of Weir's.
var ErrNoFolder = errors.New("no data folder")

// dataFolder is a data folder that this process holds.
type dataFolder struct {
	dir  string
	lock *os.File
}

// findFolder opens a data folder that is there. Nothing is made where there is
// none.
func findFolder(dir string) (*dataFolder, error) {
	switch _, err := os.Stat(filepath.Join(dir, formatFile)); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("data folder %s: %w: there is no %s in it; name a data folder with --data", dir, ErrNoFolder, formatFile)
	case err != nil:
		return nil, fmt.Errorf("data folder: %w", err)
	}
	return openFolder(dir)
}

// openFolder makes the data folder if it is not there, takes its lock and
// checks its format. A folder of another format is left as it is.
func openFolder(dir string) (*dataFolder, error) {
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
	f := &dataFolder{dir: dir, lock: lock}
	err = f.checkWhole()
	if err == nil {
		err = f.checkFormat()
	}
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// checkWhole refuses a folder to which a backup is being restored, or was until
// that was cut short.
func (f *dataFolder) checkWhole() error {
	_, err := os.Stat(filepath.Join(f.dir, backup.RestoringFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	return fmt.Errorf("data folder %s is not whole: a restore to it has not ended; call the same `weir backup restore` again, it begins anew", f.dir)
}

func (f *dataFolder) checkFormat() error {
	path := filepath.Join(f.dir, formatFile)
	want := fmt.Sprintf("%s %d", formatName, dataFormat)
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
func (f *dataFolder) writeFormat(path, text string) error {
	for _, name := range []string{"buffer", "store", "archive"} {
		if _, err := os.Stat(filepath.Join(f.dir, name)); err == nil {
			return fmt.Errorf("data folder %s holds %s, but no %s: it is not whole; restore it, or name another folder with --data", f.dir, name, formatFile)
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

func (f *dataFolder) close() error { return f.lock.Close() }

package duckdb

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
)

const (
	fileName  = "weir.duckdb"
	walSuffix = ".wal"
)

// copyFiles copies the database and its log to another folder, which it makes,
// where there is a database. It reads that through main where that is not nil:
// to open and close it would end DuckDB's lock on it.
func copyFiles(from, to string, main io.ReaderAt) error {
	path := filepath.Join(from, fileName)
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	var err error
	if main != nil {
		err = writeCopy(filepath.Join(to, fileName), io.NewSectionReader(main, 0, math.MaxInt64))
	} else {
		err = copyFile(path, filepath.Join(to, fileName))
	}
	if err != nil {
		return err
	}
	err = copyFile(path+walSuffix, filepath.Join(to, fileName+walSuffix))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // what was in it is in the database
	}
	return err
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // nothing was written
	return writeCopy(to, in)
}

func writeCopy(to string, in io.Reader) error {
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

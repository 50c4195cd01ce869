package jetstream

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	formatFile    = "FORMAT.json"
	formatVersion = 1
	serverFolder  = "jetstream"
)

// format is what FORMAT.json says.
type format struct {
	Version int `json:"version"`
	Queues  int `json:"queues"`
}

// settleFormat reads the folder's format, or writes it in a new folder, and
// gives the number of queues: the larger of the folder's and the wanted one,
// so that no queue's messages are left behind. The folder must be locked.
func settleFormat(dir string, wanted int) (int, error) {
	name := filepath.Join(dir, formatFile)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, serverFolder)); err == nil {
			return 0, fmt.Errorf("%s has messages but no %s: restore that file from a backup", dir, formatFile)
		}
		return wanted, writeFormat(name, wanted)
	}
	if err != nil {
		return 0, err
	}
	var f format
	if err := json.Unmarshal(data, &f); err != nil {
		return 0, fmt.Errorf("%s is damaged: %w", name, err)
	}
	switch {
	case f.Version != formatVersion:
		return 0, fmt.Errorf("%s is of version %d, this program knows version %d: open it with the program that wrote it",
			dir, f.Version, formatVersion)
	case f.Queues < 1 || f.Queues > maxQueues:
		return 0, fmt.Errorf("%s is damaged: it names %d queues", name, f.Queues)
	case f.Queues >= wanted:
		return f.Queues, nil
	}
	return wanted, writeFormat(name, wanted)
}

func writeFormat(name string, queues int) error {
	data, err := json.Marshal(format{Version: formatVersion, Queues: queues})
	if err != nil {
		return err
	}
	return writeFile(name, append(data, '\n'))
}

// writeFile replaces a file so that after a crash it is the old one or the
// new one, and when it returned the new one.
func writeFile(name string, data []byte) error {
	temporary := name + ".new"
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, name); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(name))
}

package jetstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// lineFile is a recordFile of one JSON object a line.
type lineFile struct {
	name string
	file *os.File // nil until Rewrite
	torn bool     // an append failed midway: its end must go ahead of the next
	size int64    // of what is whole
}

// errDamaged means that a line which is not the last cannot be read.
var errDamaged = errors.New("the count of attempts is damaged")

// readRecords reads a file of records; no file is no records. A last line
// that a crash cut short is left out: what it announced was not handed out.
func readRecords(name string) ([]record, error) {
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var records []record
	for number := 1; len(data) > 0; number++ {
		line, rest, whole := bytes.Cut(data, []byte{'\n'})
		if !whole {
			break
		}
		var r record
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("%w: %s, line %d: %w", errDamaged, name, number, err)
		}
		if number == 1 && r.Format == 0 {
			return nil, fmt.Errorf("%w: %s does not begin with its format", errDamaged, name)
		}
		if number == 1 && r.Format > attemptsFormat {
			return nil, fmt.Errorf("%s is of version %d, this program knows version %d: open it with the program that wrote it",
				name, r.Format, attemptsFormat)
		}
		records, data = append(records, r), rest
	}
	return records, nil
}

// attemptsName gives the name of a queue's count of attempts.
func attemptsName(dir string, queue int) string {
	return filepath.Join(dir, fmt.Sprintf("attempts-%d.log", queue))
}

func (e *engine) openAttempts(queue int, first, last uint64) (*attempts, error) {
	a, err := openAttempts(attemptsName(e.config.Dir, queue), first, last)
	if !errors.Is(err, errDamaged) {
		return a, err
	}
	aside, asideErr := putAside(attemptsName(e.config.Dir, queue), last)
	if asideErr != nil {
		return nil, errors.Join(err, asideErr)
	}
	e.config.Logger.Error("the count of deliveries is lost; messages that fail are tried longer", "error", err, "kept_as", aside)
	return openAttempts(attemptsName(e.config.Dir, queue), first, last)
}

// openAttempts opens a queue's count of attempts for a new consumer of a
// stream that holds messages from first to last.
func openAttempts(name string, first, last uint64) (*attempts, error) {
	records, err := readRecords(name)
	if err != nil {
		return nil, err
	}
	return loadAttempts(&lineFile{name: name}, records, first, last)
}

// putAside keeps a damaged file under another name, which it gives, and
// replaces it by one after which all that is there was delivered once. The
// second name comes first, so that a crash leaves the damage to be found.
func putAside(name string, last uint64) (string, error) {
	for n := 1; ; n++ {
		aside := fmt.Sprintf("%s.damaged-%d", name, n)
		if err := os.Link(name, aside); errors.Is(err, fs.ErrExist) {
			continue
		} else if err != nil {
			return "", err
		}
		records := []record{{Format: attemptsFormat}}
		if last > 0 {
			records = append(records, record{UpTo: last, Times: 1})
		}
		data, err := lines(records)
		if err != nil {
			return "", err
		}
		return aside, writeFile(name, data)
	}
}

func lines(records []record) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	for _, r := range records {
		if err := e.Encode(r); err != nil {
			return nil, err
		}
	}
	return buf.Bytes(), nil
}

// Append implements recordFile.
func (f *lineFile) Append(records []record) error {
	data, err := lines(records)
	if err != nil {
		return err
	}
	if f.torn {
		if err := f.file.Truncate(f.size); err != nil {
			return err
		}
		f.torn = false
	}
	if _, err := f.file.WriteAt(data, f.size); err != nil {
		f.torn = true
		return err
	}
	if err := f.file.Sync(); err != nil {
		f.torn = true
		return err
	}
	f.size += int64(len(data))
	return nil
}

// Rewrite implements recordFile.
func (f *lineFile) Rewrite(records []record) error {
	data, err := lines(records)
	if err != nil {
		return err
	}
	if err := writeFile(f.name, data); err != nil {
		return err
	}
	file, err := os.OpenFile(f.name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if f.file != nil {
		err = f.file.Close()
	}
	f.file, f.size, f.torn = file, int64(len(data)), false
	return err
}

// Close implements recordFile.
func (f *lineFile) Close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

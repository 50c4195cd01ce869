package crash

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// exported is an export as its manifest has it, and the samples that its rows
// count.
type exported struct {
	Pipeline string `json:"pipeline"`
	Start    int64  `json:"window_start"`
	End      int64  `json:"window_end"`
	Revision int64  `json:"revision"`
	File     string `json:"file"`
	Rows     int64  `json:"rows"`
	Bytes    int64  `json:"bytes"`
	SHA256   string `json:"sha256"`

	samples int64
}

func (e *exported) window() window { return window{e.Pipeline, e.Start, e.End} }

// manifestEnding is what the names of manifests end with.
const manifestEnding = ".manifest.json"

// readExports reads each manifest below a folder and holds it against its file.
// A file without a manifest is one that was cut short.
func readExports(folder string) (whole []exported, bare int, err error) {
	named := map[string]bool{}
	var files []string
	err = filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && path == folder:
			return fs.SkipAll // nothing was exported yet
		case err != nil:
			return err
		case strings.HasSuffix(path, manifestEnding):
			e, err := readExport(path)
			if err != nil {
				return fmt.Errorf("export %s: %w", filepath.Base(path), err)
			}
			whole = append(whole, e)
			named[filepath.Join(filepath.Dir(path), e.File)] = true
		case !entry.IsDir() && !strings.HasPrefix(entry.Name(), partialBegin):
			files = append(files, path)
		}
		return nil
	})
	files = slices.DeleteFunc(files, func(path string) bool { return named[path] })
	return whole, len(files), err
}

func readExport(path string) (exported, error) {
	var e exported
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &e)
	}
	if err != nil {
		return e, err
	}
	data, err := os.ReadFile(filepath.Join(filepath.Dir(path), e.File))
	if err != nil {
		return e, err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != e.SHA256 || int64(len(data)) != e.Bytes {
		return e, fmt.Errorf("the file has %d bytes of SHA-256 %x, the manifest says %d of %s", len(data), sum, e.Bytes, e.SHA256)
	}
	rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll()
	if err != nil || len(rows) == 0 {
		return e, errors.Join(errors.New("no CSV with a header"), err)
	}
	if int64(len(rows))-1 != e.Rows {
		return e, fmt.Errorf("the file has %d rows, the manifest says %d", len(rows)-1, e.Rows)
	}
	column := slices.Index(rows[0], "count")
	if column < 0 {
		return e, fmt.Errorf("no column count in %q", rows[0])
	}
	for _, row := range rows[1:] {
		n, err := strconv.ParseInt(row[column], 10, 64)
		if err != nil {
			return e, err
		}
		e.samples += n
	}
	return e, nil
}

// partialBegin begins the names of files that are being written.
const partialBegin = ".partial-"

// partials gives the files below a folder that were begun and not ended.
func partials(folder string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the process removes files meanwhile
		}
		if err == nil && strings.HasPrefix(entry.Name(), partialBegin) {
			found = append(found, path)
		}
		return err
	})
	return found, err
}

// stillThere says which of the files are.
func stillThere(files []string) error {
	var left []error
	for _, file := range files {
		if _, err := os.Lstat(file); err == nil {
			left = append(left, fmt.Errorf("half file %s is still there after a restart", file))
		}
	}
	return errors.Join(left...)
}

// checkExports wants an export of every window's newest revision that has the
// samples of the window.
func checkExports(all []exported, newest map[window]loaded, want map[window]windowSum) error {
	type version struct {
		window
		revision int64
	}
	found := map[version]exported{}
	for _, e := range all {
		found[version{e.window(), e.Revision}] = e
	}
	var wrong []error
	for w, l := range newest {
		e, there := found[version{w, l.revision}]
		if sum := want[w]; !there || e.Rows != sum.rows || e.samples != sum.count {
			wrong = append(wrong, fmt.Errorf("export of %v, revision %d: there %v, with %d rows of %d samples, should be %d of %d",
				w, l.revision, there, e.Rows, e.samples, sum.rows, sum.count))
		}
	}
	return errors.Join(wrong[:min(len(wrong), maxExamples)]...)
}

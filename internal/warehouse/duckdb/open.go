//go:build cgo

package duckdb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	client "github.com/duckdb/duckdb-go/v2"

	"weir/internal/warehouse"
)

const (
	newSuffix    = ".new"
	stagingName  = "staging"
	temporaryDir = "temporary"
	// catalogName is the database's name in statements.
	catalogName = "weir"
)

// openDatabase locks the folder and opens its file, which it makes whole or not
// at all.
func openDatabase(ctx context.Context, c Config) (_ *database, err error) {
	// DuckDB takes '?' for the end of a path, and the others for a pattern.
	if strings.ContainsAny(c.Dir, "?*[]\x00") {
		return nil, &warehouse.Error{Op: "open", Key: c.Dir, Err: fmt.Errorf("%w: DuckDB keeps no database in a folder whose path has any of ?*[]", warehouse.ErrUnsupported),
			Hint: "name another data folder"}
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := lockFolder(c.Dir)
	if err != nil {
		return nil, err
	}
	db := &database{lock: lock, idle: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.close())
		}
	}()
	for _, name := range []string{stagingName, temporaryDir} {
		dir := filepath.Join(c.Dir, name)
		if err := errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)); err != nil {
			return nil, err
		}
	}
	path := filepath.Join(c.Dir, fileName)
	exists, err := checkFile(path)
	if err != nil {
		return nil, err
	}
	if !exists {
		if err := makeFile(ctx, c, path); err != nil {
			return nil, err
		}
	}
	opened, err := attach(ctx, c, path)
	if err != nil {
		return nil, err
	}
	db.sql = opened
	return db, checkVersion(ctx, opened)
}

// magicAt is where DuckDB's files say that they are such.
const magicAt = 8

// checkFile says whether the database is there. It closes the file before DuckDB
// opens it: DuckDB's own lock would be lost with any other closing.
func checkFile(path string) (exists bool, err error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(path + walSuffix); err == nil {
			return false, &warehouse.Error{Op: "open", Key: path, Err: fmt.Errorf("%w: it is missing, and its log is there", warehouse.ErrCorrupt),
				Hint: "bring the file back, or restore both from a backup"}
		}
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close() //nolint:errcheck // nothing was written
	var head [magicAt + 4]byte
	if _, err := io.ReadFull(file, head[:]); err != nil || string(head[magicAt:]) != "DUCK" {
		return false, corruptFile(path, errors.New("it is no database of DuckDB's"))
	}
	return true, nil
}

func corruptFile(path string, err error) error {
	return &warehouse.Error{Op: "open", Key: path, Err: fmt.Errorf("%w: %w", warehouse.ErrCorrupt, err),
		Hint: "it is left as it is: restore it from a backup, or move it away and run the pipelines' loads again"}
}

// makeFile makes an empty warehouse beside its place, and moves it there.
func makeFile(ctx context.Context, c Config, path string) error {
	fresh := path + newSuffix
	if err := removeFresh(path); err != nil {
		return err
	}
	db, err := attach(ctx, c, fresh)
	if err != nil {
		return err
	}
	for _, statement := range append(schema(), "CHECKPOINT "+catalogName) {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return errors.Join(err, db.Close())
		}
	}
	if err := db.Close(); err != nil {
		return err
	}
	if err := syncPath(fresh); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	return syncPath(c.Dir)
}

func syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// attach opens a file in an instance of DuckDB of its own, which can reach the
// folder of staged parts and nothing else. More statements run before that is so.
func attach(ctx context.Context, c Config, path string, more ...string) (*sql.DB, error) {
	settings := url.Values{
		"memory_limit":                 {strconv.FormatInt(c.Memory, 10) + "B"},
		"threads":                      {strconv.Itoa(c.Threads)},
		"temp_directory":               {""}, // none
		"autoinstall_known_extensions": {"false"},
		"autoload_known_extensions":    {"false"},
		"allow_community_extensions":   {"false"},
	}
	if c.Temporary > 0 {
		settings.Set("temp_directory", filepath.Join(c.Dir, temporaryDir))
		settings.Set("max_temp_directory_size", strconv.FormatInt(c.Temporary, 10)+"B")
	}
	attached := &atomic.Bool{}
	// Connections are made as long as the database is open, for whatever call.
	making := context.WithoutCancel(ctx)
	connector, err := client.NewConnector(":memory:?"+settings.Encode(), func(e driver.ExecerContext) error {
		if !attached.Load() {
			return nil
		}
		_, err := e.ExecContext(making, "USE "+catalogName, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	statements := append([]string{
		"SET GLOBAL TimeZone = 'UTC'",
		fmt.Sprintf("ATTACH %s AS %s", quoted(path), catalogName),
	}, more...)
	for _, statement := range append(statements,
		fmt.Sprintf("SET GLOBAL allowed_directories = [%s]", quoted(filepath.Join(c.Dir, stagingName)+"/")),
		"SET GLOBAL enable_external_access = false",
		"SET GLOBAL lock_configuration = true",
	) {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return nil, errors.Join(openError(path, err), db.Close())
		}
	}
	attached.Store(true)
	// The connections so far don't use the catalog.
	db.SetMaxIdleConns(0)
	db.SetMaxIdleConns(idleConnections)
	return db, nil
}

// idleConnections are kept for calls to come.
const idleConnections = 2

func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// name quotes an identifier.
func name(identifier string) string {
	return `"` + strings.ReplaceAll(identifier, `"`, `""`) + `"`
}

func checkVersion(ctx context.Context, db *sql.DB) error {
	var version int
	err := db.QueryRowContext(ctx, "SELECT max(version) FROM "+warehouse.TableVersion).Scan(&version)
	switch {
	case isKind(err, client.ErrorTypeCatalog), err == nil && version < 1:
		return &warehouse.Error{Op: "open", Key: warehouse.TableVersion, Err: fmt.Errorf("%w: it is no warehouse of Weir's", warehouse.ErrCorrupt),
			Hint: "move the file away, and bring back the one that Weir made"}
	case err != nil:
		return err
	case version > schemaVersion:
		return &warehouse.Error{Op: "open", Key: warehouse.TableVersion, Err: fmt.Errorf("%w: tables of version %d; this program knows %d", warehouse.ErrVersion, version, schemaVersion),
			Hint: "use the weir that wrote it, or a newer one; nothing was changed"}
	}
	return nil
}

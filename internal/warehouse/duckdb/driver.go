//go:build cgo

package duckdb

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"sync"

	"weir/internal/warehouse"
)

// Driver is the warehouse. Its file is opened by the first call that needs it,
// and again by the next one where that failed, or where DuckDB gave it up.
type Driver struct {
	config Config

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	loads  chan struct{} // has room for the one call that writes

	mu     sync.Mutex
	open   *database // nil: not open
	closed bool
}

// database is one opening of the file.
type database struct {
	sql    *sql.DB
	lock   *os.File
	reader *os.File // for snapshots; nil until the first
	users  int
	broken bool          // DuckDB can't go on with it
	idle   chan struct{} // closed once nobody uses it and nobody may
}

// New makes a driver. It opens nothing, so a warehouse that can't be opened is
// an error of its calls.
func New(c Config) (*Driver, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return nil, err
	}
	c.Dir = dir
	d := &Driver{config: c, loads: make(chan struct{}, 1)}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d, nil
}

// session is one call's use of the database.
type session struct {
	driver *Driver
	db     *database
	conn   *sql.Conn
	cancel context.CancelFunc
}

// begin gives a connection of its own to a call, and a context that ends with
// the driver too. Each session has to be ended.
func (d *Driver) begin(ctx context.Context, op string) (context.Context, *session, error) {
	db, err := d.acquire(ctx)
	if err != nil {
		return nil, nil, wrap(op, d.config.Dir, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(d.ctx, cancel)
	s := &session{driver: d, db: db, cancel: func() { stop(); cancel() }}
	if s.conn, err = db.sql.Conn(ctx); err != nil {
		s.end(err)
		return nil, nil, wrap(op, d.config.Dir, err)
	}
	return ctx, s, nil
}

// end gives the connection back. The error is the one that ended the call.
func (s *session) end(err error) {
	if s.conn != nil {
		_ = s.conn.Close()
	}
	s.cancel()
	s.driver.release(s.db, err)
}

// acquire gives the open database, which it opens where that is needed.
func (d *Driver) acquire(ctx context.Context) (*database, error) {
	for {
		d.mu.Lock()
		if d.closed {
			d.mu.Unlock()
			return nil, warehouse.ErrClosed
		}
		if d.open == nil {
			db, err := openDatabase(ctx, d.config)
			if err != nil {
				d.mu.Unlock()
				return nil, err
			}
			d.open = db
		}
		db := d.open
		if !db.broken {
			db.users++
			d.mu.Unlock()
			return db, nil
		}
		d.mu.Unlock()
		select {
		case <-db.idle:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// release ends a use. A database that broke, or was closed, is shut by its last
// user: two instances of DuckDB must never have the file.
func (d *Driver) release(db *database, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	db.users--
	db.broken = db.broken || isBroken(err)
	d.shut(db)
}

// shut closes a database that nobody uses and nobody may. The driver is locked.
func (d *Driver) shut(db *database) {
	if db.users > 0 || !db.broken && !d.closed || d.open != db {
		return
	}
	_ = db.close()
	d.open = nil
	close(db.idle)
}

func (db *database) close() error {
	var err error
	if db.sql != nil {
		err = db.sql.Close()
	}
	if db.reader != nil {
		err = errors.Join(err, db.reader.Close())
	}
	return errors.Join(err, db.lock.Close())
}

// Close ends what runs and closes the file.
func (d *Driver) Close() error {
	d.cancel()
	d.mu.Lock()
	d.closed = true
	db := d.open
	if db != nil {
		d.shut(db)
	}
	d.mu.Unlock()
	if db != nil {
		<-db.idle
	}
	return nil
}

// write waits for its turn to change the tables.
func (d *Driver) write(ctx context.Context) (done func(), err error) {
	select {
	case d.loads <- struct{}{}:
		return func() { <-d.loads }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-d.ctx.Done():
		return nil, warehouse.ErrClosed
	}
}

// Package app puts Weir together: it reads the config, opens the drivers,
// starts the roles and serves HTTP.
//
// It is the one package that knows drivers. It refuses logic of its own: what
// it holds is the order of starting and stopping, and the HTTP paths that are
// about the whole process. It may import every package of ours but those of
// the command line.
package app

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"weir/internal/app/erasures"
	"weir/internal/app/imports"
	"weir/internal/archive"
	"weir/internal/backup"
	"weir/internal/buffer"
	"weir/internal/buffer/jetstream"
	"weir/internal/catalog"
	"weir/internal/datafolder"
	"weir/internal/gateway"
	"weir/internal/history"
	"weir/internal/journal"
	"weir/internal/merge"
	"weir/internal/message"
	"weir/internal/objects"
	"weir/internal/objects/folder"
	"weir/internal/pipeline"
	"weir/internal/pipeline/cuts"
	"weir/internal/query"
	"weir/internal/query/volumes"
	"weir/internal/retention"
	"weir/internal/sample"
	"weir/internal/sql"
	"weir/internal/store"
	"weir/internal/store/pebble"
	"weir/internal/tail"
	"weir/internal/warehouse"
	"weir/internal/warehouse/duckdb"
	"weir/internal/worker"
)

// queues is what an embedded buffer offers.
type queues interface {
	buffer.Buffer
	buffer.DeadLetters
	buffer.Leases
}

// App is one process of the embedded profile: all roles on one data folder.
type App struct {
	config  Config
	version string
	logger  *slog.Logger
	started time.Time

	folder   *datafolder.Folder
	store    store.Store
	queues   queues
	book     *journal.Book
	catalog  *catalog.Catalog
	clock    *message.Clock
	life     message.Life
	gateway  *gateway.Gateway
	workers  *worker.Pool
	merger   *merge.Merger
	objects  objects.Objects // archives
	archiver *archive.Archiver
	source   *volumes.Source
	queries  *query.Handler
	tails    *tail.Handler
	history  *history.Handler

	warehouse  warehouse.Warehouse
	statements *sql.Handler
	cuts       *cuts.Cutter
	pipelines  *pipeline.Scheduler
	erasures   *erasures.Erasures
	retention  *retention.Keeper

	results, exports objects.Objects
	lender           *backup.Lender

	ready atomic.Bool
}

// Open takes the data folder, made if it is not there, and opens what is on
// it. Close gives it back.
func Open(ctx context.Context, c Config, version string, logger *slog.Logger) (*App, error) {
	return open(ctx, c, version, logger, datafolder.Open)
}

// Inspect opens a data folder as Open does, but only one that is there.
func Inspect(ctx context.Context, c Config, version string, logger *slog.Logger) (*App, error) {
	return open(ctx, c, version, logger, datafolder.Find)
}

func open(ctx context.Context, c Config, version string, logger *slog.Logger, take func(string) (*datafolder.Folder, error)) (*App, error) {
	a := &App{config: c, version: version, logger: logger, started: time.Now(), catalog: catalog.New()}
	var err error
	if a.folder, err = take(c.Data); err == nil {
		err = a.open(ctx)
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = fmt.Errorf("%w (the disk of %s is full: make room and start again; nothing is lost by that)", err, c.Data)
	}
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (a *App) open(ctx context.Context) (err error) {
	if err := a.openDrivers(ctx); err != nil {
		return err
	}
	a.clock = message.NewClock(time.Now)
	a.book = journal.NewBook(a.store, a.config.Partitions, randomNumber, a.register)
	if err := a.book.Load(ctx); err != nil {
		return fmt.Errorf("journals: %w", err)
	}
	if err := a.book.Damaged(math.MinInt32, math.MaxInt32); err != nil {
		a.logger.Error("journals are damaged: what they name can't be read or added to, other weeks go on; nothing is deleted",
			"error", err, "mend", "restore the folder "+filepath.Join(a.config.Data, "store")+" from a backup")
	}
	for _, j := range a.book.Journals() {
		s := j.Snapshot()
		a.clock.Observe(s.Latest())
	}
	a.life = message.Life(randomNumber())
	fast, err := a.config.fastSeries()
	if err != nil {
		return err
	}
	if a.gateway, err = gateway.New(gateway.Options{
		Config: a.config.Gateway, Life: a.life, Buffer: a.queues, Catalog: a.catalog, Weeks: a.book,
		Fast: fast, Clock: a.clock, Now: time.Now, Logger: a.logger.With("role", "gateway"),
	}); err != nil {
		return err
	}
	a.workers = worker.NewPool(worker.Options{
		Name: "worker-" + a.life.String(), Config: a.config.Worker, Buffer: a.queues, Dead: a.queues, Leases: a.queues,
		Tables: a.store, Book: a.book, Kinds: a.kind, Now: time.Now, Random: randomNumber, Logger: a.logger.With("role", "worker"),
	}, a.config.Workers)
	a.merger = merge.New(merge.Options{
		Config: a.config.Merge, Tables: a.store, Book: a.book, Now: time.Now, Logger: a.logger.With("role", "merge"),
	})
	a.source = volumes.New(volumes.Options{
		Tables: a.store, Book: a.book, Catalog: a.catalog,
		Heads: a.heads(), Archives: archive.NewArchives(a.objects),
	})
	a.archiver = archive.New(archive.Options{
		Book: a.book, Tables: a.store, Objects: a.objects, Now: time.Now, Random: randomNumber, Commit: a.heads().Commit,
	})
	a.queries = query.NewHandler(query.Options{
		Source: a.source, Limits: a.config.Query.Limits, Timeout: a.config.Query.Timeout, Now: time.Now,
		Logger: a.logger.With("role", "query"),
	})
	a.history = a.newHistory()
	if err := a.openPipelines(); err != nil {
		return err
	}
	if err := a.openLender(); err != nil {
		return err
	}
	a.statements = sql.NewHandler(a.warehouse, a.config.Warehouse.Config, a.logger.With("role", "sql"))
	a.tails = tail.NewHandler(tail.HandlerOptions{
		Feed:  tail.New(tail.Options{Tables: a.store, Book: a.book, Now: time.Now, Idle: tellIdle}),
		Parse: matcher, Logger: a.logger.With("role", "tail"),
	})
	return nil
}

// newHistory makes what takes bulk imports.
func (a *App) newHistory() *history.Handler {
	return history.NewHandler(history.New(history.Options{
		Book: a.book, Tables: a.store, Catalog: a.catalog, Clock: a.clock, Now: time.Now, Random: randomNumber,
		Decoder: imports.NewDecoders(a.catalog).Decoder, Commit: a.heads().Commit, Held: a.heads().Held,
	}), a.logger.With("role", "history"))
}

func (a *App) heads() *heads { return &heads{a.gateway, a.workers, a.book, a.clock} }

// tellIdle is how often who tails is told that nothing was committed.
const tellIdle = 10 * time.Second

func (a *App) openDrivers(ctx context.Context) error {
	s := pebble.Default()
	s.Dir, s.Logger = filepath.Join(a.config.Data, "store"), a.logger.With("role", "store")
	s.CacheBytes, s.MaxOpenTables = a.config.Store.CacheBytes, a.config.Store.OpenTables
	opened, err := pebble.Open(s)
	if err != nil {
		return err // and no nil driver in the port
	}
	a.store = opened
	b := jetstream.Default()
	b.Dir, b.Logger = filepath.Join(a.config.Data, "buffer"), a.logger.With("role", "buffer")
	b.Queues, b.MaxBytes, b.VisibilityTimeout = a.config.Partitions, a.config.Buffer.MaxBytes, a.config.Buffer.Visibility
	b.MaxInFlight = max(b.MaxInFlight, 2*a.config.Worker.HeadMessages)
	driver, err := jetstream.Open(ctx, b)
	if err != nil {
		return err
	}
	a.queues = driver
	archives, err := folder.New(filepath.Join(a.config.Data, "archive"))
	if err != nil {
		return err
	}
	a.objects = archives
	// It opens its file with the first call: what is wrong with that must not
	// keep the intake from starting.
	house, err := duckdb.New(a.config.Warehouse.driver(a.config.Data))
	if err != nil {
		return err
	}
	a.warehouse = house
	return nil
}

// register keeps the catalog up with a journal's registrations.
func (a *App) register(id store.JournalID, news []journal.Registered) {
	for _, r := range news {
		if err := a.catalog.Register(r.Key, catalog.InWeek{Week: id.Week, Handle: r.Handle, Kind: r.Kind}); err != nil {
			a.logger.Error("a registered series cannot be read and is left out", "journal", id, "error", err)
		}
	}
}

// kind gives a series' kind in any week, 0 if there is none.
func (a *App) kind(key string) sample.Kind {
	s, err := a.catalog.Intern([]byte(key))
	if err != nil {
		return 0
	}
	return s.Kind()
}

// Close gives back what Open took. It may be called twice.
func (a *App) Close() error {
	var failed []error
	if a.warehouse != nil {
		failed = append(failed, a.warehouse.Close())
		a.warehouse = nil
	}
	if a.queues != nil {
		failed = append(failed, a.queues.Close())
		a.queues = nil
	}
	if a.store != nil {
		failed = append(failed, a.store.Close())
		a.store = nil
	}
	if a.folder != nil {
		failed = append(failed, a.folder.Close())
		a.folder = nil
	}
	return errors.Join(failed...)
}

// randomNumber gives a number that no other life, writer or flush is given.
func randomNumber() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: see its documentation
	return binary.LittleEndian.Uint64(b[:])
}

package pebble

import (
	"errors"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"

	"weir/internal/store/pebble/checkpoint"
	"weir/internal/store/pebble/compactions"
	"weir/internal/store/pebble/manifest"
)

// separated is the length from which an item's body is kept apart from its key.
const separated = 1 << 10

// openMode says how a folder is opened.
type openMode int

const (
	mustExist openMode = iota
	mustMake
	readOnly
)

// makeFolder makes an empty Pebble folder under another name and renames it,
// so that one that has its name is whole. The parent is left to sync.
func (s *Store) makeFolder(parent, name string, table bool) error {
	making := s.cfg.FS.PathJoin(parent, prefixMaking+name)
	if err := s.cfg.FS.RemoveAll(making); err != nil {
		return err
	}
	i, err := s.openInstance(making, table, mustMake)
	if err != nil {
		return err
	}
	err = i.db.Close()
	if cause := i.guard.failure(); cause != nil {
		return cause
	}
	if err != nil {
		return err
	}
	return s.cfg.FS.Rename(making, s.cfg.FS.PathJoin(parent, name))
}

// openInstance opens Pebble in a folder. Tables are not compressed, since
// blocks are; journals are, whose registrations are text.
func (s *Store) openInstance(path string, table bool, mode openMode) (*instance, error) {
	if mode != mustMake {
		if err := manifest.Check(s.cfg.FS, path); err != nil {
			return nil, err
		}
	}
	g := newGuard(s.cfg.FS)
	g.report = s.damaged
	l := logger{log: s.cfg.Logger.With("path", path), guard: g}
	i := &instance{guard: g, sick: make(chan struct{})}
	opts := &engine.Options{
		FS:                          checkpoint.FS{FS: g, Elsewhere: s.cfg.FS, Dir: path},
		Logger:                      l,
		Cache:                       s.cache,
		FileCache:                   s.files,
		MemTableSize:                s.cfg.MemTableBytes,
		MemTableStopWritesThreshold: 4,
		ErrorIfNotExists:            mode != mustMake,
		ReadOnly:                    mode == readOnly,
		FormatMajorVersion:          engine.FormatValueSeparation,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 1 },
		// A folder that is damaged is not compacted, and must be written to all the same.
		L0StopWritesThreshold: 1 << 20,
		EventListener:         s.listener(i, l),
	}
	opts.Experimental.CompactionScheduler = compactions.NewPermits(i.isSick)
	compression := sstable.SnappyCompression
	if table {
		compression = sstable.NoCompression
		opts.Experimental.ValueSeparationPolicy = separation
	}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = engine.NoFilterPolicy
		opts.Levels[i].BlockSize = 32 << 10
		opts.Levels[i].Compression = func() *sstable.CompressionProfile { return compression }
	}
	db, err := engine.Open(path, opts)
	if cause := g.failure(); cause != nil {
		if err == nil {
			_ = db.Close()
		}
		return nil, unavailable(cause)
	}
	if err != nil {
		return nil, err
	}
	i.db = db
	whole, err := checkBlobFiles(db, g, path)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if !whole {
		i.sicken()
	}
	return i, nil
}

// listener takes what Pebble tells of its work.
func (s *Store) listener(i *instance, l logger) *engine.EventListener {
	return &engine.EventListener{
		BackgroundError: func(err error) {
			if !i.isSick() { // else it is known, and comes again and again
				l.Errorf("background error: %v", err)
			}
			i.sicken()
		},
		// Pebble's own answer is to give up; reads give the error anyway.
		DataCorruption: func(info engine.DataCorruptionInfo) {
			l.Infof("%s", info)
			i.guard.note(info.Path, info.Details.Error())
			i.sicken()
		},
	}
}

// separation keeps the items' bodies apart from their keys, so that compactions
// move keys only: a body is written to the log and once to a blob file.
// BenchmarkWrite sees two bytes reach the disk for each byte of an item, and
// six without.
//
// Pebble does not rewrite blob files: it ends the process where one of them
// cannot be read meanwhile. The driver does it, in reclaim.go.
func separation() engine.ValueSeparationPolicy {
	return engine.ValueSeparationPolicy{
		Enabled: true, MinimumSize: separated,
		MaxBlobReferenceDepth: 1 << 20, TargetGarbageRatio: 1,
	}
}

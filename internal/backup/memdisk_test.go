package backup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"syscall"
	"time"
)

// errCut is what every call gives after a memDisk was cut short.
var errCut = errors.New("cut short")

// memDisk is a disk in memory that can be cut short before any call, and then
// forgets, name by name and file by file, some of what was not synced.
type memDisk struct {
	root  *node
	left  int // calls until it is cut short; -1: never
	calls int
	room  int // bytes that may still be written; -1: any number
}

// node is a file or a folder, as it is and as it is on the disk for sure.
type node struct {
	dir           bool
	data, durable []byte
	names, kept   map[string]*node
}

func newFolder() *node { return &node{dir: true, names: map[string]*node{}, kept: map[string]*node{}} }

func newMemDisk() *memDisk { return &memDisk{root: newFolder(), left: -1, room: -1} }

// crash gives the disk after a power cut: what was synced, and of the rest
// whatever the disk had got to. Without a random source it is a kill, after which
// all is as it was.
func (d *memDisk) crash(random *rand.Rand) *memDisk {
	after := map[*node]*node{}
	var survive func(n *node) *node
	survive = func(n *node) *node {
		if s := after[n]; s != nil {
			return s
		}
		s := newFolder()
		after[n] = s
		if !n.dir {
			s.dir, s.data = false, n.data
			if random != nil && !bytes.Equal(n.data, n.durable) && random.IntN(2) == 0 {
				s.data = n.durable
				if random.IntN(2) == 0 {
					s.data = make([]byte, len(n.data)) // its length is there, its bytes are not
				}
			}
			s.durable = s.data
			return s
		}
		names := maps.Clone(n.names)
		if random != nil {
			for name := range n.kept {
				if n.names[name] != n.kept[name] && random.IntN(2) == 0 {
					names[name] = n.kept[name]
				}
			}
			for name := range n.names {
				if n.kept[name] == nil && random.IntN(2) == 0 {
					delete(names, name)
				}
			}
		}
		for name, child := range names {
			s.names[name] = survive(child)
		}
		s.kept = maps.Clone(s.names)
		return s
	}
	return &memDisk{root: survive(d.root), left: -1, room: -1}
}

func (d *memDisk) call() error {
	if d.left == 0 {
		return errCut
	}
	if d.left > 0 {
		d.left--
	}
	d.calls++
	return nil
}

// find gives the folder of a path, and the name in it.
func (d *memDisk) find(name string) (folder *node, base string, err error) {
	folder = d.root
	parent, base := path.Split(path.Clean(name))
	for _, s := range bytes.FieldsFunc([]byte(parent), func(r rune) bool { return r == '/' }) {
		if folder = folder.names[string(s)]; folder == nil || !folder.dir {
			return nil, "", fs.ErrNotExist
		}
	}
	return folder, base, nil
}

func (d *memDisk) get(name string) (*node, error) {
	folder, base, err := d.find(name)
	if err != nil {
		return nil, err
	}
	n := folder.names[base]
	if n == nil {
		return nil, fs.ErrNotExist
	}
	return n, nil
}

func (d *memDisk) Create(name string) (file, error) {
	if err := d.call(); err != nil {
		return nil, err
	}
	folder, base, err := d.find(name)
	if err != nil {
		return nil, err
	}
	n := folder.names[base]
	if n == nil {
		n = &node{}
		folder.names[base] = n
	}
	n.data = nil
	return &memFile{d, n}, nil
}

type memFile struct {
	disk *memDisk
	node *node
}

func (f *memFile) Write(b []byte) (int, error) {
	if err := f.disk.call(); err != nil {
		return 0, err
	}
	if f.disk.room >= 0 {
		if f.disk.room -= len(b); f.disk.room < 0 {
			f.disk.room = 0
			return 0, syscall.ENOSPC
		}
	}
	f.node.data = append(bytes.Clone(f.node.data), b...)
	return len(b), nil
}

func (f *memFile) Sync() error {
	if err := f.disk.call(); err != nil {
		return err
	}
	f.node.durable = f.node.data
	return nil
}

func (f *memFile) Close() error { return nil }

func (d *memDisk) Open(name string) (io.ReadCloser, error) {
	if err := d.call(); err != nil {
		return nil, err
	}
	n, err := d.get(name)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(n.data)), nil
}

func (d *memDisk) Mkdir(name string) error {
	if err := d.call(); err != nil {
		return err
	}
	folder, base, err := d.find(name)
	if err == nil && folder.names[base] == nil {
		folder.names[base] = newFolder()
	}
	return err
}

type memEntry struct {
	name string
	dir  bool
}

func (e memEntry) Name() string               { return e.name }
func (e memEntry) IsDir() bool                { return e.dir }
func (e memEntry) Type() fs.FileMode          { return 0 }
func (e memEntry) Info() (fs.FileInfo, error) { return nil, errors.ErrUnsupported }

func (d *memDisk) List(name string) ([]fs.DirEntry, error) {
	if err := d.call(); err != nil {
		return nil, err
	}
	n, err := d.get(name)
	if err != nil {
		return nil, err
	}
	var list []fs.DirEntry
	for _, base := range slices.Sorted(maps.Keys(n.names)) {
		list = append(list, memEntry{base, n.names[base].dir})
	}
	return list, nil
}

func (d *memDisk) Size(name string) (int64, error) {
	if err := d.call(); err != nil {
		return 0, err
	}
	n, err := d.get(name)
	if err != nil {
		return 0, err
	}
	return int64(len(n.data)), nil
}

func (d *memDisk) Rename(from, to string) error {
	if err := d.call(); err != nil {
		return err
	}
	n, err := d.get(from)
	if err != nil {
		return err
	}
	folder, base, err := d.find(to)
	if err != nil {
		return err
	}
	old, was, _ := d.find(from)
	delete(old.names, was)
	folder.names[base] = n
	return nil
}

func (d *memDisk) Remove(name string) error {
	if err := d.call(); err != nil {
		return err
	}
	folder, base, err := d.find(name)
	if err != nil {
		return nil //nolint:nilerr // there is none
	}
	delete(folder.names, base)
	return nil
}

func (d *memDisk) Link(from, to string) error {
	if err := d.call(); err != nil {
		return err
	}
	n, err := d.get(from)
	if err != nil {
		return err
	}
	folder, base, err := d.find(to)
	if err == nil {
		folder.names[base] = n
	}
	return err
}

func (d *memDisk) Sync(name string) error {
	if err := d.call(); err != nil {
		return err
	}
	if path.Clean(name) == "/" {
		d.root.kept = maps.Clone(d.root.names)
		return nil
	}
	n, err := d.get(name)
	if err != nil {
		return err
	}
	n.kept = maps.Clone(n.names)
	return nil
}

// lentOf makes a copy of files, and the source of them. Names that begin with
// "fixed" never change.
type lentOf map[string]string

func (l lentOf) Open(_ context.Context, name string) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader([]byte(l[name]))), nil
}

func (l lentOf) copy(second int) *Copy {
	at := time.Date(2026, 1, 5, 0, 0, second, 0, time.UTC)
	c := &Copy{Begun: at, Taken: at, Version: "test", Folders: []string{"store", "store/weeks", "empty"}}
	for _, name := range slices.Sorted(maps.Keys(l)) {
		fixed := path.Base(name)[0] == 'f'
		modified := int64(second)
		if fixed {
			modified = 1
		}
		c.Files = append(c.Files, File{name, int64(len(l[name])), modified, fixed})
	}
	return c
}

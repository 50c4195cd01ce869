package jetstream

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"weir/internal/buffer/buffertest"
)

// testConfig is a config that logs nothing.
func testConfig(dir string) Config {
	c := Default()
	c.Dir = dir
	c.Logger = slog.New(slog.DiscardHandler)
	return c
}

// folderPlace is a folder on the real disk. It crashes by going on with a
// copy of the files as they are: what the driver does after that moment
// reaches only the old folder.
type folderPlace struct {
	root string
	dir  string
	open []*Driver
}

func newFolderPlace() (buffertest.Place, error) {
	root, err := os.MkdirTemp("", "weir-buffer-")
	if err != nil {
		return nil, err
	}
	return &folderPlace{root: root, dir: filepath.Join(root, "0")}, nil
}

func (p *folderPlace) Open(o buffertest.Options) (buffertest.Driver, error) {
	c := testConfig(p.dir)
	c.Queues, c.VisibilityTimeout, c.Now = o.Queues, o.Visibility, o.Now
	if o.Capacity > 0 {
		c.MaxBytes = o.Capacity
	}
	d, err := Open(context.Background(), c)
	if err != nil {
		return nil, err
	}
	p.open = append(p.open, d)
	return d, nil
}

func (p *folderPlace) Crash() error {
	next := p.dir + "x"
	if err := copyFolder(next, p.dir); err != nil {
		return err
	}
	p.dir = next
	return p.close()
}

func (p *folderPlace) close() error {
	for _, d := range p.open {
		if err := d.Close(); err != nil {
			return err
		}
	}
	p.open = nil
	return nil
}

func (p *folderPlace) Discard() error {
	if err := p.close(); err != nil {
		return err
	}
	return os.RemoveAll(p.root)
}

// copyFolder copies a tree in which files come and go.
func copyFolder(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, relative), 0o700)
		}
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, relative), data, 0o600)
	})
}

func factory() buffertest.Factory {
	return buffertest.Factory{
		Abilities: buffertest.Abilities{
			Crash: true, AtOnce: true, Ordered: true, Capacity: true, Depth: true, Listing: true, Clock: true, Exact: true,
		},
		New: newFolderPlace,
	}
}

func TestBuffer(t *testing.T) { buffertest.Run(t, factory()) }

func BenchmarkBuffer(b *testing.B) { buffertest.Bench(b, factory()) }

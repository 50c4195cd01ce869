package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

const pieceBytes = 8 << 20

func (p *Place) contentPath(sum string) string { return p.path(contentFolder, sum[:2], sum) }

// has says whether the place has some content; that it is what was written is for
// Verify to see.
func (p *Place) has(c Content) bool {
	size, err := p.disk.Size(p.contentPath(c.Sum))
	return err == nil && size == c.Bytes
}

// keeper puts content into a place.
type keeper struct {
	place   *Place
	touched map[string]bool // folders whose names are not durable yet
	written int64
}

// keep puts a file into the place, and gives where its bytes are. What is there
// already is not written.
func (k *keeper) keep(ctx context.Context, f File, in io.Reader, tell func(n int)) ([]Content, error) {
	in = &watched{ctx: ctx, in: in, tell: tell}
	var list []Content
	left := f.Bytes
	for left > 0 {
		c, err := k.piece(in, left, f.Fixed)
		if err != nil {
			return nil, err
		}
		list, left = append(list, c), left-c.Bytes
	}
	if n, err := io.CopyN(io.Discard, in, 1); n > 0 || !errors.Is(err, io.EOF) {
		return nil, errors.Join(fmt.Errorf("%s is longer than %d bytes", f.Path, f.Bytes), err)
	}
	return list, nil
}

// piece puts the next bytes into the place: all that is left of a file that never
// changes, else as many as a piece has.
func (k *keeper) piece(in io.Reader, left int64, whole bool) (Content, error) {
	var head bytes.Buffer
	n, err := io.CopyN(&head, in, min(left, k.place.piece))
	if err != nil {
		return Content{}, short(err)
	}
	if !whole || n == left {
		sum := sha256.Sum256(head.Bytes())
		c := Content{hex.EncodeToString(sum[:]), n}
		if k.place.has(c) {
			return c, nil
		}
		_, err := k.write(&head, n)
		return c, err
	}
	return k.write(io.MultiReader(&head, in), left)
}

// short says that a file ended too early.
func short(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// write writes content beside its place and moves it there, once it is durable.
func (k *keeper) write(in io.Reader, size int64) (Content, error) {
	p := k.place
	temporary := p.path(contentFolder, unfinished)
	f, err := p.disk.Create(temporary)
	if err != nil {
		return Content{}, err
	}
	sum := sha256.New()
	_, err = io.CopyN(io.MultiWriter(f, sum), in, size)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return Content{}, short(err)
	}
	c := Content{hex.EncodeToString(sum.Sum(nil)), size}
	if p.has(c) {
		return c, p.disk.Remove(temporary)
	}
	if dir := p.path(contentFolder, c.Sum[:2]); !k.touched[dir] {
		if err := p.disk.Mkdir(dir); err != nil {
			return Content{}, err
		}
		k.touched[dir] = true
	}
	k.written += size
	return c, p.disk.Rename(temporary, p.contentPath(c.Sum))
}

// sync makes durable that what was put in has its names.
func (k *keeper) sync() error {
	for dir := range k.touched {
		if err := k.place.disk.Sync(dir); err != nil {
			return err
		}
	}
	return errors.Join(k.place.disk.Sync(k.place.path(contentFolder)), k.place.disk.Sync(k.place.dir))
}

// watched tells of what is read, and ends with a context.
type watched struct {
	ctx  context.Context
	in   io.Reader
	tell func(n int)
}

func (w *watched) Read(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.in.Read(b)
	w.tell(n)
	return n, err
}

// readContent copies content to a writer, nil for none, and gives ErrDamaged
// where it is not what was written.
func (p *Place) readContent(ctx context.Context, c Content, to io.Writer, tell func(n int)) error {
	in, err := p.disk.Open(p.contentPath(c.Sum))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	sum := sha256.New()
	n, err := io.Copy(tee(sum, to), &watched{ctx: ctx, in: in, tell: tell})
	if err = errors.Join(err, in.Close()); err != nil {
		return err
	}
	if n != c.Bytes || hex.EncodeToString(sum.Sum(nil)) != c.Sum {
		return fmt.Errorf("%w: %s is not what was written", ErrDamaged, p.contentPath(c.Sum))
	}
	return nil
}

func tee(sum hash.Hash, to io.Writer) io.Writer {
	if to == nil {
		return sum
	}
	return io.MultiWriter(sum, to)
}

package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	engine "github.com/cockroachdb/pebble/v2"

	"weir/internal/store"
)

// itemScan gives the items of an iterator. A body that cannot be read is
// passed over. Where keys cannot be read it goes on from the other end, so
// that only what lies between is missing.
type itemScan struct {
	ctx   context.Context
	it    *engine.Iterator
	yield func(store.Item) bool
	last  []byte // the key that was met last
	lost  []store.ItemKey
	cause error // of the first loss
}

func (s *itemScan) run() error {
	stopped, err := s.forward()
	if cause := s.it.Error(); err == nil && !stopped && cause != nil {
		if !isLoss(cause) {
			return cause
		}
		s.note(cause)
		err = s.fromTheEnd()
	}
	if err != nil || s.cause == nil {
		return err
	}
	return &store.Unreadable{Keys: s.lost, Err: s.cause}
}

// forward gives items in order until the end, an error of the iterator, or the
// caller's word.
func (s *itemScan) forward() (stopped bool, err error) {
	for ok := s.it.First(); ok; ok = s.it.Next() {
		s.last = append(s.last[:0], s.it.Key()...)
		if goOn, err := s.give(); err != nil || !goOn {
			return true, err
		}
	}
	return false, nil
}

// fromTheEnd gives the items between damaged keys and the end, in order.
func (s *itemScan) fromTheEnd() error {
	var keys [][]byte
	for ok := s.it.Last(); ok && bytes.Compare(s.it.Key(), s.last) > 0; ok = s.it.Prev() {
		if err := s.ctx.Err(); err != nil {
			return err
		}
		keys = append(keys, bytes.Clone(s.it.Key()))
	}
	for _, key := range slices.Backward(keys) {
		if !s.it.SeekGE(key) || !bytes.Equal(s.it.Key(), key) {
			return s.it.Error() // it was there a moment ago
		}
		if goOn, err := s.give(); err != nil || !goOn {
			return err
		}
	}
	return nil
}

// give gives the item that the iterator is at, if it can be read, and says
// whether to go on.
func (s *itemScan) give() (goOn bool, err error) {
	if err := s.ctx.Err(); err != nil {
		return false, err
	}
	key, err := store.ParseItemKey(s.it.Key())
	if err != nil {
		s.note(err)
		return true, nil
	}
	body, err := itemBody(s.it)
	switch {
	case err == nil:
		return s.yield(store.Item{Key: key, Body: body}), nil
	case isLoss(err):
		s.note(err)
		s.lost = append(s.lost, key)
		return true, nil
	}
	return false, err
}

func (s *itemScan) note(cause error) {
	if s.cause != nil {
		return
	}
	if s.cause = cause; !errors.Is(cause, store.ErrCorrupt) {
		s.cause = fmt.Errorf("%w: %w", store.ErrCorrupt, cause)
	}
}

// isLoss says whether an error means that something is damaged.
func isLoss(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if isPort(err) {
		return errors.Is(err, store.ErrCorrupt)
	}
	return errors.Is(classify(err), store.ErrCorrupt)
}

// itemBody reads the item's body. Pebble panics on a blob file that was missing
// when it was opened (cockroachdb/pebble #5127), holding nothing; any other
// panic goes on.
func itemBody(it *engine.Iterator) (body []byte, err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case string:
			if !strings.HasPrefix(p, "unknown metadata type") {
				panic(p)
			}
			err = fmt.Errorf("%w: a blob file is missing", store.ErrCorrupt)
		default:
			panic(p)
		}
	}()
	// ValueAndErr would end the iterator where it cannot read a body.
	value := it.LazyValue()
	body, _, err = value.Value(nil)
	return body, err
}

// readThrough reads all that an iterator has.
func readThrough(ctx context.Context, it *engine.Iterator) error {
	for ok := it.First(); ok; ok = it.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := it.ValueAndErr(); err != nil {
			return err
		}
	}
	return it.Error()
}

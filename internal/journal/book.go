package journal

import (
	"context"
	"errors"
	"sync"

	"weir/internal/sample"
	"weir/internal/store"
)

// Book is all journals that one process knows, and the weeks' records. Safe
// for concurrent use.
type Book struct {
	store      store.Store
	partitions int
	random     func() uint64
	register   func(store.JournalID, []Registered)
	changed    *signal

	mu       sync.Mutex
	journals map[store.JournalID]*Journal
	weeks    map[sample.Week]WeekRecord
	damaged  map[store.JournalID]error // as of Load
}

// NewBook makes a book. partitions is K for weeks that are made from now on;
// random gives numbers that nobody else is given. register, which may be nil, is told of each journal's new series in order;
// it must not call the book or its journals.
func NewBook(s store.Store, partitions int, random func() uint64, register func(store.JournalID, []Registered)) *Book {
	return &Book{
		store: s, partitions: partitions, random: random, register: register, changed: &signal{},
		journals: map[store.JournalID]*Journal{}, weeks: map[sample.Week]WeekRecord{}, damaged: map[store.JournalID]error{},
	}
}

// Journal gives a journal, which may be one that has no entry. It knows what
// was read so far: Refresh it for more.
func (b *Book) Journal(id store.JournalID) *Journal {
	b.mu.Lock()
	defer b.mu.Unlock()
	j := b.journals[id]
	if j == nil {
		j = newJournal(b.store, id, b.register, b.changed)
		b.journals[id] = j
	}
	return j
}

// Load reads all journals that there are to their ends. One that cannot be
// read does not keep the others from being read. Journals with an entry that is
// not what was written are no error of it: Damaged tells of them.
func (b *Book) Load(ctx context.Context) error {
	ids, err := b.store.List(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, id := range ids {
		err := b.Journal(id).Refresh(ctx)
		if errors.Is(err, ErrCorrupt) {
			b.mu.Lock()
			b.damaged[id] = err
			b.mu.Unlock()
			continue
		}
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// Damaged gives an error where a journal of these weeks, both included, was
// found damaged by Load: what it says from there on is not known, neither
// samples nor series.
func (b *Book) Damaged(from, to sample.Week) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var failed []error
	for id, err := range b.damaged {
		if id.Week >= from && id.Week <= to {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// Journals gives the journals known, in order of week and partition.
func (b *Book) Journals() []*Journal {
	b.mu.Lock()
	defer b.mu.Unlock()
	return sortedJournals(b.journals)
}

package merge

import (
	"context"
	"errors"
	"slices"
	"time"

	"weir/internal/journal"
	"weir/internal/sample"
	"weir/internal/store"
)

// mark is how far a week's journals had come at a time.
type mark struct {
	at        time.Time
	positions []uint64
}

// maxMarks bounds how finely the grace is kept.
const maxMarks = 16

// sweep removes what merges replaced a grace ago, so that readers who began
// before find it, and the orphans of those who are gone.
func (m *Merger) sweep(ctx context.Context, week sample.Week, partitions int) error {
	now := m.now()
	reached, taken := m.reached(week, partitions)
	marks := m.marks[week]
	if n := len(marks); n == 0 || now.Sub(marks[n-1].at) >= m.config.Grace/maxMarks {
		marks = append(marks, mark{now, reached})
	}
	var due []uint64
	for len(marks) > 0 && now.Sub(marks[0].at) >= m.config.Grace {
		due, marks = marks[0].positions, marks[1:]
	}
	m.marks[week] = slices.Clip(marks)
	volumes, err := m.book.Volumes(ctx, week)
	if err != nil {
		return err
	}
	var failed []error
	for _, v := range volumes {
		if v.Gone() {
			continue
		}
		if due != nil {
			n, err := m.book.Sweep(ctx, week, v.Revision, due, now)
			m.count(func(c *Counts) { c.Swept += uint64(n) })
			failed = append(failed, err)
		}
		if taken {
			n, err := m.book.SweepOrphans(ctx, week, v.Revision)
			m.count(func(c *Counts) { c.Orphans += uint64(n) })
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// reached gives the journals' positions, and says whether one was taken over
// since the last look: what its holder before left is dead from then on.
func (m *Merger) reached(week sample.Week, partitions int) (positions []uint64, taken bool) {
	positions = make([]uint64, partitions)
	for partition := range partitions {
		id := store.JournalID{Week: week, Partition: partition}
		m.book.Journal(id).View(func(s *journal.State) {
			positions[partition] = s.Cut()
			if epoch, ok := s.Epoch(); ok && m.epochs[id] != epoch+1 {
				m.epochs[id], taken = epoch+1, true
			}
		})
	}
	return positions, taken
}

// finishDrops removes the tables of volumes whose records say that they are
// dropped: whoever dropped them may have been killed in between.
func (m *Merger) finishDrops(ctx context.Context) error {
	tables, err := m.tables.Names(ctx)
	if err != nil {
		return err
	}
	weeks, err := m.book.Weeks(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, week := range weeks {
		volumes, err := m.book.Volumes(ctx, week)
		failed = append(failed, err)
		for _, v := range volumes {
			if v.Gone() && slices.Contains(tables, v.Table) {
				failed = append(failed, m.tables.Drop(ctx, v.Table))
			}
		}
	}
	return errors.Join(failed...)
}

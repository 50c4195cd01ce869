package journal

import "context"

// JoinWriter gives a guest of a journal: a writer that shares the epoch that
// stands, and fences nobody. Only where nobody took the journal over yet does it
// append one, for a flush's id must carry an epoch.
//
// A guest may register series, and commit messages that no queue holds: whose
// worker has the epoch admits those of its queue without asking a guest. All
// else is as with a worker's writer. Each append is checked against all that
// stands before it, so a message is named once whoever else writes; and once a
// later epoch stands the guest is fenced, since the items that it has not named
// may be swept as orphans: join anew and write them again.
//
// A guest's commit must not raise a horizon, or messages that a worker holds
// would be late by it; its samples carry their own version.
func JoinWriter(ctx context.Context, j *Journal, guest string, random func() uint64) (*Writer, error) {
	w := &Writer{appender: appender{journal: j, id: random()}, random: random}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.refresh(ctx, nil); err != nil {
		return nil, err
	}
	if j.state.epoch == 0 {
		if _, err := w.append(ctx, &Entry{Epoch: &Epoch{Worker: guest}}, func() error { return nil }); err != nil {
			return nil, err
		}
	}
	w.epoch = j.state.epoch
	return w, nil
}

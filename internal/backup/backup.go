// Package backup owns copies of a running instance: how an instance lends a copy
// of itself that agrees in all its parts, and the places where such copies are
// kept, verified, brought back and removed.
//
// It refuses to know how a part keeps its data: parts copy themselves. It imports
// how problems are answered and what a data folder is, and nothing else of ours.
//
// # What a backup holds
//
// Every sample that was acknowledged before it began, exactly once after a
// restore, and of those acknowledged while it was taken each entirely or not at
// all; runs, results, archives and the warehouse as of the same moment.
//
// That follows from who is held back when. Each part copies itself around a
// moment (Copier), and the moment of one part is the copying of the next, from the
// outside in:
//
//	warehouse   no load is applied
//	buffer      no message is removed
//	objects     nothing is deleted: archives, results, exports
//	store       no item is deleted, no table dropped; journals first, then tables
//
// So all are of the moment T in which journals and records are copied.
//
//   - A message is removed only when a journal names it. What was acknowledged and
//     is not named at T is in the buffer's copy, since nothing is removed from
//     before T until it is copied. What is in both is named, and is acked without
//     effect when it comes again (law 3). Messages of a life enter a queue in the
//     order of their numbers, so the copy lacks none between others.
//   - An item is durable before a journal names it, and an object before a record
//     does. Neither is removed between T and its copy: what journals and records
//     name at T is there. What was written since is named by nothing, and is swept.
//   - A run's record says that a step is done after what the step did. So what the
//     record says is in objects and warehouse. A load of which no record tells yet
//     was of a run whose cut is recorded: the step is done again, with the same
//     rows, and the warehouse knows it.
//
// # A restore is a fork
//
// What is restored has another gateway life from its first start, as after any
// crash, so identities of messages never meet. But there are two of the one
// instance if the first goes on: what was accepted after T is in one of them, and
// both run the same pipelines. docs/guides/backup.md says what to do about that.
package backup

import (
	"context"
	"errors"
	"time"
)

// Errors, so that errors.Is tells what to do.
var (
	// ErrBusy means that another works on the place, or has the instance's copy.
	ErrBusy = errors.New("another backup is under way")
	// ErrNoRoom means that a disk has too little room. Nothing that counts was
	// changed.
	ErrNoRoom = errors.New("too little room")
	// ErrDamaged means that what is kept is not what was written.
	ErrDamaged = errors.New("backup is damaged")
	// ErrVersion means that a newer Weir wrote it.
	ErrVersion = errors.New("backup is of a version this program does not know")
	// ErrNotFound means that there is no such backup.
	ErrNotFound = errors.New("no such backup")
	// ErrNotEmpty means that a folder holds something else.
	ErrNotEmpty = errors.New("folder is not empty")
)

// Copier is a part of an instance that copies itself while it is used.
type Copier interface {
	// Snapshot copies the part to dir, which is not there yet and is on the
	// part's file system, and runs moment once. All that was there while moment
	// ran is in the copy, whole: nothing is removed from before moment until it
	// is copied. What came since may be in it.
	Snapshot(ctx context.Context, dir string, moment func(context.Context) error) error
}

// File is a file of a copy of an instance.
type File struct {
	Path     string `json:"path"`     // below the data folder, with '/'
	Bytes    int64  `json:"bytes"`    //
	Modified int64  `json:"modified"` // ns
	// Fixed says that a file of this path, size and time never is another.
	Fixed bool `json:"fixed"`
}

// Copy is what an instance lends.
type Copy struct {
	ID      string    `json:"id"`
	Begun   time.Time `json:"begun"` // what was acknowledged before is in it
	Taken   time.Time `json:"taken"` // what was acknowledged after is not
	Version string    `json:"version"`
	Folders []string  `json:"folders"` // all, also those without files
	Files   []File    `json:"files"`
}

// Bytes gives the size of all files.
func (c *Copy) Bytes() (n int64) {
	for _, f := range c.Files {
		n += f.Bytes
	}
	return n
}

// Progress tells how much is done, in bytes.
type Progress func(done, total int64)

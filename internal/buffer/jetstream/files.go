package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// streamFolder gives the server's folder of a stream.
func streamFolder(dir, stream string) string {
	return filepath.Join(dir, serverFolder, "$G", "streams", stream)
}

// messageFolder gives the folder of a stream's message files.
func messageFolder(dir, stream string) string {
	return filepath.Join(streamFolder(dir, stream), "msgs")
}

// findStreams names the streams that have message files.
func findStreams(dir string) (map[string]bool, error) {
	files, err := filepath.Glob(filepath.Join(messageFolder(dir, "*"), "*.blk"))
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, f := range files {
		found[filepath.Base(filepath.Dir(filepath.Dir(f)))] = true
	}
	return found, nil
}

const closedFile = "closed.json"

// holding is what a stream held at a clean close.
type holding struct {
	Messages uint64 `json:"messages"`
	Last     uint64 `json:"last"`
}

// writeClosed notes what each stream holds, for the next open to compare.
func (e *engine) writeClosed(ctx context.Context) error {
	held := map[string]holding{}
	for _, q := range e.queues {
		info, err := q.stream.Info(ctx)
		if err != nil {
			return err
		}
		held[queueStream(q.number)] = holding{info.State.Msgs, info.State.LastSeq}
	}
	for i, d := range e.dead {
		info, err := d.stream.Info(ctx)
		if err != nil {
			return err
		}
		held[deadStream(i)] = holding{info.State.Msgs, info.State.LastSeq}
	}
	data, err := json.Marshal(held)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(e.config.Dir, closedFile), append(data, '\n'))
}

// checkClosed compares what the streams hold with the note of a clean close,
// reports what is missing, and removes the note, which is true only once.
func (e *engine) checkClosed() error {
	name := filepath.Join(e.config.Dir, closedFile)
	data, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var held map[string]holding
	if err := json.Unmarshal(data, &held); err != nil {
		e.config.Logger.Error("can't compare the queues with what they held when they were closed", "file", name, "error", err)
	}
	compare := func(stream string, messages, last uint64) {
		if was := held[stream]; messages < was.Messages || last < was.Last {
			e.config.Logger.Error("messages are missing since the buffer was closed: its files are damaged or were replaced",
				"stream", stream, "held", was.Messages, "holds", messages, "last_was", was.Last, "last_is", last)
		}
	}
	for _, q := range e.queues {
		state := q.stream.CachedInfo().State
		compare(queueStream(q.number), state.Msgs, state.LastSeq)
	}
	for i, d := range e.dead {
		state := d.stream.CachedInfo().State
		compare(deadStream(i), state.Msgs, state.LastSeq)
	}
	if err := os.Remove(name); err != nil {
		return fmt.Errorf("remove the note of the last close: %w", err)
	}
	return syncFolder(e.config.Dir)
}

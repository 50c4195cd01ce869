package manifest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"weir/internal/store"
)

// A log is framed like a manifest, but a chunk's header goes on with the log's
// number (4) and the sync offset (8): how much of the log was synced when the
// chunk was written.
const (
	logHeader = chunkHeader + 4 + 8
	logFull   = 9
	logLast   = 12
)

// checkLogs finds damage that Pebble takes for the end of a log. Pebble looks
// for it from the next block of 32 KB on only, which many journal entries do not
// fill. A write that a power cut tore was not synced; what a later chunk says
// was synced, and cannot be read, is damaged. Damage of what was synced last
// looks like a torn write.
func checkLogs(fs vfs.FS, dir string) error {
	names, err := fs.List(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		digits, ok := strings.CutSuffix(name, ".log")
		number, err := strconv.ParseUint(digits, 10, 64)
		if !ok || err != nil {
			continue
		}
		path := fs.PathJoin(dir, name)
		data, err := readFile(fs, path)
		if errors.Is(err, os.ErrNotExist) {
			continue // of a folder that is open: all of it was flushed, and it was removed
		}
		if err != nil {
			return err
		}
		if at, damaged := findLogDamage(data, uint32(number)); damaged {
			return fmt.Errorf("%w: %s is damaged at byte %d", store.ErrCorrupt, path, at)
		}
	}
	return nil
}

func readFile(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(f)
}

// findLogDamage gives where the chunks of a log cease to be readable, if one
// after that says that more had been synced.
func findLogDamage(data []byte, number uint32) (at int, damaged bool) {
	for at < len(data) {
		if left := chunkBlock - at%chunkBlock; left < logHeader {
			at += left
			continue
		}
		_, size := readLogChunk(data, at, number)
		if size == 0 {
			break
		}
		at += size
	}
	for next := at + 1; next < len(data); next++ {
		if synced, size := readLogChunk(data, next, number); size > 0 && synced > uint64(at) {
			return at, true
		}
	}
	return 0, false
}

// readLogChunk gives the sync offset and the size of the chunk at a place, 0 if
// there is no whole one of this log.
func readLogChunk(data []byte, at int, number uint32) (synced uint64, size int) {
	left := min(len(data)-at, chunkBlock-at%chunkBlock)
	if left < logHeader {
		return 0, 0
	}
	head := data[at:]
	size = logHeader + int(binary.LittleEndian.Uint16(head[4:]))
	if head[6] < logFull || head[6] > logLast || size > left || binary.LittleEndian.Uint32(head[chunkHeader:]) != number {
		return 0, 0
	}
	if Checksum(head[6:size]) != binary.LittleEndian.Uint32(head) {
		return 0, 0
	}
	return binary.LittleEndian.Uint64(head[chunkHeader+4:]), size
}

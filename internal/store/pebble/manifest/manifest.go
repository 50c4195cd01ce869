// Package manifest finds damage in Pebble's manifests and logs that Pebble takes
// for their end. It owns the reading of their framing, and refuses to mend. It
// imports store and the client library.
package manifest

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	engine "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"weir/internal/store"
)

// A manifest is a file of blocks of chunks, as LevelDB's log format defines
// them: checksum (4, little-endian), length (2), type (1), payload.
const (
	chunkHeader = 7
	chunkBlock  = 32 << 10
	chunkFull   = 1 // a whole record
	chunkFirst  = 2 // the first part of one
	chunkLast   = 4
)

// Check finds damage in a folder's manifest and logs that Pebble would go on
// from as if nothing were missing.
func Check(fs vfs.FS, dir string) error {
	if err := checkManifest(fs, dir); err != nil {
		return err
	}
	return checkLogs(fs, dir)
}

// checkManifest finds damage that Pebble takes for the end of its manifest: it
// stops at a chunk that it cannot read, and then deletes all files that only
// the rest of the manifest names. A write that a power cut tore was not synced,
// and has no record behind it.
func checkManifest(fs vfs.FS, dir string) error {
	desc, err := engine.Peek(dir, fs)
	if err != nil {
		return err
	}
	if !desc.Exists {
		return nil // Open gives the error
	}
	synced, err := syncedSize(fs, desc.ManifestFilename) // before the manifest, which may grow
	if err != nil {
		return err
	}
	data, err := readFile(fs, desc.ManifestFilename)
	if err != nil {
		return err
	}
	if int64(len(data)) < synced {
		return fmt.Errorf("%w: %s has %d bytes; %d were written", store.ErrCorrupt, desc.ManifestFilename, len(data), synced)
	}
	if at, damaged := findDamage(data); damaged {
		return fmt.Errorf("%w: %s is damaged at byte %d", store.ErrCorrupt, desc.ManifestFilename, at)
	}
	return nil
}

// findDamage gives where the chunks of a manifest cease to be readable, if a
// record begins after that.
func findDamage(data []byte) (at int, damaged bool) {
	at = 0
	for at < len(data) {
		if left := chunkBlock - at%chunkBlock; left < chunkHeader {
			at += left
			continue
		}
		_, size := readChunk(data, at)
		if size == 0 {
			break
		}
		at += size
	}
	for next := at + 1; next < len(data); next++ {
		if kind, size := readChunk(data, next); size > 0 && (kind == chunkFull || kind == chunkFirst) {
			return at, true
		}
	}
	return 0, false
}

// readChunk gives the type and the size of the chunk at a place, 0 if there is
// no whole one.
func readChunk(data []byte, at int) (kind byte, size int) {
	left := min(len(data)-at, chunkBlock-at%chunkBlock)
	if left < chunkHeader {
		return 0, 0
	}
	head := data[at:]
	kind = head[6]
	size = chunkHeader + int(binary.LittleEndian.Uint16(head[4:]))
	if kind < chunkFull || kind > chunkLast || size == chunkHeader || size > left {
		return 0, 0
	}
	if Checksum(head[6:size]) != binary.LittleEndian.Uint32(head) {
		return 0, 0
	}
	return kind, size
}

// Checksum is the masked CRC that Pebble writes, as LevelDB's log format
// defines it.
func Checksum(data []byte) uint32 {
	sum := crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
	return (sum>>15 | sum<<17) + 0xa282ead8
}

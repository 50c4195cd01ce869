package jetstream

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/minio/highwayhash"
)

// The server's message files, DIR/jetstream/$G/streams/STREAM/msgs/N.blk, are
// records: length (4, little-endian; its top bit says that there are headers),
// sequence (8), time (8), length of the subject (2), subject, message, and the
// HighwayHash-64 of all that but lengths (8), with the SHA-256 of STREAM-N as its
// key. So they are in version 2.15 of the server.
const (
	recordHead    = 22
	recordSum     = 8
	recordHeaders = 1 << 31
)

// damagedFolder holds copies of damaged message files.
const damagedFolder = "damaged"

// keepDamaged looks for damage in the message files before the server does,
// which cuts a file off at the first record that it cannot read, without a word,
// or removes it. It reports the damage and copies the file.
func (e *engine) keepDamaged() error {
	files, err := filepath.Glob(filepath.Join(messageFolder(e.config.Dir, "*"), "*.blk"))
	if err != nil {
		return err
	}
	for _, file := range files {
		stream := filepath.Base(filepath.Dir(filepath.Dir(file)))
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		at, damaged := findDamage(data, stream, strings.TrimSuffix(filepath.Base(file), ".blk"))
		if !damaged {
			continue
		}
		kept := filepath.Join(e.config.Dir, damagedFolder, stream+"-"+filepath.Base(file)+"."+strconv.FormatInt(e.config.Now().UnixNano(), 10))
		err = makeFolder(filepath.Dir(kept))
		if err == nil {
			err = writeFile(kept, data)
		}
		if err != nil {
			return fmt.Errorf("%s is damaged at byte %d, and the server would cut it off there; keep a copy of it: %w", file, at, err)
		}
		e.config.Logger.Error("a message file of the buffer is damaged; the messages from there to its end are lost to the queue",
			"file", file, "byte", at, "bytes", len(data)-at, "kept_as", kept,
			"mend", "if a backup has the file whole, stop weir and put it back")
	}
	return nil
}

// findDamage gives where the records of a message file cease to be readable.
// An end that is no whole record is what a crash leaves of a message that was
// not answered, unless whole ones follow.
func findDamage(data []byte, stream, number string) (at int, damaged bool) {
	key := sha256.Sum256([]byte(stream + "-" + number))
	for at < len(data) {
		size, whole := readRecord(data[at:], key[:])
		if !whole && size > 0 {
			return at, true
		}
		if !whole {
			break
		}
		at += size
	}
	for next := at + 1; next+recordHead < len(data); next++ {
		if !bytes.HasPrefix(data[next+recordHead:], []byte(stream)) {
			continue
		}
		if _, whole := readRecord(data[next:], key[:]); whole {
			return at, true
		}
	}
	return 0, false
}

// readRecord gives the size of the record at the beginning of data, 0 where it
// would not fit, and whether it is whole.
func readRecord(data, key []byte) (size int, whole bool) {
	if len(data) < recordHead+recordSum {
		return 0, false
	}
	length := binary.LittleEndian.Uint32(data)
	subject := int(binary.LittleEndian.Uint16(data[20:]))
	size = int(length &^ recordHeaders)
	body := recordHead + subject
	if length&recordHeaders != 0 {
		body += 4 // the headers' length is not in the sum
	}
	if size > len(data) || body > size-recordSum {
		return 0, false
	}
	sum, err := highwayhash.New64(key)
	if err != nil {
		return 0, false
	}
	_, _ = sum.Write(data[4:20]) // a hash gives no errors
	_, _ = sum.Write(data[recordHead : recordHead+subject])
	_, _ = sum.Write(data[body : size-recordSum])
	return size, bytes.Equal(sum.Sum(nil), data[size-recordSum:size])
}

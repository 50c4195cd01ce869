//go:build cgo

package duckdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

const (
	parquetMagic = "PAR1"
	// footerTail is what follows a Parquet file's footer: its length, in 4 bytes,
	// and the magic.
	footerTail = 8
)

// keepNanoseconds changes a staged Parquet file so that DuckDB reads its times
// to the ns. Of times that are marked as UTC it makes TIMESTAMP WITH TIME ZONE,
// which has µs only; of those that are not it makes TIMESTAMP_NS. The mark is in
// the footer alone, so no row is touched.
func keepNanoseconds(file *os.File) error {
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	var tail [footerTail]byte
	if size < int64(len(parquetMagic)+footerTail) {
		return errors.New("it is no Parquet file: it is too short")
	}
	if _, err := file.ReadAt(tail[:], size-footerTail); err != nil {
		return err
	}
	length := int64(binary.LittleEndian.Uint32(tail[:]))
	start := size - footerTail - length
	if string(tail[4:]) != parquetMagic || start < int64(len(parquetMagic)) {
		return errors.New("it is no Parquet file: it has no footer")
	}
	footer := make([]byte, length)
	if _, err := file.ReadAt(footer, start); err != nil {
		return err
	}
	var meta format.FileMetaData
	if err := thrift.Unmarshal(&thrift.CompactProtocol{}, footer, &meta); err != nil {
		return fmt.Errorf("its footer can't be read: %w", err)
	}
	if !unmarkUTC(meta.Schema) {
		return nil
	}
	changed, err := thrift.Marshal(&thrift.CompactProtocol{}, &meta)
	if err != nil {
		return err
	}
	end := append(binary.LittleEndian.AppendUint32(nil, uint32(len(changed))), parquetMagic...)
	if err := file.Truncate(start); err != nil {
		return err
	}
	if _, err := file.WriteAt(changed, start); err != nil {
		return err
	}
	_, err = file.WriteAt(end, start+int64(len(changed)))
	return err
}

// unmarkUTC says whether it changed anything.
func unmarkUTC(schema []format.SchemaElement) (changed bool) {
	for i := range schema {
		t, ok := schema[i].LogicalType.Value.(*format.TimestampType)
		if ok && t.IsAdjustedToUTC && t.Unit.Value != nil && t.Unit.Value.Duration() == time.Nanosecond {
			t.IsAdjustedToUTC, changed = false, true
		}
	}
	return changed
}

package partfile

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"weir/internal/sample"
)

// The columns of a part, in order. Their names and types are the format's.
const (
	columnSeries = iota
	columnMetric
	columnTags
	columnTime
	columnFloat
	columnInt
	columnBool
	columnText
	columnQuality
	columnVersion
	columnPosition
	columns
)

// Sizes of parts.
const (
	// GroupRows is how many rows a row group has, but the last of a part.
	GroupRows = 1 << 20
	// pageBytes is the size of a page before it is compressed. What repeats from
	// series to series is compressed within a page only.
	pageBytes = 1 << 20
	// dictionaryBytes bounds a dictionary: the names of all series of a group
	// fit.
	dictionaryBytes = 64 << 20
)

// formatKey is the key of the footer's metadata that says which format it is.
const (
	formatKey     = "weir.archive"
	formatVersion = 1
)

// partSchema gives the schema of a part.
func partSchema() (*schema.GroupNode, error) {
	text, unsigned := schema.StringLogicalType{}, schema.NewIntLogicalType
	required, optional := parquet.Repetitions.Required, parquet.Repetitions.Optional
	of := func(name string, r parquet.Repetition, l schema.LogicalType, p parquet.Type) schema.Node {
		return schema.Must(schema.NewPrimitiveNodeLogical(name, r, l, p, -1, -1))
	}
	none := schema.NoLogicalType{}
	return schema.NewGroupNode("schema", required, schema.FieldList{
		columnSeries:   of("series", required, text, parquet.Types.ByteArray),
		columnMetric:   of("metric", required, text, parquet.Types.ByteArray),
		columnTags:     of("tags", required, text, parquet.Types.ByteArray),
		columnTime:     of("time", required, schema.NewTimestampLogicalType(true, schema.TimeUnitNanos), parquet.Types.Int64),
		columnFloat:    of("value", optional, none, parquet.Types.Double),
		columnInt:      of("value_int", optional, none, parquet.Types.Int64),
		columnBool:     of("value_bool", optional, none, parquet.Types.Boolean),
		columnText:     of("value_text", optional, text, parquet.Types.ByteArray),
		columnQuality:  of("quality", required, unsigned(32, false), parquet.Types.Int32),
		columnVersion:  of("version", required, unsigned(64, false), parquet.Types.Int64),
		columnPosition: of("position", required, unsigned(64, false), parquet.Types.Int64),
	}, -1)
}

// properties gives how columns are written: what repeats by dictionary, times
// as differences, and integers where that is smaller. A writer leaves a dictionary
// out where little repeats.
func properties(integersByDifference bool) *parquet.WriterProperties {
	return parquet.NewWriterProperties(
		parquet.WithVersion(parquet.V2_LATEST), parquet.WithDataPageVersion(parquet.DataPageV2),
		parquet.WithCreatedBy("weir"), parquet.WithBatchSize(16<<10),
		parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(3),
		parquet.WithDataPageSize(pageBytes), parquet.WithDictionaryPageSizeLimit(dictionaryBytes),
		parquet.WithMaxRowGroupLength(GroupRows),
		parquet.WithDictionaryDefault(true),
		parquet.WithDictionaryFor("time", false), parquet.WithEncodingFor("time", parquet.Encodings.DeltaBinaryPacked),
		parquet.WithDictionaryFor("value_int", !integersByDifference), parquet.WithEncodingFor("value_int", parquet.Encodings.DeltaBinaryPacked),
		parquet.WithDictionaryFor("value_bool", false),
		parquet.WithStatsFor("tags", false), parquet.WithStatsFor("value_text", false),
		parquet.WithSortingColumns([]parquet.SortingColumn{{ColumnIdx: columnSeries}, {ColumnIdx: columnTime}}),
	)
}

// Identity is what a part says of a series on each of its rows.
type Identity struct {
	ID     sample.SeriesID
	Metric string
	Tags   string // a JSON object, keys sorted
}

// Identify gives the identity of a series by its canonical key.
func Identify(key string) (Identity, error) {
	s, err := sample.ParseKey([]byte(key))
	if err != nil {
		return Identity{}, err
	}
	var tags bytes.Buffer
	tags.WriteByte('{')
	e := json.NewEncoder(&tags)
	e.SetEscapeHTML(false)
	for i, t := range s.Tags {
		if i > 0 {
			tags.WriteByte(',')
		}
		_ = e.Encode(t.Name) // a string is always encoded
		tags.Truncate(tags.Len() - 1)
		tags.WriteByte(':')
		_ = e.Encode(t.Value)
		tags.Truncate(tags.Len() - 1)
	}
	tags.WriteByte('}')
	return Identity{ID: sample.KeyID([]byte(key)), Metric: s.Metric, Tags: tags.String()}, nil
}

// Place is which part of an archive a file is. It is in the file's metadata
// too, so that one that is found alone tells what it is.
type Place struct {
	Week       sample.Week
	Revision   int
	Partitions int // of the week: a series is of partition shard × partitions / 1024
	Partition  int
	First, End sample.Shard // its series' shards are in [First, End)
}

func (p *Place) metadata() map[string]string {
	return map[string]string{
		formatKey: strconv.Itoa(formatVersion), "weir.week": p.Week.String(), "weir.revision": strconv.Itoa(p.Revision),
		"weir.partitions": strconv.Itoa(p.Partitions), "weir.partition": strconv.Itoa(p.Partition),
		"weir.first_shard": strconv.Itoa(int(p.First)), "weir.end_shard": strconv.Itoa(int(p.End)),
	}
}

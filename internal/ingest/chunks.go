package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/zeebo/xxh3"
)

// Format is what a file holds.
type Format string

// The formats of files that can be imported in bulk.
const (
	CSV   Format = "csv"
	Lines Format = "lines" // InfluxDB line protocol
	JSON  Format = "json"  // objects, each beginning a line
)

// Formats names the formats.
func Formats() []string { return []string{string(CSV), string(Lines), string(JSON)} }

// FormatOf gives what a file's name says of its format; CSV where it says
// nothing else.
func FormatOf(path string) Format {
	switch strings.ToLower(filepath.Ext(strings.TrimSuffix(path, ending(path)))) {
	case ".lp", ".line", ".influx":
		return Lines
	case ".json", ".jsonl", ".ndjson":
		return JSON
	}
	return CSV
}

// ChunkBytes is how large a chunk of an import is by default, and MaxChunkBytes
// how large it may be. Larger ones give longer runs of samples at once; of smaller
// ones less is in memory, and all cores have work sooner.
const (
	ChunkBytes    = 16 << 20
	MaxChunkBytes = 60 << 20
)

// chunksVersion is to be raised when the chunks of a file become others: an
// import that was cut short finds what is stored by their numbers.
const chunksVersion = 1

// Identity gives 16 hex digits for what a file holds, read in this way: the same
// for the same bytes, options and size of chunks, wherever the file lies.
func Identity(path string, format Format, precision string, o Options, chunk int) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close() //nolint:errcheck // it was only read
	if format != CSV {
		o = Options{} // no other looks at them
	}
	zone := "UTC"
	if o.Zone != nil {
		zone = o.Zone.String()
	}
	o.Zone = nil
	how, err := json.Marshal(struct {
		Version, Bytes          int
		Packed                  string
		Format, Precision, Zone string
		Options                 Options
	}{chunksVersion, chunk, ending(path), string(format), precision, zone, o})
	if err != nil {
		return "", err
	}
	h := xxh3.New()
	_, _ = h.Write(how) // it has no errors
	if _, err := io.Copy(h, file); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return fmt.Sprintf("%016x", h.Sum64()), nil
}

// Chunk is some whole lines of a file. It may be used again.
type Chunk struct {
	Body []byte
	// Rows gives for each line of Body its line in the file; nil: they follow one
	// another, the first being First.
	Rows  []int
	First int
	Bad   []Bad // rows that were left out
}

// Row gives the line of the file that a line of Body is, both from 1.
func (c *Chunk) Row(line int) int {
	switch {
	case c.Rows == nil:
		return c.First + line - 1
	case line < 1 || line > len(c.Rows):
		return 0
	}
	return c.Rows[line-1]
}

// Chunks reads a file chunk by chunk, cut where the file alone says.
type Chunks struct {
	csv   *Reader
	batch Batch

	file   io.Reader
	format Format
	bytes  int
	left   []byte // read, and not given yet
	line   int    // of the file, that left begins with
	ended  bool
}

// NewChunks begins to read a file in chunks of about so many bytes, for CSV as the
// options say.
func NewChunks(file io.Reader, format Format, o Options, chunk int) (*Chunks, error) {
	c := &Chunks{file: file, format: format, bytes: chunk, line: 1}
	if format != CSV {
		return c, nil
	}
	o.BatchBytes, o.BatchLines = chunk, chunk
	var err error
	c.csv, err = New(file, o)
	return c, err
}

// Next fills in the chunk that follows. It gives io.EOF after the last.
func (c *Chunks) Next(to *Chunk) error {
	if c.csv != nil {
		c.batch.Body, c.batch.Rows = to.Body, to.Rows
		err := c.csv.Next(&c.batch)
		to.Body, to.Rows, to.Bad = c.batch.Body, c.batch.Rows, c.batch.Bad
		return err
	}
	to.Rows, to.Bad, to.First = nil, nil, c.line
	body := append(slices.Grow(to.Body[:0], c.bytes), c.left...)
	if n := len(body); !c.ended {
		read, err := io.ReadFull(c.file, body[n:c.bytes])
		body = body[:n+read]
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			c.ended = true
		case err != nil:
			return fmt.Errorf("read past line %d: %w", c.line+bytes.Count(body, []byte("\n")), err)
		}
	}
	if len(body) == 0 {
		to.Body = body
		return io.EOF
	}
	end := len(body)
	if !c.ended {
		end = c.cut(body)
	}
	c.left = append(c.left[:0], body[end:]...)
	to.Body = body[:end]
	c.line += bytes.Count(to.Body, []byte("\n"))
	return nil
}

// cut gives where the last line ends that surely ends in body: where no string
// is open, and in JSON where an object begins. Where there is none, all is cut
// off, and the line is told as bad.
func (c *Chunks) cut(body []byte) int {
	var end int
	switch {
	case c.format == JSON:
		end = bytes.LastIndex(body, []byte("\n{")) + 1
	case bytes.IndexByte(body, '"') < 0:
		end = bytes.LastIndexByte(body, '\n') + 1
	default:
		end = lastLine(body)
	}
	if end == 0 {
		if end = bytes.LastIndexByte(body, '\n') + 1; end == 0 {
			end = len(body)
		}
	}
	return end
}

// lastLine gives where the last line of line protocol ends, by passing over the
// strings of all: they may hold line breaks. A string begins behind a field's =
// and ends at a quote that no backslash precedes.
func lastLine(body []byte) int {
	end, fields := 0, false
	for i := 0; i < len(body); i++ {
		switch body[i] {
		case '\\':
			i++
		case ' ':
			fields = true
		case '\n':
			end, fields = i+1, false
		case '"':
			if fields && body[i-1] == '=' {
				for i++; i < len(body) && body[i] != '"'; i++ {
					if body[i] == '\\' {
						i++
					}
				}
			}
		}
	}
	return end
}

package ingest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// maxRecord bounds a record, so that one quote that is never closed costs one
// row and not the memory of the rest of the file.
const maxRecord = 1 << 20

// rowError is what is wrong with one row; the table goes on after it.
type rowError struct {
	line   int
	reason string
}

func (e *rowError) Error() string { return fmt.Sprintf("line %d %s", e.line, e.reason) }

func asRowError(err error, target **rowError) bool { return errors.As(err, target) }

// table reads records as RFC 4180 has them, and more: line ends of either
// kind, any one-byte delimiter, blank lines, and quotes inside cells that
// don't begin with one. A record whose quotes don't fit costs its first line
// only: reading goes on with the next.
type table struct {
	in    *bufio.Reader
	comma byte
	line  int // number of the line read last

	// queue holds lines that a record went on over, and at is the first of
	// them that is to be read, again where the record before it was bad.
	queue [][]byte
	at    int

	long  []byte // a line that is longer than the reader's buffer
	text  []byte // the record's cells, without their quotes
	ends  []int
	cells [][]byte
}

// newTable reads the header.
func newTable(file io.Reader, comma byte) (*table, []string, error) {
	t := &table{in: bufio.NewReaderSize(file, 64<<10), comma: comma}
	switch head, _ := t.in.Peek(3); {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		_, _ = t.in.Discard(3) // they were just peeked at
	case bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff")):
		return nil, nil, errors.New("the file is UTF-16: convert it to UTF-8 first, for example with iconv")
	case bytes.HasPrefix(head, []byte("\x1f\x8b")) || bytes.HasPrefix(head, []byte("\x28\xb5\x2f")):
		return nil, nil, errors.New("the file is compressed, but its name ends neither in .gz nor in .zst")
	}
	if t.comma == 0 {
		t.comma = guessDelimiter(t.in)
	}
	cells, _, err := t.next()
	if errors.Is(err, io.EOF) {
		return nil, nil, errors.New("the file is empty: its first line must name the columns")
	}
	if err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	header := make([]string, len(cells))
	for i, c := range cells {
		header[i] = string(c)
	}
	return t, header, nil
}

// guessDelimiter takes what parts the most cells in the first line.
func guessDelimiter(in *bufio.Reader) byte {
	head, _ := in.Peek(in.Size())
	if i := bytes.IndexByte(head, '\n'); i >= 0 {
		head = head[:i]
	}
	best, most := byte(','), 0
	for _, c := range []byte(",;\t|") {
		if n := bytes.Count(head, []byte{c}); n > most {
			best, most = c, n
		}
	}
	return best
}

// next gives the next record's cells, trimmed, and the number of its first
// line. The cells are valid until the next call. The error is io.EOF, a
// *rowError, or the file's.
func (t *table) next() ([][]byte, int, error) {
	t.text, t.ends = t.text[:0], t.ends[:0]
	line, err := t.firstLine()
	for err == nil && len(line) == 0 {
		line, err = t.firstLine()
	}
	if err != nil {
		return nil, t.line, err
	}
	first, second := t.line, t.at
	if reason, err := t.split(line); err != nil {
		return nil, t.line, err
	} else if reason != "" {
		t.line, t.at = first, second
		return nil, first, &rowError{first, reason}
	}
	t.cells = t.cells[:0]
	start := 0
	for _, end := range t.ends {
		t.cells = append(t.cells, bytes.TrimSpace(t.text[start:end]))
		start = end
	}
	return t.cells, first, nil
}

// split cuts a record into cells. It gives a reason where the quotes don't
// fit, an error where the file can't be read.
func (t *table) split(line []byte) (reason string, err error) {
	for {
		if len(line) == 0 || line[0] != '"' {
			cell, rest, more := bytes.Cut(line, []byte{t.comma})
			t.text = append(t.text, cell...)
			t.ends = append(t.ends, len(t.text))
			if !more {
				return "", nil
			}
			line = rest
			continue
		}
		if line, reason, err = t.quoted(line[1:]); reason != "" || err != nil {
			return reason, err
		}
		t.ends = append(t.ends, len(t.text))
		if len(line) == 0 {
			return "", nil
		}
		if line[0] != t.comma {
			return "has text after a closing quote: double the quotes inside a quoted cell", nil
		}
		line = line[1:]
	}
}

// quoted takes a cell up to its closing quote, over line ends, and gives what
// follows it.
func (t *table) quoted(line []byte) (rest []byte, reason string, err error) {
	for {
		i := bytes.IndexByte(line, '"')
		switch {
		case i >= 0 && i+1 < len(line) && line[i+1] == '"':
			t.text = append(t.text, line[:i+1]...)
			line = line[i+2:]
		case i >= 0:
			t.text = append(t.text, line[:i]...)
			return line[i+1:], "", nil
		default:
			t.text = append(append(t.text, line...), '\n')
			if line, err = t.nextLine(); errors.Is(err, io.EOF) {
				return nil, "has a quote that is not closed before the file ends", nil
			}
			var bad *rowError
			if errors.As(err, &bad) || len(t.text)+len(line) > maxRecord {
				return nil, fmt.Sprintf("has a quote that is not closed within %d KiB", maxRecord>>10), nil
			}
			if err != nil {
				return nil, "", err
			}
		}
	}
}

// firstLine gives the line that a record begins with, valid until the next
// call of any of these.
func (t *table) firstLine() ([]byte, error) {
	if t.at == len(t.queue) {
		t.queue, t.at = t.queue[:0], 0
		return t.readLine()
	}
	return t.nextLine()
}

// nextLine gives a line that a record goes on over, and keeps it.
func (t *table) nextLine() ([]byte, error) {
	if t.at < len(t.queue) {
		t.at++
		t.line++
		return t.queue[t.at-1], nil
	}
	line, err := t.readLine()
	var bad *rowError
	if err == nil || errors.As(err, &bad) {
		line = bytes.Clone(line)
		t.queue = append(t.queue, line)
		t.at++
	}
	return line, err
}

// readLine reads a line from the file, without its end.
func (t *table) readLine() ([]byte, error) {
	t.long = t.long[:0]
	tooLong := false
	for {
		part, err := t.in.ReadSlice('\n')
		ended := err == io.EOF // a wrapped one is a reader that broke, not the end
		switch {
		case !ended && errors.Is(err, io.EOF):
			return nil, fmt.Errorf("%w: %s", io.ErrUnexpectedEOF, err.Error())
		case err != nil && !ended && !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
		if ended && len(part)+len(t.long) == 0 && !tooLong {
			return nil, io.EOF
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			if tooLong = tooLong || len(t.long)+len(part) > maxRecord; tooLong {
				t.long = t.long[:0]
			} else {
				t.long = append(t.long, part...)
			}
			continue
		}
		t.line++
		if tooLong {
			return nil, &rowError{t.line, fmt.Sprintf("is longer than %d KiB", maxRecord>>10)}
		}
		if len(t.long) > 0 {
			t.long = append(t.long, part...)
			part = t.long
		}
		return bytes.TrimSuffix(bytes.TrimSuffix(part, []byte("\n")), []byte("\r")), nil
	}
}

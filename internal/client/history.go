package client

import (
	"bytes"
	"context"
	"net/http"
	"net/url"
	"strconv"
)

// Imported is what became of a chunk of an import, in samples.
type Imported struct {
	Stored   int64          `json:"stored"`
	Repeated int64          `json:"repeated"` // were stored before
	Rejected int64          `json:"rejected"` // lines and values
	Lines    []RejectedLine `json:"errors"`   // the first of them
}

// HistoryChunk is one chunk of an import. The same import has the same chunks
// each time.
type HistoryChunk struct {
	Import string // 16 hex digits: a hash of all that is imported
	Name   string // for people
	Number int
	Format string // "lines" or "json"
	// Precision is that of line protocol's times; empty means ns.
	Precision string
	// Answered is how many chunks were answered before it: the next may be sent
	// ahead of the answer to the one before.
	Answered int
	Body     []byte
}

// ImportChunk stores a chunk. After an error it may be called again.
func (c *Client) ImportChunk(ctx context.Context, chunk HistoryChunk) (Imported, error) {
	query := url.Values{"name": {chunk.Name}, "format": {chunk.Format}, "answered": {strconv.Itoa(chunk.Answered)}}
	if chunk.Precision != "" {
		query.Set("precision", chunk.Precision)
	}
	return read[Imported](ctx, c, request{
		method: http.MethodPost, path: "/api/v1/history/" + url.PathEscape(chunk.Import) + "/chunks/" + strconv.Itoa(chunk.Number),
		query: query, body: bytes.NewReader(chunk.Body),
	})
}

// ImportedVolume is a volume that holds samples of an import.
type ImportedVolume struct {
	Week     string `json:"week"`
	Revision int    `json:"revision"`
	Samples  int64  `json:"samples"`
	State    string `json:"state"`
}

// FinishImport closes an import of so many chunks and, with seal, ends the
// revisions that hold its samples. After an error it may be called again.
func (c *Client) FinishImport(ctx context.Context, id, name string, chunks int, seal bool) ([]ImportedVolume, error) {
	return read[[]ImportedVolume](ctx, c, request{
		method: http.MethodPost, path: "/api/v1/history/" + url.PathEscape(id) + "/finish",
		query: url.Values{"name": {name}, "chunks": {strconv.Itoa(chunks)}, "seal": {strconv.FormatBool(seal)}},
	})
}

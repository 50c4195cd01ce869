package objects

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
)

// Counted counts and hashes what goes through it: what manifests say of an
// object. It is not safe for concurrent use.
type Counted struct {
	to    io.Writer
	sum   hash.Hash
	bytes int64
}

// Count gives a writer that passes on to another.
func Count(to io.Writer) *Counted { return &Counted{to: to, sum: sha256.New()} }

func (c *Counted) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.sum.Write(p[:n])
	c.bytes += int64(n)
	return n, err
}

// Bytes gives how many bytes were written.
func (c *Counted) Bytes() int64 { return c.bytes }

// SHA256 gives the hash of them in hex.
func (c *Counted) SHA256() string { return hex.EncodeToString(c.sum.Sum(nil)) }

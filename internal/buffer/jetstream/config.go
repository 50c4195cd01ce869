package jetstream

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Config says where and how the buffer keeps its messages.
type Config struct {
	// Dir is the folder. It is made when it is not there.
	Dir string
	// Queues is how many queues there are. A folder that has more keeps them:
	// Driver.Queues tells the number that holds.
	Queues int
	// MaxBytes is how much one queue, and one queue's dead letters, may hold.
	MaxBytes int64
	// MaxBody is the largest body that Send takes.
	MaxBody int
	// VisibilityTimeout is how long a delivery stays with its receiver.
	VisibilityTimeout time.Duration
	// MaxInFlight is how many deliveries of a queue may be unsettled at once.
	MaxInFlight int
	// AnswerTimeout is how long the server may take to answer. It bounds a
	// call whose context has no deadline, and ends with ErrUnavailable.
	AnswerTimeout time.Duration
	// RetryAfter is how long a server that failed is left alone before it is
	// started again.
	RetryAfter time.Duration
	// Logger takes what goes on behind the calls.
	Logger *slog.Logger
	// Now is the clock of leases and of the time between restarts. The
	// server stamps messages and counts visibility timeouts by its own.
	Now func() time.Time

	// removals is held for reading while messages are removed: see Snapshot.
	removals *sync.RWMutex
	// lax leaves it to the system when messages reach the disk.
	lax bool
}

// Default gives the config that fits one machine; Dir is left to set.
func Default() Config {
	return Config{
		Queues:            1,
		MaxBytes:          4 << 30,
		MaxBody:           1 << 20,
		VisibilityTimeout: time.Minute,
		MaxInFlight:       65_536,
		AnswerTimeout:     10 * time.Second,
		RetryAfter:        time.Second,
		Logger:            slog.Default(),
		Now:               time.Now,
	}
}

// maxQueues is the number of shards: no partition can be smaller.
const maxQueues = 1024

// Validate says what is wrong with the config.
func (c Config) Validate() error {
	switch {
	case c.Dir == "":
		return errors.New("buffer: dir is empty: name the folder that keeps the messages")
	case c.Queues < 1 || c.Queues > maxQueues:
		return fmt.Errorf("buffer: %d queues: want 1 to %d", c.Queues, maxQueues)
	case c.MaxBody < 1<<10 || c.MaxBody > 4<<20:
		return fmt.Errorf("buffer: bodies of up to %d bytes: want a limit of 1 KiB to 4 MiB", c.MaxBody)
	case c.MaxBytes < int64(c.MaxBody)+recordOverhead:
		return fmt.Errorf("buffer: %d bytes a queue: not one body of %d bytes fits", c.MaxBytes, c.MaxBody)
	case c.VisibilityTimeout < 10*time.Millisecond || c.VisibilityTimeout > 12*time.Hour:
		return fmt.Errorf("buffer: visibility timeout of %v: want 10ms to 12h", c.VisibilityTimeout)
	case c.MaxInFlight < 1:
		return fmt.Errorf("buffer: %d deliveries in flight: at least 1 is needed", c.MaxInFlight)
	case c.AnswerTimeout < 10*time.Millisecond:
		return fmt.Errorf("buffer: answer timeout of %v: at least 10ms is needed", c.AnswerTimeout)
	case c.RetryAfter <= 0:
		return fmt.Errorf("buffer: a retry after %v: want more than 0", c.RetryAfter)
	case c.Logger == nil || c.Now == nil:
		return errors.New("buffer: logger and clock are needed: start from Default")
	}
	return nil
}

// recordOverhead is above what the server adds to a body on disk and on the
// wire: record header, subject, the headers of a dead letter.
const recordOverhead = 32 << 10

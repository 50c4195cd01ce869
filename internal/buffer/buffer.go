// Package buffer is the port of the durable buffer between gateways and
// workers: a few queues, one a partition of the stream, and beside each a
// queue of dead letters.
//
// It owns the contract and its errors. Drivers are its children; buffertest
// is the suite that each must pass. It imports no other package of Weir: to a
// buffer a message is bytes.
//
// # What holds after a crash at any point
//
// A body that Send accepted is delivered until it is acked or buried, however
// often processes die. A body whose Send did not return may be delivered or
// not. Deliveries may repeat, also after an ack, and come in no order:
// receivers must not care (journal law 3). An ack that returned may be
// forgotten; an accepted body never is.
//
// # SQS
//
// One standard queue a partition and one for its dead letters. Figures are
// those of 2026: a request is each 64 KB of a call, 0.40 $ a million.
package buffer

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Errors that drivers wrap, so that errors.Is tells what to do.
var (
	// ErrFull means that the queue takes no more now. Retry later.
	ErrFull = errors.New("buffer is full")
	// ErrUnavailable means that the buffer did not answer, or not surely.
	// Retry: a second copy does no harm.
	ErrUnavailable = errors.New("buffer is unavailable")
	// ErrTooLarge means that the body will never fit. Do not retry.
	ErrTooLarge = errors.New("message is too large for the buffer")
	// ErrHeld means that somebody else holds the lease. Try again later.
	ErrHeld = errors.New("lease is held by another")
	// ErrLost means that the lease ran out or went to another. Stop working.
	ErrLost = errors.New("lease is lost")
	// ErrClosed means that the buffer was closed.
	ErrClosed = errors.New("buffer is closed")
	// ErrNotFound means that there is no such dead letter (any more).
	ErrNotFound = errors.New("no such dead letter")
)

// Error says which operation failed, on which queue, and how to mend it.
type Error struct {
	Op    string // "send", "receive", …
	Queue int
	Hint  string // what the operator can do; may be empty
	Err   error
}

func (e *Error) Error() string {
	s := fmt.Sprintf("buffer: %s, queue %d: %v", e.Op, e.Queue, e.Err)
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Buffer is the queues. All methods are safe for concurrent use.
type Buffer interface {
	// Queues gives how many queues there are: 0 to Queues()-1. It never
	// changes while the buffer is open.
	Queues() int

	// MaxBody gives the largest body that Send takes, in bytes. SQS: 1 MiB of
	// text, so 768 KiB before base64.
	MaxBody() int

	// Send puts bodies into a queue and returns when all that it accepted are
	// durable: after a power cut they are there. The result is nil when all
	// were accepted, else one error a body, nil for an accepted one. Bodies
	// stay the caller's and are not kept. Bodies sent together need not be
	// delivered together.
	//
	// SQS: SendMessageBatch, 10 entries and 1 MiB a call, billed by 64 KB;
	// its Failed entries become the errors.
	Send(ctx context.Context, queue int, bodies [][]byte) []error

	// Receive waits until there is at least one delivery and gives up to max
	// of them, or ctx's error. Each delivery is invisible to others for the
	// visibility timeout of the driver's config.
	//
	// SQS: ReceiveMessage with long polling, 10 a call.
	Receive(ctx context.Context, queue, max int) ([]Delivery, error)

	// Depth tells how much the queue holds.
	//
	// SQS: GetQueueAttributes and CloudWatch's age of the oldest message,
	// which lag by a minute.
	Depth(ctx context.Context, queue int) (Depth, error)

	// Close releases what the buffer holds. It may be called twice.
	Close() error
}

// Depth is how much a queue holds.
type Depth struct {
	Messages uint64    // all that are not acked
	InFlight uint64    // those of them that are delivered and not settled
	Bytes    uint64    // as stored
	Oldest   time.Time // when the oldest that is not acked was sent; zero when empty
}

// Delivery is one message handed to one receiver. It is settled once, by Ack,
// Nack or DeadLetters.Bury; a delivery that is not settled within the
// visibility timeout is delivered again. Its methods are safe for concurrent
// use and idempotent; an error of them means that the message may come again.
type Delivery interface {
	// ID names the message within its queue for as long as it lives there.
	ID() string
	// Body is the message. It is the receiver's to keep, not to change.
	Body() []byte
	// Sent is when the buffer took the message.
	Sent() time.Time
	// Attempts is how many deliveries of the message have begun, this one
	// included, those that a crash cut short too: at least 1, perhaps more
	// than there were, never fewer.
	//
	// SQS: ApproximateReceiveCount.
	Attempts() int
	// Ack removes the message. SQS: DeleteMessageBatch, 10 a call.
	Ack(ctx context.Context) error
	// Nack gives the message back, to be delivered again after the delay.
	// SQS: ChangeMessageVisibility.
	Nack(ctx context.Context, delay time.Duration) error
}

// Extender is an optional ability of a Delivery: it starts the visibility
// timeout anew. SQS: ChangeMessageVisibility, at most 12 hours in all.
type Extender interface {
	Extend(ctx context.Context) error
}

// BatchAcker is an optional ability of a Buffer: it acks many deliveries at
// once, where one after the other costs a round trip each. The result is nil
// when all are acked, else one error a delivery, nil for an acked one.
// Otherwise it is as Ack of each. SQS: DeleteMessageBatch, 10 a call.
type BatchAcker interface {
	AckBatch(ctx context.Context, deliveries []Delivery) []error
}

// AckAll acks deliveries, all at once where the buffer can.
func AckAll(ctx context.Context, b Buffer, deliveries []Delivery) error {
	if batch, ok := b.(BatchAcker); ok {
		return errors.Join(batch.AckBatch(ctx, deliveries)...)
	}
	var failed []error
	for _, d := range deliveries {
		failed = append(failed, d.Ack(ctx))
	}
	return errors.Join(failed...)
}

// DeadLetter is a message that was taken out of its queue, as it was.
type DeadLetter struct {
	ID     string // within the queue's dead letters
	Body   []byte
	Reason string
	Sent   time.Time // when it was buried
}

// DeadLetters is the queues of dead letters. All methods are safe for
// concurrent use. Every driver has it.
type DeadLetters interface {
	// Bury makes the message of d durable among the queue's dead letters and
	// only then acks d. A crash in between leaves it in both places; that is
	// harmless, since its identity is the same.
	//
	// SQS: SendMessage to the dead-letter queue, the reason as an attribute;
	// then DeleteMessage.
	Bury(ctx context.Context, queue int, d Delivery, reason string) error

	// List gives up to max dead letters, those after the one with ID after
	// ("" from the start), in the order they were buried.
	//
	// SQS: they are received with a visibility of seconds, so two listers
	// hide letters from one another, and order is not kept.
	List(ctx context.Context, queue int, after string, max int) ([]DeadLetter, error)

	// Redrive sends a dead letter to its queue again, as it was, and then
	// removes it. A crash in between leaves both. ErrNotFound: nothing done.
	//
	// SQS: SendMessage and DeleteMessage; StartMessageMoveTask for all.
	Redrive(ctx context.Context, queue int, id string) error
}

// Leases lets one worker drain a queue at a time. A lease is an economy, not
// a safeguard: two that believe they hold one do no harm (journal law 2).
// Safe for concurrent use.
//
// On aws a lease is one item of a DynamoDB table, put on condition of holder
// and version and renewed every third of its time: 0.2 $ a month a queue.
type Leases interface {
	// Acquire takes a queue's lease for ttl, or gives ErrHeld.
	Acquire(ctx context.Context, queue int, owner string, ttl time.Duration) (Lease, error)
}

// Lease is a held lease.
type Lease interface {
	// Renew holds the lease for another ttl, or gives ErrLost.
	Renew(ctx context.Context) error
	// Release gives the lease up. It may be called twice.
	Release(ctx context.Context) error
}

package jetstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	api "github.com/nats-io/nats.go/jetstream"

	"weir/internal/buffer"
)

// consumerName is the one consumer of each queue's stream.
const consumerName = "workers"

// headerRoom is what headers may add to a body on the wire.
const headerRoom = 16 << 10

// engine is one run of the server over the folder, with all that hangs on it.
// A driver has one after the other; a failed engine is never used again.
type engine struct {
	config Config
	server *server.Server
	// Large bodies on their way in must not keep deliveries and acks waiting.
	sending, receiving *nats.Conn
	stream             api.JetStream // over receiving
	queues             []*queue
	dead               []*deadQueue

	// life ends, with the reason as its cause, when the server can't go on or
	// is stopped.
	life context.Context
	fail context.CancelCauseFunc
}

func queueStream(i int) string { return fmt.Sprintf("queue-%d", i) }
func deadStream(i int) string  { return fmt.Sprintf("dead-%d", i) }

// startEngine starts the server and makes what is missing. It starts the
// server's goroutines; stop ends them.
func startEngine(ctx context.Context, c Config, queues int) (_ *engine, err error) {
	e := &engine{config: c}
	// fail never blocks: the server calls it, by its log, with locks held.
	e.life, e.fail = context.WithCancelCause(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			err = errors.Join(err, e.stop(buffer.ErrUnavailable))
		}
	}()
	before, err := findStreams(c.Dir)
	if err != nil {
		return nil, err
	}
	if err := e.keepDamaged(); err != nil {
		return nil, err
	}
	if err := e.startServer(ctx); err != nil {
		return nil, err
	}
	if err := e.connect(); err != nil {
		return nil, err
	}
	for i := range queues {
		if err := e.openQueue(ctx, i, before); err != nil {
			return nil, err
		}
	}
	if err := syncTree(filepath.Join(c.Dir, serverFolder)); err != nil {
		return nil, err
	}
	if err := e.checkClosed(); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *engine) startServer(ctx context.Context) error {
	options := &server.Options{
		ServerName: "weir-buffer",
		DontListen: true,
		NoSigs:     true,
		JetStream:  true,
		StoreDir:   e.config.Dir,
		SyncAlways: !e.config.lax,
		MaxPayload: int32(e.config.MaxBody + headerRoom),
		MaxPending: 512 << 20,
		// The streams have limits of their own; the sum may pass the disk.
		JetStreamMaxStore:  math.MaxInt64 / 4,
		JetStreamMaxMemory: 256 << 20,
	}
	s, err := server.NewServer(options)
	if err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	e.server = s
	log := &serverLog{
		logger: e.config.Logger.With(slog.String("part", "nats-server")),
		failed: func(reason string) { e.fail(serverError(reason)) },
	}
	s.SetLoggerV2(log, false, false, false)
	started := make(chan struct{})
	go func() {
		defer close(started)
		s.Start() // returns when all streams are read
	}()
	select {
	case <-started:
	case <-ctx.Done():
		return ctx.Err() // stop waits for the server
	}
	if err := context.Cause(e.life); err != nil {
		return err
	}
	if !s.ReadyForConnections(e.config.AnswerTimeout) {
		return errors.New("the server did not become ready")
	}
	return nil
}

// serverError makes an error of a line of the server's log.
func serverError(line string) error {
	if strings.Contains(line, "no space left") || strings.Contains(line, "quota exceeded") {
		return fmt.Errorf("%w: %s", errDiskFull, line)
	}
	return errors.New(line)
}

var errDiskFull = errors.New("the disk is full")

func (e *engine) connect() error {
	for _, c := range []**nats.Conn{&e.sending, &e.receiving} {
		conn, err := nats.Connect("", nats.InProcessServer(e.server), nats.NoReconnect(), nats.NoCallbacksAfterClientClose(),
			nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
				e.config.Logger.Warn("the connection to the buffer's server", "error", err)
			}),
			nats.ClosedHandler(func(*nats.Conn) { e.fail(errors.New("the server closed a connection")) }))
		if err != nil {
			return fmt.Errorf("connect to the server: %w", err)
		}
		*c = conn
	}
	var err error
	e.stream, err = api.New(e.receiving)
	return err
}

// openQueue opens one queue with its dead letters; before is the streams that
// were there when the server started.
func (e *engine) openQueue(ctx context.Context, i int, before map[string]bool) error {
	ctx, cancel := context.WithTimeout(ctx, max(e.config.AnswerTimeout, time.Minute))
	defer cancel()
	name := queueStream(i)
	stream, err := e.openStream(ctx, name, api.WorkQueuePolicy, before)
	if err != nil {
		return err
	}
	// A consumer that lives in memory, made anew: what the one before had
	// delivered comes again at once, not after its visibility timeout.
	if err := stream.DeleteConsumer(ctx, consumerName); err != nil && !errors.Is(err, api.ErrConsumerNotFound) {
		return fmt.Errorf("queue %d: %w", i, err)
	}
	_, err = stream.CreateConsumer(ctx, api.ConsumerConfig{
		Durable:       consumerName,
		AckPolicy:     api.AckExplicitPolicy,
		DeliverPolicy: api.DeliverAllPolicy,
		AckWait:       e.config.VisibilityTimeout,
		MaxAckPending: e.config.MaxInFlight,
		MaxDeliver:    -1,
		MaxWaiting:    512,
		MemoryStorage: true,
	})
	if err != nil {
		return fmt.Errorf("queue %d: %w", i, err)
	}
	q, err := newQueue(ctx, e, i, stream)
	if err != nil {
		return fmt.Errorf("queue %d: %w", i, err)
	}
	e.queues = append(e.queues, q)
	dead, err := e.openStream(ctx, deadStream(i), api.LimitsPolicy, before)
	if err != nil {
		return err
	}
	e.dead = append(e.dead, &deadQueue{stream: dead, sender: e.newSender(deadStream(i))})
	if err := e.dead[i].sender.start(); err != nil {
		return err
	}
	return nil
}

// openStream opens a stream, or makes it where none was. It is not made over
// files that the server left out because it couldn't read them.
func (e *engine) openStream(ctx context.Context, name string, policy api.RetentionPolicy, before map[string]bool) (api.Stream, error) {
	wanted := api.StreamConfig{
		Name:      name,
		Subjects:  []string{name},
		Retention: policy,
		Storage:   api.FileStorage,
		Discard:   api.DiscardNew,
		MaxBytes:  e.config.MaxBytes,
	}
	stream, err := e.stream.Stream(ctx, name)
	switch {
	case errors.Is(err, api.ErrStreamNotFound):
		if before[name] {
			return nil, fmt.Errorf("stream %s has messages in %s that the server could not read, see its log; restore the folder from a backup, or move it aside to begin with an empty one",
				name, streamFolder(e.config.Dir, name))
		}
		stream, err = e.stream.CreateStream(ctx, wanted)
	case err == nil && stream.CachedInfo().Config.MaxBytes != wanted.MaxBytes:
		stream, err = e.stream.UpdateStream(ctx, wanted)
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", name, err)
	}
	if lost := stream.CachedInfo().State.Lost; lost != nil {
		e.config.Logger.Error("the server found damaged messages", "stream", name, "messages", len(lost.Msgs), "bytes", lost.Bytes)
	}
	return stream, nil
}

// stop ends the server and waits for it. Calls in progress get the reason.
// It may be called twice.
func (e *engine) stop(reason error) error {
	e.fail(reason)
	var err error
	for _, q := range e.queues {
		q.stop()
	}
	for _, c := range []*nats.Conn{e.sending, e.receiving} {
		if c != nil {
			c.Close()
		}
	}
	if e.server != nil {
		e.server.Shutdown()
		e.server.WaitForShutdown()
	}
	for _, q := range e.queues {
		err = errors.Join(err, q.attempts.Close())
	}
	return err
}

package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"weir/internal/buffer"
)

// sendAhead is how many bodies of a stream may be on their way to the server
// at once, so that those who send much are held back before memory is.
const sendAhead = 64

// Codes of the server's errors, as its documentation lists them.
const (
	codeStoreFailed    = 10077 // the description says which limit
	codeTooLarge       = 10054
	codeNoStorage      = 10047
	textMaximumBytes   = "maximum bytes exceeded"
	textMaximumMessage = "maximum messages exceeded"
)

// sender publishes to one stream, or the acks of one queue, and waits for the
// server's answers. Safe for concurrent use.
type sender struct {
	engine  *engine
	conn    *nats.Conn
	subject string // of messages that have none
	inbox   string // answers come to inbox.token
	read    func(*nats.Msg) error
	folder  *folder // where messages go; nil for acks
	slots   chan struct{}
	token   atomic.Uint64

	mu      sync.Mutex
	waiting map[uint64]chan<- error
}

func (e *engine) newSender(stream string) *sender {
	return &sender{
		engine:  e,
		conn:    e.sending,
		subject: stream,
		inbox:   nats.NewInbox(),
		read:    readAnswer,
		folder:  newFolder(messageFolder(e.config.Dir, stream)),
		slots:   make(chan struct{}, sendAhead),
		waiting: map[uint64]chan<- error{},
	}
}

// newAcker makes what acks many deliveries of a queue at once.
func (e *engine) newAcker() *sender {
	return &sender{
		engine:  e,
		conn:    e.receiving,
		inbox:   nats.NewInbox(),
		read:    readStatus,
		slots:   make(chan struct{}, sendAhead),
		waiting: map[uint64]chan<- error{},
	}
}

// start subscribes to the answers.
func (s *sender) start() error {
	sub, err := s.conn.Subscribe(s.inbox+".*", s.answered)
	if err != nil {
		return err
	}
	return sub.SetPendingLimits(-1, -1)
}

// answered takes one answer.
func (s *sender) answered(m *nats.Msg) {
	token, err := strconv.ParseUint(m.Subject[strings.LastIndexByte(m.Subject, '.')+1:], 36, 64)
	if err != nil {
		return
	}
	if answer := s.take(token); answer != nil {
		answer <- s.read(m)
	}
}

// readStatus gives the error of an answer that says nothing when all is well.
func readStatus(m *nats.Msg) error {
	if status := m.Header.Get("Status"); status != "" {
		return fmt.Errorf("%w: the server answered %s", buffer.ErrUnavailable, status)
	}
	return nil
}

// readAnswer gives the error of the answer to a message.
func readAnswer(m *nats.Msg) error {
	if err := readStatus(m); err != nil {
		return err
	}
	var a struct {
		Seq   uint64 `json:"seq"`
		Error *struct {
			Code        int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return fmt.Errorf("%w: the server's answer: %w", buffer.ErrUnavailable, err)
	}
	switch {
	case a.Error == nil && a.Seq > 0:
		return nil
	case a.Error == nil:
		return fmt.Errorf("%w: the server's answer names no sequence", buffer.ErrUnavailable)
	case a.Error.Code == codeTooLarge:
		return fmt.Errorf("%w: %s", buffer.ErrTooLarge, a.Error.Description)
	case a.Error.Code == codeNoStorage,
		a.Error.Code == codeStoreFailed && (a.Error.Description == textMaximumBytes || a.Error.Description == textMaximumMessage):
		return fmt.Errorf("%w: %s", buffer.ErrFull, a.Error.Description)
	}
	return fmt.Errorf("%w: %s (%d)", buffer.ErrUnavailable, a.Error.Description, a.Error.Code)
}

// send publishes messages and returns when each is durable or failed. The
// messages' bytes are not kept. errs has one place a message; those with an
// error already are left out.
func (s *sender) send(ctx context.Context, messages []*nats.Msg, errs []error) {
	// It starts anew with each answer: many bodies on a slow disk take long.
	stall := time.NewTimer(s.engine.config.AnswerTimeout)
	defer stall.Stop()
	answers := make([]<-chan error, len(messages))
	tokens := make([]uint64, len(messages))
	for i, m := range messages {
		if errs[i] == nil {
			tokens[i], answers[i], errs[i] = s.publish(ctx, stall, m)
		}
	}
	accepted := false
	for i, answer := range answers {
		if answer != nil {
			errs[i] = s.wait(ctx, stall, tokens[i], answer)
			accepted = accepted || errs[i] == nil
		}
	}
	if !accepted || s.folder == nil {
		return
	}
	if err := s.folder.Sync(); err != nil {
		err = fmt.Errorf("%w: sync of the folder: %w", buffer.ErrUnavailable, err)
		s.engine.fail(err)
		for i := range errs {
			if errs[i] == nil {
				errs[i] = err
			}
		}
	}
}

// publish takes a slot and publishes; the slot is given back with the token.
func (s *sender) publish(ctx context.Context, stall *time.Timer, m *nats.Msg) (uint64, <-chan error, error) {
	select {
	case s.slots <- struct{}{}:
	default:
		select {
		case s.slots <- struct{}{}:
			stall.Reset(s.engine.config.AnswerTimeout)
		case <-s.engine.life.Done():
			return 0, nil, s.engine.unavailable()
		case <-stall.C:
			stall.Reset(0)
			return 0, nil, fmt.Errorf("%w: %w", buffer.ErrUnavailable, errNoAnswer)
		case <-ctx.Done():
			return 0, nil, gaveUp(ctx)
		}
	}
	token := s.token.Add(1)
	answer := make(chan error, 1)
	s.mu.Lock()
	s.waiting[token] = answer
	s.mu.Unlock()
	if m.Subject == "" {
		m.Subject = s.subject
	}
	m.Reply = s.inbox + "." + strconv.FormatUint(token, 36)
	if err := s.conn.PublishMsg(m); err != nil {
		s.take(token)
		return 0, nil, s.engine.asPort(ctx, err)
	}
	return token, answer, nil
}

func (s *sender) wait(ctx context.Context, stall *time.Timer, token uint64, answer <-chan error) error {
	select {
	case err := <-answer:
		stall.Reset(s.engine.config.AnswerTimeout)
		return err
	case <-s.engine.life.Done():
		s.take(token)
		return s.engine.unavailable()
	case <-stall.C:
		stall.Reset(0) // so that the rest of the bodies do not wait anew
		s.take(token)
		return fmt.Errorf("%w: %w", buffer.ErrUnavailable, errNoAnswer)
	case <-ctx.Done():
		s.take(token)
		return gaveUp(ctx)
	}
}

// take ends the wait for a token's answer, gives its slot back, and tells who
// waits; nil when the wait was ended before.
func (s *sender) take(token uint64) chan<- error {
	s.mu.Lock()
	answer := s.waiting[token]
	delete(s.waiting, token)
	s.mu.Unlock()
	if answer != nil {
		<-s.slots
	}
	return answer
}

var errNoAnswer = errors.New("the server did not answer in time")

// gaveUp says that nobody knows whether the message is there.
func gaveUp(ctx context.Context) error {
	return fmt.Errorf("%w: %w", buffer.ErrUnavailable, context.Cause(ctx))
}

// unavailable gives why an engine that ended did, in the port's words.
func (e *engine) unavailable() error {
	reason := context.Cause(e.life)
	if errors.Is(reason, buffer.ErrClosed) || errors.Is(reason, buffer.ErrUnavailable) {
		return reason
	}
	return fmt.Errorf("%w: %w", buffer.ErrUnavailable, reason)
}

// bounded gives a context that ends also when the server does not answer, or
// ends.
func (e *engine) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeoutCause(ctx, e.config.AnswerTimeout, errNoAnswer)
	stop := context.AfterFunc(e.life, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// request asks the server by the receiving connection and waits for its
// answer.
func (e *engine) request(ctx context.Context, subject string, data []byte) error {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	_, err := e.receiving.RequestWithContext(ctx, subject, data)
	return e.asPort(ctx, err)
}

// asPort puts an error of the client library in the port's words.
func (e *engine) asPort(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case e.life.Err() != nil:
		return e.unavailable()
	case ctx.Err() != nil:
		return gaveUp(ctx)
	}
	return fmt.Errorf("%w: %w", buffer.ErrUnavailable, err)
}

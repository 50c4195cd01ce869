package jetstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	api "github.com/nats-io/nats.go/jetstream"
)

const (
	// pullTime is how long the server keeps a request that finds no message.
	pullTime = 30 * time.Second
	// pullBytes bounds what one request may bring, so that a large batch of
	// large bodies does not fill the memory.
	pullBytes = 32 << 20
	// gatherTime is how long a request that brought a message may take to
	// bring the next; then it is left to end by itself.
	gatherTime = 5 * time.Millisecond
	// strayTime is how long a delivery that nobody waits for is kept for the
	// next Receive before it is given back.
	strayTime = 100 * time.Millisecond
)

// queue is one queue of an engine.
//
// It pulls by the protocol of the server instead of the client library's
// Fetch, which loses what is on its way when its context ends: that would
// come again only after the visibility timeout. Here one subscription lasts
// as long as the engine, a request that nobody waits for any more is taken
// over by the next Receive with what it brought, and what is not taken soon is
// given back.
type queue struct {
	engine   *engine
	number   int
	stream   api.Stream
	sender   *sender
	acker    *sender
	attempts *attempts
	inbox    string        // deliveries come to inbox.pull
	turn     chan struct{} // held by the one Receive that has the request

	mu      sync.Mutex
	pull    *pull               // the request under way, or nil
	pulls   uint64              // number of the last request
	waiting bool                // a Receive waits for pull
	nacked  map[uint64]struct{} // given back and not delivered again yet
}

// pull is one request to the server for deliveries.
type pull struct {
	number uint64
	left   int
	until  time.Time // the server has ended it by then
	got    []*nats.Msg
	ended  bool
	news   chan struct{} // 1 place: got or ended changed
	stray  bool          // a timer runs that gives back what nobody waits for
}

func newQueue(ctx context.Context, e *engine, number int, stream api.Stream) (*queue, error) {
	info, err := stream.Info(ctx)
	if err != nil {
		return nil, err
	}
	a, err := e.openAttempts(number, info.State.FirstSeq, info.State.LastSeq)
	if err != nil {
		return nil, err
	}
	q := &queue{
		engine:   e,
		number:   number,
		stream:   stream,
		sender:   e.newSender(queueStream(number)),
		acker:    e.newAcker(),
		attempts: a,
		inbox:    nats.NewInbox(),
		turn:     make(chan struct{}, 1),
		nacked:   map[uint64]struct{}{},
	}
	sub, err := e.receiving.Subscribe(q.inbox+".*", q.arrived)
	if err == nil {
		err = sub.SetPendingLimits(-1, -1)
	}
	if err == nil {
		err = errors.Join(q.sender.start(), q.acker.start())
	}
	if err != nil {
		return nil, fmt.Errorf("subscribe: %w", joinClose(err, a))
	}
	return q, nil
}

// stop is called when the engine is broken; the attempts stay open until the
// server is down.
func (q *queue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pull = nil
}

// arrived takes what the server sends on the inbox: deliveries, and the
// status that ends a request.
func (q *queue) arrived(m *nats.Msg) {
	q.mu.Lock()
	p := q.pull
	// A status comes under the inbox of its request; a delivery under the
	// stream's subject, so it counts for whichever request is under way.
	if p != nil && isStatus(m) && !strings.HasSuffix(m.Subject, "."+strconv.FormatUint(p.number, 10)) {
		p = nil
	}
	if isStatus(m) {
		// All of them end the request: no messages, timeout, size, deletion.
		if p != nil {
			p.ended = true
			p.tell()
		}
		q.mu.Unlock()
		return
	}
	if p == nil {
		q.mu.Unlock()
		_ = m.Respond([]byte(nakNow)) // else it comes after the visibility timeout
		return
	}
	p.left--
	p.ended = p.ended || p.left == 0
	p.got = append(p.got, m)
	p.tell()
	q.keep(p)
	q.mu.Unlock()
}

// keep sees to it that what a request brought is given back when no Receive
// takes it soon. q.mu is held.
func (q *queue) keep(p *pull) {
	if q.waiting || p.stray || len(p.got) == 0 {
		return
	}
	p.stray = true
	time.AfterFunc(strayTime, func() {
		q.mu.Lock()
		p.stray = false
		if q.waiting || q.pull != p {
			q.mu.Unlock()
			return
		}
		got := p.got
		p.got = nil
		q.mu.Unlock()
		for _, m := range got {
			_ = m.Respond([]byte(nakNow)) // else it comes after the visibility timeout
		}
	})
}

func isStatus(m *nats.Msg) bool {
	return len(m.Data) == 0 && m.Header.Get("Status") != "" && !strings.HasPrefix(m.Reply, "$JS.ACK.")
}

func (p *pull) tell() {
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// receive waits for deliveries, as Buffer.Receive says.
func (q *queue) receive(ctx context.Context, limit int) ([]*nats.Msg, error) {
	select {
	case q.turn <- struct{}{}:
		defer func() { <-q.turn }()
	case <-q.engine.life.Done():
		return nil, q.engine.unavailable()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		p, err := q.join(limit)
		if err != nil {
			return nil, q.engine.asPort(ctx, err)
		}
		got, err := q.await(ctx, p, limit)
		if err != nil || len(got) > 0 {
			return got, err
		}
	}
}

// join gives the request under way, or begins one, and marks it as waited
// for. The caller has the turn.
func (q *queue) join(limit int) (*pull, error) {
	now := time.Now() // the server's clock, not the injected one
	q.mu.Lock()
	defer q.mu.Unlock()
	if p := q.pull; p != nil && (len(p.got) > 0 || !p.ended && now.Before(p.until)) {
		q.waiting = true
		p.tell()
		return p, nil
	}
	request, err := json.Marshal(struct {
		Batch    int           `json:"batch"`
		MaxBytes int           `json:"max_bytes"`
		NoWait   bool          `json:"no_wait"` // give what is there at once, wait only when there is nothing
		Expires  time.Duration `json:"expires"`
	}{limit, pullBytes, true, pullTime})
	if err != nil {
		return nil, err
	}
	q.pulls++
	p := &pull{number: q.pulls, left: limit, until: now.Add(pullTime + time.Second), news: make(chan struct{}, 1)}
	subject := "$JS.API.CONSUMER.MSG.NEXT." + queueStream(q.number) + "." + consumerName
	if err := q.engine.receiving.PublishRequest(subject, q.inbox+"."+strconv.FormatUint(p.number, 10), request); err != nil {
		return nil, err
	}
	q.pull, q.waiting = p, true
	return p, nil
}

// await waits until a request brought something and gives it; nothing and no
// error when it ended without. What is not given is kept for the next.
func (q *queue) await(ctx context.Context, p *pull, limit int) ([]*nats.Msg, error) {
	expired := time.NewTimer(time.Until(p.until))
	defer expired.Stop()
	var gathered <-chan time.Time
	count := 0
	for {
		var err error
		enough := false
		select {
		case <-p.news:
		case <-gathered:
			enough = true
		case <-expired.C:
			enough = true
		case <-q.engine.life.Done():
			err = q.engine.unavailable()
		case <-ctx.Done():
			err = ctx.Err()
		}
		q.mu.Lock()
		if err == nil && !enough && !p.ended && len(p.got) < limit {
			if len(p.got) > count {
				count = len(p.got)
				gathered = time.After(gatherTime)
			}
			q.mu.Unlock()
			continue
		}
		var given []*nats.Msg
		if err == nil {
			n := min(limit, len(p.got))
			given, p.got = p.got[:n:n], p.got[n:]
		}
		q.waiting = false
		q.keep(p)
		q.mu.Unlock()
		return given, err
	}
}

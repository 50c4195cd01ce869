package worker

import (
	"context"
	"errors"
	"fmt"

	"weir/internal/block"
	"weir/internal/buffer"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

// errPoison marks what is wrong with the message itself: handling it again
// will not help, though it is tried a few times before the message is buried.
var errPoison = errors.New("message cannot be handled")

// errNewer marks a message of a newer version: it is left to newer workers.
var errNewer = errors.New("message is of a newer version")

// maxText is the longest text that surely fits an item, in bytes.
const maxText = store.MaxItem / 2

// admit takes one delivery: into a head, or to an end at once when the
// message is named already (law 3). Errors that are neither errPoison nor
// errNewer nor a writer's are the store's: the same delivery is worth trying
// again.
func (r *runner) admit(ctx context.Context, d buffer.Delivery) error {
	m, err := message.Decode(d.Body())
	if err != nil {
		return classify(err)
	}
	if m.Queue != r.queue {
		return fmt.Errorf("%w: it is of queue %d, but came in queue %d", errPoison, m.Queue, r.queue)
	}
	h, err := r.head(ctx, &m)
	if err != nil {
		return err
	}
	if h.join(m.ID(), d) {
		return nil
	}
	named := false
	h.writer.Journal().View(func(s *journal.State) { named = s.Named(m.ID()) })
	if named {
		r.saw(m.ID())
		return d.Ack(ctx)
	}
	e := &entry{message: m, received: r.now(), deliveries: []buffer.Delivery{d}}
	e.extended = e.received
	if e.batch, e.refused, err = r.resolve(ctx, h, &m); err != nil {
		return err
	}
	e.message.Block = nil
	h.add(e)
	r.saw(m.ID())
	return nil
}

func classify(err error) error {
	if errors.Is(err, message.ErrVersion) || errors.Is(err, block.ErrVersion) {
		return fmt.Errorf("%w: %w", errNewer, err)
	}
	return fmt.Errorf("%w: %w", errPoison, err)
}

// head gives the head that a message belongs to, and opens its journal first
// if this is the first message for it.
func (r *runner) head(ctx context.Context, m *message.Message) (*head, error) {
	id := store.JournalID{Week: m.Week, Partition: m.Queue}
	if m.Samples > 0 { // also where messages without samples opened the head
		week, err := r.book.EnsureWeek(ctx, m.Week)
		if err != nil {
			return nil, err
		}
		if m.Queue >= week.Partitions {
			return nil, fmt.Errorf("%w: week %s has %d partitions, and this is queue %d", errPoison, m.Week, week.Partitions, m.Queue)
		}
	}
	if h := r.heads[id]; h != nil {
		return h, nil
	}
	w, err := journal.OpenWriter(ctx, r.book.Journal(id), r.name, r.random)
	if err != nil {
		return nil, err
	}
	h := newHead(id, w)
	r.mu.Lock()
	r.heads[id] = h
	r.mu.Unlock()
	return h, nil
}

// resolve decodes a message's block, registers what is new in it, and parts
// what its series can hold from what they cannot.
func (r *runner) resolve(ctx context.Context, h *head, m *message.Message) (*block.Batch, []refusal, error) {
	b := &block.Batch{}
	if len(m.Block) == 0 {
		if m.Samples != 0 {
			return nil, nil, fmt.Errorf("%w: %d samples, but no block", errPoison, m.Samples)
		}
		return b, nil, nil
	}
	if err := block.Decode(b, m.Block); err != nil {
		return nil, nil, classify(err)
	}
	for _, text := range b.Texts {
		if len(text) > maxText {
			return nil, nil, fmt.Errorf("%w: a text of %d bytes; the limit is %d", errPoison, len(text), maxText)
		}
	}
	if uint64(b.Samples()) != m.Samples {
		return nil, nil, fmt.Errorf("%w: its envelope says %d samples, its block %d", errPoison, m.Samples, b.Samples())
	}
	if err := r.register(ctx, h, b); err != nil {
		return nil, nil, err
	}
	good, refused, err := r.fit(h, b)
	if errors.Is(err, errPoison) {
		// Only a worker that was fenced unawares may not know an ordinal.
		if err := h.writer.Confirm(ctx); err != nil {
			return nil, nil, err
		}
	}
	return good, refused, err
}

// register makes the batch's new series durable in the journal before their
// ordinals are used. A series that another week knows keeps its kind.
func (r *runner) register(ctx context.Context, h *head, b *block.Batch) error {
	var news []journal.Registration
	var bad error
	h.writer.Journal().View(func(s *journal.State) {
		for i, key := range b.Keys {
			if _, _, ok := s.Handle(key); ok {
				continue
			}
			if _, err := sample.ParseKey([]byte(key)); err != nil {
				bad = fmt.Errorf("%w: %w", errPoison, err)
				return
			}
			kind := b.Kinds[len(b.Handles)+i]
			if known := r.kinds(key); known != 0 {
				kind = known
			}
			news = append(news, journal.Registration{Key: key, Kind: kind})
		}
	})
	if bad != nil || len(news) == 0 {
		return bad
	}
	return h.writer.Register(ctx, news)
}

// fit replaces keys by handles and turns values into their series' kinds. It
// gives b itself, by handles only, where all fits.
func (r *runner) fit(h *head, b *block.Batch) (*block.Batch, []refusal, error) {
	registered := len(b.Handles)
	var err error
	var misfits bool
	var known []journal.Registration // one a run, where not all fit
	h.writer.Journal().View(func(s *journal.State) {
		for _, key := range b.Keys {
			handle, _, _ := s.Handle(key)
			b.Handles = append(b.Handles, handle)
		}
		if misfits, err = misfit(s, b, h.id); misfits {
			for _, handle := range b.Handles {
				r, _ := s.Registration(handle)
				known = append(known, r)
			}
		}
	})
	if err != nil {
		b.Handles = b.Handles[:registered]
		return nil, nil, err
	}
	if !misfits {
		b.Keys = nil
		return b, nil, nil
	}
	handles := b.Handles
	b.Handles = b.Handles[:registered]
	good, refused := divide(b, handles, known)
	return good, refused, nil
}

// misfit says whether any run is not of its series' kind. An error names the
// first that is of no series.
func misfit(s *journal.State, b *block.Batch, id store.JournalID) (bool, error) {
	var of []journal.Registration
	last := sample.Shard(sample.Shards)
	found := false
	for i, handle := range b.Handles {
		if shard := handle.Shard(); shard != last { // they are mostly sorted
			of, last = s.Shard(shard), shard
		}
		if int(handle.Ordinal()) >= len(of) {
			return false, fmt.Errorf("%w: ordinal %d of shard %d is not registered in journal %s", errPoison, handle.Ordinal(), handle.Shard(), id)
		}
		found = found || of[handle.Ordinal()].Kind != b.Kinds[i]
	}
	return found, nil
}

// inexact is why an int64 may not enter a float64 series.
const inexact = "int64 value has no exact float64, and the series holds float64"

// divide parts a batch of which some runs are not of their series' kind.
func divide(b *block.Batch, handles []sample.Handle, known []journal.Registration) (*block.Batch, []refusal) {
	good := &block.Batch{}
	var refused []refusal
	for i := range b.Runs() {
		start, end := b.Run(i)
		reasons := map[string]*block.Batch{}
		before := good.Samples()
		for j := start; j < end; j++ {
			s := sample.Sample{Time: b.Times[j], Value: b.Value(b.Kinds[i], j), Quality: b.Quality(j)}
			v, err := s.Value.As(known[i].Kind)
			if err == nil {
				s.Value = v
				good.AddSample(s)
				continue
			}
			reason := err.Error()
			if s.Value.Kind == sample.Int64 && known[i].Kind == sample.Float64 {
				reason = inexact // err names the number; a reason is for many samples
			}
			bad := reasons[reason]
			if bad == nil {
				bad = &block.Batch{}
				reasons[reason] = bad
				refused = append(refused, refusal{reason, bad})
			}
			bad.AddSample(s)
		}
		if good.Samples() > before {
			good.EndRun(handles[i], known[i].Kind)
		}
		for _, bad := range reasons {
			bad.EndKeyRun(known[i].Key, b.Kinds[i])
		}
	}
	return good, refused
}

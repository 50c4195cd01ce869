package worker

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"weir/internal/block"
	"weir/internal/journal"
	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

// truth is a message as it was sent.
type truth struct {
	message message.Message
	samples []sent // in the order of their place in the block
	poison  bool   // no worker can handle it
	body    []byte
}

type sent struct {
	key string
	sample.Sample
}

// row is one sample where it belongs.
type row struct {
	week    sample.Week
	key     string
	time    int64
	value   sample.Value
	quality sample.Quality
}

func (t *truth) row(key string, s sample.Sample) row {
	return row{t.message.Week, key, s.Time, s.Value, s.Quality}
}

// divided gives a message's samples as its series hold them, and those that
// they cannot hold, as they were sent.
func (t *truth) divided(j *naiveJournal) (stored, refused []row) {
	for _, s := range t.samples {
		held, err := s.Value.As(j.kinds[s.key])
		if err != nil {
			refused = append(refused, t.row(s.key, s.Sample))
			continue
		}
		s.Value = held
		stored = append(stored, t.row(s.key, s.Sample))
	}
	return stored, refused
}

// naiveJournal is what the accepted entries of a journal say, read plainly.
type naiveJournal struct {
	id      store.JournalID
	raw     [][]byte
	kinds   map[string]sample.Kind
	handles map[string]sample.Handle
	keys    map[sample.Handle]string
	counts  map[sample.Shard]uint32
	writer  uint64 // of the last epoch
	epoch   uint64 // its position
	horizon journal.Horizons
	commits []naiveCommit
}

type naiveCommit struct {
	*journal.Commit
	position uint64
	before   message.Stamp // the journal's horizon of its class ahead of it
	messages []*truth      // by stamp, life, number
}

func newNaiveJournal(id store.JournalID) *naiveJournal {
	return &naiveJournal{
		id: id, kinds: map[string]sample.Kind{}, handles: map[string]sample.Handle{},
		keys: map[sample.Handle]string{}, counts: map[sample.Shard]uint32{},
	}
}

func (j *naiveJournal) register(r *journal.Register) {
	for _, s := range r.Series {
		if j.kinds[s.Key] != 0 {
			continue
		}
		shard := sample.KeyID([]byte(s.Key)).Shard()
		h := sample.NewHandle(shard, j.counts[shard])
		j.counts[shard]++
		j.kinds[s.Key], j.handles[s.Key], j.keys[h] = s.Kind, h, s.Key
	}
}

// table gives the name of the table of the journal's week.
func (j *naiveJournal) table() string {
	return "samples_" + strings.ToLower(strings.ReplaceAll(j.id.Week.String(), "-", "_"))
}

// stored gives the samples of the commit's messages that its flush keeps: one
// a series and time, the last in the order of stamp, life, number and place.
func (c *naiveCommit) stored(j *naiveJournal) (kept map[row]int, refused map[row]int, overwritten uint64) {
	type at struct {
		key  string
		time int64
	}
	last := map[at]row{}
	refused = map[row]int{}
	for _, m := range c.messages {
		good, bad := m.divided(j)
		for _, r := range good {
			if _, ok := last[at{r.key, r.time}]; ok {
				overwritten++
			}
			last[at{r.key, r.time}] = r
		}
		for _, r := range bad {
			refused[r]++
		}
	}
	kept = map[row]int{}
	for _, r := range last {
		kept[r]++
	}
	return kept, refused, overwritten
}

// version is law 6's: the horizon of the flush, or of a message that came
// after the horizon before it, its own stamp.
func (c *naiveCommit) version(m *truth) uint64 {
	if m.message.Stamp <= c.before {
		return uint64(m.message.Stamp)
	}
	return uint64(c.Horizon)
}

func compareTruths(a, b *truth) int {
	x, y := &a.message, &b.message
	return cmp.Or(cmp.Compare(x.Stamp, y.Stamp), cmp.Compare(x.Life, y.Life), cmp.Compare(x.Number, y.Number))
}

// gateways sends messages of a few lives, of which two give the same stamps.
type gateways struct {
	world *world
	lives []*gatewayLife
	clock message.Stamp
	value int64
	long  bool // lives are not closed
}

type gatewayLife struct {
	life     message.Life
	next     uint64
	last     message.Stamp
	accepted uint64
	closed   bool
}

// The weeks that are sent to; the first is the one of the stamps.
func simWeeks() []sample.Week {
	w := sample.WeekOf(1_767_571_200_000_000_000)
	return []sample.Week{w, w - 1, w - 400}
}

func newGateways(w *world) *gateways {
	g := &gateways{world: w, clock: message.Stamp(simWeeks()[0].Start()) + 1000}
	for range 3 {
		g.lives = append(g.lives, &gatewayLife{life: message.Life(w.rng.Uint64() | 1)})
	}
	return g
}

// simSeries gives the canonical keys in use and the kind they mostly have.
func simSeries() ([]string, []sample.Kind) {
	var keys []string
	for _, name := range []string{"power", "count", "door", "state", "flow"} {
		keys = append(keys, sample.Series{Metric: name}.Key())
	}
	return keys, []sample.Kind{sample.Float64, sample.Int64, sample.Bool, sample.String, sample.Float64}
}

// send makes the next message of some life and puts it into the queue.
func (g *gateways) send() {
	rng := g.world.rng
	l := g.lives[rng.IntN(len(g.lives))]
	if l.closed {
		return
	}
	g.clock += message.Stamp(rng.IntN(2)) // lives do not know of one another's
	l.last = max(l.last+1, g.clock)
	t := &truth{message: message.Message{
		Role: message.Data, Life: l.life, Number: l.next, Stamp: l.last, Week: simWeeks()[0], Rejected: uint64(rng.IntN(3)),
	}}
	m := &t.message
	switch {
	case m.Number == 0:
		m.Role, m.Instance = message.Start, "here"
	case rng.IntN(10) == 0:
		m.Role = message.Beat
	case !g.long && m.Number > 6 && rng.IntN(4) == 0:
		m.Role, l.closed = message.Close, true
	default:
		m.Week = simWeeks()[rng.IntN(3)*rng.IntN(2)]
		if rng.IntN(3) == 0 {
			m.Role = message.Fast
		}
		g.fill(t)
	}
	l.next++
	l.accepted += m.Samples
	m.Accepted = l.accepted
	g.world.newest = max(g.world.newest, m.Stamp)
	body := m.Append(nil)
	if rng.IntN(16) == 0 {
		body, t.poison = spoil(rng, *m), true
	}
	t.body = body
	g.world.truths[m.ID()] = t
	g.world.enqueue(m.ID(), body)
}

// spoil makes a message that no worker can handle.
func spoil(rng *rand.Rand, m message.Message) []byte {
	switch rng.IntN(4) {
	case 0:
		m.Samples += 3
		return m.Append(nil)
	case 1:
		m.Queue = 7
		return m.Append(nil)
	case 2:
		b := block.Batch{}
		b.AddSample(sample.Sample{Time: m.Week.Start(), Value: sample.IntValue(1)})
		b.EndRun(sample.NewHandle(5, 77), sample.Int64) // registered nowhere
		return withBlock(m, &b)
	}
	body := m.Append(nil)
	body[len(body)-9] ^= 4 // behind the envelope, ahead of the checksum
	return body
}

func withBlock(m message.Message, b *block.Batch) []byte {
	m.Samples = uint64(b.Samples())
	var err error
	if m.Block, err = block.Encode(nil, b); err != nil {
		panic(fmt.Sprintf("a made-up block cannot be encoded: %v", err))
	}
	return m.Append(nil)
}

// fill gives a message a few runs of samples at few times, so that messages
// meet; mostly by handle where the series is registered by now.
func (g *gateways) fill(t *truth) {
	rng, j := g.world.rng, g.world.journal(store.JournalID{Week: t.message.Week})
	keys, kinds := simSeries()
	b := &block.Batch{}
	var byKey []func()
	for range 1 + rng.IntN(3) {
		i := rng.IntN(len(keys))
		key, kind := keys[i], kinds[i]
		if rng.IntN(8) == 0 {
			kind = sample.Kind(1 + rng.IntN(4))
		}
		run := make([]sent, rng.IntN(4))
		for n := range run {
			run[n] = sent{key, g.sample(t.message.Week, kind)}
		}
		end := func(close func()) {
			for _, s := range run {
				b.AddSample(s.Sample)
			}
			close()
			t.samples = append(t.samples, run...)
		}
		if h, ok := j.handles[key]; ok && rng.IntN(5) > 0 {
			end(func() { b.EndRun(h, kind) })
		} else {
			byKey = append(byKey, func() { end(func() { b.EndKeyRun(key, kind) }) })
		}
	}
	for _, add := range byKey {
		add()
	}
	body := withBlock(t.message, b)
	m, err := message.Decode(body)
	if err != nil {
		panic(fmt.Sprintf("a made-up message cannot be decoded: %v", err))
	}
	t.message.Block, t.message.Samples = slices.Clone(m.Block), m.Samples
}

// sample makes a sample whose value nothing else has, but for bools.
func (g *gateways) sample(week sample.Week, kind sample.Kind) sample.Sample {
	g.value++
	s := sample.Sample{Time: week.Start() + int64(g.world.rng.IntN(4))*40e12}
	switch kind {
	case sample.Float64:
		s.Value = sample.FloatValue(float64(g.value) + 0.5)
	case sample.Int64:
		s.Value = sample.IntValue(g.value)
		if g.world.rng.IntN(4) == 0 {
			s.Value = sample.IntValue(1<<53 + 2*g.value + 1) // no float64 is equal
		}
	case sample.Bool:
		s.Value = sample.BoolValue(g.value%2 == 0)
	case sample.String:
		s.Value = sample.StringValue(fmt.Sprintf("state %d", g.value))
	}
	if g.world.rng.IntN(6) == 0 {
		s.Quality = sample.Quality(g.value)
	}
	return s
}

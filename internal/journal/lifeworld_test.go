package journal

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"weir/internal/message"
	"weir/internal/sample"
	"weir/internal/store"
)

// lifeOutcome is what becomes of one port call.
type lifeOutcome int

const (
	lifeSucceed lifeOutcome = iota
	lifeFail                // nothing is done
	lifeLose                // it is done, and the answer is lost
	lifeDefer               // an error, and it arrives later, or never
	lifeCrashBefore
	lifeCrashAfter
)

// lifeBreakage is what is broken on purpose.
type lifeBreakage struct {
	believeAll    bool // 1: a reader takes all that the table has
	staleRevision bool // 2: a commit is taken for the open revision, wherever its items are
	lazyWrite     bool // 2: a write is answered, and nothing is stored
	hideNamed     bool // 3: the entries read name no messages
	ackAtReceive  bool // 3: the queue forgets what it delivers
	losePositions bool // 4: merged samples get the merge's position
	mergeAnyEpoch bool // 4: a merge is taken to be of the last epoch
	mergeSome     bool // 4: a merge leaves out one of the items that it replaces
	hidePins      bool // 5: who removes does not see pins
	blindPut      bool // 5: records are put without condition
	removeUnsaid  bool // 5: a record's turn is answered, and not stored
	oneHorizon    bool // 6: the classes share a horizon
	reversed      bool // 6: the reader takes earlier commits for later ones
	forgetDropped bool // 7: a drop takes the journal's entries with it: messages
	forgetTotals  bool // 7: and their counts

	archiveEarly   bool // 5: an archive is of a cut before the seal
	verifyAny      bool // 5: what was verified is taken to be the archive that is named by then
	dropUnverified bool // 5: a drop does not ask whether the archive was verified
	restoreSame    bool // 5: a restore fills the table that was dropped
	restoreUncut   bool // 5: a restored table is taken to serve every cut
}

// lifeRow is a sample and all that law 6 orders it by, but for the place in the flush.
type lifeRow struct {
	Series, Time, Value int
	Version             uint64
	Position            uint64 // in a flush's item: 0
}

type lifeSpot struct{ series, time int }

func (r lifeRow) beats(o lifeRow) bool {
	return cmp.Or(cmp.Compare(r.Version, o.Version), cmp.Compare(r.Position, o.Position)) > 0
}

// lifeMessage is what was sent.
type lifeMessage struct {
	id        message.ID
	partition int
	stamp     message.Stamp
	class     Class
	rows      []lifeRow
	acked     bool
}

// lifePin is a pin that its holder was told it has.
type lifePin struct {
	Pin
	revisions map[int]bool
	read      string // what was read at its cut at first
}

// lifeWorld is the ports, naive, and what holds. One goroutine runs at a time.
type lifeWorld struct {
	rng      *rand.Rand
	broken   lifeBreakage
	tables   map[string]map[store.ItemKey][]byte
	gone     map[string]bool // tables that were dropped
	objects  map[string]lifeRows
	records  map[string]store.Record
	logs     map[store.JournalID][][]byte
	late     []func()
	messages []*lifeMessage
	pins     []*lifePin
	models   [lifePartitions]lifeModel
	stamp    message.Stamp
	value    int
	clock    int

	archivers bool // they archive more than they flush
	calm      int  // fewer calls fail
	counts    map[string]int

	violations map[int]string
}

const lifePartitions, lifeWeek = 2, sample.Week(2922)

func newLifeWorld(seed uint64, broken lifeBreakage) *lifeWorld {
	w := &lifeWorld{
		rng: rand.New(rand.NewPCG(seed, 7)), broken: broken, tables: map[string]map[store.ItemKey][]byte{},
		gone: map[string]bool{}, objects: map[string]lifeRows{}, records: map[string]store.Record{}, logs: map[store.JournalID][][]byte{},
		counts: map[string]int{}, violations: map[int]string{},
	}
	if w.archivers = seed%2 == 1; w.archivers {
		w.calm = 400
	}
	for p := range w.models {
		w.models[p] = lifeModel{named: map[message.ID]bool{}, current: map[store.ItemKey]Item{}, of: map[store.ItemKey]int{}, retired: map[store.ItemKey]uint64{}}
	}
	return w
}

func (w *lifeWorld) violate(law int, format string, args ...any) {
	if w.violations[law] == "" {
		w.violations[law] = fmt.Sprintf(format, args...)
	}
}

func (w *lifeWorld) now() time.Time { return time.Unix(int64(w.clock), 0) }

// lifeStore is the store as one process sees it.
type lifeStore struct{ p *lifeProcess }

var (
	_ store.Store  = lifeStore{}
	_ store.Lister = lifeStore{}
)

func (s lifeStore) Close() error { return nil }

func (s lifeStore) Ensure(_ context.Context, table string) error {
	return s.p.call("ensure", func(w *lifeWorld) error {
		if w.tables[table] == nil {
			w.tables[table] = map[store.ItemKey][]byte{}
		}
		return nil
	})
}

func (s lifeStore) Names(context.Context) (names []string, err error) {
	return slices.Sorted(maps.Keys(s.p.world.tables)), nil
}

func (s lifeStore) Drop(_ context.Context, table string) error {
	return s.p.call("drop", func(w *lifeWorld) error {
		needed := false
		for _, v := range w.volumes() {
			needed = needed || v.Table == table && v.State != VolumeDropped || v.Restoring == table
		}
		if needed && w.tables[table] != nil {
			w.violate(5, "table %s is dropped before its record says so", table)
		}
		if w.tables[table] != nil {
			w.counts["drops"]++
		}
		w.gone[table] = true
		delete(w.tables, table)
		return nil
	})
}

func (s lifeStore) Write(_ context.Context, table string, items []store.Item) error {
	return s.p.call("write", func(w *lifeWorld) error {
		if w.tables[table] == nil {
			return store.ErrNoTable
		}
		for _, i := range items {
			if !w.broken.lazyWrite {
				w.tables[table][i.Key] = i.Body
			}
		}
		return nil
	})
}

func (s lifeStore) Query(_ context.Context, table string, bucket sample.Shard, from, to int64, yield func(store.Item) bool) error {
	return s.p.call("query", func(w *lifeWorld) error {
		if w.tables[table] == nil {
			return store.ErrNoTable
		}
		for key, body := range w.tables[table] {
			if key.Bucket == bucket && key.Span >= from && key.Span <= to && !yield(store.Item{Key: key, Body: body}) {
				break
			}
		}
		return nil
	})
}

func (s lifeStore) Keys(_ context.Context, table string, yield func(store.ItemKey) bool) error {
	return s.p.call("keys", func(w *lifeWorld) error {
		if w.tables[table] == nil {
			return store.ErrNoTable
		}
		keys := slices.SortedFunc(maps.Keys(w.tables[table]), CompareKeys)
		for _, key := range keys {
			yield(key)
		}
		return nil
	})
}

func (s lifeStore) Delete(_ context.Context, table string, keys []store.ItemKey) error {
	return s.p.call("delete", func(w *lifeWorld) error {
		if w.tables[table] == nil {
			return store.ErrNoTable
		}
		for _, key := range keys {
			w.watchDelete(table, key)
			delete(w.tables[table], key)
		}
		return nil
	})
}

// watchDelete is law 5: what was ever named goes only once the record says so.
func (w *lifeWorld) watchDelete(table string, key store.ItemKey) {
	w.counts["items removed"]++
	for p := range w.models {
		revision, named := w.models[p].of[key]
		if !named {
			continue
		}
		at, retired := w.models[p].retired[key]
		if !retired {
			w.violate(1, "item %v is removed, and the journal names it", key)
			continue
		}
		for _, v := range w.volumes() {
			if v.Revision == revision && v.Table == table && at >= at0(v.Removed, p) {
				w.violate(5, "item %v, replaced at %d, is removed before its record says so: %d", key, at, v.Removed)
			}
		}
		w.counts["replaced items removed"]++
		return
	}
	w.counts["orphans removed"]++
}

func at0(positions []uint64, p int) uint64 {
	if p < len(positions) {
		return positions[p]
	}
	return 0
}

func (w *lifeWorld) volumes() (out []VolumeRecord) {
	for _, key := range slices.Sorted(maps.Keys(w.records)) {
		if strings.HasPrefix(key, "volumes/") {
			v := VolumeRecord{Revision: len(out)}
			if err := json.Unmarshal(w.records[key].Value, &v); err != nil {
				panic(err)
			}
			out = append(out, v)
		}
	}
	return out
}

func (s lifeStore) Append(_ context.Context, id store.JournalID, position uint64, entry []byte) error {
	entry = bytes.Clone(entry)
	return s.p.call("append", func(w *lifeWorld) error {
		if position != uint64(len(w.logs[id])) && !w.onlySealed(id, position, entry) {
			return store.ErrTaken
		}
		w.logs[id] = append(w.logs[id], w.accept(id.Partition, entry))
		return nil
	})
}

// onlySealed is law 2, broken: a commit goes behind a seal that it does not know.
func (w *lifeWorld) onlySealed(id store.JournalID, position uint64, entry []byte) bool {
	e, err := DecodeEntry(entry)
	if !w.broken.staleRevision || err != nil || e.Commit == nil || position > uint64(len(w.logs[id])) {
		return false
	}
	return !slices.ContainsFunc(w.logs[id][position:], func(body []byte) bool {
		e, err := DecodeEntry(body)
		return err != nil || e.Seal == nil
	})
}

func (s lifeStore) Read(_ context.Context, id store.JournalID, from uint64, most int) (out [][]byte, err error) {
	err = s.p.call("read", func(w *lifeWorld) error {
		rest := w.logs[id][min(from, uint64(len(w.logs[id]))):]
		for _, body := range rest[:min(most, len(rest))] {
			out = append(out, w.shown(body))
		}
		return nil
	})
	return out, err
}

// shown is an entry as it is read, where a law about the journal is broken.
func (w *lifeWorld) shown(body []byte) []byte {
	if b := w.broken; !b.hideNamed && !b.forgetDropped && !b.forgetTotals {
		return body
	}
	e, err := DecodeEntry(body)
	if err != nil || e.Commit == nil {
		return body
	}
	if !w.broken.hideNamed {
		vs := w.volumes()
		if e.Commit.Revision >= len(vs) || vs[e.Commit.Revision].State != VolumeDropped {
			return body
		}
	}
	if w.broken.forgetTotals {
		for i := range e.Commit.Lives {
			e.Commit.Lives[i].Samples = 0
		}
	} else {
		e.Commit.Lives = nil
	}
	return e.Encode(nil)
}

func (s lifeStore) List(context.Context) ([]store.JournalID, error) {
	panic("nobody lists journals here")
}

func (s lifeStore) Get(_ context.Context, key string) (r store.Record, err error) {
	err = s.p.call("get", func(w *lifeWorld) error {
		var ok bool
		if r, ok = w.records[key]; !ok {
			return store.ErrNotFound
		}
		if w.broken.hidePins && strings.HasPrefix(key, "volumes/") && (s.p.doing == "sweep" || s.p.doing == "drop") {
			var v VolumeRecord
			_ = json.Unmarshal(r.Value, &v)
			v.Pins = nil
			r.Value, _ = json.Marshal(v)
		}
		return nil
	})
	return r, err
}

func (s lifeStore) Put(_ context.Context, key string, value []byte, version uint64) (r store.Record, err error) {
	err = s.p.call("put", func(w *lifeWorld) error {
		known := w.records[key].Version
		if known != version && !w.broken.blindPut {
			w.counts["records turned by another"]++
			return store.ErrConflict
		}
		r = store.Record{Key: key, Value: bytes.Clone(value), Version: known + 1}
		if w.broken.removeUnsaid && (s.p.doing == "sweep" || s.p.doing == "drop") {
			return nil
		}
		w.watchTurn(key, value)
		w.records[key] = r
		return nil
	})
	return r, err
}

func (s lifeStore) Remove(context.Context, string, uint64) error { panic("no record is removed") }

func (s lifeStore) Scan(_ context.Context, prefix string) (out []store.Record, err error) {
	err = s.p.call("scan", func(w *lifeWorld) error {
		for _, key := range slices.Sorted(maps.Keys(w.records)) {
			if strings.HasPrefix(key, prefix) {
				out = append(out, w.records[key])
			}
		}
		return nil
	})
	return out, err
}

var errLifeSilence = fmt.Errorf("simulated silence: %w", store.ErrUnavailable)

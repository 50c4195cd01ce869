// Package crash kills a real weir again and again while clients send to it,
// and then counts what became of every sample.
//
// It owns the clients, the record of what they sent and were answered, and
// the check of that record against the items as written, against what
// queries read and against the ledger. Meanwhile everything is merged and
// swept as often as can be, and a hand seals weeks and discards one that is set
// apart: what was discarded has to be gone, and nothing else. Each attempt of a request carries
// samples of its own, so that what is stored can be told by attempt.
//
// One test has pipelines run meanwhile: a scheduled one that late samples make
// stale, loads, exports, archives and drops, and one that is run by hand over the
// old weeks that the first drops. In the end each window's newest run is done, the
// warehouse's sums are the clients' own, exports are whole, and what is dropped is
// in the archive.
//
// It refuses to know how weir stores anything, and imports test/harness and
// internal/client alone.
//
// The tests take -kills and -seed: go test ./test/crash -v -kills=100 -seed=7
package crash

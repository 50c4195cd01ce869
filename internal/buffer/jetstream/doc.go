// Package jetstream is the embedded driver of the buffer: a NATS server with
// JetStream in this process, which listens on no port, over a local folder.
//
//	DIR/FORMAT.json         version of this layout, number of queues
//	DIR/LOCK                held by the one process that has the buffer open
//	DIR/attempts-N.log      deliveries of queue N that have begun (attempts.go)
//	DIR/closed.json         what each stream held at the last clean close
//	DIR/jetstream/          the server's: streams queue-N and dead-N
//
// It owns the layout, durability, the count of attempts, and what happens
// when the disk fails. It refuses to open a folder of a newer version, a
// folder in use, and a stream that the server could not read; it deletes and
// repairs nothing. It imports buffer and its client libraries.
//
// # What the server syncs, and what it doesn't
//
// Read in nats-server v2.15.2, with SyncAlways and one replica. Each publish
// is written and fsynced by itself before its acknowledgement is sent
// (fileStore.StoreMsg, flushPendingMsgsLocked), also when many are published
// at once: nothing is grouped, except in an atomic batch, which is written
// twice. So a Send costs one fsync a body: pack bodies. An ack writes and
// fsyncs a tombstone in the same file. Metadata and rewritten files are
// synced with their folder.
//
// The folder of a new message file is not synced before the first message in
// it is acknowledged. After a power cut the file could be gone. So Send
// syncs the folder when it changed (folder.go).
//
// # When the disk is full or fails
//
// The server does not answer a publish that it could not write, and refuses
// all later ones of that stream until it is started again. The driver reads
// that off the server's log, ends the calls that wait with ErrUnavailable (or
// ErrFull when the disk is full), and starts a new server over the same
// folder at a later call, no sooner than Config.RetryAfter. What was in flight
// is delivered again. Service resumes by itself when there is space; nothing
// that was accepted is touched.
//
// # What the server does with damaged files
//
// When it opens a stream it trusts its index after a clean close, else it
// reads all records and cuts a file off at the first whose checksum fails,
// with no more than a line in the log. The driver compares what it finds
// with closed.json and logs an error when messages are missing; after a crash
// it can't know. It keeps no copy of the files as they were.
package jetstream

package store

import (
	"cmp"
	"context"

	"github.com/larder-go/cache/keying"
)

// The purge log and its ledger: why a purge cannot lose a race.
//
// A purge touches no entry. It appends a record that names labels. Each entry remembers where the log ended before its handler ran, and
// each read compares the two: an entry is live while no record after that place names one of its labels. So the slow handler,
// which has read the old data, loses by itself:
//
//	request                                     change
//	1. the entry is stamped: the log ends at 41
//	2. the handler reads the price: 5
//	                                            3. the price becomes 4
//	                                            4. Purge("product:7") appends record 42, and returns
//	5. the handler finishes; the entry with
//	   price 5 and place 41 may even be stored
//	6. a read finds it: record 42 names its
//	   label and stands after 41: it is gone
//
// Nothing depends on which of 4 and 5 is faster, in which processes they happen, or on any clock. What matters is that the change comes
// before the purge (3 before 4), and the stamp before the handler (1 before 2).
//
// A read through a shared store sees record 42 because the store brings the ledger up to the log's head before its Get returns. For a
// copy in memory, the follower reads the log, milliseconds later.
//
// The log may lose records in two ways, and both count as a purge of everything older. It is bounded, so it is trimmed:
//
//	process A                                   the log
//	1. knows it up to 41, and is cut off
//	                                            2. grows to 9000; what stood before 5000 is trimmed
//	3. reads what came after 41. The log
//	   begins at 5000: nobody knows what 42
//	   to 4999 named
//	4. Restart(5000): entries with an earlier
//	   place are gone; later ones are judged
//	   by the records that are there
//
// And it may be lost as a whole: a Redis without persistence restarts, or a replica without the last records takes over. Then the
// log begins anew, under another epoch. Positions of different epochs cannot be compared, so each counts as before the other: all
// entries of the old epoch are gone, even if the new log has reached the same numbers again.

// A Log is a purge log. If a Far store has one, a purge reaches all processes that share the store. It should then be
// a [Follower]. If a Far store has none, entries may only be served by the process that made them, and a warning says so.
type Log interface {
	// Append adds the record to the log, and applies it to this process' ledger in any case. When it returns nil, every later
	// read through the store, in any process, knows of the purge. An error means that other processes may not.
	Append(ctx context.Context, r Record) error
	// Ledger returns this process' view of the log, always the same one. Before the store's Get or Lease returns, it brings
	// the ledger up to where the log ended when it was called.
	Ledger() *Ledger
}

// A Follower is a Log to which other processes append. Their purges also apply to what the cache serves without reading the
// store: a copy in memory, or the response of a load that another request has begun.
type Follower interface {
	Log
	// CatchUp brings the ledger up to the log's end: once it has returned nil, the ledger knows every purge that was
	// acknowledged before the call. It is called before a response is shared with a request that came while it was made.
	CatchUp(ctx context.Context) error
	// Follow keeps the ledger up to date, within milliseconds, until ctx ends; soon after that it returns, and leaves no
	// goroutine or connection behind. While the log is unavailable it keeps trying, which must not cost anybody else
	// anything: it calls changed once with the error, and with nil when it follows again.
	Follow(ctx context.Context, changed func(err error))
	// Post is Append on behalf of a request, which a failing backend must not hold up: if the circuit is open, it does not call
	// the backend. The record holds for this process whatever Post returns. After an error, the store tells the others as soon
	// as it can. A store without a circuit breaker calls Append.
	Post(ctx context.Context, r Record) error
	// CircuitOpen reports whether calls to the backend are suspended, so that Post costs nothing. A store without a circuit
	// breaker returns false.
	CircuitOpen() bool
}

// A Record is one purge: entries that were begun before it and carry one of its labels are gone, or stale. It has at most MaxLabels labels.
//
// A label may also be a place's: it says in which part of the site the URLs lie whose labels come before it. Such labels let a
// full ledger become coarse there, and nowhere else.
type Record struct {
	At     Position // set by the log
	Labels []keying.Label
	All    bool // everything, whatever its labels
	Soft   bool // stale instead of gone
	Wide   bool // a place's label names everything in that part of the site
}

// A Position is a place in a purge log. Positions of one epoch are ordered; an epoch is one unbroken life of a log, and
// positions of different epochs cannot be compared. The zero Position is before everything and belongs to no epoch.
type Position struct {
	Epoch     uint64
	Time, Seq uint64 // a Redis stream's id, or a counter in Seq
}

// Before reports whether p stands before q in the same log. Positions of different epochs count as before each other:
// what was made under another log cannot be trusted.
func (p Position) Before(q Position) bool { return p.Epoch != q.Epoch || p.compare(q) < 0 }

// compare orders two positions of one epoch.
func (p Position) compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Time, q.Time), cmp.Compare(p.Seq, q.Seq))
}

// Liveness is what the purge log says of an entry.
type Liveness uint8

const (
	Live    Liveness = iota // no purge comes after it
	Expired                 // a soft purge does: stale, whatever its age
	Gone                    // a purge does
)

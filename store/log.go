package store

import (
	"cmp"
	"context"

	"github.com/larder-go/cache/keying"
)

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
	Live    Liveness = iota // no purge stands after it
	Expired                 // a soft purge does: stale, whatever its age
	Gone                    // a purge does
)

// The purge log and its ledger: why a purge cannot lose a race.
//
// A purge touches no entry. It appends a record that names labels. Each entry remembers where the log ended before its handler ran, and
// each read compares the two: an entry is alive while no record that names one of its labels stands after that place. So the slow handler,
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
// Nothing depends on who is faster in 4 and 5, in which process they happen, or on any clock. What matters is that the change comes
// before the purge (3 before 4), and the stamp before the handler (1 before 2).
//
// A read through a shared store sees record 42 because the store brings the ledger up to the log's head before its Get returns. A copy in
// memory learns of it when the follower reads the log, milliseconds later.
//
// Two kinds of loss are possible, and both count as a purge of everything older. The log may be trimmed: what was made before its first
// record is gone. And it may be lost: then another epoch begins, and positions of another epoch count as older.

// A Log orders purges. An entry remembers the log's head from before its handler ran; a purge appends the labels that it
// names. So a purge costs the same however much it hits, needs no index of keys and no clock, and a slow handler cannot
// bring old data back. A Far store may implement Log; then every process that shares the store shares its purges. It should
// be a Catcher and a Follower, too.
type Log interface {
	// Append adds the record and applies it to the ledger. When it returns nil every later read that goes through the
	// log's store sees the purge; an error means that the purge may be lost for other processes, though not for this one.
	Append(ctx context.Context, r Record) error
	// Ledger returns this process' view of the log. A store that is a Log has brought it up to the log's head before
	// its Get returns.
	Ledger() *Ledger
}

// A Catcher is a Log to which other processes append.
type Catcher interface {
	// CatchUp brings the ledger up to the log's head: once it has returned nil, the ledger knows every purge that was
	// acknowledged before the call. It is called before an answer is shared with a request that came while it was made.
	CatchUp(ctx context.Context) error
}

// A Follower is a Log to which other processes append, and that can tell its ledger at once.
type Follower interface {
	Log
	// Follow keeps the ledger at the log's head until ctx ends, and returns soon after that with nothing left behind. It
	// costs nobody else anything while the log cannot be reached: then it calls changed with the error, once, and with
	// nil when it follows again. To follow twice at once only costs more.
	Follow(ctx context.Context, changed func(err error))
}

// A Poster is a Log whose store gives a backend that keeps failing a rest.
type Poster interface {
	// Post is Append for a request, which must not be held up by a backend that is given a rest: it is not asked then. The
	// record holds for this process whatever Post returns; after an error the others are told as soon as that can be done.
	Post(ctx context.Context, r Record) error
	// Rests reports whether the backend is given a rest, so that Post costs nothing.
	Rests() bool
}

// A Record is one purge: everything made before it that carries one of its labels is gone, or merely stale. A label of a
// place (see internal/keys) says where the URLs lie whose labels stand before it; such purges share the room of their area.
type Record struct {
	At     Position // set by the log
	Labels []keying.Label
	All    bool // everything, whatever its labels
	Soft   bool // stale instead of gone
	Wide   bool // labels of places name all of the area that they mean, rather than the area of the labels before them
}
// NewLog returns a purge log for one process. It lives in memory and ends with the process, and so do the entries that
// were made under it.
func NewLog() Log {
	l := NewLedger()
	l.Restart(Position{Epoch: randomEpoch()})
	return processLog{l}
}

type processLog struct{ ledger *Ledger }

func (l processLog) Ledger() *Ledger { return l.ledger }

func (l processLog) Append(_ context.Context, r Record) error {
	l.ledger.append(r)
	return nil
}


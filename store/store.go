// Package store says where answers live: the [Entry], the [Store] contract that a backend fulfils, the two tiers put
// together as [Layered], the read-through with one load per key, [Through], and the purge log, [Log].
package store

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/larder-go/cache/keying"
)

// A Store keeps entries. It is safe for concurrent use.
type Store interface {
	// Get returns the entry kept under the key. A miss is not an error: it is nil, false, nil. An entry that cannot be
	// trusted is a miss with an error that wraps ErrCorrupt. The entry is shared: the caller must not change it. With any
	// other error an entry is one that stands in while the store cannot be asked.
	Get(ctx context.Context, key keying.Key) (e *Entry, ok bool, err error)
	// Set keeps the entry for the given time, which is positive; the store may forget it sooner. From now on the entry
	// and its bytes belong to the store and must not be changed by anyone. An entry that the store will never take is
	// an error that wraps ErrRefused.
	Set(ctx context.Context, key keying.Key, e *Entry, keep time.Duration) error
	// Delete forgets the keys. Deleting nothing is not an error.
	Delete(ctx context.Context, keys ...keying.Key) error
}

// Local is implemented by stores that can answer from the process' memory, without I/O.
type Local interface {
	// Peek returns what memory holds under the key.
	Peek(key keying.Key) (*Entry, bool)
}

// Sealer is implemented by stores outside the process that can authenticate what they keep.
type Sealer interface {
	// Sealed returns the same store with entries and purge records authenticated under the secret. What was written
	// without it, or with another, is not found.
	Sealed(secret []byte) Store
}

// Errors of stores, wrapped with what happened.
var (
	ErrCorrupt = errors.New("the entry is corrupt, foreign or of another version")
	ErrRefused = errors.New("the store does not take this entry")
	// ErrRecordsLost is wrapped by the fault that a Log has lost records which this process had read or written, or begins
	// anew. Nothing that was made before is served any more, by any process.
	ErrRecordsLost = errors.New("the purge log has lost records: all that was made before counts as purged")
	// ErrUnfit is wrapped by the fault that a backend does not know what the store needs of it, or refuses that. The fault names
	// what is missing and the remedy.
	ErrUnfit = errors.New("the backend lacks what is needed")
)

// A Leaser is a store outside the process that lets one process at a time load a key. Where the Far store is one, a load
// runs once per fleet, and not once per process.
//
// A lease is a help and no lock: it may be lost at any time, and then a load runs twice.
type Leaser interface {
	// Lease takes the key's lease for the time, unless it is another's or refused, and reads what Get would return after
	// that: who has the lease has seen whatever its last holder kept. An entry that cannot be trusted is a miss with an
	// error that wraps ErrCorrupt; the lease counts all the same. With any other error it is Unleased.
	Lease(ctx context.Context, key keying.Key, token Token, hold time.Duration) (*Entry, Lease, error)
	// Extend makes the lease last for the time from now on, and gives it another beat. It returns false if it is the
	// token's no longer; then nothing changes.
	Extend(ctx context.Context, key keying.Key, token Token, hold time.Duration) (bool, error)
	// Keep is Set, and then Release: whoever takes the lease next finds the entry. With an error neither may have been done.
	Keep(ctx context.Context, key keying.Key, token Token, e *Entry, keep time.Duration) error
	// Release gives the lease back. With a time above zero it is Refused to all for so long. If it is the token's no
	// longer, nothing changes, and that is no error.
	Release(ctx context.Context, key keying.Key, token Token, refused time.Duration) error
}

// A Lease is what became of the attempt to take one.
type Lease struct {
	State LeaseState
	Beat  uint64 // of a Held one: another each time that it is extended
}

// LeaseState says whose a lease is.
type LeaseState uint8

const (
	Unleased LeaseState = iota // there are no leases now, and nothing was read: load without
	Taken                      // the caller's: load
	Held                       // another's, who loads
	Refused                    // nobody's: the last answer could not be kept, so waiting for the next would be in vain
)

// A Token tells a lease's holder from all others. It is random.
type Token [16]byte

// A Ranker is a Far store that remembers which keys are hot: those that processes read from it to keep them near, again
// and again. A process that starts can have them in memory before its first request.
type Ranker interface {
	// Rank counts each of the keys once more.
	Rank(ctx context.Context, keys ...keying.Key) error
	// Hottest returns at most n keys, the hottest first. Nothing is ranked for ever: the list is bounded, and old counts
	// are forgotten. The entries of the keys may be gone.
	Hottest(ctx context.Context, n int) ([]keying.Key, error)
}

// A Rester is a store that gives a backend that keeps failing a rest: operations fail at once for a while, until a probe
// succeeds.
type Rester interface {
	// OnRest has f called when a rest begins, with the failure that has brought it on, and with nil when it is over; reads
	// and writes may rest apart. F is called outside of all operations, one call after another; what there is to tell while one takes
	// long may be left out. No call begins once stop has returned.
	OnRest(f func(what Operation, err error)) (stop func())
}

// A Reporter is a store that meets faults which no operation returns.
type Reporter interface {
	// OnFault has f called with such faults, on whatever goroutine meets them; f must be quick. It is called no more once
	// stop has returned.
	OnFault(f func(err error)) (stop func())
}

// Operation is a kind of what is asked of a store.
type Operation string

const (
	Reads  Operation = "reads"
	Writes Operation = "writes"
	Leases Operation = "leases"
)

// A Warner is a store that works as it was made, but may surprise.
type Warner interface {
	// Warning says what may surprise, or nil.
	Warning() error
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

// A Record is one purge: everything made before it that carries one of its labels is gone, or merely stale. A label of a
// place (see internal/keys) says where the URLs lie whose labels stand before it; such purges share the room of their area.
type Record struct {
	At     Position // set by the log
	Labels []keying.Label
	All    bool // everything, whatever its labels
	Soft   bool // stale instead of gone
	Wide   bool // labels of places name all of the area that they mean, rather than the area of the labels before them
}

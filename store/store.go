// Package store is the contract between the cache and what stores responses for it.
//
// A backend implements [Store]. That is enough for a cache that one process has for itself. What else a backend can do, it says by
// implementing one of these interfaces; the cache looks for each of them once, when it is made:
//
//   - [Local]: it is memory, and answers without I/O
//   - [Sealer]: it can authenticate what it stores
//   - [Leaser]: it lets one process of a fleet load a key at a time
//   - [Ranker]: it remembers which keys are hot
//   - [Log], [Catcher], [Follower], [Poster]: processes share their purges through it
//   - [Rester], [Reporter], [Warner]: it tells of its own condition
//
// An [Entry] is one stored response. A [Codec] writes it as bytes, for stores outside of the process. A [Ledger] is what a process knows of
// the purge log. Package storetest has the tests that every implementation must pass.
package store

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/larder-go/cache/keying"
)

// A Store keeps entries under keys, each for a limited time. It must be safe for concurrent use.
type Store interface {
	// Get returns the entry that is stored under the key.
	//
	// A miss is not an error: it is nil, false, nil. An entry that cannot be trusted is a miss, too, with an error that wraps
	// ErrCorrupt. If both an entry and another error are returned, the store could not be asked, and the entry is an older copy that
	// may be served instead.
	//
	// Others may hold the same entry: the caller must not change it.
	Get(ctx context.Context, key keying.Key) (e *Entry, ok bool, err error)
	// Set stores the entry for the duration keep, which is positive, in place of what was there. The store may forget it sooner.
	//
	// From the call on, the entry and its bytes belong to the store, and nobody may change them. If the store will never accept this
	// entry (it is too large, for example), the error wraps ErrRefused.
	Set(ctx context.Context, key keying.Key, e *Entry, keep time.Duration) error
	// Delete forgets the keys. A key that is not there is not an error, and neither is a call without keys.
	Delete(ctx context.Context, keys ...keying.Key) error
}

// A Local store is process memory, or has some in front of it.
type Local interface {
	// Peek returns what memory holds under the key. It does no I/O. The entry must not be changed.
	Peek(key keying.Key) (*Entry, bool)
}

// A Sealer is a store outside of the process that can authenticate what it stores.
type Sealer interface {
	// Sealed returns the same store, whose entries and purge records are authenticated with the secret. It finds nothing that was
	// written without the secret or with another one. The secret is copied.
	Sealed(secret []byte) Store
}

// Errors that stores wrap. Test for them with errors.Is.
var (
	// ErrCorrupt: the stored bytes are damaged, were written by somebody else, or in another version of the format.
	ErrCorrupt = errors.New("the entry is corrupt, foreign or of another version")
	// ErrRefused: the store will not accept this entry, however often it is tried.
	ErrRefused = errors.New("the store does not take this entry")
	// ErrRecordsLost: the purge log has lost records that this process had read or written, or it began anew. So that no purge is
	// missed, no process serves anything from before that. A [Reporter] reports it.
	ErrRecordsLost = errors.New("the purge log has lost records: all that was made before counts as purged")
	// ErrUnfit: the backend lacks a command that the store needs, or refuses it. The error says which one, and what to do about it.
	// A [Reporter] reports it.
	ErrUnfit = errors.New("the backend lacks what is needed")
)

// A Leaser is a store outside of the process that lets one process at a time load a key. If the Far store is one, a load runs once per
// fleet, rather than once per process.
//
// A lease is no lock. It only saves work: it may end at any time, and then two processes load the same key. Nothing may depend on it for
// correctness.
type Leaser interface {
	// Lease takes the lease of the key for the duration hold, unless another token has it or it is refused. Then it reads what Get
	// would return. The order matters: a process that takes the lease after another has seen what that one stored.
	//
	// An entry that cannot be trusted is a miss, with an error that wraps ErrCorrupt; the Lease is valid all the same. With any other
	// error the Lease is Unleased. A token that has the lease already gets it again.
	Lease(ctx context.Context, key keying.Key, token Token, hold time.Duration) (*Entry, Lease, error)
	// Extend makes the lease end the duration hold from now, and changes its Beat. If the token has the lease no longer, it returns
	// false and changes nothing.
	Extend(ctx context.Context, key keying.Key, token Token, hold time.Duration) (bool, error)
	// Keep is Set followed by Release: whoever takes the lease next finds the entry. If it returns an error, either of the two may
	// be undone.
	Keep(ctx context.Context, key keying.Key, token Token, e *Entry, keep time.Duration) error
	// Release gives the lease back. If refused is above zero, the lease is Refused to everyone for that duration. If the token has
	// the lease no longer, nothing changes, and there is no error.
	Release(ctx context.Context, key keying.Key, token Token, refused time.Duration) error
}

// A Lease is the result of an attempt to take one.
type Lease struct {
	State LeaseState
	// Beat of a Held lease changes each time that its holder extends it. If it stays the same for too long, the holder has died.
	Beat uint64
}

// A LeaseState says who has a lease.
type LeaseState uint8

const (
	// Unleased: there are no leases now, and nothing was read. Load without one.
	Unleased LeaseState = iota
	// Taken: the caller has it. Load.
	Taken
	// Held: another one has it, and is loading. Wait, or serve a stale entry.
	Held
	// Refused: nobody has it. The last response could not be stored, so there is no use in waiting for the next one. Load without.
	Refused
)

// A Token identifies the holder of a lease. It is random, so no two holders have the same one.
type Token [16]byte

// A Ranker is a store outside of the process that remembers which keys are hot: those that processes read again and again to have them in
// their memory. A process that starts can load them before its first request.
type Ranker interface {
	// Rank counts each of the keys once.
	Rank(ctx context.Context, keys ...keying.Key) error
	// Hottest returns at most n keys, the hottest first. The list is bounded, and old counts fade. There may be no entries under the
	// keys any more.
	Hottest(ctx context.Context, n int) ([]keying.Key, error)
}

// A Rester is a store with a circuit breaker. After repeated failures its circuit opens: operations fail at once, without asking the
// backend, until a probe succeeds.
type Rester interface {
	// OnRest registers f. It is called with the last failure when the circuit opens, and with nil when it closes. Each [Operation] may
	// have a circuit of its own.
	//
	// Calls come one after another and outside of any operation, so f may block. While it does, changes may be skipped. After stop has
	// returned, no call begins.
	OnRest(f func(what Operation, err error)) (stop func())
}

// A Reporter is a store that meets errors which no operation can return, because they happen in the background.
type Reporter interface {
	// OnFault registers f. It is called with each such error, on the goroutine that met it, so f must return quickly. After stop has
	// returned, no call begins.
	OnFault(f func(err error)) (stop func())
}

// An Operation is a kind of request to a store.
type Operation string

const (
	Reads  Operation = "reads"
	Writes Operation = "writes"
	Leases Operation = "leases"
)

// A Warner is a store that works, but not quite as its user may expect.
type Warner interface {
	// Warning returns what may be unexpected, or nil.
	Warning() error
}

// A Position is a place in a purge log. An epoch is the time from one beginning of a log to the next: positions of one epoch are ordered,
// and positions of different epochs cannot be compared. The zero Position belongs to no epoch.
type Position struct {
	Epoch     uint64
	Time, Seq uint64 // the two parts of a Redis stream's id; a log in memory counts in Seq only
}

// Before reports whether p stands before q in the same log. If their epochs differ it is true: p may have missed any number of purges.
func (p Position) Before(q Position) bool { return p.Epoch != q.Epoch || p.compare(q) < 0 }

// compare orders two positions of one epoch.
func (p Position) compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Time, q.Time), cmp.Compare(p.Seq, q.Seq))
}

// Liveness is what the purge log says about an entry.
type Liveness uint8

const (
	Live    Liveness = iota // no purge after it
	Expired                 // a soft purge after it: it is stale, even if it is fresh by its age
	Gone                    // a purge after it: it must not be served
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

// A Log is a list of purges, in their order. A purge costs the same however many entries it hits, and needs no index of keys and no clock.
// If the Far store of a cache is a Log, all processes that share the store share their purges. Such a store should be a [Catcher] and a
// [Follower], too. A Log is safe for concurrent use.
type Log interface {
	// Append adds the record to the log and applies it to the ledger. After it has returned nil, every read through the log's store
	// sees the purge. After an error the purge holds for this process, but other processes may never learn of it.
	Append(ctx context.Context, r Record) error
	// Ledger returns what this process knows of the log; it is always the same one. A store that is a Log brings it up to the head of
	// the log before its Get returns.
	Ledger() *Ledger
}

// A Catcher is a Log that other processes append to, too.
type Catcher interface {
	// CatchUp brings the ledger up to the head of the log. After it has returned nil, the ledger knows every purge whose Append had
	// returned before CatchUp was called. The cache calls it before it gives one response to several requests: a request must not get
	// a response that was purged before the request came.
	CatchUp(ctx context.Context) error
}

// A Follower is a Log that other processes append to, too, and that can tell its ledger of new records at once.
type Follower interface {
	Log
	// Follow keeps the ledger at the head of the log until ctx ends. Then it returns soon, and leaves no goroutine behind.
	//
	// When the log cannot be reached it calls changed once with the error, and with nil when it can be reached again; meanwhile no
	// other operation becomes slower. A second Follow at the same time is allowed, but useless.
	Follow(ctx context.Context, changed func(err error))
}

// A Poster is a Log whose store has a circuit breaker; see [Rester].
type Poster interface {
	// Post is Append that never waits for a failing backend: while the circuit is open it does not ask it. Whatever it returns, the
	// record holds for this process. After an error the store sends the record to the log as soon as it can.
	Post(ctx context.Context, r Record) error
	// Rests reports whether the circuit is open, so that Post returns at once.
	Rests() bool
}

// NewLog returns a purge log for one process. It is in memory and ends with the process. So do entries that were made under it: another
// process does not trust them, because its log has another epoch.
func NewLog() Log {
	l := NewLedger()
	l.Restart(Position{Epoch: randomEpoch()})
	return processLog{l}
}

// A processLog has no readers but its own process, so its ledger is all there is of it.
type processLog struct{ ledger *Ledger }

func (l processLog) Ledger() *Ledger { return l.ledger }

func (l processLog) Append(_ context.Context, r Record) error {
	l.ledger.append(r)
	return nil
}

// A Record is one purge: it hits every entry that was made before it and has one of its labels.
//
// Some labels name a place: the beginning of a path. A label of a place is no target by itself. It tells the ledger where the URLs lie
// whose labels stand before it in Labels; if there are too many purges to remember, those of one place are merged. In a Wide record it
// is the target.
type Record struct {
	At     Position       // the log sets it
	Labels []keying.Label // at most MaxLabels
	All    bool           // it hits every entry, whatever its labels
	Soft   bool           // entries become stale, rather than gone
	Wide   bool           // labels of places are targets: all that lies below them
}

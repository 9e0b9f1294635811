// Package store says where answers live: the [Entry], the [Store] contract that a backend fulfils, the two tiers put
// together as [Layered], the read-through with one load per key, [Through], and the purge log, [Log].
package store

import (
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

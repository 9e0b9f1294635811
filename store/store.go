// Package store is the contract between the cache and the places where it stores responses.
//
// A backend implements [Store], three methods. It declares what else it can do by implementing more:
//
//   - [Local]: it is memory of this process, and needs no I/O;
//   - [Leaser]: it is shared by processes, and lets one of them at a time load a key;
//   - [Log] and [Follower]: it is shared, and so are its purges;
//   - [Sealer], [Reporter]: it authenticates entries, and reports faults that no call returns.
//
// The cache checks once, when it is created, what its stores implement. So a store that wraps another must forward all of these
// methods: it embeds the other's type, rather than the interface Store, which has three.
//
// A store holds values of type [Entry]. A backend outside the process writes them as bytes with a [Codec], and reads them back with
// the same one. Package storetest has the tests that every backend must pass.
package store

import (
	"context"
	"errors"
	"time"

	"github.com/larder-go/cache/keying"
)

// A Store holds entries under keys. It is safe for concurrent use.
//
// A request waits only a short time for a store, 50 ms by default. So Get, Set and Delete return when their context ends.
// An error never fails a request: an event reports it, and the handler runs.
type Store interface {
	// Get returns the entry under the key. A miss is not an error: it is nil, false, nil. An entry that cannot be trusted is a
	// miss with an error that wraps ErrCorrupt. With any other error, an entry may stand in while the store is unavailable.
	// The entry is shared with other callers, who must not change it.
	Get(ctx context.Context, key keying.Key) (e *Entry, ok bool, err error)
	// Set stores the entry, whose Key is the key, for the given time, which is positive. The store may drop it sooner, but
	// must not return it later. From now on the entry and its bytes belong to the store, and nobody changes them. If the
	// store will never take this entry, the error wraps ErrRefused, and what was stored under the key may be dropped.
	Set(ctx context.Context, key keying.Key, e *Entry, keep time.Duration) error
	// Delete removes the keys. A key without an entry is not an error.
	Delete(ctx context.Context, keys ...keying.Key) error
}

// Local is implemented by stores that are memory of this process. A hit on such a store does no I/O.
type Local interface {
	// Peek returns the entry under the key, or nil and false. It must not block or allocate: it runs on every hit.
	Peek(key keying.Key) (*Entry, bool)
}

// Layered is a [Store] made of two: short-lived copies in Near, in front of Far. Near and Far are required. It must not be
// changed after its first use, and is safe for concurrent use if both stores are.
//
// It is for stores that you put together yourself. A cache needs none: give its two stores to cache.Options. Layered knows nothing of
// purges. Whoever reads an entry checks it against the purge log, see [Ledger.State]; a near copy that was purged hides a newer far
// entry until NearTTL is over.
type Layered struct {
	Near, Far Store
	// NearTTL is the maximum lifetime of a near copy. A copy never outlives the freshness of its entry; it may outlive the
	// time for which Far was to hold the entry, by NearTTL. 0 or less: there are no copies.
	NearTTL time.Duration
}

// Get returns the near copy, if there is one, and otherwise the far entry, of which it writes a near copy. A fault of Near is a miss
// there; an error is Far's.
func (l *Layered) Get(ctx context.Context, key keying.Key) (*Entry, bool, error) {
	if e, ok, err := l.Near.Get(ctx, key); ok && err == nil {
		return e, true, nil
	}
	e, ok, err := l.Far.Get(ctx, key)
	if ok && err == nil {
		l.copyNear(ctx, key, e, l.NearTTL)
	}
	return e, ok, err
}

// Set stores the entry in Far, and a copy in Near. If Far does not take it, there is no copy either, and an earlier one is deleted: Get
// must not find in Near what is not in Far. The error is Far's.
func (l *Layered) Set(ctx context.Context, key keying.Key, e *Entry, keep time.Duration) error {
	err := l.Far.Set(ctx, key, e, keep)
	if err != nil {
		_ = l.Near.Delete(ctx, key)
		return err
	}
	l.copyNear(ctx, key, e, min(l.NearTTL, keep))
	return nil
}

// copyNear writes a near copy for the time, or for as long as the entry is fresh if that is shorter. If there is to be none, the
// earlier copy must go: it is older than what Far has.
func (l *Layered) copyNear(ctx context.Context, key keying.Key, e *Entry, ttl time.Duration) {
	ttl = min(ttl, e.Left(time.Now()))
	if ttl <= 0 || l.Near.Set(ctx, key, e, ttl) != nil {
		_ = l.Near.Delete(ctx, key)
	}
}

// Delete removes the keys from both stores, Far first: a Get in between would otherwise copy what is being deleted. A Get that has
// read Far just before may still do so. That copy ends with NearTTL.
func (l *Layered) Delete(ctx context.Context, keys ...keying.Key) error {
	return errors.Join(l.Far.Delete(ctx, keys...), l.Near.Delete(ctx, keys...))
}

// A Leaser is a store, shared by processes, that lets one process at a time load a key. If the Far store is one, the handler
// runs once for all processes. Otherwise it runs once in each.
//
// A lease saves work; it is not a lock. It may be lost at any time, and then a handler runs twice; that makes no response wrong.
type Leaser interface {
	// Lease takes the key's lease for the time hold, if it is free, and then reads what Get would return. The order matters:
	// the new holder sees what the last one stored. A call with the same token, after a lost reply, still has the lease.
	// An entry that cannot be trusted is a miss with an error that wraps ErrCorrupt, and the lease counts all the same. With
	// any other error nothing is known, as if it were Unleased.
	Lease(ctx context.Context, key keying.Key, token Token, hold time.Duration) (*Entry, Lease, error)
	// Extend makes the lease last for the time hold from now on, and changes its Beat. It returns false, and does nothing, if
	// the lease is no longer the token's.
	Extend(ctx context.Context, key keying.Key, token Token, hold time.Duration) (bool, error)
	// SetAndRelease is Set and then Release: the next holder of the lease finds the entry. It sets the entry even if the lease
	// is no longer the token's. After an error, both, one or neither may have been done.
	SetAndRelease(ctx context.Context, key keying.Key, token Token, e *Entry, keep time.Duration) error
	// Release gives up the lease. With uncacheable above zero, the lease is Uncacheable for that long: nobody should wait for
	// the next load. If the lease is no longer the token's, nothing changes, and that is not an error.
	Release(ctx context.Context, key keying.Key, token Token, uncacheable time.Duration) error
}

// A Lease is the result of an attempt to take one. The zero Lease is Unleased.
type Lease struct {
	State LeaseState
	Beat  uint64 // if Held: a number that changes with each Extend, so that waiters can see that a holder has died
}

// LeaseState says whose a lease is.
type LeaseState uint8

const (
	Unleased    LeaseState = iota // nobody's: there are no leases now, and nothing was read. Load without one
	Taken                         // the caller's, which loads
	Held                          // another's, which loads. Wait for the entry
	Uncacheable                   // nobody's: the last response could not be stored, so waiting for the next is pointless
)

// A Token distinguishes the holder of a lease from all others. It is random.
type Token [16]byte

// A Sealer is a store outside the process that can authenticate its entries; see [NewCodec].
type Sealer interface {
	// Sealed returns the same store, with entries and purge records authenticated under the secret, which it copies. Entries
	// that were written without the secret, or with another one, are not found.
	Sealed(secret []byte) Store
}

// A Reporter is a store that can report more than its operations return: faults between them, on a connection of its own, and
// whether it calls its backend at all.
type Reporter interface {
	// OnFault registers f to be called with each such fault, on any goroutine, so f must be quick. The faults may wrap
	// ErrRecordsLost or ErrUnfit. After stop has returned, no call begins.
	OnFault(f func(err error)) (stop func())
	// OnCircuit registers f to be called when a circuit opens, with the fault that opened it, and with nil when it closes.
	// While it is open the store does not call its backend and fails at once, except for a probe now and then. What names
	// the operations that the circuit covers, such as "reads" and "writes": each has its own, or all have one. Calls come
	// one after another, outside of any operation. If f takes long, an opening and the closing after it may both be left
	// out. After stop has returned, no call begins.
	OnCircuit(f func(what string, err error)) (stop func())
	// Warning returns what is unusual about how the store was set up, or nil. It is called once, when the cache is created.
	Warning() error
}

// Errors that stores return or report, wrapped with what happened.
var (
	// ErrCorrupt is wrapped by Get's error when what it read is not an entry: damaged, forged, or of another version.
	ErrCorrupt = errors.New("the entry is corrupt, foreign or of another version")
	// ErrRefused is wrapped by Set's error when the store will never take this entry, for its size above all.
	ErrRefused = errors.New("the store does not take this entry")
	// ErrRecordsLost is wrapped by a reported fault: the purge log has lost records that this process had read or written, or
	// has begun anew. No process serves what was made before.
	ErrRecordsLost = errors.New("the purge log has lost records: all that was made before counts as purged")
	// ErrUnfit is wrapped by a reported fault: the backend lacks something that the store needs, or forbids it. The fault says
	// what, and the remedy.
	ErrUnfit = errors.New("the backend lacks what is needed")
)

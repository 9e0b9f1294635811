package store

import (
	"context"
	"time"

	"github.com/larder-go/cache/keying"
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

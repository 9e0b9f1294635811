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
)

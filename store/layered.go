package store

import (
	"context"
	"errors"
	"time"

	"github.com/larder-go/cache/keying"
)

// Layered is a [Store] made of two: short-lived copies in Near, in front of Far. Near and Far are required. It must not be
// changed after its first use, and is safe for concurrent use if both stores are.
//
// It is for stores that you put together yourself. A cache needs none: give its two stores to cache.Options. Layered knows nothing of
// purges. Whoever reads an entry asks the purge log, see [Ledger.State]; a near copy that was purged hides a newer far entry until
// NearTTL is over.
type Layered struct {
	Near, Far Store
	// NearTTL is how long a near copy is good, at most. It never outlives the freshness of its entry; the time that Far was
	// told to keep the entry it may outlive by NearTTL. 0 or less: there are no copies.
	NearTTL time.Duration
}

// Get returns the near copy, if there is one, and otherwise the far entry, of which it leaves a copy near. A fault of Near is a miss
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

// Set keeps the entry in Far, and a copy in Near. If Far does not take it, there is no copy either, nor the one from before: a later Get
// would find there what it does not find in Far. The error is Far's.
func (l *Layered) Set(ctx context.Context, key keying.Key, e *Entry, keep time.Duration) error {
	err := l.Far.Set(ctx, key, e, keep)
	if err != nil {
		_ = l.Near.Delete(ctx, key)
		return err
	}
	l.copyNear(ctx, key, e, min(l.NearTTL, keep))
	return nil
}

// copyNear leaves a copy near for the time, or for as long as the entry is fresh if that is shorter. If there is to be none, the copy from
// before must go: it is older than what Far has.
func (l *Layered) copyNear(ctx context.Context, key keying.Key, e *Entry, ttl time.Duration) {
	ttl = min(ttl, e.Left(time.Now()))
	if ttl <= 0 || l.Near.Set(ctx, key, e, ttl) != nil {
		_ = l.Near.Delete(ctx, key)
	}
}

// Delete forgets the keys in both stores, in Far first: a Get in between would otherwise leave a new copy of what is deleted. One that has
// read Far just before may still do so. That copy ends with NearTTL.
func (l *Layered) Delete(ctx context.Context, keys ...keying.Key) error {
	return errors.Join(l.Far.Delete(ctx, keys...), l.Near.Delete(ctx, keys...))
}

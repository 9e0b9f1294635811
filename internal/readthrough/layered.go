package readthrough

import (
	"context"
	"errors"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Layered is a Store of two tiers: a short-lived copy near, in the process' memory, in front of the truth far away. The
// zero value is not usable: Near and Far are required. It is safe for concurrent use and must not be changed after its
// first use.
type Layered struct {
	Near, Far store.Store
	NearTTL   time.Duration // how long a near copy is good at most; it never outlives the far copy's freshness
	Outage    time.Duration // how much longer one may stand in while Far cannot be asked; 0: not at all
	Ledger    *store.Ledger // when set, near copies that were purged are passed over
	Ranking   *Ranking      // when set, it is told which keys are read from Far to be kept near
}

// Get returns the near copy while it is good and was not purged, and otherwise the far one, of which it leaves a copy
// near. While Far cannot be asked, a near copy stands in within Outage, along with Far's error.
func (l *Layered) Get(ctx context.Context, key keying.Key) (*store.Entry, bool, error) {
	e, _, err := l.get(ctx, key)
	return e, e != nil, err
}

// get is Get; it also tells whether Far was asked.
func (l *Layered) get(ctx context.Context, key keying.Key) (e *store.Entry, asked bool, err error) {
	e, ok, _ := l.Near.Get(ctx, key)
	ok = ok && l.good(e)
	if ok && !e.Past(time.Now()) {
		return e, false, nil
	}
	found, there, err := l.getFar(ctx, key)
	if ok && err != nil && !errors.Is(err, store.ErrCorrupt) && l.good(e) {
		return e, true, err
	}
	if !there {
		found = nil
	}
	return found, true, err
}

func (l *Layered) getFar(ctx context.Context, key keying.Key) (*store.Entry, bool, error) {
	e, ok, err := l.Far.Get(ctx, key)
	if ok && err == nil {
		l.setNear(ctx, key, e)
		l.Ranking.add(key)
	}
	return e, ok, err
}

// Memory is Near's, if that is Local, or nil. What it holds may have been purged.
func (l *Layered) Memory() store.Local { return memoryOf(l.Near) }

func (l *Layered) good(e *store.Entry) bool {
	return l.Ledger == nil || l.Ledger.State(e) == store.Live
}

// Set keeps the entry far, and a copy near even if far fails.
func (l *Layered) Set(ctx context.Context, key keying.Key, e *store.Entry, keep time.Duration) error {
	err := l.Far.Set(ctx, key, e, keep)
	l.setNear(ctx, key, e)
	return err
}

// Tick is what the clock of those who read may be behind, where they are many. For that no copy near is served for longer.
const Tick = 10 * time.Millisecond

func (l *Layered) setNear(ctx context.Context, key keying.Key, e *store.Entry) {
	now := time.Now()
	if good := min(l.NearTTL, e.Left(now)); good > 0 {
		good -= min(Tick, good/10)
		if l.Outage > 0 {
			e = e.NearUntil(now.Add(good))
		}
		_ = l.Near.Set(ctx, key, e, min(good+l.Outage, e.Keep(now))) // refused: the far copy serves
	} else {
		_ = l.Near.Delete(ctx, key) // what it takes the place of must not be found any more
	}
}

// leases reports whether Far is a Leaser. If not, there are no leases.
func (l *Layered) leases() bool { _, ok := l.Far.(store.Leaser); return ok }

// Lease is Far's, if Far is a Leaser. What is found there leaves a copy near.
func (l *Layered) Lease(ctx context.Context, key keying.Key, token store.Token, hold time.Duration) (*store.Entry, store.Lease, error) {
	leaser, ok := l.Far.(store.Leaser)
	if !ok {
		return nil, store.Lease{}, nil
	}
	e, lease, err := leaser.Lease(ctx, key, token, hold)
	if e != nil && err == nil {
		l.setNear(ctx, key, e)
	}
	return e, lease, err
}

// Extend is Far's.
func (l *Layered) Extend(ctx context.Context, key keying.Key, token store.Token, hold time.Duration) (bool, error) {
	if leaser, ok := l.Far.(store.Leaser); ok {
		return leaser.Extend(ctx, key, token, hold)
	}
	return false, nil
}

// Keep is Far's; it leaves a copy near, as Set does.
func (l *Layered) Keep(ctx context.Context, key keying.Key, token store.Token, e *store.Entry, keep time.Duration) error {
	leaser, ok := l.Far.(store.Leaser)
	if !ok {
		return l.Set(ctx, key, e, keep)
	}
	err := leaser.Keep(ctx, key, token, e, keep)
	l.setNear(ctx, key, e)
	return err
}

// Release is Far's.
func (l *Layered) Release(ctx context.Context, key keying.Key, token store.Token, refused time.Duration) error {
	if leaser, ok := l.Far.(store.Leaser); ok {
		return leaser.Release(ctx, key, token, refused)
	}
	return nil
}

// Delete forgets the keys in both tiers. Far comes first: a reader in between must not fetch a near copy again.
func (l *Layered) Delete(ctx context.Context, keys ...keying.Key) error {
	err := l.Far.Delete(ctx, keys...)
	_ = l.Near.Delete(ctx, keys...)
	return err
}

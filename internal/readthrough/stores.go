package readthrough

import (
	"context"
	"errors"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// stores are the tiers that one Cache reads and writes: memory alone, a far store alone, or a far store with short-lived
// copies near, in memory. Of two tiers Far is the truth. A near copy saves the round trip to it.
//
// What a near copy may be behind is bounded three ways. It lives for nearTTL at most. A purge of this process makes it absent
// at once, since the ledger knows of it. A purge elsewhere does so as soon as the log brings its record, which follow sees to.
// A copy that is left after a purge does no harm, for it is the same entry, with the same position in the log:
//
//	A: reads the entry of position 7 from Far
//	B: purges: record 8; A's ledger learns of it
//	A: leaves a near copy, of position 7
//	C: finds the copy in A's memory: purged, so it asks Far
type stores struct {
	near, far store.Store  // one may be nil
	leaser    store.Leaser // far, if processes share loads
	ledger    *store.Ledger
	nearTTL   time.Duration
	outage    time.Duration
	ranking   *Ranking
	follow    func()
	trim      func(*store.Entry) *store.Entry
	opens     func(*store.Entry) (*store.Entry, error)
}

// read returns the entry of the key, or nil. Of two tiers it is the near copy while that is good; asked tells whether Far was
// asked. While Far cannot be asked, a near copy stands in for as long as outage allows, along with Far's error.
func (s *stores) read(ctx context.Context, key keying.Key) (e *store.Entry, asked bool, err error) {
	switch {
	case s.near == nil:
		e, err = s.readFar(ctx, key)
		return e, true, err
	case s.far == nil:
		e, err = s.open(s.near.Get(ctx, key))
		return e, true, err
	}
	near, _ := s.open(s.near.Get(ctx, key))
	if near != nil && s.ledger.State(near) != store.Live {
		near = nil
	}
	if near != nil && !near.Past(time.Now()) {
		return near, false, nil
	}
	e, err = s.readFar(ctx, key)
	if err != nil && !errors.Is(err, store.ErrCorrupt) && near != nil && s.ledger.State(near) == store.Live { // Far may have told of a purge
		return near, true, err
	}
	return e, true, err
}

// readFar returns what Far has, and leaves a near copy of it. Where there is no Far it reads the only tier.
func (s *stores) readFar(ctx context.Context, key keying.Key) (*store.Entry, error) {
	if s.far == nil {
		return s.open(s.near.Get(ctx, key))
	}
	e, ok, err := s.far.Get(ctx, key)
	if e, err = s.openFar(e, ok, err); e != nil && err == nil {
		s.copyNear(ctx, key, e)
		s.ranking.add(key)
	}
	return e, err
}

// openFar is open for what Far has brought. That may have been kept under a policy of longer times than this one's, by a process
// of the version before, say: trim cuts it down first. What memory has was trimmed when it came.
func (s *stores) openFar(e *store.Entry, ok bool, err error) (*store.Entry, error) {
	if e != nil && s.trim != nil {
		e = s.trim(e)
	}
	return s.open(e, ok, err)
}

// open applies the hook Options.Open to what a tier has brought. An entry that does not open is a miss, with the error: the load
// that follows puts a sound one in its place.
func (s *stores) open(e *store.Entry, ok bool, err error) (*store.Entry, error) {
	if !ok || e == nil {
		return nil, err
	}
	if s.opens == nil {
		return e, err
	}
	opened, fault := s.opens(e)
	if fault != nil {
		return nil, fault
	}
	return opened, err
}

// write keeps the entry. Of two tiers it leaves a near copy even if Far fails: this process has the answer, after all.
func (s *stores) write(ctx context.Context, e *store.Entry, keep time.Duration) (err error) {
	if s.far == nil {
		return s.writeNear(ctx, e.Key, e, keep)
	}
	err = s.far.Set(ctx, e.Key, e, keep)
	s.copyNear(ctx, e.Key, e)
	return err
}

// writeAndRelease is write by the holder of the key's lease, which it gives back in the same round trip.
func (s *stores) writeAndRelease(ctx context.Context, token store.Token, e *store.Entry, keep time.Duration) error {
	err := s.leaser.Keep(ctx, e.Key, token, e, keep)
	s.copyNear(ctx, e.Key, e)
	return err
}

// lease tries to take the key's lease, and reads what Far has, in one round trip.
func (s *stores) lease(ctx context.Context, key keying.Key, token store.Token, hold time.Duration) (*store.Entry, store.Lease, error) {
	e, lease, err := s.leaser.Lease(ctx, key, token, hold)
	if e, err = s.openFar(e, true, err); e != nil && err == nil {
		s.copyNear(ctx, key, e)
	}
	return e, lease, err
}

// remove forgets the keys. Far comes first: a reader in between must not leave another near copy.
func (s *stores) remove(ctx context.Context, keys ...keying.Key) (err error) {
	if s.far != nil {
		err = s.far.Delete(ctx, keys...)
	}
	if s.near == nil {
		return err
	}
	if gone := s.near.Delete(ctx, keys...); s.far == nil {
		err = gone
	}
	return err
}

// Tick is by how much the clock of those who read memory may be late, where they are many. No near copy is served for that
// much longer: it ends so much sooner.
const Tick = 10 * time.Millisecond

// copyNear leaves a near copy of what Far has, if there is memory. It never outlives the freshness of the entry, but for an
// outage of Far: then it may stand in for longer.
func (s *stores) copyNear(ctx context.Context, key keying.Key, e *store.Entry) {
	if s.near == nil {
		return
	}
	now := time.Now()
	good := min(s.nearTTL, e.Left(now))
	if good <= 0 {
		_ = s.near.Delete(ctx, key) // the copy of what this entry has replaced must not be found any more
		return
	}
	good -= min(Tick, good/10)
	if s.outage > 0 {
		e = e.NearUntil(now.Add(good))
	}
	_ = s.writeNear(ctx, key, e, min(good+s.outage, e.Keep(now))) // if memory refuses it, Far serves
}

// writeNear keeps the entry in memory. Purges elsewhere concern it from now on: the first one begins to follow the log.
func (s *stores) writeNear(ctx context.Context, key keying.Key, e *store.Entry, keep time.Duration) error {
	if s.follow != nil {
		s.follow()
	}
	return s.near.Set(ctx, key, e, keep)
}

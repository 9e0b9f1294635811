package readthrough

import (
	"context"
	"errors"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// A Call is one request's use of the stores. All its operations share one time budget, and it loads at most once. It holds
// everything that a load needs, so that a caller may make it a part of something larger. It is for one goroutine, and must not be
// copied after its first use.
//
// Get goes like this:
//
//	join the key's flight                       flight.go
//	    first: lead it                          load.go
//	        look in the stores once more
//	        take the lease, or wait for it      lease.go
//	        wait for a slot of the limit        chain.go
//	        load, hand over, keep, release
//	    others: wait for its entry              share.go
//	        take it, or go round again, or load alone
type Call struct {
	rc    *Cache
	ctx   context.Context // the request's: store operations have its values, but a deadline of their own
	route string          // what the call is for, as named in reports

	left   time.Duration // time left for operations, if they are bounded
	lastOp time.Time     // when the last operation ended, if they are bounded
	op     operation     // the context of the first operation: most calls have no second one

	came   time.Time // when the request came, if its judge needs that
	renews bool      // it refreshes: a fresh entry near its end is not good enough
	part   bool      // it is for a part, not for the key's own response: see GetPart
	last   lookup    // the last one

	flight flight // if it leads
	run    Run    // if it loads
}

// Call begins a call for the request of the context. Reports name the route, which may be "".
func (rc *Cache) Call(ctx context.Context, route string) Call {
	return Call{rc: rc, ctx: ctx, route: route, left: rc.opTime()}
}

// Source says where a result comes from.
type Source uint8

const (
	Loaded   Source = iota // this call's load ran
	Stored                 // found in the store
	Shared                 // another call's load ran
	Canceled               // nowhere: the call was cancelled while it waited, and nothing ran
	Renewed                // this call's load ran, and the client is to be served its entry
	Looped                 // nowhere: the load requests its own key, again and again, and nothing ran
)

// Result is what Get returns. Entry is what to serve. It is nil if the call's own load ran and served the client, if the client
// hung up, and if the call is Looped. Only a Stored entry may be stale.
type Result struct {
	Entry  *store.Entry
	Use    Use
	Source Source
	Fate   Fate // of the entry that the call's own load has made
}

// Get returns the entry of the key, from the store or from another call's load under way. Otherwise it runs load, once for
// all concurrent calls, and stores what load made. The judge may be nil.
//
//   - A panic in load passes through; the waiters are released.
//   - A call that is cancelled while it waits runs nothing: its client has gone.
//   - A call whose deadline passes while it waits runs its own load, which can see the context.
//   - So does a call made by a load that would end up waiting for itself, see [Link]. If that load calls Get for its own key again,
//     the call is Looped.
func (c *Call) Get(key keying.Key, load Loader, judge Judge) Result {
	return c.get(key, key, load, judge)
}

// GetPart is Get for a response other than the key's own that can be made from it: one to HEAD, or to a range request.
// Calls for the same part share a load. Calls for the key's own response do not wait for it. Of what such a load makes, only
// what it marks for storing goes to the store.
func (c *Call) GetPart(key, part keying.Key, load Loader, judge Judge) Result {
	c.part = true
	return c.get(key, part, load, judge)
}

// maxFlights is how many flights a call waits for before it loads alone.
const maxFlights = 2

func (c *Call) get(key, shared keying.Key, load Loader, judge Judge) Result {
	rc, caughtUp := c.rc, c.rc.catching.Load()
	if judge != nil {
		c.came = time.Now()
	}
	chain := linkOf(c.ctx)
	if chain.nested(key) > 0 {
		return c.getAlone(key, load, judge)
	}
	for waited, later := 0, false; waited < maxFlights; later = true {
		f, role := rc.flights.join(shared, &c.flight)
		switch role {
		case loner:
			return c.getAlone(key, load, judge)
		case leader:
			return c.lead(key, f, load, judge)
		}
		if e, use := c.insteadOf(f, key, judge); e != nil {
			return Result{Entry: e, Use: use, Source: Stored}
		}
		if !c.waitFor(f, chain) {
			rc.flights.giveUp(f)
			if errors.Is(c.ctx.Err(), context.Canceled) {
				return Result{Source: Canceled}
			}
			break
		}
		if f.unloaded {
			continue
		}
		waited++
		use, next := c.take(f, judge, caughtUp, later)
		if next == serveIt {
			return Result{Entry: f.entry, Use: use, Source: Shared}
		}
		if next == loadAlone {
			break
		}
	}
	return c.getAlone(key, load, judge)
}

// insteadOf returns an entry to serve instead of waiting for the flight, if the flight is a refresh: the stale response is as
// good for this call as for the one that has started the refresh.
func (c *Call) insteadOf(f *flight, key keying.Key, judge Judge) (*store.Entry, Use) {
	if !f.refresh {
		return nil, NoUse
	}
	e, use := c.Look(key, judge)
	if use < WhileRefreshed {
		return nil, NoUse
	}
	c.rc.flights.giveUp(f)
	return e, use
}

// Get is [Call.Get] of a call that does nothing else.
func (rc *Cache) Get(ctx context.Context, key keying.Key, load LoaderFunc) Result {
	c := rc.Call(ctx, "")
	return c.Get(key, load, nil)
}

// Refresh is [Call.Refresh] of a call that does nothing else.
func (rc *Cache) Refresh(ctx context.Context, key keying.Key, load LoaderFunc) Fate {
	c := rc.Call(ctx, "")
	return c.Refresh(key, load)
}

// A Client wants an entry: an HTTP request, or a caller of Values. The interface is what differs between the two. The order of
// events is the same for both, see [Call.Answer].
type Client interface {
	Loader
	// Serve gives the client the result's entry, and reports it. It returns false if the entry cannot be served after all.
	Serve(Result) bool
	// Refresh starts a load of the entry that was just served, without holding up anybody. It may decline.
	Refresh()
	// Missed is called if there is no entry to serve: the client's own load ran, or nothing did, see [Source].
	Missed(Result)
}

// Answer gets the entry of the key, serves the client with it, and refreshes it if that is due. It returns false if there
// was an entry that could not be served.
func (c *Call) Answer(key keying.Key, client Client, judge Judge) bool {
	return c.rc.Answer(client, c.Get(key, client, judge))
}

// Answer is [Call.Answer] for a result that is there already.
func (rc *Cache) Answer(client Client, r Result) bool {
	if r.Entry == nil {
		client.Missed(r)
		return true
	}
	if !client.Serve(r) {
		return false
	}
	// An entry that another call's load has just made is not refreshed, however short its lifetime.
	if r.Use == WhileRefreshed || r.Use == Fresh && r.Source == Stored && rc.Early(r.Entry, time.Now()) {
		client.Refresh()
	}
	return true
}

// getAlone is Get that neither waits for other calls nor lets them wait.
func (c *Call) getAlone(key keying.Key, load Loader, judge Judge) Result {
	c.flight.key = key
	l := c.look(key, judge)
	if c.good(l) {
		return Result{Entry: l.entry, Use: l.use, Source: Stored}
	}
	if linkOf(c.ctx).nested(key) >= maxNested {
		return Result{Source: Looped}
	}
	r, _ := c.load(key, l, nil, load)
	return r
}

// Escaped reports, for a call that has ended, whether anything may still refer to it: other calls waited for its load, or
// a store was given its context. Otherwise its memory may be reused.
func (c *Call) Escaped() bool { return c.flight.done != nil || c.op.ending != nil }

// stores are the tiers that one Cache reads and writes: memory alone, a far store alone, or a far store with short-lived
// copies near, in memory. Of two tiers Far is the truth. A near copy saves the round trip to it.
//
// How far a near copy may lag behind is bounded in three ways. It lives for nearTTL at most. A purge by this process makes it
// absent at once, since the ledger knows of it. A purge elsewhere does so as soon as its record arrives: follow makes this
// process follow the log. A copy that is written after a purge does no harm, for it is the same entry, with the same position in the log:
//
//	A: reads the entry of position 7 from Far
//	B: purges: record 8; A's ledger learns of it
//	A: writes a near copy, of position 7
//	C: finds the copy in A's memory: purged, so C reads Far
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
// read. While Far is unavailable, a near copy stands in for as long as outage allows, along with Far's error.
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
	if err != nil && !errors.Is(err, store.ErrCorrupt) && near != nil && s.ledger.State(near) == store.Live { // Far may have brought news of a purge
		return near, true, err
	}
	return e, true, err
}

// readFar returns the entry from Far, and writes a near copy of it. If there is no Far it reads the only tier.
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

// openFar is open for an entry from Far. It may have been stored under a policy with longer times than this one's, by a process
// that runs an earlier version, for example: trim cuts it down first. Entries in memory were trimmed on arrival.
func (s *stores) openFar(e *store.Entry, ok bool, err error) (*store.Entry, error) {
	if e != nil && s.trim != nil {
		e = s.trim(e)
	}
	return s.open(e, ok, err)
}

// open applies the hook Options.Open to what a tier has returned. An entry that does not open is a miss, with the error: the load
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

// write stores the entry. Of two tiers it writes a near copy even if Far fails: this process has the response, after all.
func (s *stores) write(ctx context.Context, e *store.Entry, keep time.Duration) (err error) {
	if s.far == nil {
		return s.writeNear(ctx, e.Key, e, keep)
	}
	err = s.far.Set(ctx, e.Key, e, keep)
	s.copyNear(ctx, e.Key, e)
	return err
}

// writeAndRelease is write by the holder of the key's lease, which it releases in the same round trip.
func (s *stores) writeAndRelease(ctx context.Context, token store.Token, e *store.Entry, keep time.Duration) error {
	err := s.leaser.SetAndRelease(ctx, e.Key, token, e, keep)
	s.copyNear(ctx, e.Key, e)
	return err
}

// lease tries to take the key's lease, and reads the entry from Far, in one round trip.
func (s *stores) lease(ctx context.Context, key keying.Key, token store.Token, hold time.Duration) (*store.Entry, store.Lease, error) {
	e, lease, err := s.leaser.Lease(ctx, key, token, hold)
	if e, err = s.openFar(e, true, err); e != nil && err == nil {
		s.copyNear(ctx, key, e)
	}
	return e, lease, err
}

// remove deletes the keys. Far comes first: a reader in between must not write another near copy.
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

// Tick is by how much the clock of memory's readers may be late, when there are many. A near copy ends up to that much sooner,
// so that it is not served for that much longer.
const Tick = 10 * time.Millisecond

// copyNear writes a near copy of an entry from Far, if there is memory. The copy never outlives the freshness of the entry,
// except during an outage of Far: then it may stand in for longer.
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

// writeNear stores the entry in memory. From now on it depends on purges elsewhere: the first write starts following the log.
func (s *stores) writeNear(ctx context.Context, key keying.Key, e *store.Entry, keep time.Duration) error {
	if s.follow != nil {
		s.follow()
	}
	return s.near.Set(ctx, key, e, keep)
}

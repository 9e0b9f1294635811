package readthrough

import (
	"context"
	"time"

	"github.com/larder-go/cache/store"
)

// What a waiter does with the entry of its flight.
//
// A flight's entry may be older than the request that gets it. That is fine as long as no purge lies between the two:
//
//	A: GET /x   begins the load, reads v1 from the database
//	B:          writes v2, purges /x, and the purge is acknowledged
//	C: GET /x   joins A's flight
//	A:          hands over v1
//	C:          must not serve v1: a client that has seen the purge acknowledged may request /x at once, and expects v2
//
// An entry carries the log's position from before its load, so the ledger knows that v1 lies before the purge, provided that it
// knows the purge. It knows a purge by this process at once. It learns of another process' purge with the next read from the
// far store; C has read nothing. So C asks the log itself, see caughtUp, and then takes the entry or overtakes the flight:
//
//	C: overtakes A's flight and joins the next one, whose load begins after C came, hence after the purge
//	D: GET /x   joins C's flight, not A's, which may still be writing v1 to the store (where v1 is absent: it was purged)

// waiterStep is what a waiter does next.
type waiterStep uint8

const (
	serveIt   waiterStep = iota // serve the flight's entry
	joinNext                    // join or begin the next flight
	loadAlone                   // run its own load, at once
)

// take says whether a call may be served with the entry of a flight that has landed. The first flight that a call waits for may
// have begun before a purge in another process, and that purge may be older than the call. Later flights began after the call came.
func (c *Call) take(f *flight, judge Judge, before *catchUp, later bool) (Use, waiterStep) {
	switch {
	case f.entry == nil && f.retry:
		return NoUse, joinNext
	case f.entry == nil:
		return NoUse, loadAlone
	}
	if later || c.caughtUp(before) {
		use, ok := c.rc.share(f, judge, c.made(f))
		if ok {
			return use, serveIt
		}
		if judge != nil && c.rc.ledger.State(f.entry) == store.Live && !c.wantsNewer(f, judge) {
			return NoUse, loadAlone // another request's response, as good as it gets: this request wants its own
		}
	}
	// The entry may have been purged since its load began, or the request accepts nothing older than itself. The next flight
	// begins after this call came: later requests, too, can share it.
	c.rc.flights.overtake(f)
	return NoUse, joinNext
}

// share says what another call's entry is good for, and whether that will do. Without a judge any entry will do that was not
// purged, however short its lifetime: it is as fresh as the call's own would be. An entry that stands in for a failed response
// will do for every request that it may be served to: each of them would only wait for a failure of its own.
func (rc *Cache) share(f *flight, judge Judge, made Made) (use Use, ok bool) {
	use = judge.use(f.entry, rc.Use(f.entry, time.Now()), made)
	if judge == nil {
		return use, use >= WhileRefreshed || rc.ledger.State(f.entry) == store.Live
	}
	return use, use >= WhileRefreshed || f.found && use >= OnError
}

// made says when the flight's entry was made. If the leader got it from another process, only the entry's own time is known: its
// load began then, or later.
func (c *Call) made(f *flight) Made {
	switch began := f.began.Load(); {
	case f.found:
		return Before
	case began == 0:
		return c.madeAt(f.entry.Stored)
	default:
		return c.madeAt(time.Unix(0, began))
	}
}

// madeAt says when an entry was made by another call's load that began at that time.
func (c *Call) madeAt(began time.Time) Made {
	if began.Before(c.came) {
		return Meanwhile
	}
	return Since
}

// wantsNewer reports whether the flight's entry would do if its load had begun later.
func (c *Call) wantsNewer(f *flight, judge Judge) bool {
	_, ok := c.rc.share(f, judge, Since)
	return ok && c.made(f) != Since
}

// A catchUp is one query to the log for what other processes have purged. One is enough for everybody who came before it
// began. Say ten thousand requests wait for a flight when it lands:
//
//	each, when it came: noted the last catch-up then, before = R1
//	W1, released:       the last one is still R1, so W1 makes R2 the last one, and queries the log
//	W2 … W10000:        the last one is R2, not R1: it began after they came, so it will do. They wait for it
//	W1:                 the log responds; the ledger knows every purge acknowledged before R2 began; R2 is done
//	W2 … W10000:        judge the entry by the ledger, as W1 does
//
// A waiter that had noted R2 came after R2 began: a purge may lie between R2's beginning and its own, so it
// begins R3.
type catchUp struct {
	done chan struct{}
	ok   bool // written before done is closed
}

// caughtUp brings the ledger up to where the log's head was when the call came, or later. Before is the last catch-up that
// the call had noted then. It returns false if that cannot be established.
func (c *Call) caughtUp(before *catchUp) bool {
	rc := c.rc
	if rc.follower == nil {
		return true
	}
	last := rc.catching.Load()
	if last == before {
		next := &catchUp{done: make(chan struct{})}
		if rc.catching.CompareAndSwap(before, next) {
			return c.catchUp(next)
		}
		last = rc.catching.Load()
	}
	select {
	case <-last.done:
		return last.ok
	case <-c.ctx.Done():
		return false
	}
}

// catchUp queries the log, for this call and all who wait for next.
func (c *Call) catchUp(next *catchUp) bool {
	err := c.do(c.rc.follower.CatchUp)
	next.ok = err == nil
	close(next.done) // before the report: a listener that requests the same key must not wait for itself
	c.reportOp(Reads, err)
	return next.ok
}

// waitFor returns true when the flight has landed, and false when the call should not wait for it, or not any longer. The
// time that the leader has waited for the stores counts as if this call had.
func (c *Call) waitFor(f *flight, chain *Link) (landed bool) {
	if !chain.wait(f, &c.rc.limit) {
		return false
	}
	joined := time.Now()
	landed = c.rc.wait(c.ctx, f, joined)
	chain.waited(f)
	c.spend(min(time.Since(joined), time.Duration(f.spent.Load())))
	return landed
}

// maxWait is how long a request waits for another request's load. Then it loads alone.
const maxWait = 30 * time.Second

// wait returns true when the flight has landed, and false when the caller should not wait any longer: since now, or since
// the load began, maxWait has passed, or nearly so.
func (rc *Cache) wait(ctx context.Context, f *flight, now time.Time) bool {
	select {
	case <-f.done: // landed already: needs no timer
		return true
	default:
	}
	const nearly = maxWait / 64
	for left := maxWait; left > nearly; now = time.Now() {
		end := rc.waitEndings.after(now, left-nearly, maxWait) // most waiters share one timer
		select {
		case <-f.done:
			return true
		case <-ctx.Done():
			return false
		case <-end.Done():
		}
		left = maxWait // the leader may still be waiting itself, for the lease for example, or may have been
		if began := f.began.Load(); began != 0 {
			left -= time.Since(time.Unix(0, began))
		}
	}
	return false
}

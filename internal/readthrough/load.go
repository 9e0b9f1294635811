package readthrough

import (
	"context"
	"errors"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// What the leader of a flight does: look once more, get the lease, load, keep.

// leadStep is how a call that leads goes on, once it has looked and perhaps waited for the lease.
type leadStep uint8

const (
	loadIt      leadStep = iota // it loads, for all here who wait
	serveFound                  // there is an entry to serve
	letOthersGo                 // it loads, and others had better do so too: the answer could not be kept elsewhere
	hungUp                      // its client has gone
	late                        // its deadline has passed: it loads for itself
	tooLong                     // it has waited long enough
)

// lead looks once more, now that nobody else here can be loading: an entry that was kept between the caller's look and its
// flight would otherwise be loaded twice. Where processes share loads, it then takes the lease, or waits for the entry.
func (c *Call) lead(key keying.Key, f *flight, load Loader, judge Judge) (r Result) {
	rc, verdict := c.rc, Aborted
	defer func() { rc.flights.leave(f, verdict) }()
	l := c.look(key, judge)
	switch {
	case c.good(l):
		l.next = serveFound
	case rc.stores.leaser != nil && !l.failed():
		l = c.waitForLease(key, l, judge)
	}
	f.spent.Store(int64(c.spent()))
	switch l.next {
	case serveFound:
		verdict = Cacheable
		rc.flights.land(f, l.entry, !l.fresh)
		return Result{Entry: l.entry, Use: l.use, Source: Stored}
	case hungUp:
		rc.flights.handOver(f)
		return Result{Source: Canceled}
	case late:
		rc.flights.handOver(f)
	case letOthersGo:
		if l.use < OnError { // if the load fails, a stale answer stands in for everybody: that is worth waiting for
			rc.flights.leave(f, Uncacheable)
		}
	}
	r, verdict = c.load(key, l, f, load)
	return r
}

// leadPart is lead for an answer that is not the key's own. There is no lease for it.
func (c *Call) leadPart(key keying.Key, f *flight, load Loader, judge Judge) (r Result) {
	rc, verdict := c.rc, Aborted
	defer func() { rc.flights.leave(f, verdict) }()
	l := c.look(key, judge)
	f.spent.Store(int64(c.spent()))
	if c.good(l) {
		verdict = Cacheable
		rc.flights.land(f, l.entry, true)
		return Result{Entry: l.entry, Use: l.use, Source: Stored}
	}
	r, verdict = c.load(key, l, f, load)
	return r
}

// Refresh loads, unless the store has an entry by now that needs no refresh, or another call is at it, here or in another
// process. As a rule nobody waits for a refresh: where it does nothing, one of those who do wait leads a flight. It returns
// what became of the entry that the load made.
func (c *Call) Refresh(key keying.Key, load Loader) Fate {
	c.flight.refresh = true
	f, role := c.rc.flights.join(key, &c.flight)
	switch role {
	case leader:
		return c.leadRefresh(key, f, load)
	case waiter:
		c.rc.flights.giveUp(f)
	}
	return NotKept
}

func (c *Call) leadRefresh(key keying.Key, f *flight, load Loader) Fate {
	rc, verdict := c.rc, Aborted
	defer func() { rc.flights.leave(f, verdict) }()
	c.renews = true
	var l lookup
	if rc.stores.leaser != nil {
		l = c.waitForLease(key, l, nil)
	}
	if l.next == loadIt && l.lease == nil {
		if l = c.lookFar(key); c.good(l) {
			l.next = serveFound
		}
	}
	switch l.next {
	case serveFound:
		verdict = Cacheable
		rc.flights.land(f, l.entry, true)
	case letOthersGo:
		verdict = Uncacheable
	case hungUp, late, tooLong:
		rc.flights.handOver(f)
	default:
		var r Result
		r, verdict = c.load(key, l, f, load)
		return r.Fate
	}
	return NotKept
}

// load runs the load when there is a slot for it. Where there is a flight, it is for those who wait for that, too.
func (c *Call) load(key keying.Key, l lookup, f *flight, load Loader) (r Result, verdict Verdict) {
	rc, fate := c.rc, NotKept
	in, canceled := rc.limit.enter(c.ctx)
	if canceled {
		l.lease.giveBack(false)
		rc.flights.handOver(f)
		return Result{Source: Canceled}, Aborted
	}
	run := c.begin(key, l, f, in)
	// The lease ends last: whoever takes it next finds what was kept. If nothing was kept, whoever waits for the lease in another
	// process would find nothing either, so the key is marked as uncacheable there: each loads at once.
	defer func() {
		run.endLink()
		nothing := (verdict == Cacheable || verdict == Renew) && (fate == NotKept || fate == RefusedByStore)
		run.end(verdict == Uncacheable || verdict == ServeOld || nothing)
	}()
	began := f.begin()
	switch verdict = load.Load(run); verdict {
	case Cacheable, Renew:
		now := time.Now()
		run.Entry.Cost = now.Sub(began)
		rc.flights.land(f, run.Entry, false)
		fate = c.keep(run, now)
		if f == nil {
			rc.flights.unmark(key)
		}
	case ShareOnly:
		rc.flights.land(f, run.Entry, false)
	case ServeOld:
		rc.flights.land(f, l.entry, true)
	case Uncacheable:
		if f == nil && !c.part { // of a part it says nothing about the key's own answer
			rc.flights.markUncacheable(key)
		}
	}
	return run.result(verdict, fate), verdict
}

// keep stores what a run has made. If it is the lease's own key, it gives the lease back in the same round trip. The index
// comes first: an entry to which nothing leads is as good as none.
func (c *Call) keep(run *Run, now time.Time) Fate {
	index := Kept
	if run.Index != nil {
		index = c.write(run.Index, nil, now)
	}
	if len(run.Replaced) > 0 {
		defer c.forget(run.Replaced)
	}
	lease := run.lease
	if run.Entry.Key != c.flight.key {
		lease = nil
	}
	if fate := c.write(run.Entry, lease, now); fate != Kept {
		return fate
	}
	return index
}

// write stores an entry, unless a purge has overtaken it. A purge that comes between this check and the write makes the entry
// absent all the same, for whoever reads it: the check merely spares the write.
func (c *Call) write(e *store.Entry, lease *heldLease, now time.Time) Fate {
	keep := e.Keep(now)
	switch {
	case keep <= 0: // an answer may be good for no time
		return NotKept
	case c.rc.ledger.State(e) == store.Gone:
		return Overtaken
	}
	err := c.do(func(ctx context.Context) error {
		if lease != nil {
			return c.rc.stores.writeAndRelease(ctx, lease.token, e, keep)
		}
		return c.rc.stores.write(ctx, e, keep)
	})
	c.reportOp(store.Writes, err)
	switch {
	case errors.Is(err, store.ErrRefused):
		return RefusedByStore
	case err != nil:
		return StoreFailed
	}
	c.rc.note(e, now)
	if lease != nil {
		lease.given()
	}
	return Kept
}

// forget deletes. What cannot be deleted now ends with its time to live.
func (c *Call) forget(keys []keying.Key) {
	c.reportOp(store.Writes, c.do(func(ctx context.Context) error { return c.rc.stores.remove(ctx, keys...) }))
}

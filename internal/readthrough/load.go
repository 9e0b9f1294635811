package readthrough

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/internal/trace"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// A Loader makes a response and says what may be done with it. It fills the run's Entry.
type Loader interface{ Load(*Run) Verdict }

// A LoaderFunc is a function that is a Loader.
type LoaderFunc func(*Run) Verdict

// Load calls f.
func (f LoaderFunc) Load(run *Run) Verdict { return f(run) }

// Verdict is what a load says of its response. It decides what the waiters get, and whether the response is stored.
type Verdict uint8

const (
	Aborted     Verdict = iota // nothing is known about it: the load was cut short
	Uncacheable                // it must be neither stored nor shared
	ServeOld                   // the old entry is to be served instead
	Cacheable                  // the entry is complete, and the call's client has the response
	Renew                      // the entry is complete, and the call's client is to be served with it
	ShareOnly                  // the entry is complete, but only for the waiters: it is not stored
)

// Fate is what became of an entry that a load has made.
type Fate uint8

const (
	NotKept        Fate = iota // none was to be stored, or it had no lifetime
	Kept                       // the store has it
	RefusedByStore             // the store never takes it: it is too large, as a rule
	StoreFailed                // the store failed, or no time was left for it
	Overtaken                  // a purge came while it was made
)

// A Run is one run of a load.
type Run struct {
	Entry     *store.Entry // to be filled; has the key and the position in the purge log. Not to be changed after Cacheable or Renew
	Index     *store.Entry // stored before Entry, under its own key, if the load sets it: it leads to Entry
	Old       *store.Entry // an entry that cannot be served as it is, or nil
	Use       Use          // what Old is good for: see Fallback
	Cause     trace.Cause  // why the store had nothing to serve
	StoreDown bool         // the store was unavailable: it will hardly take the response either

	// Replaced are keys to delete after Entry was written, or could not be, if the load sets them: to make room for it, or because
	// it takes their place.
	Replaced []keying.Key

	call   *Call
	flight *flight     // nil: nobody waits
	lease  *heldLease  // nil: without a lease
	link   *Link       // of its context, or nil
	in     atomic.Bool // it holds a slot of the limit
}

// begin makes the call's run, and stamps its entry with the log's position. It comes after the lookup, whose round trip has
// brought the ledger up to date, and before the handler runs. Later would be wrong:
//
//	A: runs the handler, which reads version 1
//	B: purges: record 8
//	A: stamps the entry with position 8, and version 1 would outlive the purge
//
// Too early costs a load and no more: what a purge names between the stamp and the handler's first read counts as purged.
func (c *Call) begin(key keying.Key, l lookup, f *flight, in bool) *Run {
	run, e := &c.run, newEntry(key)
	c.rc.ledger.Stamp(e)
	run.Entry, run.Old, run.Use, run.StoreDown = e, l.entry, l.use, l.failed()
	run.Cause = c.why(key, l)
	run.call, run.flight, run.lease = c, f, l.lease
	run.in.Store(in)
	return run
}

// labelledEntry is an entry with room for its usual labels, so that most entries are one allocation: those of its route, of its
// URL with and without origin, of where that lies, and of a user.
type labelledEntry struct {
	store.Entry
	labels [5]keying.Label
}

func newEntry(key keying.Key) *store.Entry {
	e := new(labelledEntry)
	e.Key, e.Labels = key, e.labels[:0]
	return &e.Entry
}

// Beside returns an entry for another key, with the same position in the purge log as the run's.
func (r *Run) Beside(key keying.Key) *store.Entry { return r.Entry.Beside(key) }

// Fallback reports whether Old may be served if making the response fails (stale-if-error, RFC 5861 §4).
func (r *Run) Fallback() bool { return r.Old != nil && r.Use >= OnError }

// MarkUncacheable tells the waiters at once, while the load is still under way, that the response will not be shared. The rest
// of the load may take as long as its client likes, and no longer counts against the limit.
func (r *Run) MarkUncacheable() { r.letGo(Uncacheable) }

// Abort is MarkUncacheable if nothing is known about the response: one of the waiters leads the next load.
func (r *Run) Abort() { r.letGo(Aborted) }

func (r *Run) letGo(verdict Verdict) {
	if r.flight != nil {
		r.call.rc.flights.leave(r.flight, verdict)
	}
	r.end(verdict == Uncacheable)
}

// end releases what others wait for, the run's lease and its slot. Further calls do nothing: a load may release both while it
// still streams to its client.
func (r *Run) end(uncacheable bool) {
	if r.lease != nil {
		r.lease.giveBack(uncacheable)
	}
	if r.in.Swap(false) {
		if r.link != nil {
			r.link.limit.Store(nil)
		}
		r.call.rc.limit.leave()
	}
}

// shared is the entry for the waiters, if any, and whether it was there before.
func (r *Run) shared(verdict Verdict) (e *store.Entry, old bool) {
	switch verdict {
	case Cacheable, Renew, ShareOnly:
		return r.Entry, false
	case ServeOld:
		return r.Old, true
	}
	return nil, false
}

// result is the result for the call whose load it was.
func (r *Run) result(verdict Verdict, fate Fate) Result {
	switch verdict {
	case Renew:
		return Result{Entry: r.Entry, Use: Fresh, Source: Renewed, Fate: fate}
	case ServeOld:
		return Result{Entry: r.Old, Use: r.Use, Source: Stored}
	}
	return Result{Fate: fate}
}

// What the leader of a flight does, and why in this order:
//
//	1 look once more    another flight may have stored the entry since the call's first lookup
//	2 take the lease    after the lookup, which spares the lease if the entry is there; before the slot, because the wait
//	                    for another process must not take a slot from loads here
//	3 take a slot       of the limit
//	4 stamp the entry   with the log's position, before the handler reads anything
//	5 load
//	6 land              the waiters here get the entry at once: they do not wait for the store
//	7 keep              writes to the store, which releases the lease in the same step
//	8 leave             the next request finds the entry in the store, or leads a flight of its own
//
// Whatever goes wrong, 8 comes: it is deferred, so that a panic in the load releases the waiters. If a load fails and a
// stale entry may be served in place of an error, that entry lands instead, and is not stored again: all waiters are served with it,
// and the next request tries again.

// leadStep is how a call that leads goes on after the lookup, and perhaps after waiting for the lease.
type leadStep uint8

const (
	loadIt      leadStep = iota // it loads, for all waiters here
	serveFound                  // there is an entry to serve
	letOthersGo                 // it loads, and the waiters had better do so too: another process could not store the response
	hungUp                      // its client has gone
	late                        // its deadline has passed: it loads for itself alone
	tooLong                     // it has waited long enough
)

// lead looks once more, now that nobody else here can be loading: an entry that was stored between the caller's lookup and its
// flight would otherwise be loaded twice. If processes share loads, it then takes the lease, or waits for the entry. There is
// no lease for a part.
func (c *Call) lead(key keying.Key, f *flight, load Loader, judge Judge) (r Result) {
	rc, verdict := c.rc, Aborted
	defer func() { rc.flights.leave(f, verdict) }()
	l := c.look(key, judge)
	switch {
	case c.good(l):
		l.next = serveFound
	case rc.stores.leaser != nil && !c.part && !l.failed():
		l = c.waitForLease(key, l, judge)
	}
	f.spent.Store(int64(c.spent()))
	switch l.next {
	case serveFound:
		r, verdict = c.found(f, l)
		return r
	case hungUp, late:
		rc.flights.handOver(f)
		if l.next == hungUp {
			return Result{Source: Canceled}
		}
	case letOthersGo:
		if l.use < OnError { // if the load fails, a stale response stands in for everybody: that is worth waiting for
			rc.flights.leave(f, Uncacheable)
		}
	}
	r, verdict = c.load(key, l, f, load)
	return r
}

// found hands an entry that spares the load to all waiters.
func (c *Call) found(f *flight, l lookup) (Result, Verdict) {
	c.rc.flights.land(f, l.entry, !l.fresh)
	return Result{Entry: l.entry, Use: l.use, Source: Stored}, Cacheable
}

// Refresh loads, unless by now the store has an entry that needs no refresh, or another call is loading it, here or in another
// process. As a rule nobody waits for a refresh: if it does nothing, one of the waiters, if any, leads a flight. It returns
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
	var r Result
	switch l.next {
	case serveFound:
		r, verdict = c.found(f, l)
	case letOthersGo:
		verdict = Uncacheable
	case hungUp, late, tooLong:
		rc.flights.handOver(f)
	default:
		r, verdict = c.load(key, l, f, load)
	}
	return r.Fate
}

// load runs the load when there is a slot for it. If there is a flight, the load is for its waiters, too.
func (c *Call) load(key keying.Key, l lookup, f *flight, load Loader) (r Result, verdict Verdict) {
	rc, fate := c.rc, NotKept
	in, canceled := rc.limit.enter(c.ctx)
	if canceled {
		l.lease.giveBack(false)
		rc.flights.handOver(f)
		return Result{Source: Canceled}, Aborted
	}
	run := c.begin(key, l, f, in)
	// The lease ends last: the next holder finds what was stored. If nothing was stored, waiters for the lease in another
	// process would find nothing either, so the key is marked as uncacheable there: each loads at once.
	defer func() {
		run.endLink()
		nothing := (verdict == Cacheable || verdict == Renew) && (fate == NotKept || fate == RefusedByStore)
		run.end(verdict == Uncacheable || verdict == ServeOld || nothing)
	}()
	began := f.begin()
	verdict = load.Load(run)
	now := time.Now()
	run.Entry.Cost = now.Sub(began)
	e, old := run.shared(verdict)
	rc.flights.land(f, e, old)
	switch {
	case verdict == Cacheable || verdict == Renew:
		fate = c.keep(run, now)
		if f == nil {
			rc.flights.mark(key, false)
		}
	case verdict == Uncacheable && f == nil && !c.part: // a part's verdict says nothing about the key's own response
		rc.flights.mark(key, true)
	}
	return run.result(verdict, fate), verdict
}

// keep stores what a run has made. The index comes first: an entry that nothing leads to is as good as none, while an index
// that leads to nothing yet is a miss. If the entry's key is the lease's own, the store releases the lease in the same round
// trip. Replaced keys are deleted last: until then a reader may still need them.
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
// absent all the same, for every reader: the check merely spares the write.
func (c *Call) write(e *store.Entry, lease *heldLease, now time.Time) Fate {
	keep := e.Keep(now)
	switch {
	case keep <= 0: // a response may have no lifetime
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
	c.reportOp(Writes, err)
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

// forget deletes the keys. What cannot be deleted now ends with its time to live.
func (c *Call) forget(keys []keying.Key) {
	c.reportOp(Writes, c.do(func(ctx context.Context) error { return c.rc.stores.remove(ctx, keys...) }))
}

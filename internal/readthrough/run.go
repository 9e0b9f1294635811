package readthrough

import (
	"sync/atomic"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// A Loader makes an answer and says what may be done with it. What it fills is the run's Entry.
type Loader interface{ Load(*Run) Verdict }

// A LoaderFunc is a function that is a Loader.
type LoaderFunc func(*Run) Verdict

// Load calls f.
func (f LoaderFunc) Load(run *Run) Verdict { return f(run) }

// Verdict is what a load says of its answer.
type Verdict uint8

const (
	Aborted     Verdict = iota // nothing is known of it: the load was cut short
	Uncacheable                // it must neither be kept nor shared
	ServeOld                   // the old entry is to be served instead
	Cacheable                  // the entry is complete, and the call's client has the answer
	Renew                      // the entry is complete, and the call's client is to be served with it
	ShareOnly                  // the entry is complete, for those who wait alone: it is not kept
)

// Fate is what became of an entry that a load has made.
type Fate uint8

const (
	NotKept        Fate = iota // none was to be kept, or it was good for no time
	Kept                       // the store has it
	RefusedByStore             // the store never takes it: it is too large, as a rule
	StoreFailed                // the store failed, or there was no time left to ask it
	Overtaken                  // it was purged while it was made
)

// A Run is one run of a load.
type Run struct {
	Entry     *store.Entry // to be filled; carries the key and the place in the purge log. Not to be changed after Cacheable or Renew
	Index     *store.Entry // kept before Entry, under its own key, if the load sets it: what leads to Entry
	Old       *store.Entry // an entry that cannot be served as it is, or nil
	Use       Use          // what Old is good for: see Fallback
	Cause     store.Cause  // why the store had nothing to serve
	StoreDown bool         // the store could not be asked: it will hardly take the answer either

	// Replaced are keys that are forgotten once Entry is kept, if the load sets them: what makes room for it, or what Entry has
	// taken the place of.
	Replaced []keying.Key

	call   *Call
	flight *flight     // nil: nobody waits
	lease  *heldLease  // nil: without a lease
	link   *Link       // of its context, or nil
	in     atomic.Bool // it has a slot of the limit
}

// begin makes the call's run. It comes after the look, whose round trip has brought the ledger up to date, and before the
// handler runs: a purge from here on is later than the entry.
func (c *Call) begin(key keying.Key, l lookup, f *flight, in bool) *Run {
	run, e := &c.run, newEntry(key)
	c.rc.ledger.Stamp(e)
	run.Entry, run.Old, run.Use, run.StoreDown = e, l.entry, l.use, l.failed()
	run.Cause = c.why(key, l)
	run.call, run.flight, run.lease = c, f, l.lease
	run.in.Store(in)
	return run
}

// labelledEntry is an entry with room for its usual labels: its route, its URL with and without origin, where that lies, and a
// user's.
type labelledEntry struct {
	store.Entry
	labels [5]keying.Label
}

func newEntry(key keying.Key) *store.Entry {
	e := new(labelledEntry)
	e.Key, e.Labels = key, e.labels[:0]
	return &e.Entry
}

// Beside returns an entry for another key, with the place in the purge log that the run's has.
func (r *Run) Beside(key keying.Key) *store.Entry { return r.Entry.Beside(key) }

// Fallback reports whether Old may be served if making the answer fails (stale-if-error, RFC 5861 §4).
func (r *Run) Fallback() bool { return r.Old != nil && r.Use >= OnError }

// MarkUncacheable tells the waiters at once, while the load is still under way, that the answer will not be shared. What is
// left of the load may take as long as its client likes, and counts no more among those that run at once.
func (r *Run) MarkUncacheable() { r.letGo(Uncacheable) }

// Abort is MarkUncacheable where nothing is known of the answer: one of the waiters leads the next load.
func (r *Run) Abort() { r.letGo(Aborted) }

func (r *Run) letGo(verdict Verdict) {
	if r.flight != nil {
		r.call.rc.flights.leave(r.flight, verdict)
	}
	r.end(verdict == Uncacheable)
}

// end gives back what the run has of what others wait for. Further calls do nothing.
func (r *Run) end(uncacheable bool) {
	r.lease.giveBack(uncacheable)
	if r.in.Swap(false) {
		if r.link != nil {
			r.link.limit.Store(nil)
		}
		r.call.rc.limit.leave()
	}
}

// result is what the call whose load it was gets.
func (r *Run) result(verdict Verdict, fate Fate) Result {
	switch verdict {
	case Renew:
		return Result{Entry: r.Entry, Use: Fresh, Source: Renewed, Fate: fate}
	case ServeOld:
		return Result{Entry: r.Old, Use: r.Use, Source: Stored}
	}
	return Result{Fate: fate}
}

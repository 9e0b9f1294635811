package readthrough

import (
	"sync/atomic"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Outcome is what a load says of its answer.
type Verdict uint8

const (
	Aborted     Verdict = iota // nothing is known: the load was cut short
	Uncacheable                // the answer must not be kept nor shared
	ServeOld                   // the old entry is to be served instead
	Cacheable                  // the entry is complete, and the call's client has the answer
	Renew                      // the entry is complete, and the call's client is to be served with it
	ShareOnly                  // the entry is complete, for those who wait alone: it is not kept
)

// A Loader makes an answer and says what may be done with it. What it fills and keeps is the run's Entry.
type Loader interface{ Load(*Run) Verdict }

// A Load is a function that is a Loader.
type LoaderFunc func(*Run) Verdict

// Load calls f.
func (f LoaderFunc) Load(run *Run) Verdict { return f(run) }

// A Run is one run of a load.
type Run struct {
	Entry     *store.Entry // to be filled; carries the key and the place in the purge log. Not to be changed after Keep or Renew
	Index     *store.Entry // kept before Entry, under its own key, if the load sets it: what leads to Entry
	Old       *store.Entry // an entry that cannot be served as it is, or nil
	Use       Use          // what Old is good for: if OnError or more, it may be served instead if making the answer fails
	Cause     store.Cause  // why the store had nothing to serve
	StoreDown bool         // the store could not be asked: it will hardly take the answer either

	Replaced []keying.Key // forgotten once Entry is kept, if the load sets it: what makes room for it, or is in its place now

	call   *Call
	f      *flight     // nil: nobody waits
	tenure *tenure     // nil: without a lease
	link   *Link       // of its context, or nil
	in     atomic.Bool // it is one of the runs that there is room for
}

// Beside returns an entry for another key, with the place in the purge log that the run's has.
func (r *Run) Beside(key keying.Key) *store.Entry {
	return r.Entry.Beside(key)
}

// Refuse tells the waiters at once, while the load is still under way, that the answer will not be shared. What is left of
// the load may be as long as its client likes, and counts no more among those that run at once.
func (r *Run) MarkUncacheable() { r.letGo(Uncacheable) }

// Fail is Refuse where nothing is known of the answer: one of the waiters leads the next load.
func (r *Run) Abort() { r.letGo(Aborted) }

func (r *Run) letGo(outcome Verdict) {
	if r.f != nil {
		r.call.t.flights.leave(r.f, outcome)
	}
	r.end(outcome == Uncacheable)
}

// begin makes the call's run after the look, whose round trip has brought the ledger up to date, and before the handler
// runs.
func (c *Call) begin(key keying.Key, s sight, f *flight, in bool) *Run {
	run, e := &c.run, newEntry(key)
	c.t.log.Ledger().Stamp(e)
	run.Entry, run.Old, run.Use, run.StoreDown = e, s.e, s.use, s.blind()
	run.Cause = c.why(key, s)
	run.call, run.f, run.tenure = c, f, s.tenure
	run.in.Store(in)
	return run
}

// labelled is an entry with room for its labels: its route, its URL with and without origin, where that lies, and a user's.
type labelled struct {
	store.Entry
	room [5]keying.Label
}

func newEntry(key keying.Key) *store.Entry {
	e := new(labelled)
	e.Key, e.Labels = key, e.room[:0]
	return &e.Entry
}

// end gives back what the run has of what others wait for. Further calls do nothing.
func (r *Run) end(refused bool) {
	r.tenure.end(refused)
	if r.in.Swap(false) {
		if r.link != nil {
			r.link.room.Store(nil)
		}
		r.call.t.runs.leave()
	}
}

// result is what the call whose load it was gets.
func (r *Run) result(outcome Verdict, fate Fate) Result {
	switch outcome {
	case Renew:
		return Result{Entry: r.Entry, Use: Fresh, Source: Renewed, Fate: fate}
	case ServeOld:
		return Result{Entry: r.Old, Use: r.Use, Source: Stored}
	}
	return Result{Fate: fate}
}

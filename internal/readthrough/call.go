package readthrough

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// A Call is one request's use of the stores. All that it does there shares one time budget, and it loads at most once. It
// holds all that a load needs, so that a caller may make it a part of something larger. It is for one goroutine, and must not be
// copied after its first use.
//
// Get goes like this:
//
//	join the key's flight                       flight.go
//	    first: lead it                          load.go
//	        look in the stores once more
//	        take the lease, or wait for it      lease.go
//	        wait for one of MaxRuns             limits.go
//	        load, hand over, keep, release
//	    others: wait for its entry              share.go
//	        take it, or go round again, or load alone
type Call struct {
	rc    *Cache
	ctx   context.Context // the request's: operations on a store have its values, and an end of their own
	route string          // what the call is for, as reports name it

	left   time.Duration // for operations, where they are bounded
	lastOp time.Time     // when the last operation was over, where they are bounded
	op     operation     // the context of the first operation: most calls have no second one

	came   time.Time // when the request came, if that matters to its judge
	renews bool      // it refreshes: a fresh entry that nears its end is not good enough
	part   bool      // it is not for the key's own answer, see GetPart
	last   lookup    // the last one

	flight flight // if it leads
	run    Run    // if it loads
}

// Call begins a call for the request of the context. The route is what reports name it by, or "".
func (rc *Cache) Call(ctx context.Context, route string) Call {
	return Call{rc: rc, ctx: ctx, route: route, left: rc.opTime()}
}

// Source says where a result comes from.
type Source uint8

const (
	Loaded   Source = iota // this call's load ran
	Stored                 // found in the store
	Shared                 // another call's load ran
	Canceled               // nowhere: the call was cancelled while it waited for another's load, and nothing ran
	Renewed                // this call's load ran, and its entry is to be served
	Looped                 // nowhere: the load asks for itself, again and again, and nothing ran
)

// Result is what Get brings. Entry is what to serve. It is nil where the call's own load ran, where the client hung up, and
// where the load asks for itself. Only a Stored one may be stale.
type Result struct {
	Entry  *store.Entry
	Use    Use
	Source Source
	Fate   Fate // of the entry that the call's own load has made
}

// Get returns the entry of the key, from the store or from another call's load under way. Otherwise it runs load, once for
// all who ask at the same time, and keeps what load made. The judge may be nil.
//
//   - A panic in load passes through; those who wait are released.
//   - A call that is cancelled while it waits runs nothing: its client has gone.
//   - A call whose deadline passes while it waits runs its own load, which can see the context.
//   - So does a call that a load has made and that would wait for itself, see [Link]. If such a load does so again within
//     itself, it is Looped.
func (c *Call) Get(key keying.Key, load Loader, judge Judge) Result {
	return c.get(key, key, load, judge)
}

// GetPart is Get for an answer that is not the one that the key stands for, but can be made of it: one to HEAD, or to a range.
// Calls that name the same part share a load. Those for the key's own answer do not wait for it. Of what a load makes, only
// what it says is to be kept goes to the store.
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
		return c.GetAlone(key, load, judge)
	}
	for waited, later := 0, false; waited < maxFlights; later = true {
		f, role := rc.flights.join(shared, &c.flight)
		switch role {
		case loner:
			return c.GetAlone(key, load, judge)
		case leader:
			return c.lead(key, f, load, judge)
		}
		if f.refresh { // the stale answer is as good for this call as for the one that started the refresh
			if e, use := c.Look(key, judge); use >= WhileRefreshed {
				rc.flights.giveUp(f)
				return Result{Entry: e, Use: use, Source: Stored}
			}
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
		switch next {
		case serveIt:
			return Result{Entry: f.entry, Use: use, Source: Shared}
		case joinNext:
			continue
		}
		break
	}
	return c.GetAlone(key, load, judge)
}

// A Client wants an entry: an HTTP request, or a caller of Values. It is what differs between the two. What happens when is the
// same for both, see [Call.Answer].
type Client interface {
	Loader
	// Serve gives the client the result's entry, and tells of it. It returns false if the entry cannot be served after all.
	Serve(Result) bool
	// Refresh has the entry that was just served loaded again, where that holds up nobody. It may decline.
	Refresh()
	// Missed is called if there is no entry to serve: the client's own load ran, or nothing did, see [Source].
	Missed(Result)
}

// Answer gets the entry of the key, serves the client with it, and has it refreshed if that is due. It returns false if there
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
	// An entry that another's load has just made is not refreshed, however short its life.
	if r.Use == WhileRefreshed || r.Use == Fresh && r.Source == Stored && rc.Early(r.Entry, time.Now()) {
		client.Refresh()
	}
	return true
}

// GetAlone is Get without waiting for others, and without letting others wait.
func (c *Call) GetAlone(key keying.Key, load Loader, judge Judge) Result {
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

// Look returns what the store has under the key and what it is good for, without a load; nil and NoUse if nothing.
func (c *Call) Look(key keying.Key, judge Judge) (*store.Entry, Use) {
	l := c.look(key, judge)
	return l.entry, l.use
}

// Still reports whether the store has this entry, and it is good for anything: no other has taken its place, and no purge has
// come.
func (c *Call) Still(e *store.Entry) bool {
	l := c.look(e.Key, nil)
	return l.use != NoUse && l.has(e)
}

// Escaped reports, of a call that has ended, whether anybody but the caller may still refer to it: others came to wait for its
// load, or a store was given a context of its. Otherwise its memory may be used for another.
func (c *Call) Escaped() bool { return c.flight.done != nil || c.op.ending != nil }

// A lookup is what a read has brought.
type lookup struct {
	entry *store.Entry // nil: nothing of use to the request
	use   Use
	read  *store.Entry // what was read, also if it is of no use
	fresh bool         // the entry was made just now, by another process
	err   error        // has been reported

	next  leadStep   // how a call that leads goes on
	lease *heldLease // if the lease was taken
}

// failed reports whether the store could not be asked.
func (l lookup) failed() bool { return l.err != nil && !errors.Is(l.err, store.ErrCorrupt) }

// has reports whether the lookup has read this entry, perhaps another time: from memory, where times are exact, or from a far
// store, where they are in milliseconds.
func (l lookup) has(e *store.Entry) bool {
	return l.read != nil && e != nil && l.read.At == e.At && l.read.Stored.UnixMilli() == e.Stored.UnixMilli() && l.read.Key == e.Key
}

// good reports whether what was found spares the load.
func (c *Call) good(l lookup) bool {
	if c.renews {
		return l.use == Fresh && !l.entry.Nearing(time.Now())
	}
	return l.use >= WhileRefreshed
}

// look reads the key.
func (c *Call) look(key keying.Key, judge Judge) lookup {
	var e *store.Entry
	var asked bool
	err := c.do(func(ctx context.Context) (err error) {
		e, asked, err = c.rc.stores.read(ctx, key)
		return err
	})
	what := store.Reads
	if !asked && c.rc.layered {
		what = ""
	}
	return c.judged(key, e, what, err, Before, judge)
}

// lookFar reads past near copies.
func (c *Call) lookFar(key keying.Key) lookup {
	var e *store.Entry
	err := c.do(func(ctx context.Context) (err error) {
		e, err = c.rc.stores.readFar(ctx, key)
		return err
	})
	return c.judged(key, e, store.Reads, err, Before, nil)
}

// judged makes a lookup of what an operation has just brought, and reports how the operation went.
func (c *Call) judged(key keying.Key, e *store.Entry, what store.Operation, err error, made Made, judge Judge) lookup {
	c.reportOp(what, err)
	c.last = lookup{err: err}
	if e == nil || e.Key != key {
		return c.last
	}
	if c.last.read = e; what != "" && err == nil {
		c.rc.note(e, c.now())
	}
	use := judge.use(e, c.rc.Use(e, c.now()), made)
	if use == NoUse {
		return lookup{read: e, err: err}
	}
	return lookup{entry: e, use: use, read: e, err: err, fresh: made != Before}
}

// reportOp reports how an operation went. One without a name has asked nobody outside the process.
func (c *Call) reportOp(what store.Operation, err error) {
	if err != nil || c.rc.remote && what != "" {
		c.rc.report(Report{c.route, what, err})
	}
}

// The time that a request waits for the stores.

// bounded reports whether calls have so much time for the stores and no more.
func (rc *Cache) bounded() bool { return rc.remote && rc.budget > 0 }

// opTime is how much: the rest of the budget is for timers that are late.
func (rc *Cache) opTime() time.Duration { return rc.budget - rc.budget/8 }

var errBudget = errors.New("store: the time for this request's store operations was used up")

// do is an operation on a store. It does not end with the request, since others may be waiting for what it brings. What
// panics in it is not ours, a hook of a Redis client's for example. It is a fault like any other: no request pays for it.
func (c *Call) do(f func(context.Context) error) error {
	if !c.rc.bounded() {
		return guarded(c.ctx, f)
	}
	if c.left <= 0 {
		return errBudget
	}
	began := time.Now()
	err := guarded(c.operation(began), f)
	c.lastOp = time.Now()
	c.left -= c.lastOp.Sub(began)
	return err
}

// now is when the last operation was over, where that took time.
func (c *Call) now() time.Time {
	if c.rc.bounded() {
		return c.lastOp
	}
	return time.Now()
}

// spent is how much of its time the call has used up.
func (c *Call) spent() time.Duration {
	if !c.rc.bounded() {
		return 0
	}
	return c.rc.opTime() - c.left
}

// spend takes off time for which the call has waited for another call's store.
func (c *Call) spend(d time.Duration) { c.left = max(0, c.left-max(0, d)) }

// inTime reports whether there is time left.
func (c *Call) inTime() bool { return !c.rc.bounded() || c.left > 0 }

// operation is the context of one operation: it has the request's values and an end of its own.
type operation struct {
	*ending
	request context.Context
}

func (c *Call) operation(now time.Time) context.Context {
	op := &c.op
	if op.ending != nil { // somebody may have kept that one
		op = new(operation)
	}
	*op = operation{c.rc.opEndings.after(now, c.left, c.rc.opTime()), c.ctx}
	return op
}

// Value asks the ending first: it has no values but what package context finds it by.
func (o *operation) Value(key any) any {
	if v := o.ending.Value(key); v != nil {
		return v
	}
	return o.request.Value(key)
}

// endings are the ends of many waits. Those that end at nearly the same time share one: under load most need no timer of
// their own.
type endings struct{ last atomic.Pointer[ending] }

// ending is a context that ends by itself.
type ending struct {
	context.Context
	at     time.Time
	cancel context.CancelFunc // not called: others may share the ending
}

// after returns an ending for when the time has passed, or for up to a 64th of the longest time later.
func (es *endings) after(now time.Time, left, longest time.Duration) *ending {
	due, slack := now.Add(left), longest/64
	if e := es.last.Load(); e != nil && !e.at.Before(due) && e.at.Sub(due) <= slack {
		return e
	}
	e := &ending{at: due.Add(slack)}
	e.Context, e.cancel = context.WithDeadlineCause(context.Background(), e.at, errBudget)
	es.last.Store(e)
	return e
}

var errPanic = errors.New("panic")

// guarded makes an error of what f panics with.
func guarded(ctx context.Context, f func(context.Context) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("store: %w: %v\n%s", errPanic, v, debug.Stack())
		}
	}()
	return f(ctx)
}

package readthrough

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/internal/trace"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Look returns what the store has under the key and what it is good for, without a load; nil and NoUse if nothing.
func (c *Call) Look(key keying.Key, judge Judge) (*store.Entry, Use) {
	l := c.look(key, judge)
	return l.entry, l.use
}

// Still reports whether the store still has this entry, and it is good for anything: no other has replaced it, and no purge has
// come.
func (c *Call) Still(e *store.Entry) bool {
	l := c.look(e.Key, nil)
	return l.use != NoUse && l.has(e)
}

// A lookup is what a read has brought.
type lookup struct {
	entry *store.Entry // nil: nothing of use to the request
	use   Use
	read  *store.Entry // what was read, even if it is of no use
	fresh bool         // the entry was made just now, by another process
	err   error        // already reported

	next  leadStep   // how a leading call goes on
	lease *heldLease // if the lease was taken
}

// failed reports whether the store could not be read.
func (l lookup) failed() bool { return l.err != nil && !errors.Is(l.err, store.ErrCorrupt) }

// has reports whether the lookup has read this same entry, perhaps in another copy: from memory, where times are exact, or from a far
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

// look reads the key: in memory, and in Far if memory does not have it. If memory has, nothing outside the process was read,
// and nothing is reported.
func (c *Call) look(key keying.Key, judge Judge) lookup {
	var e *store.Entry
	var asked bool
	err := c.do(func(ctx context.Context) (err error) {
		e, asked, err = c.rc.stores.read(ctx, key)
		return err
	})
	what := Reads
	if !asked && c.rc.layered {
		what = ""
	}
	return c.judged(key, e, what, err, Before, judge)
}

// lookFar bypasses near copies. A refresh wants to know whether another process has refreshed the entry in the meantime, and
// a near copy is older than that.
func (c *Call) lookFar(key keying.Key) lookup {
	var e *store.Entry
	err := c.do(func(ctx context.Context) (err error) {
		e, err = c.rc.stores.readFar(ctx, key)
		return err
	})
	return c.judged(key, e, Reads, err, Before, nil)
}

// judged makes a lookup of an operation's outcome, and reports how the operation went.
func (c *Call) judged(key keying.Key, e *store.Entry, what Operation, err error, made Made, judge Judge) lookup {
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

// reportOp reports how an operation went. One without a name did not leave the process.
func (c *Call) reportOp(what Operation, err error) {
	if err != nil || c.rc.remote && what != "" {
		c.rc.report(Report{c.route, what, err})
	}
}

// The time that a request waits for the stores. A request has one budget for all of its operations: a miss looks, takes the
// lease and stores, and must not wait three times for a far store that hangs. Once the budget is spent, every operation
// fails at once, and the handler responds.

// bounded reports whether calls have a budget for the stores.
func (rc *Cache) bounded() bool { return rc.remote && rc.budget > 0 }

// opTime is the time for operations: the rest of the budget allows for timers that are late.
func (rc *Cache) opTime() time.Duration { return rc.budget - rc.budget/8 }

var errBudget = errors.New("store: the time for this request's store operations was used up")

// do runs a store operation. The operation does not end with the request, since others may be waiting for its outcome. A
// panic in it is not ours; a Redis client's hook may panic, for example. It is a fault like any other: no request pays for it.
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

// now is when the last operation ended, if operations are bounded. That saves a miss a reading of the clock.
func (c *Call) now() time.Time {
	if c.rc.bounded() {
		return c.lastOp
	}
	return time.Now()
}

// spent is how much of its budget the call has used up.
func (c *Call) spent() time.Duration {
	if !c.rc.bounded() {
		return 0
	}
	return c.rc.opTime() - c.left
}

// spend deducts time for which the call has waited for another call's store operations.
func (c *Call) spend(d time.Duration) { c.left = max(0, c.left-max(0, d)) }

// inTime reports whether there is time left.
func (c *Call) inTime() bool { return !c.rc.bounded() || c.left > 0 }

// operation is the context of one operation: it has the request's values and a deadline of its own.
type operation struct {
	*ending
	request context.Context
}

func (c *Call) operation(now time.Time) context.Context {
	op := &c.op
	if op.ending != nil { // something may have kept that one
		op = new(operation)
	}
	*op = operation{c.rc.opEndings.after(now, c.left, c.rc.opTime()), c.ctx}
	return op
}

// Value asks the ending first: its only value is the one that package context looks for internally.
func (o *operation) Value(key any) any {
	if v := o.ending.Value(key); v != nil {
		return v
	}
	return o.request.Value(key)
}

// endings are shared deadlines. A context with a deadline costs a timer and three allocations, once per operation. But
// many operations of one process end at nearly the same time, and a 64th of the budget does not matter: so they share one
// context. It is never cancelled, only left to expire, because others may still use it.
type endings struct{ last atomic.Pointer[ending] }

// ending is a context that expires by itself.
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

// guarded turns a panic of f into an error.
func guarded(ctx context.Context, f func(context.Context) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("store: %w: %v\n%s", errPanic, v, debug.Stack())
		}
	}()
	return f(ctx)
}

// Why nothing was found: never stored, expired, purged, evicted, or the store was unavailable. An event tells, so that a low hit
// ratio can be explained.

// Traces are what a process remembers of entries in stores that are not Tracers, above all those outside the process.
// The zero value is ready to use, and is safe for concurrent use. A nil *Traces remembers nothing.
type Traces struct {
	once  sync.Once
	table *trace.Table
}

// maxTraces is how many keys are remembered: 64 KiB of them.
const maxTraces = 7 << 10

func (ts *Traces) of() *trace.Table {
	if ts == nil {
		return nil
	}
	ts.once.Do(func() { ts.table = trace.New(maxTraces) })
	return ts.table
}

// note remembers until when the entry is to be stored.
func (rc *Cache) note(e *store.Entry, now time.Time) {
	if rc.traces != nil {
		rc.traces.of().Note(&e.Key, e.Keep(now), now)
	}
}

// remembers says why nothing is there.
func (rc *Cache) remembers(key keying.Key, now time.Time) trace.Cause {
	if rc.tracer != nil {
		return rc.tracer.Trace(key)
	}
	return rc.traces.of().Of(&key, now).Cause()
}

// Cause says why the call's last lookup, which was for the key, has found nothing to serve to the caller.
// It does no I/O: the cause is what that lookup has shown, or what is remembered.
func (c *Call) Cause(key keying.Key) trace.Cause { return c.why(key, c.last) }

func (c *Call) why(key keying.Key, l lookup) trace.Cause {
	rc := c.rc
	switch {
	case l.failed():
		return trace.CauseAway
	case l.err != nil: // the entry cannot be decoded or opened
		return ""
	case l.read == nil:
		return rc.remembers(key, c.now())
	case rc.foreign(l.read):
		return ""
	case rc.ledger.State(l.read) != store.Live:
		return trace.CausePurged
	case l.read.Left(c.now()) <= 0:
		return trace.CauseExpired
	}
	return "" // the request wants another, or a newer one
}

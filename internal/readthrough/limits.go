package readthrough

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/keying"
)

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

// How many loads run at once.

const (
	maxRuns  = 256             // far more than a database likes; see Options.MaxRuns
	runStall = time.Second     // if no run ends for so long, those under way are no measure for the next
	runWait  = 5 * time.Second // the longest wait; then the load runs at once, beside the others
)

// runLimit bounds how many loads run at once: a cache that is cold, or cannot reach its store, must not drown what the loads
// live on. It delays a load and never fails it.
type runLimit struct {
	slots chan struct{}
	ended atomic.Uint64
}

func (r *runLimit) init(n int) {
	if n <= 0 {
		n = maxRuns
	}
	r.slots = make(chan struct{}, n)
}

// enter waits for a slot and reports whether it has one, which is to be left. A call that a run with a slot has made does not
// wait: the run would hold the slot that the call waits for. Canceled is a call whose client has gone.
func (r *runLimit) enter(ctx context.Context) (in, canceled bool) {
	select {
	case r.slots <- struct{}{}:
		return true, false
	default:
	}
	if linkOf(ctx).holds(r) {
		return false, false
	}
	tick := time.NewTicker(runStall)
	defer tick.Stop()
	for range runWait / runStall {
		ended := r.ended.Load()
		select {
		case r.slots <- struct{}{}:
			return true, false
		case <-ctx.Done():
			return false, errors.Is(ctx.Err(), context.Canceled)
		case <-tick.C:
			if r.ended.Load() == ended {
				return false, false
			}
		}
	}
	return false, false
}

// full reports whether a load would have to wait.
func (r *runLimit) full() bool { return len(r.slots) == cap(r.slots) }

func (r *runLimit) leave() {
	r.ended.Add(1)
	<-r.slots
}

// Tables of keys.

// uncacheableFor is how long requests for a key do not wait for each other after an answer that could not be kept. Other
// caches call such a key hit-for-miss: if its requests waited, each would wait for an answer that it will not get, one after
// the other.
const uncacheableFor = time.Second

// keyMarks remember keys for a second. The table is small, fixed and forgetful: a key that is pushed out by another merely
// costs its next requests a wait.
type keyMarks struct{ slots map[uint16]keyMark }

type keyMark struct {
	key   keying.Key
	until time.Time
}

func (m *keyMarks) add(key keying.Key, now time.Time) {
	if m.slots == nil {
		m.slots = map[uint16]keyMark{}
	}
	m.slots[slotOf(key)] = keyMark{key, now.Add(uncacheableFor)}
}

func (m *keyMarks) has(key keying.Key, now time.Time) bool {
	if len(m.slots) == 0 {
		return false
	}
	mark, ok := m.slots[slotOf(key)]
	return ok && mark.key == key && now.Before(mark.until)
}

func (m *keyMarks) remove(key keying.Key) {
	if slot := slotOf(key); m.slots[slot].key == key {
		delete(m.slots, slot)
	}
}

// slots is how many places a table has for keys.
const (
	slotBits = 10
	slots    = 1 << slotBits
)

// spread is this process' own: whoever makes up keys does not know which of them share a place.
var spread = rand.Uint64() | 1

func slotOf(key keying.Key) uint16 {
	return uint16(binary.LittleEndian.Uint64(key[24:]) * spread >> (64 - slotBits))
}

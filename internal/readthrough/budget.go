package readthrough

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"
)

// bounded reports whether calls have so much time for the store and no more.
func (t *Cache) bounded() bool { return t.remote && t.budget > 0 }

// all is how much: the rest of the budget is for timers that are late.
func (t *Cache) all() time.Duration { return t.budget - t.budget/8 }

var errBudget = errors.New("store: the time for this request's store operations was used up")

// spent is how much of its time the call has used up.
func (c *Call) spent() time.Duration {
	if !c.t.bounded() {
		return 0
	}
	return c.t.all() - c.left
}

// spend takes time off that was waited for another call's store.
func (c *Call) spend(d time.Duration) { c.left = max(0, c.left-max(0, d)) }

// inTime reports whether there is time left.
func (c *Call) inTime() bool { return !c.t.bounded() || c.left > 0 }

// do is an operation on the store. It does not end with the request: others may be waiting for it.
//
// What panics in it is not ours, a hook of a Redis client's for example, and is a fault like any other: no request pays for
// it, nor does a goroutine of ours end the process.
func (c *Call) do(f func(context.Context) error) error {
	if !c.t.bounded() {
		return guarded(c.ctx, f)
	}
	if c.left <= 0 {
		return errBudget
	}
	began := time.Now()
	err := guarded(c.operation(began), f)
	c.asked = time.Now()
	c.left -= c.asked.Sub(began)
	return err
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

// now is when the last operation was over, where that took time.
func (c *Call) now() time.Time {
	if c.t.bounded() {
		return c.asked
	}
	return time.Now()
}

func (c *Call) operation(now time.Time) context.Context {
	op := &c.first
	if op.ending != nil { // somebody may have kept the context of that
		op = new(operation)
	}
	*op = operation{c.t.ends.after(now, c.left, c.t.all()), c.ctx}
	return op
}

// operation is the context of one operation: it has the request's values and an end of its own.
type operation struct {
	*ending
	request context.Context
}

// Value asks the ending first, which has no values but what package context finds itself by.
func (o *operation) Value(key any) any {
	if v := o.ending.Value(key); v != nil {
		return v
	}
	return o.request.Value(key)
}

// endings are what operations end by. Those that end at nearly the same time share one: under load most need no timer of
// their own.
type endings struct{ last atomic.Pointer[ending] }

// ending is a context that ends by itself.
type ending struct {
	context.Context
	at     time.Time
	cancel context.CancelFunc // not called: it may be others', too
}

// after returns one that ends when the time has passed, or later by a 64th of what there was at most.
func (es *endings) after(now time.Time, left, all time.Duration) *ending {
	due, slack := now.Add(left), all/64
	if e := es.last.Load(); e != nil && !e.at.Before(due) && e.at.Sub(due) <= slack {
		return e
	}
	e := &ending{at: due.Add(slack)}
	e.Context, e.cancel = context.WithDeadlineCause(context.Background(), e.at, errBudget)
	es.last.Store(e)
	return e
}

package store

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// io is one call's time for its store. The operations do not end with the request: others may be waiting for them.
type io struct {
	ctx  context.Context // the request's, of which they have the values
	ends *endings
	left time.Duration // not used by a store in memory
	all  time.Duration // that there was
	free bool

	over  time.Time // when the last operation was
	first operation // most calls have one only
}

func (t *Through) io(ctx context.Context) io {
	if !t.remote || t.budget <= 0 {
		return io{ctx: ctx, free: true}
	}
	all := t.budget - t.budget/8 // the rest is for timers that are late
	return io{ctx: ctx, ends: &t.ends, left: all, all: all}
}

var errBudget = errors.New("store: the time for this request's store operations was used up")

// spent is how much of it is used up.
func (io *io) spent() time.Duration { return io.all - io.left }

// spend takes time off that was waited for another call's store.
func (io *io) spend(d time.Duration) {
	if !io.free {
		io.left = max(0, io.left-max(0, d))
	}
}

// any reports whether there is time left.
func (io *io) any() bool { return io.free || io.left > 0 }

func (io *io) do(f func(context.Context) error) error {
	if io.free {
		err := f(io.ctx)
		io.over = time.Now()
		return err
	}
	if io.left <= 0 {
		return errBudget
	}
	began := time.Now()
	err := f(io.operation(began))
	io.over = time.Now()
	io.left -= io.over.Sub(began)
	return err
}

func (io *io) operation(now time.Time) context.Context {
	op := &io.first
	if op.ending != nil { // of which somebody may have kept the context
		op = new(operation)
	}
	*op = operation{io.ends.after(now, io.left, io.all), io.ctx}
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

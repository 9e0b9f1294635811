package middleware

import (
	"context"
	"errors"
	"sync"
	"time"
)

// detachedFor is how long a handler may run on after its client has gone.
const detachedFor = 30 * time.Second

// A tether lets a handler outlast its client for as long as others may have use of its answer: a leader that hangs up
// must not fail those who wait. A deadline of the request holds in any case.
type tether struct {
	common *Common
	parent context.Context
	cancel context.CancelCauseFunc
	stop   func() bool

	mu        sync.Mutex
	following bool // the client's end is the handler's again
	ended     bool
	timer     *time.Timer // runs while detached
}

// tie returns the context for a handler's run, and what ties it to the client's.
func (c *Common) tie(parent context.Context) (context.Context, *tether) {
	if parent.Done() == nil || parent.Err() != nil { // cannot end, or has: a waiter that hung up needs no answer
		return parent, nil
	}
	base := context.WithoutCancel(parent)
	dropDeadline := func() {}
	if at, ok := parent.Deadline(); ok {
		base, dropDeadline = context.WithDeadline(base, at)
	}
	ctx, cancel := context.WithCancelCause(base)
	t := &tether{common: c, parent: parent}
	t.cancel = func(cause error) {
		cancel(cause)
		dropDeadline()
	}
	t.stop = context.AfterFunc(parent, t.clientGone)
	return ctx, t
}

// clientGone cancels the run, or lets it go on for a while if there is room for one more such run.
func (t *tether) clientGone() {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.ended:
	case t.following, errors.Is(t.parent.Err(), context.DeadlineExceeded), t.common.detached.Add(1) > maxDetached:
		if !t.following && !errors.Is(t.parent.Err(), context.DeadlineExceeded) {
			t.common.detached.Add(-1)
		}
		t.cancel(context.Cause(t.parent))
	default:
		t.timer = time.AfterFunc(detachedFor, func() { t.cancel(context.Cause(t.parent)) })
	}
}

// follow makes the run end with its client again, because nobody else will have its answer.
func (t *tether) follow() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.following = true
	if t.parent.Err() != nil {
		t.cancel(context.Cause(t.parent))
	}
}

// end is called when the run is over; further calls do nothing.
func (t *tether) end() {
	if t == nil {
		return
	}
	t.stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.timer != nil && !t.ended {
		t.timer.Stop()
		t.common.detached.Add(-1)
	}
	t.ended = true
	t.cancel(context.Canceled)
}

// Detach returns a context for a load that others may wait for: it outlasts its parent for a while, as far as there is
// room for such loads. End must be called when the load is over.
func (c *Common) Detach(parent context.Context) (ctx context.Context, end func()) {
	ctx, t := c.tie(parent)
	return ctx, t.end
}

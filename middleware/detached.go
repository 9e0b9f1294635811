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
	share  *Share // whose run it is; nil: nobody's in particular
	client values // what the run's context begins with

	cancelRun    context.CancelCauseFunc
	dropDeadline context.CancelFunc // nil: there is none
	stop         func() bool

	mu        sync.Mutex
	following bool // the client's end is the handler's again
	ended     bool
	timer     *time.Timer // runs while detached
}

// values is a context that never ends, with another's values: context.WithoutCancel as a part of something larger.
type values struct{ of context.Context }

func (values) Deadline() (at time.Time, ok bool) { return at, false }

func (values) Done() <-chan struct{} { return nil }

func (values) Err() error { return nil }

func (v *values) Value(key any) any { return v.of.Value(key) }

// tie returns the context for a handler's run, and what ties it to the client's: t, or nil where nothing does.
func (t *tether) tie(c *Common, parent context.Context) (context.Context, *tether) {
	if parent.Done() == nil || parent.Err() != nil { // cannot end, or has: a waiter that hung up needs no answer
		return parent, nil
	}
	if t.share == nil {
		t.share = new(Share)
	}
	if t.share.common.Load() != c {
		t.share.common.Store(c)
	}
	t.client.of = parent
	var ctx context.Context = &t.client
	if at, ok := parent.Deadline(); ok {
		ctx, t.dropDeadline = context.WithDeadline(ctx, at)
	}
	ctx, t.cancelRun = context.WithCancelCause(ctx)
	t.stop = context.AfterFunc(parent, t.clientGone)
	return ctx, t
}

func (t *tether) cancel(cause error) {
	t.cancelRun(cause)
	if t.dropDeadline != nil {
		t.dropDeadline()
	}
}

// clientGone cancels the run, or lets it go on for a while if there is room for one more such run.
func (t *tether) clientGone() {
	defer t.survive()
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.ended:
	case t.following, errors.Is(t.client.of.Err(), context.DeadlineExceeded), !t.share.detach():
		t.cancel(context.Cause(t.client.of))
	default:
		t.timer = time.AfterFunc(detachedFor, t.tooLong)
	}
}

func (t *tether) tooLong() {
	defer t.survive()
	t.cancel(context.Cause(t.client.of))
}

// survive ends the run where its client's context, which may be a framework's own, panics.
func (t *tether) survive() {
	if v := recover(); v != nil {
		t.cancel(context.Canceled)
		t.share.common.Load().survive(v)
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
	if t.client.of.Err() != nil {
		t.cancel(context.Cause(t.client.of))
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
		t.share.attach()
	}
	t.ended = true
	t.cancel(context.Canceled)
}

// detach takes room for a run without its client, if there is any.
func (s *Share) detach() bool {
	own, all := s.detached.Add(1), s.common.Load().detached.Add(1)
	if own-1 > maxDetached-all { // no more than was free
		s.attach()
		return false
	}
	return true
}

func (s *Share) attach() {
	s.detached.Add(-1)
	s.common.Load().detached.Add(-1)
}

// Detach returns a context for a load that others may wait for: it outlasts its parent for a while, as far as there is
// room for such loads. End must be called when the load is over.
func (c *Common) Detach(s *Share, parent context.Context) (ctx context.Context, end func()) {
	ctx, t := (&tether{share: s}).tie(c, parent)
	return ctx, t.end
}

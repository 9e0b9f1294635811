package middleware

import (
	"context"
	"errors"
	"sync"
	"time"
)

// detachedFor is how long a handler may run on after its client has gone.
const detachedFor = 30 * time.Second

// A runContext is the context of one run of a handler. It is detached from the client's: a client that hangs up must not
// fail the others that wait for the response of its run. Three cases show what that means.
//
// The client hangs up while others wait:
//
//	client A                            clients B, C               the run
//	1. misses, and leads the run                                   begins
//	2.                                  miss, and wait for it
//	3. hangs up                                                    goes on: for 30 s at most (detachedFor),
//	                                                               and beside 63 others at most (maxDetached)
//	4.                                                             ends, and the response is stored
//	5.                                  get the response           gives its room back (end)
//
// All clients have gone. Nobody can tell: another one may come at any moment and wait. So the run goes on as above, and the
// next request is a hit. After 30 s its context ends, and what the handler then returns is not stored.
//
// Nobody can use the response, because it must not be stored:
//
//	client A                            client B                   the run
//	1. misses, and leads the run        misses, and waits for it   begins
//	2.                                                             writes a Set-Cookie: the recorder gives up its copy
//	3.                                  is released: runs the      ends with its client from now on (followClient),
//	                                    handler itself             as without a cache
//	4. hangs up                                                    its context ends at once
//
// Step 4 may come before step 2: then the run has gone on without its client, and followClient ends it.
//
// A deadline of the request, unlike a hang-up, always bounds the run, even if others wait for it.
type runContext struct {
	// Whose run it is; nil: nobody's in particular.
	share *Share
	// The values of the run's context: the client's.
	client values

	cancelRun context.CancelCauseFunc
	// Nil: there is none.
	dropDeadline context.CancelFunc
	// Stops waiting for the client's end.
	stop func() bool

	mu sync.Mutex
	// The run ends with its client again.
	following bool
	ended     bool
	// Runs once the client has gone.
	timer *time.Timer
}

// values is a context that never ends, with another's values: context.WithoutCancel as a field of something larger.
type values struct{ of context.Context }

func (values) Deadline() (at time.Time, ok bool) { return at, false }
func (values) Done() <-chan struct{}             { return nil }
func (values) Err() error                        { return nil }
func (v *values) Value(key any) any              { return v.of.Value(key) }

// start returns the context for a run, and c, or nil where the run's context is the client's itself.
func (c *runContext) start(client context.Context, common *Common) (context.Context, *runContext) {
	if client.Done() == nil || client.Err() != nil { // it cannot end, or has: nobody needs the run's response
		return client, nil
	}
	if c.share == nil {
		c.share = new(Share)
	}
	if c.share.common.Load() != common {
		c.share.common.Store(common)
	}
	c.client.of = client
	var ctx context.Context = &c.client
	if at, ok := client.Deadline(); ok {
		ctx, c.dropDeadline = context.WithDeadline(ctx, at)
	}
	ctx, c.cancelRun = context.WithCancelCause(ctx)
	c.stop = context.AfterFunc(client, c.clientGone)
	return ctx, c
}

// cancel ends the run's context, and the timer of its deadline.
func (c *runContext) cancel(cause error) {
	c.cancelRun(cause)
	if c.dropDeadline != nil {
		c.dropDeadline()
	}
}

// clientGone cancels the run, or lets it go on for a while if there is room for one more such run.
func (c *runContext) clientGone() {
	defer c.survive()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ended:
	case c.following, errors.Is(c.client.of.Err(), context.DeadlineExceeded), !c.share.detach():
		c.cancel(context.Cause(c.client.of))
	default:
		c.timer = time.AfterFunc(detachedFor, c.tooLong)
	}
}

// tooLong ends a run that has gone on without its client for as long as it may.
func (c *runContext) tooLong() {
	defer c.survive()
	c.cancel(context.Cause(c.client.of))
}

// survive ends the run where its client's context, which may be a framework's own, panics.
func (c *runContext) survive() {
	if v := recover(); v != nil {
		c.cancel(context.Canceled)
		c.share.common.Load().survive(v)
	}
}

// followClient makes the run end with its client again, because nobody else will have its response.
func (c *runContext) followClient() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.following = true
	if c.client.of.Err() != nil {
		c.cancel(context.Cause(c.client.of))
	}
}

// end is called when the run is over; further calls do nothing.
func (c *runContext) end() {
	if c == nil {
		return
	}
	c.stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil && !c.ended {
		c.timer.Stop()
		c.share.attach()
	}
	c.ended = true
	c.cancel(context.Canceled)
}

// detach takes room for one run without its client, if there is any.
func (s *Share) detach() bool {
	own, all := s.detached.Add(1), s.common.Load().detached.Add(1)
	if own-1 > maxDetached-all { // no more than was free
		s.attach()
		return false
	}
	return true
}

// attach gives that room back.
func (s *Share) attach() {
	s.detached.Add(-1)
	s.common.Load().detached.Add(-1)
}

// Detach returns a context for a load that others may wait for: it outlasts its parent for a while, if there is room for
// one more such load. End must be called when the load is over.
func (c *Common) Detach(parent context.Context, s *Share) (ctx context.Context, end func()) {
	ctx, run := (&runContext{share: s}).start(parent, c)
	return ctx, run.end
}

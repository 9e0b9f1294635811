package cache

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/user"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware"
	"github.com/larder-go/cache/store"
)

// call is one Get.
type call[T any] struct {
	v    *Values[T]
	ctx  context.Context
	key  keying.Key
	id   string
	user string

	refreshes bool        // nobody waits for it
	cause     store.Cause // why the load had to run

	value T
	err   error

	made   bool   // the load has brought a value, or an error
	reason Reason // why the value must not be kept
	fault  error  // of that, if it is an error's
}

// get reads through the store.
func (c *call[T]) get() (T, error) {
	r := c.v.through.Get(c.ctx, c.key, c.run)
	c.tellMade(r.Fate)
	switch r.Source {
	case readthrough.Canceled:
		c.tell(Miss, middleware.ReasonCanceled, nil)
		return c.value, c.ctx.Err()
	case readthrough.Looped:
		err := fmt.Errorf("%w: %s", ErrLoop, readthrough.Cycle(c.ctx, c.key))
		c.tell(Miss, middleware.ReasonLoop, err)
		return c.value, err
	}
	if r.Entry == nil {
		return c.value, c.err
	}
	value, ok := c.v.open(r.Entry)
	if !ok { // the store has put something else in its place
		c.tell(Miss, ReasonCorrupt, nil)
		return c.v.load(c.ctx, c.id)
	}
	if r.Source == readthrough.Shared {
		c.tell(Shared, "", nil)
	} else {
		c.found(r.Entry, r.Use)
	}
	return value, nil
}

// found reports a hit, and refreshes a value that is stale, or nearly so, in the background.
func (c *call[T]) found(e *store.Entry, use readthrough.Use) {
	again := use == readthrough.WhileRefreshed
	if use == readthrough.Fresh {
		c.v.report(Hit, "", nil)
		again = c.v.through.Early(e, time.Now())
	} else {
		c.v.report(Stale, "", nil)
	}
	if again {
		// Nothing else of the caller's context outlives the call: routers reuse what they put into it.
		ctx := context.Background()
		if c.user != "" {
			ctx = user.With(ctx, c.user)
		}
		again := &call[T]{v: c.v, ctx: ctx, key: c.key, id: c.id, user: c.user}
		c.v.cache.common.Background(&c.v.share, c.key, again.refresh)
	}
}

func (c *call[T]) refresh(timeout context.Context) {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	defer context.AfterFunc(timeout, cancel)()
	c.ctx = ctx
	defer func() {
		if p := recover(); p != nil {
			c.v.tell(middleware.Event{Route: c.v.name, Outcome: Refresh, Reason: middleware.ReasonPanic,
				Err: fmt.Errorf("cache: values %q: the load panicked: %v", c.v.name, p)})
		}
	}()
	c.refreshes = true
	c.tellMade(c.v.through.Refresh(c.ctx, c.key, c.run))
}

// run is the load of readthrough.Cache.
func (c *call[T]) run(run *readthrough.Run) readthrough.Verdict {
	ctx, end := c.v.cache.common.Detach(&c.v.share, c.ctx)
	defer end()
	c.cause = run.Cause
	ctx, said := middleware.Steer(ctx, run, c.v.name, c.id, c.v.policy.Class != PerUser)
	returned := false
	defer func() {
		if !returned && !c.refreshes { // which has an event that tells of the panic
			c.tell(Miss, middleware.ReasonPanic, nil)
		}
	}()
	c.value, c.err = c.v.load(ctx, c.id)
	returned = true
	if said.AskedWho() {
		c.v.cache.warnOnce(middleware.ReasonUserInShared, c.v.name, "values %q: %s", c.v.name, middleware.AskedWho)
	}
	switch {
	case c.err != nil && run.Old != nil:
		c.hides(c.err)
		return readthrough.ServeOld
	case ctx.Err() != nil:
		c.made, c.reason, c.fault = true, middleware.ReasonCanceled, c.err
		return readthrough.Aborted
	case c.err != nil:
		c.made, c.reason, c.fault = true, middleware.ReasonError, c.err
		return readthrough.Uncacheable
	}
	c.made = true
	if c.reason, c.fault = c.fill(run.Entry, said); c.reason != "" {
		return readthrough.Uncacheable
	}
	return readthrough.Cacheable
}

// tellMade reports what the load has made, once it is known what became of it.
func (c *call[T]) tellMade(fate readthrough.Fate) {
	if c.made {
		c.tell(Miss, cmp.Or(c.reason, middleware.FateReason(fate)), c.fault)
	}
}

// tell reports what became of a run; of a refresh, that it was one.
func (c *call[T]) tell(outcome Outcome, reason Reason, err error) {
	switch {
	case c.refreshes && err != nil:
		c.v.tell(middleware.Event{Route: c.v.name, Outcome: Refresh, Reason: reason, Err: err})
	case c.refreshes:
		c.v.report(Refresh, reason, nil)
	case c.v.observe != nil:
		c.v.observe(middleware.Event{Route: c.v.name, Outcome: outcome, Reason: reason, Cause: Reason(c.cause), Err: err})
	}
}

// hides tells of an error of the load's that a stale value stands in for: nobody else will hear of it.
func (c *call[T]) hides(err error) {
	outcome := Fault
	if c.refreshes {
		outcome = Refresh
	}
	c.v.tell(middleware.Event{Route: c.v.name, Outcome: outcome, Reason: middleware.ReasonError, Err: err})
}

// fill makes the entry, or says why the value cannot be kept.
func (c *call[T]) fill(e *store.Entry, said *middleware.Steering) (Reason, error) {
	tags, ttl, noStore := said.Said()
	if noStore {
		return middleware.ReasonHandler, nil
	}
	p := c.v.policy
	if e.Labels = c.labels(tags); len(e.Labels) > store.MaxLabels {
		return middleware.ReasonLabels, nil
	}
	e.Stored, e.Fresh = time.Now(), middleware.Spread(p.ttl(), c.key)
	if ttl > 0 {
		e.Fresh = min(e.Fresh, ttl)
	}
	e.WhileRevalidate, e.IfError = p.StaleWhileRevalidate, p.ifError()
	return c.v.put(e, c.value)
}

func (c *call[T]) labels(added []string) []keying.Label {
	l := c.v.cache.labeler
	labels := []keying.Label{l.Value(c.v.name, c.id)}
	if c.user != "" {
		labels = append(labels, l.User(c.user))
	}
	for _, tag := range c.v.tags {
		if text, ok := tag.Fill(func(string) string { return c.id }); ok {
			labels = append(labels, l.Tag(text))
		}
	}
	c.v.cache.common.Names.AddTags(added...)
	for _, text := range added {
		labels = append(labels, l.Tag(text))
	}
	return labels
}

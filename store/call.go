package store

import (
	"context"
	"errors"
	"time"

	"github.com/larder-go/cache/keying"
)

// A Call is one request's use of a store: all that it does there shares one time budget. It is for one goroutine.
type Call struct {
	t   *Through
	ctx context.Context // the request's
	io  io
}

// Call begins a call for the request of the context.
func (t *Through) Call(ctx context.Context) *Call { return &Call{t: t, ctx: ctx, io: t.io(ctx)} }

// Get returns the entry of the key, from the store or from another call's load under way; else it runs load, once for
// all who ask at the same time, and keeps what load made. A panic in load passes through; waiters are released. A call
// that is cancelled while it waits runs nothing: its client has gone. One whose deadline passes runs its own load, which
// can see the context. The judge may be nil: then entries are good for what their age and the purge log make them.
func (c *Call) Get(key keying.Key, load Load, judge Judge) Result {
	t, before := c.t, c.t.round.Load()
	for again := range 2 {
		f, role := t.flights.join(key, time.Now(), false)
		switch role {
		case leader:
			return c.lead(key, f, load, judge, WhileRefreshed)
		case loner:
			return c.Alone(key, load, judge)
		}
		if f.refresh { // the stale answer is as good for this call as for the one that started the refresh
			if e, use := c.Look(key, judge); use >= WhileRefreshed {
				t.flights.giveUp(f)
				return Result{e, use, Stored}
			}
		}
		if !wait(c.ctx, f) {
			t.flights.giveUp(f)
			if errors.Is(c.ctx.Err(), context.Canceled) {
				return Result{Source: HungUp}
			}
			break
		}
		if f.entry != nil {
			// The first flight may have begun before a purge elsewhere, and that before this call. The second began later
			// than this call.
			if again > 0 || c.caughtUp(before) {
				use, ok := t.share(f, judge)
				if ok {
					return Result{f.entry, use, Shared}
				}
				if judge != nil && t.log.Ledger().State(f.entry) == Live {
					break // another's answer, as good as it gets: this request wants one of its own
				}
			}
			t.flights.overtake(key, f) // perhaps purged since its load began: this call came later and must not see it
			continue
		}
		if !f.retry {
			break
		}
	}
	return c.Alone(key, load, judge)
}

// share says whether another call's entry is of use. Without a judge any is that was not purged, however short its life.
// One that stands in for an answer that failed is, to all whom it may be served to: or each of them would wait for a
// failure of its own.
func (t *Through) share(f *flight, judge Judge) (Use, bool) {
	use := judge.use(f.entry, t.Use(f.entry, time.Now()), !f.found)
	if judge == nil {
		return use, use >= WhileRefreshed || t.log.Ledger().State(f.entry) == Live
	}
	return use, use >= WhileRefreshed || f.found && use >= OnError
}

// wait returns true when the flight has landed, and false when the caller should not wait any longer.
func wait(ctx context.Context, f *flight) bool {
	select {
	case <-f.done: // landed already: no timer
		return true
	default:
	}
	timer := time.NewTimer(maxWait)
	defer timer.Stop()
	select {
	case <-f.done:
		return true
	case <-ctx.Done():
	case <-timer.C:
	}
	return false
}

// lead looks once more, now that nobody else can be loading: an entry that was kept between the caller's look and its
// flight would otherwise be loaded twice. Found entries of at least the given use are served.
func (c *Call) lead(key keying.Key, f *flight, load Load, judge Judge, serve Use) Result {
	t, outcome := c.t, Fail
	defer func() { t.flights.leave(key, f, outcome, time.Now()) }()
	old, use, err := c.look(key, judge)
	if use >= serve {
		outcome = Keep
		t.flights.land(f, old, true)
		return Result{old, use, Stored}
	}
	run := t.run(key, old, use, f, err)
	switch outcome = load(run); outcome {
	case Keep, Renew:
		t.flights.land(f, run.Entry, false)
		c.keep(run)
	case Old:
		t.flights.land(f, old, true)
	}
	return run.result(outcome)
}

// Alone does what Get does without waiting for others, or letting others wait.
func (c *Call) Alone(key keying.Key, load Load, judge Judge) Result {
	t := c.t
	old, use, err := c.look(key, judge)
	if use >= WhileRefreshed {
		return Result{old, use, Stored}
	}
	run := t.run(key, old, use, nil, err)
	outcome := load(run)
	switch outcome {
	case Keep, Renew:
		c.keep(run)
		t.flights.accept(key)
	case Refuse:
		t.flights.refuse(key, time.Now())
	}
	return run.result(outcome)
}

// run is made after the look, whose round trip has brought the ledger up to date, and before the handler runs.
func (t *Through) run(key keying.Key, old *Entry, use Use, f *flight, err error) *Run {
	e := &Entry{Key: key}
	t.log.Ledger().Stamp(e)
	return &Run{Entry: e, Old: old, Use: use, Blind: err != nil && !errors.Is(err, ErrCorrupt), t: t, f: f}
}

// result is what the call whose load it was gets.
func (r *Run) result(outcome Outcome) Result {
	switch outcome {
	case Renew:
		return Result{r.Entry, Fresh, Renewed}
	case Old:
		return Result{r.Old, r.Use, Stored}
	}
	return Result{}
}

// Look returns what the store has under the key and what it is good for, without a load; nil and NoUse if nothing.
func (c *Call) Look(key keying.Key, judge Judge) (*Entry, Use) {
	e, use, _ := c.look(key, judge)
	return e, use
}

// look returns what the store has and what it is good for. Its error has been reported.
func (c *Call) look(key keying.Key, judge Judge) (e *Entry, use Use, err error) {
	err = c.io.do(func(ctx context.Context) (err error) {
		e, _, err = c.t.store.Get(ctx, key)
		return err
	})
	if err != nil {
		c.t.fault(err)
		return nil, NoUse, err
	}
	if e == nil || e.Key != key {
		return nil, NoUse, nil
	}
	if use = judge.use(e, c.t.Use(e, time.Now()), false); use == NoUse {
		return nil, NoUse, nil
	}
	return e, use, nil
}

// keep stores what a run has made.
func (c *Call) keep(run *Run) {
	if run.Index != nil {
		c.set(run.Index)
	}
	c.set(run.Entry)
}

func (c *Call) set(e *Entry) {
	keep := e.Keep(time.Now())
	if keep <= 0 || c.t.log.Ledger().State(e) == Gone {
		return
	}
	err := c.io.do(func(ctx context.Context) error { return c.t.store.Set(ctx, e.Key, e, keep) })
	if err != nil {
		c.t.fault(err)
	}
}

package readthrough

import (
	"time"

	"github.com/larder-go/cache/keying"
)

// lead looks once more, now that nobody else here can be loading: an entry that was kept between the caller's look and its
// flight would otherwise be loaded twice. Where processes take turns, it then waits for its own.
func (c *Call) lead(key keying.Key, f *flight, load Loader, judge Judge) (r Result) {
	t, outcome := c.t, Aborted
	defer func() { t.flights.leave(f, outcome) }()
	s := c.look(key, judge)
	switch {
	case c.good(s):
		s.turn = found
	case t.leaser != nil && !s.blind():
		s = c.await(key, s, judge)
	}
	f.spent.Store(int64(c.spent()))
	switch s.turn {
	case found:
		outcome = Cacheable
		t.flights.land(f, s.e, !s.made)
		return Result{Entry: s.e, Use: s.use, Source: Stored}
	case hungUp:
		t.flights.handOver(f)
		return Result{Source: Canceled}
	case late:
		t.flights.handOver(f)
	case refused:
		if s.use < OnError { // a stale answer in reserve is worth waiting for
			t.flights.leave(f, Uncacheable)
		}
	}
	r, outcome = c.load(key, s, f, load)
	return r
}

// leadApart is lead for an answer that is not the key's own. Processes take no turns for it.
func (c *Call) leadApart(key keying.Key, f *flight, load Loader, judge Judge) (r Result) {
	t, outcome := c.t, Aborted
	defer func() { t.flights.leave(f, outcome) }()
	s := c.look(key, judge)
	f.spent.Store(int64(c.spent()))
	if c.good(s) {
		outcome = Cacheable
		t.flights.land(f, s.e, true)
		return Result{Entry: s.e, Use: s.use, Source: Stored}
	}
	r, outcome = c.load(key, s, f, load)
	return r
}

// Refresh loads unless the store has an entry by now that is not to be refreshed, or another call is at it, here or in
// another process. Nobody waits for it, as a rule: where it does nothing, whoever does wait leads himself. It returns what
// became of what the load made.
func (c *Call) Refresh(key keying.Key, load Loader) Fate {
	c.flight.refresh = true
	switch f, role := c.t.flights.join(key, &c.flight); role {
	case leader:
		return c.refresh(key, f, load)
	case waiter:
		c.t.flights.giveUp(f)
	}
	return NotKept
}

func (c *Call) refresh(key keying.Key, f *flight, load Loader) Fate {
	t, outcome := c.t, Aborted
	defer func() { t.flights.leave(f, outcome) }()
	c.renews = true
	var s sight
	if t.leaser != nil {
		s = c.await(key, s, nil)
	}
	if s.turn == loads && s.tenure == nil {
		if s = c.lookFar(key); c.good(s) {
			s.turn = found
		}
	}
	switch s.turn {
	case found:
		outcome = Cacheable
		t.flights.land(f, s.e, true)
	case refused:
		outcome = Uncacheable
	case hungUp, late, tooLong:
		t.flights.handOver(f)
	default:
		var r Result
		r, outcome = c.load(key, s, f, load)
		return r.Fate
	}
	return NotKept
}

// Alone does what Get does without waiting for others, or letting others wait.
func (c *Call) GetAlone(key keying.Key, load Loader, judge Judge) Result {
	c.flight.key = key
	s := c.look(key, judge)
	if c.good(s) {
		return Result{Entry: s.e, Use: s.use, Source: Stored}
	}
	if linkOf(c.ctx).nested(key) >= maxNested {
		return Result{Source: Looped}
	}
	r, _ := c.load(key, s, nil, load)
	return r
}

// load runs the load when there is room, for those who wait for the flight, too, if there is one.
func (c *Call) load(key keying.Key, s sight, f *flight, load Loader) (r Result, outcome Verdict) {
	t, fate := c.t, NotKept
	in, gone := t.runs.enter(c.ctx)
	if gone {
		s.tenure.end(false)
		t.flights.handOver(f)
		return Result{Source: Canceled}, Aborted
	}
	run := c.begin(key, s, f, in)
	// The lease ends last: who takes it next finds what was kept. To those for whom nothing was kept their turn would be
	// of no use: they need not take turns.
	defer func() {
		run.unlink()
		inVain := (outcome == Cacheable || outcome == Renew) && (fate == NotKept || fate == RefusedByStore)
		run.end(outcome == Uncacheable || outcome == ServeOld || inVain)
	}()
	began := f.begin()
	switch outcome = load.Load(run); outcome {
	case Cacheable, Renew:
		now := time.Now()
		run.Entry.Cost = now.Sub(began)
		t.flights.land(f, run.Entry, false)
		fate = c.keep(run, now)
		if f == nil {
			t.flights.accept(key)
		}
	case ShareOnly:
		t.flights.land(f, run.Entry, false)
	case ServeOld:
		t.flights.land(f, s.e, true)
	case Uncacheable:
		if f == nil && !c.apart { // which says nothing about the key's own answer
			t.flights.refuse(key)
		}
	}
	return run.result(outcome, fate), outcome
}

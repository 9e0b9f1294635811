package readthrough

import (
	"context"
	"errors"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// A Call is one request's use of a store: all that it does there shares one time budget, and it loads at most once. It has
// room for all that a load takes, so that a caller may make it a part of its own. It is for one goroutine, and must not be
// copied after its first use.
type Call struct {
	t      *Cache
	ctx    context.Context // the request's, of which operations have the values
	route  string          // what it is for, as reports name it
	left   time.Duration   // for operations, where they are bounded
	asked  time.Time       // when the last operation was over, where they are bounded
	first  operation       // most calls have one only
	renews bool            // it is for a refresh: a fresh entry that nears its end is not good enough
	came   time.Time       // when it came, if that matters to its judge
	apart  bool            // it is not for the key's own answer
	last   sight           // what the last look has brought

	flight flight // if it leads
	run    Run    // if it loads
}

// Call begins a call for the request of the context. The route is what reports name it by, or "".
func (t *Cache) Call(ctx context.Context, route string) Call {
	return Call{t: t, ctx: ctx, route: route, left: t.all()}
}

// Get returns the entry of the key, from the store or from another call's load under way; else it runs load, once for
// all who ask at the same time, and keeps what load made. A panic in load passes through; waiters are released. A call
// that is cancelled while it waits runs nothing: its client has gone. One whose deadline passes runs its own load, which
// can see the context. So does one that a load has made which would wait for itself, see [Link]; a load that does so again
// within itself is Looped. The judge may be nil: then entries are good for what their age and the purge log make them.
func (c *Call) Get(key keying.Key, load Loader, judge Judge) Result {
	return c.get(key, key, load, judge)
}

// Apart is Get for an answer that is not the one that the key stands for, but made of that if the store has it, as one to
// HEAD or to a range is. Calls that name the same part share a load; those for the key's own answer do not wait for it. Of
// what a load makes, only what it says is to be kept goes to the store.
func (c *Call) GetPart(key, part keying.Key, load Loader, judge Judge) Result {
	c.apart = true
	return c.get(key, part, load, judge)
}

func (c *Call) get(key, shared keying.Key, load Loader, judge Judge) Result {
	t, before := c.t, c.t.round.Load()
	if judge != nil {
		c.came = time.Now()
	}
	chain := linkOf(c.ctx)
	if chain.nested(key) > 0 {
		return c.GetAlone(key, load, judge)
	}
	for tries, later := 0, false; tries < 2; later = true {
		f, role := t.flights.join(shared, &c.flight)
		switch role {
		case leader:
			if c.apart {
				return c.leadApart(key, f, load, judge)
			}
			return c.lead(key, f, load, judge)
		case loner:
			return c.GetAlone(key, load, judge)
		}
		if f.refresh { // the stale answer is as good for this call as for the one that started the refresh
			if e, use := c.Look(key, judge); use >= WhileRefreshed {
				t.flights.giveUp(f)
				return Result{Entry: e, Use: use, Source: Stored}
			}
		}
		if !c.waits(f, chain) {
			t.flights.giveUp(f)
			if errors.Is(c.ctx.Err(), context.Canceled) {
				return Result{Source: Canceled}
			}
			break
		}
		if f.idle {
			continue
		}
		tries++
		if f.entry != nil {
			// The first flight may have begun before a purge elsewhere, and that before this call. Others began later than
			// this call.
			if later || c.caughtUp(before) {
				use, ok := t.share(f, judge, c.made(f))
				if ok {
					return Result{Entry: f.entry, Use: use, Source: Shared}
				}
				if judge != nil && t.log.Ledger().State(f.entry) == store.Live && !c.wantsNewer(f, judge) {
					break // another's answer, as good as it gets: this request wants one of its own
				}
			}
			// It was perhaps purged since its load began, or the request wants what is no older than itself: this call came
			// later, and goes on with those who did so, too.
			t.flights.overtake(f)
			continue
		}
		if !f.retry {
			break
		}
	}
	return c.GetAlone(key, load, judge)
}

// waits returns true when the flight has landed, and false when the call should not wait for it, or not any longer.
func (c *Call) waits(f *flight, chain *Link) (landed bool) {
	if !chain.wait(f, &c.t.runs) {
		return false
	}
	joined := time.Now()
	landed = c.t.wait(c.ctx, f, joined)
	chain.waited(f)
	c.spend(min(time.Since(joined), time.Duration(f.spent.Load())))
	return landed
}

// share says whether another call's entry is of use. Without a judge any is that was not purged, however short its life.
// One that stands in for an answer that failed is, to all whom it may be served to: or each of them would wait for a
// failure of its own.
func (t *Cache) share(f *flight, judge Judge, made Made) (Use, bool) {
	use := judge.use(f.entry, t.Use(f.entry, time.Now()), made)
	if judge == nil {
		return use, use >= WhileRefreshed || t.log.Ledger().State(f.entry) == store.Live
	}
	return use, use >= WhileRefreshed || f.found && use >= OnError
}

// made says when the flight's entry was made. One that its leader has from another process tells by its own time when its
// load began, at the latest.
func (c *Call) made(f *flight) Made {
	switch began := f.began.Load(); {
	case f.found:
		return Before
	case began == 0:
		return c.madeAt(f.entry.Stored)
	default:
		return c.madeAt(time.Unix(0, began))
	}
}

// madeAt says when an entry of another's load was made that began then.
func (c *Call) madeAt(began time.Time) Made {
	if began.Before(c.came) {
		return Meanwhile
	}
	return Since
}

// wantsNewer reports whether the flight's entry would do if only its load had begun later.
func (c *Call) wantsNewer(f *flight, judge Judge) bool {
	_, ok := c.t.share(f, judge, Since)
	return ok && c.made(f) != Since
}

// Look returns what the store has under the key and what it is good for, without a load; nil and NoUse if nothing.
func (c *Call) Look(key keying.Key, judge Judge) (*store.Entry, Use) {
	s := c.look(key, judge)
	return s.e, s.use
}

// Still reports whether the store has the entry, and it is good for anything: no other has taken its place, and no purge has
// come.
func (c *Call) Still(e *store.Entry) bool {
	s := c.look(e.Key, nil)
	return s.use != NoUse && s.has(e)
}

// look returns what the store has and what it is good for. Its error has been reported.
func (c *Call) look(key keying.Key, judge Judge) sight {
	var e *store.Entry
	what := store.Reads
	err := c.do(func(ctx context.Context) (err error) {
		if l, ok := c.t.store.(*Layered); ok {
			var asked bool
			if e, asked, err = l.get(ctx, key); !asked {
				what = ""
			}
			return err
		}
		e, _, err = c.t.store.Get(ctx, key)
		return err
	})
	return c.sight(key, e, what, err, Before, judge)
}

// went reports how an operation went. One without a kind has asked nobody outside the process.
func (c *Call) went(what store.Operation, err error) {
	if err != nil || c.t.remote && what != "" {
		c.t.report(Report{c.route, what, err})
	}
}

// lookFar looks past memory that stands in front of the store.
func (c *Call) lookFar(key keying.Key) sight {
	l, ok := c.t.store.(*Layered)
	if !ok {
		return c.look(key, nil)
	}
	var e *store.Entry
	err := c.do(func(ctx context.Context) (err error) {
		e, _, err = l.getFar(ctx, key)
		return err
	})
	return c.sight(key, e, store.Reads, err, Before, nil)
}

// keep stores what a run has made, and gives back its lease where that is the same store's matter. An entry to which
// nothing leads is none that is kept.
func (c *Call) keep(run *Run, now time.Time) Fate {
	index := Kept
	if run.Index != nil {
		index = c.set(run.Index, nil, now)
	}
	if len(run.Replaced) > 0 {
		defer c.forget(run.Replaced)
	}
	tenure := run.tenure
	if run.Entry.Key != c.flight.key {
		tenure = nil
	}
	if fate := c.set(run.Entry, tenure, now); fate != Kept {
		return fate
	}
	return index
}

// forget deletes. What cannot be deleted now ends with its time to live.
func (c *Call) forget(keys []keying.Key) {
	c.went(store.Writes, c.do(func(ctx context.Context) error { return c.t.store.Delete(ctx, keys...) }))
}

func (c *Call) set(e *store.Entry, lease *tenure, now time.Time) Fate {
	keep := e.Keep(now)
	switch {
	case keep <= 0: // an answer may be good for no time
		return NotKept
	case c.t.log.Ledger().State(e) == store.Gone:
		return Overtaken
	}
	err := c.do(func(ctx context.Context) error {
		if lease != nil {
			return c.t.leaser.Keep(ctx, e.Key, lease.token, e, keep)
		}
		return c.t.store.Set(ctx, e.Key, e, keep)
	})
	c.went(store.Writes, err)
	switch {
	case errors.Is(err, store.ErrRefused):
		return RefusedByStore
	case err != nil:
		return StoreFailed
	}
	c.t.note(e, now)
	if lease != nil {
		lease.given()
	}
	return Kept
}

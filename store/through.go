package store

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/keying"
)

// Through reads through a store: it looks, loads what is missing once per key, and keeps it. It is safe for concurrent
// use.
type Through struct {
	store   Store
	local   Local // the store's memory, or nil
	remote  bool  // the store does I/O, which a request's budget bounds
	log     Log
	budget  time.Duration
	fault   func(error)
	flights flights

	catcher Catcher               // the log, if others append to it, or nil
	round   atomic.Pointer[round] // the last one
}

// NewThrough returns a Through over the store. The budget bounds the time that one call waits for the store, all its
// operations together; a store that has missed it is a miss. Faults of the store are reported to fault, which may be
// nil; they never fail a call.
func NewThrough(s Store, log Log, budget time.Duration, fault func(error)) *Through {
	if fault == nil {
		fault = func(error) {}
	}
	t := &Through{store: s, log: log, budget: budget, fault: fault}
	t.local, _ = s.(Local)
	_, layered := s.(*Layered)
	t.remote = t.local == nil || layered
	if t.remote {
		t.catcher, _ = log.(Catcher)
	}
	return t
}

// Use says what an entry is good for at a moment.
type Use uint8

const (
	NoUse          Use = iota // purged, or past every window
	OnError                   // stale: only if the handler fails
	WhileRefreshed            // stale: may be served while it is refreshed
	Fresh                     // may be served
)

// Use judges an entry by its age and by the purge log.
func (t *Through) Use(e *Entry, now time.Time) Use {
	state, left := t.log.Ledger().State(e), e.Left(now)
	switch {
	case state == Gone:
		return NoUse
	case state == Live && left > 0:
		return Fresh
	case e.WhileRevalidate > 0 && left+e.WhileRevalidate > 0: // without a window a soft purge is one like any other
		return WhileRefreshed
	case e.IfError > 0 && left+e.IfError > 0:
		return OnError
	}
	return NoUse
}

// Peek looks in memory, without I/O, locks shared by all or allocation. What it returns may be served; stale entries
// are to be refreshed.
func (t *Through) Peek(key keying.Key, now time.Time) (e *Entry, use Use) {
	if t.local == nil {
		return nil, NoUse
	}
	e, ok := t.local.Peek(key)
	if !ok || e.Key != key {
		return nil, NoUse
	}
	if use = t.Use(e, now); use < WhileRefreshed {
		return nil, NoUse
	}
	return e, use
}

// Outcome is what a load says of its answer.
type Outcome uint8

const (
	Fail   Outcome = iota // nothing is known: the load was cut short
	Refuse                // the answer must not be kept nor shared
	Old                   // the old entry is to be served instead
	Keep                  // the entry is complete
)

// A Load makes an answer and says what may be done with it.
type Load func(*Run) Outcome

// A Run is one run of a load.
type Run struct {
	Entry *Entry // to be filled; carries the key and the place in the purge log. Not to be changed after Keep
	Old   *Entry // a stale entry that may be served instead if making the answer fails, or nil
	Blind bool   // the store could not be asked: it will hardly take the answer either

	t *Through
	f *flight
}

// Refuse tells the waiters at once, while the load is still under way, that the answer will not be shared.
func (r *Run) Refuse() {
	if r.f != nil {
		r.t.flights.leave(r.Entry.Key, r.f, Refuse, time.Now())
	}
}

// Source says where a result comes from.
type Source uint8

const (
	Loaded Source = iota // this call's load ran
	Stored               // found in the store
	Shared               // another call's load ran
	HungUp               // nowhere: the call was cancelled while it waited for another's load, and nothing ran
)

// Result is what Get brings: an entry to serve, or nil where the call's own load ran or the caller hung up. Only a Stored one may be stale.
type Result struct {
	Entry  *Entry
	Use    Use
	Source Source
}

// Get returns the entry of the key, from the store or from another call's load under way; else it runs load, once for
// all who ask at the same time, and keeps what load made. A panic in load passes through; waiters are released. A call
// that is cancelled while it waits runs nothing: its client has gone. One whose deadline passes runs its own load, which
// can see the context.
func (t *Through) Get(ctx context.Context, key keying.Key, load Load) Result {
	before := t.round.Load()
	for again := range 2 {
		now := time.Now()
		f, role := t.flights.join(key, now, false)
		switch role {
		case leader:
			return t.lead(ctx, key, f, load, WhileRefreshed)
		case loner:
			return t.alone(ctx, key, load)
		}
		if f.refresh { // the stale answer is as good for this call as for the one that started the refresh
			if e, use, _ := t.look(t.io(ctx), key); use >= WhileRefreshed {
				t.flights.giveUp(f)
				return Result{e, use, Stored}
			}
		}
		if !wait(ctx, f) {
			t.flights.giveUp(f)
			if errors.Is(ctx.Err(), context.Canceled) {
				return Result{Source: HungUp}
			}
			break
		}
		if f.entry != nil {
			// The first flight may have begun before a purge elsewhere, and that before this call. The second began later
			// than this call.
			if again > 0 || t.caughtUp(ctx, before) {
				if use := t.Use(f.entry, time.Now()); use >= WhileRefreshed || t.log.Ledger().State(f.entry) == Live {
					return Result{f.entry, use, Shared}
				}
			}
			t.flights.overtake(key, f) // perhaps purged since its load began: this call came later and must not see it
			continue
		}
		if !f.retry {
			break
		}
	}
	return t.alone(ctx, key, load)
}

// Refresh runs load unless the store has a fresh entry by now or another call is at it.
func (t *Through) Refresh(ctx context.Context, key keying.Key, load Load) {
	if f, role := t.flights.join(key, time.Now(), true); role == leader {
		t.lead(ctx, key, f, load, Fresh)
	}
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
func (t *Through) lead(ctx context.Context, key keying.Key, f *flight, load Load, serve Use) (r Result) {
	outcome := Fail
	defer func() { t.flights.leave(key, f, outcome, time.Now()) }()
	io := t.io(ctx)
	old, use, err := t.look(io, key)
	if use >= serve {
		outcome = Keep
		t.flights.land(f, old)
		return Result{old, use, Stored}
	}
	run := t.run(key, old, f, err)
	switch outcome = load(run); outcome {
	case Keep:
		t.flights.land(f, run.Entry)
		t.keep(io, run.Entry)
	case Old:
		t.flights.land(f, old)
		return Result{old, use, Stored}
	}
	return Result{}
}

// alone does the same without a flight.
func (t *Through) alone(ctx context.Context, key keying.Key, load Load) Result {
	io := t.io(ctx)
	old, use, err := t.look(io, key)
	if use >= WhileRefreshed {
		return Result{old, use, Stored}
	}
	run := t.run(key, old, nil, err)
	switch load(run) {
	case Keep:
		t.keep(io, run.Entry)
		t.flights.accept(key)
	case Refuse:
		t.flights.refuse(key, time.Now())
	case Old:
		return Result{old, use, Stored}
	}
	return Result{}
}

// run is made after the look, whose round trip has brought the ledger up to date, and before the handler runs.
func (t *Through) run(key keying.Key, old *Entry, f *flight, err error) *Run {
	e := &Entry{Key: key}
	t.log.Ledger().Stamp(e)
	return &Run{Entry: e, Old: old, Blind: err != nil && !errors.Is(err, ErrCorrupt), t: t, f: f}
}

// Look returns what the store has under the key and may be served, without a load. Stale entries are to be refreshed.
func (t *Through) Look(ctx context.Context, key keying.Key) (*Entry, Use) {
	e, use, _ := t.look(t.io(ctx), key)
	if use < WhileRefreshed {
		return nil, NoUse
	}
	return e, use
}

// Remote reports whether the store does I/O.
func (t *Through) Remote() bool { return t.remote }

// look returns what the store has and what it is good for. Its error has been reported.
func (t *Through) look(io *io, key keying.Key) (e *Entry, use Use, err error) {
	err = io.do(func(ctx context.Context) (err error) {
		e, _, err = t.store.Get(ctx, key)
		return err
	})
	if err != nil {
		t.fault(err)
		return nil, NoUse, err
	}
	if e == nil || e.Key != key {
		return nil, NoUse, nil
	}
	if use = t.Use(e, time.Now()); use == NoUse {
		return nil, NoUse, nil
	}
	return e, use, nil
}

func (t *Through) keep(io *io, e *Entry) {
	keep := e.Keep(time.Now())
	if keep <= 0 || t.log.Ledger().State(e) == Gone {
		return
	}
	err := io.do(func(ctx context.Context) error { return t.store.Set(ctx, e.Key, e, keep) })
	if err != nil {
		t.fault(err)
	}
}

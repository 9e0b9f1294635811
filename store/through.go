package store

import (
	"context"
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
	OnValidation              // stale: once the handler has confirmed it, or to be made whole
	OnError                   // stale: only if the handler fails, or has confirmed it
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
	case e.IfValidated > 0 && left+e.IfValidated > 0:
		return OnValidation
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
	Keep                  // the entry is complete, and the call's client has the answer
	Renew                 // the entry is complete, and the call's client is to be served with it
)

// A Load makes an answer and says what may be done with it.
type Load func(*Run) Outcome

// A Run is one run of a load.
type Run struct {
	Entry *Entry // to be filled; carries the key and the place in the purge log. Not to be changed after Keep or Renew
	Index *Entry // kept before Entry, under its own key, if the load sets it: what leads to Entry
	Old   *Entry // an entry that cannot be served as it is, or nil
	Use   Use    // what Old is good for: if OnError or more, it may be served instead if making the answer fails
	Blind bool   // the store could not be asked: it will hardly take the answer either

	t *Through
	f *flight
}

// Beside returns an entry for another key, with the place in the purge log that the run's has.
func (r *Run) Beside(key keying.Key) *Entry {
	return &Entry{Key: key, At: r.Entry.At, born: r.Entry.born}
}

// Refuse tells the waiters at once, while the load is still under way, that the answer will not be shared.
func (r *Run) Refuse() {
	if r.f != nil {
		r.t.flights.leave(r.Entry.Key, r.f, Refuse, time.Now())
	}
}

// A Judge says what an entry that the store calls good for some use is good for in one request; shared tells that it was
// made just now, for another.
type Judge func(e *Entry, use Use, shared bool) Use

func (j Judge) use(e *Entry, use Use, shared bool) Use {
	if j == nil || e == nil {
		return use
	}
	return j(e, use, shared)
}

// Source says where a result comes from.
type Source uint8

const (
	Loaded  Source = iota // this call's load ran
	Stored                // found in the store
	Shared                // another call's load ran
	HungUp                // nowhere: the call was cancelled while it waited for another's load, and nothing ran
	Renewed               // this call's load ran, and its entry is to be served
)

// Result is what Get brings: an entry to serve, or nil where the call's own load ran or the caller hung up. Only a Stored one may be stale.
type Result struct {
	Entry  *Entry
	Use    Use
	Source Source
}

// Get is [Call.Get] of a call that does nothing else.
func (t *Through) Get(ctx context.Context, key keying.Key, load Load) Result {
	return t.Call(ctx).Get(key, load, nil)
}

// Refresh runs load unless the store has a fresh entry by now or another call is at it.
func (t *Through) Refresh(ctx context.Context, key keying.Key, load Load) {
	if f, role := t.flights.join(key, time.Now(), true); role == leader {
		t.Call(ctx).lead(key, f, load, nil, Fresh)
	}
}

// Remote reports whether the store does I/O.
func (t *Through) Remote() bool { return t.remote }

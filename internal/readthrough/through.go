package readthrough

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Through reads through a store: it looks, loads what is missing once per key, and keeps it. It is safe for concurrent
// use.
type Cache struct {
	store    store.Store
	local    store.Local    // the store's memory, or nil
	recaller store.Recaller // the same, if it is one, or nil
	layered  bool           // memory holds copies: where they were purged the store itself must be asked
	remote   bool           // the store does I/O, which a request's budget bounds
	statuses func(int) bool // which may be kept besides 200; nil: any, and none
	log      store.Log
	ledger   *store.Ledger // the log's
	budget   time.Duration
	ends     endings // of operations
	patience endings // of those who wait for a flight
	report   func(Report)
	flights  flights
	runs     runs
	tries    tries
	dead     dead
	leaser   store.Leaser // the store, if it is one, or nil
	tracer   store.Tracer // the memory, if nothing is behind it and it is one, or nil
	traces   *Traces

	catcher store.Catcher         // the log, if others append to it, or nil
	round   atomic.Pointer[round] // the last one
}

// NewThrough returns a Through over the store. The budget bounds the time that one call waits for the store, all its
// operations together; a store that has missed it is a miss. Faults of the store go to report, which may be nil; they never
// fail a call. So do the successes of a store outside the process: report must be quick, and safe for concurrent use.
func New(s store.Store, log store.Log, budget time.Duration, report func(Report)) *Cache {
	if report == nil {
		report = func(Report) {}
	}
	t := &Cache{store: s, log: log, ledger: log.Ledger(), budget: budget, report: report, local: memoryOf(s)}
	t.recaller, _ = t.local.(store.Recaller)
	_, t.layered = s.(*Layered)
	t.remote = t.local == nil || t.layered
	if !t.remote {
		t.tracer, _ = t.local.(store.Tracer)
	}
	if t.remote {
		t.catcher, _ = log.(store.Catcher)
		t.leaser, _ = s.(store.Leaser)
	}
	if l, ok := s.(*Layered); ok && !l.leases() {
		t.leaser = nil
	}
	return t.LimitRuns(maxRuns)
}

// Only sets which statuses entries may have besides 200. Others count as absent: what somebody has put into the store, past
// us, must not be served for an answer. It is called before the Through is first used.
func (t *Cache) Statuses(status func(int) bool) *Cache {
	t.statuses = status
	return t
}

// foreign reports whether the entry is none that could have been kept here: of another status, or, where nothing but memory
// keeps anything, one that was read from a store outside the process.
func (t *Cache) foreign(e *store.Entry) bool {
	return e.Status != http200 && t.statuses != nil && !t.statuses(e.Status) || !e.MadeHere() && !t.remote
}

const http200 = 200 // without all of net/http

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
func (t *Cache) Use(e *store.Entry, now time.Time) Use { return t.use(e, e.Left(now)) }

// use judges an entry of which so much freshness is left.
func (t *Cache) use(e *store.Entry, left time.Duration) Use {
	if t.foreign(e) {
		return NoUse
	}
	state := t.ledger.State(e)
	switch {
	case state == store.Gone:
		return NoUse
	case state == store.Live && left > 0:
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

// Expired reports whether a soft purge stands after the entry.
func (t *Cache) Expired(e *store.Entry) bool { return t.log.Ledger().State(e) == store.Expired }

// Peek looks in memory, without I/O, locks shared by all or allocation. What it returns may be served; stale entries
// are to be refreshed.
func (t *Cache) Peek(key keying.Key, now time.Time) (e *store.Entry, use Use) {
	if t.local == nil {
		return nil, NoUse
	}
	e, ok := t.local.Peek(key)
	if !ok || e.Key != key {
		return nil, NoUse
	}
	if use = t.servable(e, now, e.Left(now)); use == NoUse {
		return nil, NoUse
	}
	return e, use
}

// servable says what an entry of the memory is good for, if it may be served.
func (t *Cache) servable(e *store.Entry, now time.Time, left time.Duration) Use {
	use := t.use(e, left)
	if use < WhileRefreshed || e.Past(now) || t.layered && t.ledger.State(e) != store.Live {
		return NoUse
	}
	return use
}

// Made says when an entry was made, beside a request.
type Made uint8

const (
	Before    Made = iota // it was there
	Meanwhile             // by another's load that has begun before the request came, and has ended since
	Since                 // by another's load that has begun since the request came: its own would bring nothing newer
)

// A Judge says what an entry that the store calls good for some use is good for in one request. The Stored of entries that
// it judges is when their load began, or earlier.
type Judge func(e *store.Entry, use Use, made Made) Use

func (j Judge) use(e *store.Entry, use Use, made Made) Use {
	if j == nil || e == nil {
		return use
	}
	return j(e, use, made)
}

// Source says where a result comes from.
type Source uint8

const (
	Loaded   Source = iota // this call's load ran
	Stored                 // found in the store
	Shared                 // another call's load ran
	Canceled               // nowhere: the call was cancelled while it waited for another's load, and nothing ran
	Renewed                // this call's load ran, and its entry is to be served
	Looped                 // nowhere: the load asks for itself, again and again, and nothing ran
)

// Result is what Get brings: an entry to serve, or nil where the call's own load ran, the caller hung up or the load
// asks for itself. Only a Stored one may be stale.
type Result struct {
	Entry  *store.Entry
	Use    Use
	Source Source
	Fate   Fate // of the entry that the call's own load has made
}

// Fate is what became of an entry that a load has made.
type Fate uint8

const (
	NotKept        Fate = iota // none was to be kept, or it was good for no time
	Kept                       // the store has it
	RefusedByStore             // the store has refused it, for its size
	StoreFailed                // the store failed, or there was no time left to ask it
	Overtaken                  // it was purged while it was made
)

// Get is [Call.Get] of a call that does nothing else.
func (t *Cache) Get(ctx context.Context, key keying.Key, load LoaderFunc) Result {
	c := t.Call(ctx, "")
	return c.Get(key, load, nil)
}

// Refresh is [Call.Refresh] of a call that does nothing else.
func (t *Cache) Refresh(ctx context.Context, key keying.Key, load LoaderFunc) Fate {
	c := t.Call(ctx, "")
	return c.Refresh(key, load)
}

// Remote reports whether the store does I/O.
func (t *Cache) Remote() bool { return t.remote }

// Package readthrough is the engine behind cached responses and cached values. It looks in memory, then in the far store,
// and loads what is missing once per key: once per process with a [Cache]'s flights, and once per fleet where the far store
// has leases. What a load makes is kept, unless a purge has overtaken it.
//
// A memory hit is [Cache.Find] alone. Everything else is a [Call]: read call.go for what a request goes through, flight.go for
// requests of one process that miss the same key, lease.go for processes that do, and share.go for purges that come between.
//
// # Why a purge cannot lose a race
//
// A purge deletes nothing: it appends a record to a log, [store.Log]. An entry carries the log's position from before its load
// began. Whoever reads an entry, in memory or from Far, asks the ledger, which is this process' view of the log, whether a
// record after that position names one of the entry's labels. Take the race that a cache which deletes loses:
//
//	A: begins a load; the entry is stamped with position 7
//	A: reads version 1 from the database
//	B: writes version 2, purges: the record has position 8. Nothing is there to be deleted
//	A: stores the entry, of version 1 and position 7
//	C: reads the entry. Record 8 is after 7 and names its label: the entry is absent
//
// So it does not matter when the entry is stored, in how many places, or whether B knows of it. It matters that C's ledger
// knows record 8. A purge of C's own process it knows at once. Of a purge elsewhere it learns in the round trip in which Far
// brings the entry. For what comes without such a round trip, a near copy or another request's load, see stores and share.go.
package readthrough

import (
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/internal/trace"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// A Cache reads through the tiers of one route, or of one kind of values. Make it with [New]; it is safe for concurrent
// use.
type Cache struct {
	stores   stores
	memory   store.Local  // what can be looked at without I/O, or nil
	recaller Recaller     // the same, if it is one, or nil
	tracer   trace.Tracer // the same, if there is no far store and it is one, or nil
	layered  bool         // memory holds near copies: where one was purged, Far must be asked
	remote   bool         // reading does I/O, which a request's budget bounds

	log      store.Log
	ledger   *store.Ledger  // the log's
	follower store.Follower // the log, if other processes append to it and entries leave this process, or nil
	catching atomic.Pointer[catchUp]

	budget   time.Duration
	report   func(Report)
	statuses func(int) bool
	traces   *Traces

	flights     flights
	limit       runLimit
	deadLeases  deadLeases
	earlyTries  earlyTries
	opEndings   endings // of store operations
	waitEndings endings // of those who wait for a flight
}

// Options are how a Cache works. The zero Options are valid.
type Options struct {
	// Budget bounds how long one call waits for the stores, all its operations together, where these do I/O. What is not
	// there by then is a miss. 0: not at all.
	Budget time.Duration
	// Report is told faults of the stores, and successes where they do I/O. It must be quick, and safe for concurrent use.
	// nil: nobody is told. A fault never fails a call.
	Report func(Report)
	// MaxRuns bounds how many loads run at once; others wait for a while. 0: 256.
	MaxRuns int
	// Statuses says which statuses entries may have besides 200. Others count as absent: somebody may have put them into the
	// store, past this program, and they must not be served as a response. nil: any.
	Statuses func(status int) bool
	// Trim is applied to whatever Far brings, before all else. It returns the entry, or a copy with shorter times. nil: nothing.
	Trim func(*store.Entry) *store.Entry
	// Open is applied to whatever a tier brings, but for what Find and Peek find in memory. It returns the entry, or one in
	// its place; an error makes it a miss. nil: nothing.
	Open func(*store.Entry) (*store.Entry, error)
	// NearTTL is how long a near copy is good at most. 0: there are none.
	NearTTL time.Duration
	// Outage is how much longer a near copy may stand in while Far cannot be asked.
	Outage time.Duration
	// Follow is called before an entry is kept in memory. nil: nobody is.
	Follow func()
	// Ranking is told which keys are read from Far to be kept near. nil: nobody is.
	Ranking *Ranking
	// Traces remember until when entries were to be kept, for stores that do not. Several Caches may share them.
	Traces *Traces
}

// Report says how an operation on a store went.
type Report struct {
	Route string // what it was for, as the call was named; "" if it was not
	What  Operation
	Err   error // nil: a store outside the process has answered
}

// Operation is a kind of operations on a store, of which each may fail while the others work.
type Operation string

const (
	Reads  Operation = "reads"
	Writes Operation = "writes"
	Leases Operation = "leases"
)

// New returns a Cache over the tiers: memory alone if Far is nil, Far alone if Near is nil, and otherwise Far with copies near.
func New(t Tiers, o Options) *Cache {
	rc := &Cache{
		stores: stores{
			near: t.Near, far: t.Far, leaser: t.Leaser, ledger: t.Log.Ledger(), nearTTL: o.NearTTL, outage: o.Outage,
			ranking: o.Ranking, follow: o.Follow, trim: o.Trim, opens: o.Open,
		},
		memory: t.Memory, recaller: t.Recaller, log: t.Log, ledger: t.Log.Ledger(),
		budget: o.Budget, report: o.Report, statuses: o.Statuses,
		layered: t.Near != nil && t.Far != nil,
		remote:  t.Far != nil || t.Memory == nil,
	}
	if rc.report == nil {
		rc.report = func(Report) {}
	}
	if rc.remote {
		rc.follower = t.Follower
	} else {
		rc.tracer = t.Tracer
	}
	if rc.tracer == nil {
		rc.traces = o.Traces
	}
	rc.limit.init(o.MaxRuns)
	return rc
}

// Remote reports whether reading does I/O.
func (rc *Cache) Remote() bool { return rc.remote }

// Found is what memory has.
type Found struct {
	Entry *store.Entry // nil: nothing that may be served
	Use   Use
	Left  time.Duration // of its freshness
	Key   keying.Key    // of what was looked for; with an entry, whose Key it is, it may be zero
}

// Find looks in memory for what the text selects: by the text itself, or by its key where memory does not know the text yet.
// It does no I/O, takes no lock shared by all and allocates nothing once the text is known. What it finds may be served; a
// stale entry is to be refreshed. It fills f, which is zero before: to return it would cost a hit a twentieth of its time.
// The error is that of [keys.Text.Key].
func (rc *Cache) Find(text *keys.Text, now time.Time, f *Found) (err error) {
	if rc.recaller != nil {
		if e, ok := rc.recaller.Recall(text.Hash(), text.Bytes(), now); ok {
			f.Left = e.Left(now)
			if f.Use = rc.servable(e, now, f.Left); f.Use != NoUse {
				f.Entry = e
			} else {
				f.Key = e.Key
			}
			return nil
		}
	}
	if f.Key, err = text.Key(); err != nil {
		return err
	}
	if f.Entry, f.Use = rc.Peek(f.Key, now); f.Entry != nil {
		f.Left = f.Entry.Left(now)
		if rc.recaller != nil {
			rc.recaller.Remember(f.Key, text.Hash(), text.Bytes())
		}
	}
	return nil
}

// Peek looks in memory, without I/O, locks shared by all or allocation. What it returns may be served; a stale entry is to be
// refreshed.
func (rc *Cache) Peek(key keying.Key, now time.Time) (e *store.Entry, use Use) {
	if rc.memory == nil {
		return nil, NoUse
	}
	e, ok := rc.memory.Peek(key)
	if !ok || e.Key != key {
		return nil, NoUse
	}
	if use = rc.servable(e, now, e.Left(now)); use == NoUse {
		return nil, NoUse
	}
	return e, use
}

// servable says what an entry of the memory is good for, if it may be served at once. A near copy that is past its time, or
// was purged, in whatever way, may not: Far may have a newer one.
func (rc *Cache) servable(e *store.Entry, now time.Time, left time.Duration) Use {
	use := rc.use(e, left)
	if use < WhileRefreshed || e.Past(now) || rc.layered && rc.ledger.State(e) != store.Live {
		return NoUse
	}
	return use
}

// Use says what an entry is good for at a moment. A greater one includes those below.
type Use uint8

const (
	NoUse          Use = iota // purged, or past every window
	OnValidation              // stale: once the handler has confirmed it, or to be made whole (RFC 9111 §4.3)
	OnError                   // stale: only if the handler fails, or has confirmed it (stale-if-error, RFC 5861 §4)
	WhileRefreshed            // stale: may be served while it is refreshed (stale-while-revalidate, RFC 5861 §3)
	Fresh                     // may be served
)

// Use judges an entry by its age and by the purge log.
func (rc *Cache) Use(e *store.Entry, now time.Time) Use { return rc.use(e, e.Left(now)) }

// use judges an entry of which so much freshness is left.
func (rc *Cache) use(e *store.Entry, left time.Duration) Use {
	if rc.foreign(e) {
		return NoUse
	}
	state := rc.ledger.State(e)
	switch {
	case state == store.Gone:
		return NoUse
	case state == store.Live && left > 0:
		return Fresh
	case e.WhileRevalidate > 0 && left+e.WhileRevalidate > 0: // without this window a soft purge is one like any other
		return WhileRefreshed
	case e.IfError > 0 && left+e.IfError > 0:
		return OnError
	case e.IfValidated > 0 && left+e.IfValidated > 0:
		return OnValidation
	}
	return NoUse
}

// foreign reports whether the entry cannot have been kept here: it has another status, or it was read from a far store
// although this Cache has none.
func (rc *Cache) foreign(e *store.Entry) bool {
	return e.Status != http200 && rc.statuses != nil && !rc.statuses(e.Status) || !e.MadeHere() && !rc.remote
}

const http200 = 200 // without all of net/http

// Expired reports whether a soft purge came after the entry was made.
func (rc *Cache) Expired(e *store.Entry) bool { return rc.ledger.State(e) == store.Expired }

// Made says when an entry was made, seen from a request.
type Made uint8

const (
	Before    Made = iota // it was there
	Meanwhile             // by another's load that began before the request came, and has ended since
	Since                 // by another's load that began after the request came: its own would bring nothing newer
)

// A Judge says what an entry that the store calls good for some use is good for in one request. A nil Judge agrees with the
// store. The Stored of an entry that it judges is when the load began, or earlier.
type Judge func(e *store.Entry, use Use, made Made) Use

func (j Judge) use(e *store.Entry, use Use, made Made) Use {
	if j == nil || e == nil {
		return use
	}
	return j(e, use, made)
}

// Spread shortens a lifetime by up to a tenth, by the key, so that responses made together do not expire together.
func Spread(ttl time.Duration, key keying.Key) time.Duration {
	return ttl - ttl/10*time.Duration(key[0])/256
}

// Package readthrough is the engine behind cached responses and cached values. It looks in memory, then in the far store,
// and loads what is missing once per key: once per process with a [Cache]'s flights, and once per fleet if the far store
// has leases. It stores what a load makes, unless a purge has overtaken it.
//
// A memory hit is [Cache.Find] alone. Everything else is a [Call]: read call.go for the steps of a request, flight.go for
// requests of one process that miss the same key, lease.go for processes that do, and share.go for purges in between.
//
// # Why a purge cannot lose a race
//
// A purge deletes nothing: it appends a record to the purge log, [store.Log]. An entry carries the log's position from before
// its load began. Whoever reads an entry, in memory or from Far, checks the ledger, which is this process' view of the log: does
// a record after that position name one of the entry's labels? Take the race that a cache which deletes loses:
//
//	A: begins a load; the entry is stamped with position 7
//	A: reads version 1 from the database
//	B: writes version 2 and purges: the record has position 8. There is nothing to delete yet
//	A: stores the entry: version 1, position 7
//	C: reads the entry. Record 8 is after 7 and names its label: the entry is absent
//
// So it does not matter when the entry is stored, in how many places, or whether B knows of it. It matters that C's ledger
// knows record 8. It knows a purge by C's own process at once. It learns of a purge elsewhere in the round trip in which Far
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

// A Cache reads through the tiers of one route, or of one kind of values. Create it with [New]; it is safe for concurrent
// use.
type Cache struct {
	stores   stores
	memory   store.Local  // lookups in it need no I/O; or nil
	recaller Recaller     // memory, if it is a Recaller, or nil
	tracer   trace.Tracer // memory, if it is a Tracer and there is no far store, or nil
	layered  bool         // memory holds near copies: if one was purged, the next step is to read Far
	remote   bool         // reading does I/O, which a request's budget bounds

	log      store.Log
	ledger   *store.Ledger  // the log's
	follower store.Follower // the log, if other processes append to it and reading does I/O; or nil
	catching atomic.Pointer[catchUp]

	budget   time.Duration
	report   func(Report)
	statuses func(int) bool
	traces   *Traces

	flights     flights
	limit       runLimit
	deadLeases  deadLeases
	earlyTries  earlyTries
	opEndings   endings // for store operations
	waitEndings endings // for waiters of a flight
}

// Options configure a Cache. The zero Options are valid.
type Options struct {
	// Budget bounds how long one call waits for stores that do I/O, all its operations together. What has not arrived by then
	// is a miss. 0: no bound.
	Budget time.Duration
	// Report is called with faults of the stores, and with successes of those that do I/O. It must be quick, and safe for
	// concurrent use. nil: no reports. A fault never fails a call.
	Report func(Report)
	// MaxRuns bounds how many loads run at once; others wait for a while. 0: 256.
	MaxRuns int
	// Statuses says which statuses entries may have besides 200. Others count as absent: something other than this program may
	// have written them to the store, and they must not be served as a response. nil: any.
	Statuses func(status int) bool
	// Trim is applied to every entry from Far, before anything else. It returns the entry, or a copy with shorter times. nil: none.
	Trim func(*store.Entry) *store.Entry
	// Open is applied to every entry from a tier, except for what Find and Peek find in memory. It returns the entry, or one in
	// its place; an error makes it a miss. nil: none.
	Open func(*store.Entry) (*store.Entry, error)
	// NearTTL is the maximum lifetime of a near copy. 0: no near copies.
	NearTTL time.Duration
	// Outage is how much longer a near copy may stand in while Far is unavailable.
	Outage time.Duration
	// Follow is called before an entry is stored in memory. nil: no call.
	Follow func()
	// Ranking collects the keys that are read from Far to be copied near. nil: none.
	Ranking *Ranking
	// Traces remember until when entries were to be stored, for stores that do not. Several Caches may share them.
	Traces *Traces
}

// Report says how an operation on a store went.
type Report struct {
	Route string // the route of the call, or ""
	What  Operation
	Err   error // nil: a store outside the process has responded
}

// Operation is a kind of store operation. Each kind may fail while the others work.
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

// Found is what Find has found in memory.
type Found struct {
	Entry *store.Entry // nil: nothing that may be served
	Use   Use
	Left  time.Duration // freshness left
	Key   keying.Key    // the key that was looked up; may be zero if there is an entry, which has the key
}

// Find looks in memory for the entry that the text selects: by the text itself, or by its key if memory does not know the text yet.
// It does no I/O, takes no lock shared by all and allocates nothing once the text is known. The entry may be served; a stale
// one is to be refreshed. Find fills f, which must be zero: returning a Found would make a hit a twentieth slower.
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

// Peek looks in memory, without I/O, locks shared by all or allocation. The entry that it returns may be served; a stale one is
// to be refreshed.
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

// servable says what an entry in memory is good for, if it may be served at once. A near copy that is past its time or was
// purged, softly or not, may not: Far may have a newer one.
func (rc *Cache) servable(e *store.Entry, now time.Time, left time.Duration) Use {
	use := rc.use(e, left)
	if use < WhileRefreshed || e.Past(now) || rc.layered && rc.ledger.State(e) != store.Live {
		return NoUse
	}
	return use
}

// Use says what an entry is good for at a given moment. A greater Use includes the lesser ones.
type Use uint8

const (
	NoUse          Use = iota // purged, or past every window
	OnValidation              // stale: once the handler has validated it, or as a part to be completed (RFC 9111 §4.3)
	OnError                   // stale: only if the handler fails, or has validated it (stale-if-error, RFC 5861 §4)
	WhileRefreshed            // stale: may be served while it is refreshed (stale-while-revalidate, RFC 5861 §3)
	Fresh                     // may be served
)

// Use judges an entry by its age and by the purge log.
func (rc *Cache) Use(e *store.Entry, now time.Time) Use { return rc.use(e, e.Left(now)) }

// use is Use with the freshness that is left.
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
	case e.WhileRevalidate > 0 && left+e.WhileRevalidate > 0: // without this window a soft purge is like any other
		return WhileRefreshed
	case e.IfError > 0 && left+e.IfError > 0:
		return OnError
	case e.IfValidated > 0 && left+e.IfValidated > 0:
		return OnValidation
	}
	return NoUse
}

// foreign reports whether this Cache cannot have stored the entry: it has another status, or it was read from a far store
// although this Cache has none.
func (rc *Cache) foreign(e *store.Entry) bool {
	return e.Status != http200 && rc.statuses != nil && !rc.statuses(e.Status) || !e.MadeHere() && !rc.remote
}

const http200 = 200 // avoids importing net/http

// Expired reports whether a soft purge came after the entry's load began.
func (rc *Cache) Expired(e *store.Entry) bool { return rc.ledger.State(e) == store.Expired }

// Made says when an entry was made, relative to a request.
type Made uint8

const (
	Before    Made = iota // it was there already
	Meanwhile             // by another call's load that began before the request came, and has ended since
	Since                 // by another call's load that began after the request came: a load of its own would bring nothing newer
)

// A Judge says what an entry is good for in one request, given what the store says of it. A nil Judge agrees with the store.
// The entry's Stored is when its load began, or earlier.
type Judge func(e *store.Entry, use Use, made Made) Use

func (j Judge) use(e *store.Entry, use Use, made Made) Use {
	if j == nil || e == nil {
		return use
	}
	return j(e, use, made)
}

// Spread shortens a lifetime by up to a tenth, depending on the key, so that responses made together do not expire together.
func Spread(ttl time.Duration, key keying.Key) time.Duration {
	return ttl - ttl/10*time.Duration(key[0])/256
}

package cache

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Where the entries of a policy are stored, how copies in memory learn of purges by other processes, and how a process that starts gets
// its first copies.

// readThrough returns the engine for the responses, or values, of the policy. In events, name stands in for a missing pattern. If open is
// not nil, it opens each entry that comes from a store.
func (c *Cache) readThrough(p Policy, name string, open func(*store.Entry) (*store.Entry, error)) *readthrough.Cache {
	tiers, o := c.tiers, readthrough.Options{
		Budget:  c.farBudget,
		Report:  c.reporter(p.Class, name),
		MaxRuns: p.maxRuns(),
		Trim:    within(p),
		Open:    open,
		Traces:  &c.traces,
	}
	if c.following != nil {
		o.Follow = c.following.begin
	}
	if open == nil && !p.RFC9111 { // values have no status; in RFC 9111 mode any status may be stored
		others := maps.Clone(p.StatusTTL)
		o.Statuses = func(status int) bool { return others[status] > 0 }
	}
	switch p.Class { // see Class: where a response is stored
	case SharedGlobal:
		tiers = tiers.NearOnly()
	case HotShared:
		o.NearTTL, o.Outage, o.Ranking = p.nearTTL(), max(0, p.StaleIfError, p.StaleWhileRevalidate), c.ranking
		c.shorten(o.NearTTL)
	default:
		tiers = tiers.FarOnly()
	}
	return readthrough.New(tiers, o)
}

// within returns a function that shortens the times of an entry to the policy's, or nil if the policy bounds none. An entry in Redis may
// have been stored under another policy: by processes of the previous version while a new one is rolled out, or by another program with
// the same prefix. In RFC 9111 mode a response has its own stale windows, and an index, whose status is 0, has no times.
func within(p Policy) func(*store.Entry) *store.Entry {
	if p.RFC9111 && p.TTL == 0 {
		return nil
	}
	ttl, statuses, standard := p.ttl(), maps.Clone(p.StatusTTL), p.RFC9111
	return func(e *store.Entry) *store.Entry {
		most := ttl
		if other, ok := statuses[e.Status]; ok {
			most = other
		}
		switch {
		case !standard:
			return e.Within(readthrough.Spread(most, e.Key), p.StaleWhileRevalidate, p.ifError())
		case e.Status == 0:
			return e
		}
		return e.Within(most, e.WhileRevalidate, e.IfError)
	}
}

// following follows a purge log, once, from begin to end. It is safe for concurrent use.
//
// A near copy is served without I/O, so nothing else would tell its reader of another process' purge before the copy expires. Reads pay
// nothing for this: the follower applies the purge to the ledger, and each hit checks the ledger anyway.
//
//	A: stores the first entry in memory: begins to follow the log
//	B: purges /x; the log acknowledges
//	A: the log's connection delivers the record, as a rule at once; the ledger knows it
//	A: GET /x finds its copy, which the ledger calls purged: a miss
//
// While the log is unreachable, copies live on until their near TTL ends, and an event says so. When it is reachable again, the ledger
// first catches up with its head.
type following struct {
	log     store.Follower
	changed func(error)

	begun atomic.Bool // set under mu, by begin, or by an end without one
	mu    sync.Mutex
	stop  context.CancelFunc
	ended chan struct{} // closed when run returns; nil: it never began
}

// begin starts following, once. It is called for each entry that is stored in memory, so later calls must be cheap. A Cache that stores
// nothing there starts no goroutine.
func (f *following) begin() {
	if f.begun.Load() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.begun.Swap(true) {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	f.stop, f.ended = stop, make(chan struct{})
	go f.run(ctx)
}

// run follows until the context ends. A panic is reported like a log that is unreachable: copies live on until their near TTL ends.
func (f *following) run(ctx context.Context) {
	defer close(f.ended)
	defer func() {
		if p := recover(); p != nil { // the caller's Redis client may have hooks
			f.changed(fmt.Errorf("cache: following the purge log: panic: %v", p))
		}
	}()
	f.log.Follow(ctx, f.changed)
}

// end stops following, and waits for run to return, as long as the context allows. If following never began, it no longer can.
func (f *following) end(ctx context.Context) error {
	f.mu.Lock()
	f.begun.Store(true)
	stop, ended := f.stop, f.ended
	f.mu.Unlock()
	if ended == nil {
		return nil
	}
	stop()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// follow prepares following the log, if other processes append to it.
func (c *Cache) follow() {
	if c.tiers.Follower == nil {
		return
	}
	c.following = &following{log: c.tiers.Follower, changed: func(err error) {
		ev := Event{Outcome: Fault, Reason: ReasonLog, Err: err}
		if err != nil {
			c.limiter.began(ev, readthrough.Reads)
		} else if !c.limiter.ended(ev, readthrough.Reads) {
			c.emit(Event{Outcome: Followed})
		}
	}}
}

const (
	defaultPreload = 200
	maxPreload     = 1000
)

// Preload fetches into memory the entries that are hottest on HotShared routes, over all processes that share Far, and returns how many
// it fetched. So a process that has just started need not read all of them from Redis at once when its first requests come. Call it after
// the routes are registered, as the last step before the process reports that it is ready. The copies live as long as others do, by the
// shortest NearTTL of the routes, and end with their purges. SharedGlobal routes never serve them, even under the same key: entries from
// Far are for routes that read Far.
//
// It reads at most n keys, and never more than 1,000; 0 or less means 200. It reads them one after another, the hottest first, until the
// context ends. An error says what failed in Far; the app can serve requests all the same. If Far does not rank keys (redisstore does),
// or if no route is HotShared, there is nothing to fetch, and that is no error.
func (c *Cache) Preload(ctx context.Context, n int) (int, error) {
	ttl := time.Duration(c.shortest.Load())
	if c.tiers.Ranker == nil || ttl == 0 {
		return 0, nil
	}
	if n <= 0 {
		n = defaultPreload
	}
	keys, err := c.tiers.Ranker.Hottest(ctx, min(n, maxPreload))
	if err != nil {
		return 0, fmt.Errorf("cache: preload: %w", err)
	}
	brought := 0
	for _, key := range keys {
		ok, err := c.preload(ctx, key, ttl)
		if err != nil {
			return brought, fmt.Errorf("cache: preload: %w", err)
		}
		if ok {
			brought++
		}
	}
	return brought, nil
}

// preload stores a near copy of the key's entry, if there is one that can be served.
func (c *Cache) preload(ctx context.Context, key keying.Key, ttl time.Duration) (bool, error) {
	e, ok, err := c.tiers.Far.Get(ctx, key)
	if errors.Is(err, store.ErrCorrupt) {
		return false, nil // a miss for requests, too, and they report it
	}
	if err != nil || !ok || c.tiers.Log.Ledger().State(e) != store.Live {
		return false, err
	}
	good := min(ttl, e.Left(time.Now()))
	if good <= 0 {
		return false, nil
	}
	if c.following != nil {
		c.following.begin()
	}
	return c.tiers.Near.Set(ctx, key, e, good) == nil, nil
}

// shorten notes the near TTL of a HotShared route. Nothing tells which route a preloaded key belongs to, so the shortest applies.
func (c *Cache) shorten(ttl time.Duration) {
	for {
		was := c.shortest.Load()
		if was > 0 && was <= int64(ttl) || c.shortest.CompareAndSwap(was, int64(ttl)) {
			return
		}
	}
}

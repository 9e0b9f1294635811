package cache

import (
	"maps"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/middleware"
	"github.com/larder-go/cache/store"
)

// through is how the route's answers are read and kept.
func (c *Cache) through(p Policy, pattern string) *readthrough.Cache {
	t := readthrough.New(c.storeOf(p, nil), c.log, c.farBudget, c.reporter(p.Class, pattern)).LimitRuns(p.maxRuns()).Trace(&c.traces)
	if p.RFC9111 { // any status, and indexes; each answer is judged
		return t
	}
	others := maps.Clone(p.StatusTTL)
	return t.Statuses(func(status int) bool { return others[status] > 0 })
}

// storeOf is where answers of the class live. Where open is given, it opens each that is read; see openStore. What was kept in
// Redis under a policy of longer times is good for this one's. What memory has, has come through here, or by Preload, which knows
// no routes.
func (c *Cache) storeOf(p Policy, open func(*store.Entry) (*store.Entry, error)) store.Store {
	near, far := openStore(c.nearStore(), open), openStore(openStore(c.far, within(p)), open)
	switch p.Class {
	case SharedGlobal:
		return near
	case HotShared:
		c.shorten(p.nearTTL())
		return &readthrough.Layered{
			Near: near, Far: far, NearTTL: p.nearTTL(), Outage: max(0, p.StaleIfError, p.StaleWhileRevalidate),
			Ledger: c.log.Ledger(), Ranking: c.ranking,
		}
	}
	if leaser, ok := far.(store.Leaser); ok {
		return farLeaser{farOnly{far}, leaser}
	}
	return farOnly{far}
}

// within cuts the times of an entry down to the policy's, or does nothing if the policy bounds none. The stale windows of standard
// answers are their own, and what leads to them has no time of theirs.
func within(p Policy) func(*store.Entry) (*store.Entry, error) {
	if p.RFC9111 && p.TTL == 0 {
		return nil
	}
	ttl, statuses, standard := p.ttl(), maps.Clone(p.StatusTTL), p.RFC9111
	return func(e *store.Entry) (*store.Entry, error) {
		most := ttl
		if other, ok := statuses[e.Status]; ok {
			most = other
		}
		switch {
		case !standard:
			return e.Within(middleware.Spread(most, e.Key), p.StaleWhileRevalidate, p.ifError()), nil
		case e.Status == 0:
			return e, nil
		}
		return e.Within(most, e.WhileRevalidate, e.IfError), nil
	}
}

// farOnly hides that a Far store may be memory, as in tests: what lives there is not looked for in the process.
type farOnly struct{ store.Store }

// farLeaser is farOnly where processes take turns.
type farLeaser struct {
	farOnly
	store.Leaser
}

package cache

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware"
	"github.com/larder-go/cache/middleware/rfc9111"
	"github.com/larder-go/cache/store"
)

// Compile returns the policy in the form that adapters serve requests by, for routers other than net/http's. The pattern
// is the route's, in the form of a [Routes] table; "" leaves it to the adapter to tell it with each request. An error names
// the route, the fault and the remedy.
func (c *Cache) Compile(p Policy, pattern string) (*middleware.Route, error) {
	err := c.check(p)
	if err == nil {
		err = checkParams(p, pattern)
	}
	if err != nil {
		return nil, fmt.Errorf("cache: %s: %w", nameOf(p, pattern), err)
	}
	tell := c.teller(p.Class)
	if near := p.nearTTL(); p.Class == HotShared && near > maxNear {
		tell(middleware.Event{Route: pattern, Outcome: Warning, Reason: NearTTLReason})
	}
	return &middleware.Route{
		Pattern:         pattern,
		Common:          c.common,
		Scheme:          c.scheme(p),
		Labeler:         c.labeler,
		Through:         c.through(p, pattern),
		User:            c.userOf(p),
		Tags:            tagsOf(p),
		Observe:         c.observer(p.Class),
		Tell:            tell,
		Purge:           c.invalidate,
		HideAuth:        p.IgnoreAuthorization,
		Standard:        p.RFC9111,
		NoVarySearch:    noVarySearch(p.Query),
		Vary:            varyLine(p),
		Client:          clientLine(p),
		TTL:             p.ttl(),
		WhileRevalidate: p.StaleWhileRevalidate,
		IfError:         p.ifError(),
		StatusTTL:       maps.Clone(p.StatusTTL),
		MaxBody:         p.maxBody(),
	}, nil
}

// through is how the route's answers are read and kept.
func (c *Cache) through(p Policy, pattern string) *store.Through {
	t := store.NewThrough(c.storeOf(p, nil), c.log, c.farBudget, c.reporter(p.Class, pattern)).Limit(p.maxRuns()).Trace(&c.traces)
	if p.RFC9111 { // any status, and indexes; each answer is judged
		return t
	}
	others := maps.Clone(p.StatusTTL)
	return t.Only(func(status int) bool { return others[status] > 0 })
}

// nameOf is what an error calls the policy: its route, if that is known.
func nameOf(p Policy, pattern string) string {
	if pattern == "" {
		return fmt.Sprintf("policy %q", p)
	}
	return fmt.Sprintf("route %q", pattern)
}

func (c *Cache) scheme(p Policy) *keying.Scheme {
	scheme := &keying.Scheme{
		Realm:      c.realm(p),
		Headers:    canonicalNames(p.Vary),
		Cookies:    sortedSet(p.Cookies),
		Query:      p.Query,
		Pass:       canonicalNames(p.Pass),
		TrustProxy: c.trustProxy,
		Private:    p.Class == PerUser,
		Open:       p.RFC9111,
		Secret:     c.secret,
	}
	return scheme.Compile()
}

// realm is what the answers of other policies never mix with. In memory that other Caches may share it is this Cache's own,
// unless they share a purge log, too: else its purges would be no news to them.
func (c *Cache) realm(p Policy) string {
	realm := p.Class.String()
	if p.RFC9111 {
		realm += " rfc9111"
	}
	if p.Class == SharedGlobal && c.own == nil && !c.joints.needed {
		realm = fmt.Sprint(realm, " ", c.number)
	}
	return realm
}

// noVarySearch is the field that tells clients the policy's rules for the query, or nil.
func noVarySearch(q keying.Query) []string {
	if value := q.NoVarySearch(); value != "" {
		return []string{value}
	}
	return nil
}

// varyLine is the field that tells caches in front what the policy selects by, or nil.
func varyLine(p Policy) []string {
	names := canonicalNames(p.Vary)
	if len(p.Cookies) > 0 && !slices.Contains(names, "Cookie") {
		names = append(names, "Cookie")
	}
	if len(names) == 0 {
		return nil
	}
	return []string{strings.Join(names, ", ")}
}

// clientLine is the Cache-Control that clients are sent, or nil.
func clientLine(p Policy) []string {
	switch {
	case p.Client == "":
		return nil
	case p.Class == PerUser:
		return rfc9111.MakePrivate([]string{p.Client})
	}
	return []string{p.Client}
}

// canonicalNames are sorted, so that the order in which a policy names them does not matter.
func canonicalNames(names []string) []string {
	canonical := make([]string, len(names))
	for i, name := range names {
		canonical[i] = http.CanonicalHeaderKey(name)
	}
	return sortedSet(canonical)
}

func sortedSet(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

func tagsOf(p Policy) []middleware.Tag {
	tags := make([]middleware.Tag, len(p.Tags))
	for i, text := range p.Tags {
		tags[i], _ = middleware.ParseTag(text) // checked
	}
	return tags
}

// userOf is who is asking.
func (c *Cache) userOf(p Policy) keying.User {
	if p.User != nil {
		return p.User
	}
	return c.user
}

// storeOf is where answers of the class live. Where open is given, it opens each that is read; see openStore.
func (c *Cache) storeOf(p Policy, open func(*store.Entry) error) store.Store {
	near, far := openStore(c.nearStore(), open), openStore(c.far, open)
	switch p.Class {
	case SharedGlobal:
		return near
	case HotShared:
		c.shorten(p.nearTTL())
		return &store.Layered{
			Near: near, Far: far, NearTTL: p.nearTTL(), Outage: max(0, p.StaleIfError, p.StaleWhileRevalidate),
			Ledger: c.log.Ledger(), Ranking: c.ranking,
		}
	}
	if leaser, ok := far.(store.Leaser); ok {
		return farLeaser{farOnly{far}, leaser}
	}
	return farOnly{far}
}

// farOnly hides that a Far store may be memory, as in tests: what lives there is not looked for in the process.
type farOnly struct{ store.Store }

// farLeaser is farOnly where processes take turns.
type farLeaser struct {
	farOnly
	store.Leaser
}

package cache

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/internal/surrogate"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware"
)

// Compile returns the policy in the form that adapters use to serve requests, for routers other than net/http's. The pattern is the
// route's, in the form of a [Routes] table; with "" the adapter gives it with each request. An error names the route, the fault and the
// remedy.
func (c *Cache) Compile(p Policy, pattern string) (*middleware.Route, error) {
	err := checkPattern(pattern)
	if err == nil {
		err = c.check(p)
	}
	if err == nil {
		err = checkParams(p, pattern)
	}
	if err != nil {
		return nil, fmt.Errorf("cache: %s: %w", nameOf(p, pattern), err)
	}
	c.common.Names.Register(pattern, tagsOf(p), p.Class == PerUser)
	alert := c.alerter(p.Class)
	if near := p.nearTTL(); p.Class == HotShared && near > maxNear {
		alert(middleware.Event{Route: pattern, Outcome: Warning, Reason: ReasonNearTTL,
			Err: fmt.Errorf("cache: %s: its near TTL is %v: where a purge does not arrive, processes differ for that long; shorten NearTTL to %v at most", nameOf(p, pattern), near, maxNear)})
	}
	return middleware.New(middleware.Config{
		Pattern:         pattern,
		Common:          c.common,
		Scheme:          c.scheme(p),
		Labeler:         c.labeler,
		Cache:           c.readThrough(p, pattern, nil),
		User:            c.userOf(p),
		Skip:            c.skipOf(p),
		VaryBy:          c.varyByOf(p),
		Tags:            tagsOf(p),
		Observe:         c.observer(p.Class),
		Alert:           alert,
		Purge:           c.invalidate,
		IgnoreAuth:      p.IgnoreAuthorization,
		RFC9111:         p.RFC9111,
		NoVarySearch:    noVarySearch(p.Query),
		Vary:            varyLine(p),
		Client:          clientLine(p),
		TTL:             p.ttl(),
		WhileRevalidate: p.StaleWhileRevalidate,
		IfError:         p.ifError(),
		StatusTTL:       maps.Clone(p.StatusTTL),
		MaxBody:         p.maxBody(),
	}), nil
}

// nameOf is what an error calls the policy: its route, if that is known.
func nameOf(p Policy, pattern string) string {
	if pattern == "" {
		return fmt.Sprintf("policy %q", p)
	}
	return fmt.Sprintf("route %q", pattern)
}

func (c *Cache) scheme(p Policy) *keys.Scheme {
	scheme := &keys.Scheme{
		Realm:      c.realm(p),
		Headers:    canonicalNames(p.Vary),
		Cookies:    sortedSet(p.Cookies),
		Query:      p.Query,
		Pass:       canonicalNames(p.Pass),
		TrustProxy: c.trustProxy,
		Private:    p.Class == PerUser,
		Open:       p.RFC9111,
		By:         c.byName(p),
		Secret:     c.secret,
	}
	return scheme.Compile()
}

// realm is a part of the key that separates the responses of different classes and modes. In memory that several Caches may share, it
// also separates SharedGlobal responses of each Cache, unless the Caches share a purge log: without one, no Cache learns of another one's
// purges.
func (c *Cache) realm(p Policy) string {
	realm := p.Class.String()
	if p.RFC9111 {
		realm += " rfc9111"
	}
	if p.Class == SharedGlobal && c.own == nil && !c.batches.needed {
		realm = fmt.Sprint(realm, " ", c.number)
	}
	return realm
}

// noVarySearch is the No-Vary-Search of responses: it tells clients the policy's rules for the query. nil: there are none.
func noVarySearch(q keying.Query) []string {
	if value := keys.NoVarySearch(q); value != "" {
		return []string{value}
	}
	return nil
}

// varyLine is the Vary of responses: it tells the caches in front what the policy selects by. nil: nothing.
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

// clientLine is the Cache-Control that clients receive. nil: the handler's own.
func clientLine(p Policy) []string {
	switch {
	case p.Client == "":
		return nil
	case p.Class == PerUser, p.varies() && !rfc9111.SaysForWhom([]string{p.Client}):
		return rfc9111.MakePrivate([]string{p.Client})
	}
	return []string{p.Client}
}

// canonicalNames returns the names in canonical form, sorted, so that their order in a policy does not matter.
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

func tagsOf(p Policy) []surrogate.Tag {
	tags := make([]surrogate.Tag, len(p.Tags))
	for i, text := range p.Tags {
		tags[i], _ = surrogate.ParseTag(text) // checked
	}
	return tags
}

// userOf returns the function that says who makes a request.
func (c *Cache) userOf(p Policy) keying.User {
	if p.User != nil {
		return p.User
	}
	return c.user
}

// skipOf returns the function that says which requests bypass the cache; nil: none do.
func (c *Cache) skipOf(p Policy) func(*http.Request) bool {
	if p.SkipName != "" {
		return c.skips[p.SkipName]
	}
	return p.Skip
}

// varyByOf returns the function that selects the response; nil: there is none.
func (c *Cache) varyByOf(p Policy) func(*http.Request) string {
	if p.VaryByName != "" {
		return c.by[p.VaryByName]
	}
	return p.VaryBy
}

// byName is the name of the function that selects, the same in every process: texts of different functions never select the same
// response.
func (c *Cache) byName(p Policy) string {
	switch {
	case p.VaryByName != "":
		return "name " + p.VaryByName
	case p.VaryBy != nil:
		return "func " + nameOfFunc(p.VaryBy)
	}
	return ""
}

// Package chicache applies a table of policies to the routes of a chi router, without touching where they are registered:
//
//	err := chicache.Annotate(c, r, routes)
//
// A single route is cached with [cache.Cache.Middleware], as in r.With(c.Middleware(p)).Get("/hour", hour).
package chicache

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware"
)

// Annotate caches the routes of the table, which are written as net/http or chi writes them ("GET /files/{path...}",
// "GET /files/*"), in full if they are a sub-router's. All routes must be registered before, and no request served yet.
// The router must be one that can be mounted, not one of With or Group. A pattern that no route has, a method that is never
// cached, a policy that cannot work, or a route that has a policy from an earlier call is an error, which lists all such lines; then
// nothing is changed. Other routes may have a table of their own.
//
// Annotate registers the handlers of the routes once more, with the cache around them. All middleware that is added with Use,
// With, Route or Group, including that of sub-routers, stays outside of the cache: it runs on hits too. A check that is wrapped
// around a handler by hand, as in r.Get("/report", members(report)), is behind the cache, and is skipped on hits.
func Annotate(c *cache.Cache, router chi.Router, routes cache.Routes) error {
	a := annotations{leaves: leavesOf(router, nil), of: map[spot]map[string]annotation{}}
	var faults []error
	for _, pattern := range slices.Sorted(maps.Keys(routes)) {
		if err := a.add(c, router, pattern, routes[pattern]); err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	for _, here := range a.of {
		for reported, at := range here {
			at.by = at.route.Stand(http.MethodGet, "", at.route.Pattern(), middleware.Handler{ID: router})
			here[reported] = at
		}
	}
	for _, at := range a.leaves {
		if err := at.wrap(a.of[at.spot]); err != nil {
			return err
		}
	}
	return nil
}

// annotations are the routes with policies.
type annotations struct {
	leaves []leaf
	of     map[spot]map[string]annotation // by the pattern that chi reports: a sub-router may be mounted twice
}

// annotation is a route with a policy.
type annotation struct {
	route *middleware.Route
	by    *middleware.Standing // the router's, among others with a route of the pattern
	all   bool                 // its pattern names no method: a successful unsafe request may invalidate
	param middleware.Param
}

func (a *annotations) add(c *cache.Cache, router chi.Router, pattern string, p cache.Policy) error {
	route, err := c.Compile(p, pattern)
	if err != nil {
		return err
	}
	method, host, path := keying.SplitPattern(pattern)
	if host != "" {
		return fmt.Errorf("chicache: route %q: chi has no routes of hosts; write it without %q, and give each host's router a table", pattern, host)
	}
	at := a.find(path)
	if at == nil {
		return fmt.Errorf("chicache: route %q: chi has no such GET route%s; correct the pattern, or register it before Annotate", pattern, a.instead(router, path))
	}
	if at.router == nil {
		return fmt.Errorf("chicache: route %q: its sub-router is no chi.Router; put Cache.Middleware around its handler", pattern)
	}
	if a.of[at.spot][at.reported].route != nil {
		return fmt.Errorf("chicache: route %q: another line of the table stands for the same route %q; keep one", pattern, at.full)
	}
	if at.annotated() {
		return fmt.Errorf("chicache: route %q: an earlier call of Annotate has given it a policy; keep one of them", pattern)
	}
	if a.of[at.spot] == nil {
		a.of[at.spot] = map[string]annotation{}
	}
	a.of[at.spot][at.reported] = annotation{route: route, all: method == "", param: paramOf(pattern)}
	return nil
}

// find returns the leaf that serves GET for the path. The root of a sub-router is also found without its slash.
func (a *annotations) find(path string) *leaf {
	want := keying.NormalizePattern(path)
	for i := range a.leaves {
		if at := &a.leaves[i]; at.handlers[http.MethodGet] != nil && keying.NormalizePattern(at.full) == want {
			return at
		}
	}
	for i := range a.leaves {
		if at := &a.leaves[i]; at.handlers[http.MethodGet] != nil && at.root && keying.NormalizePattern(at.reported) == want {
			return at
		}
	}
	return nil
}

// instead names the route that is there in place of the intended one, or the methods that it has.
func (a *annotations) instead(router chi.Router, path string) string {
	want := keying.NormalizePattern(path)
	for _, at := range a.leaves {
		if keying.NormalizePattern(at.full) == want {
			return fmt.Sprintf(" (it has %s there)", strings.Join(slices.Sorted(maps.Keys(at.handlers)), ", "))
		}
	}
	concrete := keying.Expand(path, func(string) string { return "any-value-of-a-path-parameter" })
	if there := router.Find(chi.NewRouteContext(), http.MethodGet, concrete); concrete != "" && there != "" {
		return fmt.Sprintf(" (it has %q there)", there)
	}
	return ""
}

// paramOf reads the path parameters of a route, where {path...} of a table is chi's "*".
func paramOf(pattern string) middleware.Param {
	return func(r *http.Request, name string) string {
		if strings.HasSuffix(pattern, "{"+name+"...}") {
			return r.PathValue("*")
		}
		return r.PathValue(name)
	}
}

// spot is where a route is registered.
type spot struct {
	router  chi.Router
	pattern string
}

// leaf is a route of a router, or of one that is mounted on it.
type leaf struct {
	spot
	full     string // pattern of the whole path to it
	reported string // as chi reports it with a request
	root     bool   // of a sub-router
	handlers map[string]http.Handler
}

func leavesOf(routes chi.Routes, above []string) (leaves []leaf) {
	router, _ := routes.(chi.Router)
	for _, r := range routes.Routes() {
		patterns := append(slices.Clip(above), r.Pattern)
		if r.SubRoutes != nil {
			leaves = append(leaves, leavesOf(r.SubRoutes, patterns)...)
			continue
		}
		full := strings.Join(patterns, "")
		for strings.Contains(full, "/*/") {
			full = strings.ReplaceAll(full, "/*/", "/")
		}
		reported := (&chi.Context{RoutePatterns: patterns}).RoutePattern()
		leaves = append(leaves, leaf{spot{router, r.Pattern}, full, reported, len(above) > 0 && r.Pattern == "/", r.Handlers})
	}
	return leaves
}

// wrap registers the leaf's handlers once more, with the cache around those that have annotations.
func (at *leaf) wrap(routes map[string]annotation) error {
	all := false
	for _, a := range routes {
		all = all || a.all
	}
	for method, h := range at.handlers {
		if len(routes) == 0 || method == "*" || !all && method != http.MethodGet && method != http.MethodHead {
			continue
		}
		cached := within(h, routes)
		at.router.Method(method, at.pattern, cached)
		if !at.has(method, cached) {
			return fmt.Errorf("chicache: route %q: its router is one of With or Group, which puts its middleware around the handler once more; give Annotate the router that it belongs to", at.full)
		}
	}
	return nil
}

// annotated reports whether the leaf's GET route has a policy already. If one cache wrapped another, both would store a response,
// and the outer one's would outlive an invalidation of the inner one.
func (at *leaf) annotated() bool {
	for h := at.handlers[http.MethodGet]; ; {
		switch layer := h.(type) {
		case *chi.ChainHandler:
			h = layer.Endpoint
		case *annotated:
			if layer.routes[at.reported].route != nil {
				return true
			}
			h = layer.handler // of a router that is also mounted elsewhere
		default:
			return false
		}
	}
}

// has reports whether the router has this very handler there.
func (at *leaf) has(method string, h http.Handler) bool {
	for _, r := range at.router.Routes() {
		if r.Pattern == at.pattern {
			switch there := r.Handlers[method].(type) {
			case *annotated, *chi.ChainHandler:
				return there == h
			}
		}
	}
	return false
}

// within puts the cache around a handler, inside the middleware that With or Group has put around it.
func within(h http.Handler, routes map[string]annotation) http.Handler {
	if chain, ok := h.(*chi.ChainHandler); ok {
		return chi.Chain(chain.Middlewares...).Handler(within(chain.Endpoint, routes))
	}
	next := func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
	return &annotated{routes, h, next}
}

// annotated is a handler whose routes may have policies, by the pattern that chi reports.
type annotated struct {
	routes  map[string]annotation
	handler http.Handler
	next    middleware.Next
}

func (a *annotated) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := a.routes[r.Pattern]
	if at.route == nil || !at.all && r.Method != http.MethodGet && r.Method != http.MethodHead {
		a.handler.ServeHTTP(w, r)
		return
	}
	passage, done := at.route.BeginFor(w, r, r.Pattern, at.by)
	if !done {
		_ = at.route.Finish(passage, w, r, a.next, at.param) // an http.Handler returns no error
	}
}

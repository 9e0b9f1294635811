package echocache

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"weak"

	"github.com/labstack/echo/v5"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware"
)

// Annotate caches the routes of the table, which are written as net/http writes them ("GET /products/{id}") or as echo
// does ("GET /products/:id"). All routes must be registered before. A pattern that no route has, a method that is never
// cached, a policy that cannot work, or a route that has a policy from an earlier call is an error, which lists all such lines; then
// nothing is changed. Other routes may have a table of their own.
//
// The cache becomes the innermost of the middleware that was added with e.Use so far. Middleware of groups and routes
// runs behind it, on misses only. A check there is skipped on hits, which an event warns about; an identity that is established
// there is unknown, and per-user routes bypass the cache. Put [Middleware] on the group, after authentication, in that case.
// Middleware that redirects to another spelling of the path, such as AddTrailingSlash, belongs outside, in e.Pre: behind the cache
// it would not see the part of the query that the policy hides.
//
// An Echo does not know which host it serves: in a table, "GET example.org/x" is the route /x for requests to that host. The
// Echos of a virtual host handler have a table each, with their hosts in it if they have the same paths.
//
// Annotate wraps e.HTTPErrorHandler, to see errors that middleware of groups, such as Recover, handles
// when the response has begun: such a response is not stored. So set your own error handler before.
func Annotate(c *cache.Cache, e *echo.Echo, routes cache.Routes) error {
	a := annotations{routes: map[place]annotation{}, heads: map[string]bool{}}
	var faults []error
	for _, pattern := range slices.Sorted(maps.Keys(routes)) {
		if err := a.add(c, e, pattern, routes[pattern]); err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) == 0 {
		faults = claim(e, a.routes)
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	for at, found := range a.routes {
		found.by = found.route.Stand(http.MethodGet, at.host, found.route.Pattern(), middleware.Handler{ID: e})
		a.routes[at] = found
	}
	answer := e.HTTPErrorHandler
	e.HTTPErrorHandler = func(ec *echo.Context, err error) {
		r, unknown := echo.UnwrapResponse(ec.Response())
		if unknown == nil && r.Committed && r.Status < http.StatusBadRequest { // echo writes nothing any more
			middleware.Fail(ec.Request().Context())
		}
		answer(ec, err)
	}
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(ec *echo.Context) error {
			if found := a.find(ec); found.route != nil {
				return serve(found.route, found.by, ec, next)
			}
			return next(ec)
		}
	})
	return nil
}

// annotations are the routes with policies. Only GET and HEAD are cached, so that a path says enough.
type annotations struct {
	routes map[place]annotation
	heads  map[string]bool // paths where HEAD has a route: elsewhere echo responds with 405, with the path of the GET route
	hosts  bool            // lines of the table name hosts
}

// annotation is a route with a policy.
type annotation struct {
	route *middleware.Route
	by    *middleware.Standing
	all   bool // its pattern names no method: a successful unsafe request may invalidate
}

// claimed are the places to which tables have given policies, by their echo, which has no room to record them. If one cache wrapped
// another, both would store a response, and the outer one's would outlive an invalidation of the inner one.
var claimed = struct {
	sync.Mutex
	by map[weak.Pointer[echo.Echo]]map[place]bool
}{by: map[weak.Pointer[echo.Echo]]map[place]bool{}}

// claim records the routes of a table, or says which of them have a policy already.
func claim(e *echo.Echo, routes map[place]annotation) (faults []error) {
	claimed.Lock()
	defer claimed.Unlock()
	id := weak.Make(e)
	places, known := claimed.by[id]
	for at, found := range routes {
		if places[at] {
			faults = append(faults, fmt.Errorf("echocache: route %q: an earlier call of Annotate has given it a policy; keep one of them", found.route.Pattern()))
		}
	}
	if len(faults) > 0 {
		slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
		return faults
	}
	if !known {
		places = map[place]bool{}
		claimed.by[id] = places
		runtime.AddCleanup(e, unclaim, id)
	}
	for at := range routes {
		places[at] = true
	}
	return nil
}

func unclaim(id weak.Pointer[echo.Echo]) {
	claimed.Lock()
	defer claimed.Unlock()
	delete(claimed.by, id)
}

// place is where a line of the table has its route: for which host, "" for all others, and the path as echo reports it.
type place struct{ host, path string }

func (a annotations) find(ec *echo.Context) (none annotation) {
	r, path := ec.Request(), ec.Path()
	found := a.routes[place{path: path}]
	if a.hosts {
		if at, ok := a.routes[place{r.Host, path}]; ok {
			found = at
		}
	}
	switch {
	case r.Method == http.MethodHead && !a.heads[path]:
		return none
	case r.Method == http.MethodGet, r.Method == http.MethodHead, found.all:
		return found
	}
	return none // another handler, which the table does not mention
}

func (a *annotations) add(c *cache.Cache, e *echo.Echo, pattern string, p cache.Policy) error {
	route, err := c.Compile(p, pattern)
	if err != nil {
		return err
	}
	method, host, path := keying.SplitPattern(pattern)
	registered, ok := registeredRoute(e, path)
	if !ok {
		return fmt.Errorf("echocache: route %q: echo has no such GET route%s; correct the pattern, or register it before Annotate", pattern, instead(e, path))
	}
	at := place{host, rooted(registered.Path)}
	if a.routes[at].route != nil {
		return fmt.Errorf("echocache: route %q: another line of the table stands for the same route; keep one", pattern)
	}
	a.routes[at] = annotation{route: route, all: method == ""}
	a.hosts = a.hosts || host != ""
	a.heads[at.path] = hasHead(e, registered)
	return nil
}

// registeredRoute returns echo's route that serves GET for the pattern's path.
func registeredRoute(e *echo.Echo, path string) (echo.RouteInfo, bool) {
	want := keying.NormalizePattern(path)
	for _, r := range e.Router().Routes() {
		if (r.Method == http.MethodGet || r.Method == echo.RouteAny) && keying.NormalizePattern(rooted(r.Path)) == want {
			return r, true
		}
	}
	return echo.RouteInfo{}, false
}

// hasHead reports whether echo serves HEAD where it has the route: by another route, or, if its router is configured for it, by
// the same one.
func hasHead(e *echo.Echo, registered echo.RouteInfo) bool {
	path := rooted(registered.Path)
	for _, r := range e.Router().Routes() {
		if (r.Method == http.MethodHead || r.Method == echo.RouteAny) && rooted(r.Path) == path {
			return true
		}
	}
	matched := match(e, http.MethodHead, path)
	return matched.RouteInfo().Method == http.MethodGet && matched.Path() == path
}

// match returns the context of a request for a path, with placeholder values for its parameters.
func match(e *echo.Echo, method, path string) *echo.Context {
	segments := strings.Split(keying.NormalizePattern(path), "/")
	for i, s := range segments {
		if strings.HasPrefix(s, "{") {
			segments[i] = "any-value-of-a-path-parameter"
		}
	}
	ec := e.NewContext(&http.Request{Method: method, URL: &url.URL{Path: strings.Join(segments, "/")}}, nil)
	e.Router().Route(ec)
	return ec
}

// instead names what echo has in place of the intended route, or where else it may be.
func instead(e *echo.Echo, path string) string {
	registered := e.Router().Routes()
	if there := match(e, http.MethodGet, path).Path(); there != "" {
		var methods []string
		for _, r := range registered {
			switch {
			case rooted(r.Path) != there || r.Method == echo.RouteNotFound:
			case r.Method == http.MethodGet, r.Method == echo.RouteAny:
				return fmt.Sprintf(" (it has %q there)", there)
			default:
				methods = append(methods, r.Method)
			}
		}
		if slices.Sort(methods); len(methods) > 0 {
			return fmt.Sprintf(" (it has %s there)", strings.Join(slices.Compact(methods), ", "))
		}
	}
	if found := ending(registered, path); found != "" { // the path of a group may have been forgotten
		return fmt.Sprintf(" (it has %q)", found)
	}
	return ""
}

// ending returns the first GET route whose path ends as the pattern's does.
func ending(registered echo.Routes, path string) string {
	var found []string
	want := keying.NormalizePattern(path)
	for _, r := range registered {
		gets := r.Method == http.MethodGet || r.Method == echo.RouteAny
		if gets && want != "/" && want != "" && strings.HasSuffix(keying.NormalizePattern(rooted(r.Path)), want) {
			found = append(found, rooted(r.Path))
		}
	}
	if len(found) == 0 {
		return ""
	}
	return slices.Min(found)
}

// rooted returns a path as echo's router reports it with a request: with a leading slash, even if it was registered without one.
func rooted(path string) string { return "/" + strings.TrimPrefix(path, "/") }

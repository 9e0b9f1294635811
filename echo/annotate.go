package echocache

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"weak"

	"github.com/labstack/echo/v4"

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
// Annotate wraps e.HTTPErrorHandler, to see errors that middleware of groups, such as Recover, handles
// when the response has begun: such a response is not stored. So set your own error handler before.
func Annotate(c *cache.Cache, e *echo.Echo, routes cache.Routes) error {
	a := annotations{routes: map[place]annotation{}, heads: headPlaces(e), hosts: len(e.Routers()) > 0}
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
	e.HTTPErrorHandler = func(err error, ec echo.Context) {
		if r := ec.Response(); r.Committed && r.Status < http.StatusBadRequest { // echo writes nothing any more
			middleware.Fail(ec.Request().Context())
		}
		answer(err, ec)
	}
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(ec echo.Context) error {
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
	heads  map[place]bool // where HEAD has a route: elsewhere echo responds with 405, with the path of the GET route
	hosts  bool           // there are routers of hosts
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

// place is where echo has a route: in which router, and its path as it was registered.
type place struct{ host, path string }

func (a annotations) find(ec echo.Context) (none annotation) {
	r := ec.Request()
	at := place{path: ec.Path()}
	if a.hosts && ec.Echo().Routers()[r.Host] != nil {
		at.host = r.Host
	}
	switch found := a.routes[at]; {
	case r.Method == http.MethodHead && !a.heads[at]:
		return none
	case r.Method == http.MethodGet, r.Method == http.MethodHead, found.all:
		return found
	}
	return none // another handler, which the table does not mention
}

func headPlaces(e *echo.Echo) map[place]bool {
	heads := map[place]bool{}
	add := func(host string, routes []*echo.Route) {
		for _, r := range routes {
			if r.Method == http.MethodHead {
				heads[place{host, r.Path}] = true
			}
		}
	}
	add("", e.Routes())
	for host, router := range e.Routers() {
		add(host, router.Routes())
	}
	return heads
}

func (a annotations) add(c *cache.Cache, e *echo.Echo, pattern string, p cache.Policy) error {
	route, err := c.Compile(p, pattern)
	if err != nil {
		return err
	}
	method, host, path := keying.SplitPattern(pattern)
	registered, ok := registeredPath(e, host, path)
	if !ok {
		return fmt.Errorf("echocache: route %q: echo has no such GET route%s; correct the pattern, or register it before Annotate", pattern, instead(e, host, path))
	}
	at := place{host, registered}
	if a.routes[at].route != nil {
		return fmt.Errorf("echocache: route %q: another line of the table stands for the same route; keep one", pattern)
	}
	a.routes[at] = annotation{route: route, all: method == ""}
	return nil
}

// registeredPath returns the path under which echo has the GET route that the pattern's path stands for.
func registeredPath(e *echo.Echo, host, path string) (string, bool) {
	registered := e.Routes()
	if host != "" {
		router := e.Routers()[host]
		if router == nil {
			return "", false
		}
		registered = router.Routes()
	}
	want := keying.NormalizePattern(path)
	for _, r := range registered {
		if r.Method == http.MethodGet && keying.NormalizePattern(r.Path) == want {
			return r.Path, true
		}
	}
	return "", false
}

// instead names what echo has in place of the intended route, or where else it may be.
func instead(e *echo.Echo, host, path string) string {
	router := e.Router()
	if host != "" {
		if router = e.Routers()[host]; router == nil {
			return fmt.Sprintf(" (it has no such host%s)", hostsOf(e))
		}
	}
	registered := router.Routes()
	if there := matched(e, router, path); there != "" {
		var methods []string
		for _, r := range registered {
			switch {
			case r.Path != there || r.Method == echo.RouteNotFound:
			case r.Method == http.MethodGet:
				return fmt.Sprintf(" (it has %q there)", host+there)
			default:
				methods = append(methods, r.Method)
			}
		}
		if slices.Sort(methods); len(methods) > 0 {
			return fmt.Sprintf(" (it has %s there)", strings.Join(slices.Compact(methods), ", "))
		}
	}
	// The path of a group, or the host, may have been forgotten.
	if found := ending(host, registered, path); found != "" {
		return fmt.Sprintf(" (it has %q)", found)
	}
	if host == "" {
		for _, host := range slices.Sorted(maps.Keys(e.Routers())) {
			if found := ending(host, e.Routers()[host].Routes(), path); found != "" {
				return fmt.Sprintf(" (it has %q)", found)
			}
		}
	}
	return ""
}

// matched returns the path of the route that a request for the pattern's path would reach, whatever its method.
func matched(e *echo.Echo, router *echo.Router, path string) string {
	const anything = "any-value-of-a-path-parameter"
	segments := strings.Split(keying.NormalizePattern(path), "/")
	for i, s := range segments {
		if strings.HasPrefix(s, "{") {
			segments[i] = anything
		}
	}
	ec := e.NewContext(nil, nil)
	router.Find(http.MethodGet, strings.Join(segments, "/"), ec)
	return ec.Path()
}

// ending returns the first GET route whose path ends as the pattern's does.
func ending(host string, registered []*echo.Route, path string) string {
	var found []string
	want := keying.NormalizePattern(path)
	for _, r := range registered {
		if r.Method == http.MethodGet && want != "/" && want != "" && strings.HasSuffix(keying.NormalizePattern(r.Path), want) {
			found = append(found, host+r.Path)
		}
	}
	if len(found) == 0 {
		return ""
	}
	return slices.Min(found)
}

func hostsOf(e *echo.Echo) string {
	var names []string
	for _, host := range slices.Sorted(maps.Keys(e.Routers())) {
		names = append(names, strconv.Quote(host))
	}
	if names == nil {
		return ""
	}
	return "; it has " + strings.Join(names, ", ")
}

package echocache

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware"
)

// Annotate caches the routes of the table, which are written as net/http writes them ("GET /products/{id}") or as echo
// does ("GET /products/:id"). All routes must be registered before. A pattern that no route has, a method that is never
// cached, or a policy that cannot work is an error, which lists all such lines; nothing is changed then.
//
// The cache becomes the innermost of the middleware that was added with e.Use so far. Middleware of groups and routes
// runs behind it, on misses only: an identity that is established there is not known, and per-user routes bypass the
// cache. Put [Middleware] on the group, after authentication, in that case.
//
// Annotate puts a function around e.HTTPErrorHandler, which sees errors that middleware of groups, such as Recover, handles
// when the answer has begun: such an answer is not kept. So set an error handler of your own before.
func Annotate(c *cache.Cache, e *echo.Echo, routes cache.Routes) error {
	a := annotations{routes: map[place]annotation{}, heads: headPlaces(e), hosts: len(e.Routers()) > 0}
	var faults []error
	for _, pattern := range slices.Sorted(maps.Keys(routes)) {
		if err := a.add(c, e, pattern, routes[pattern]); err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	for at, found := range a.routes {
		found.by = found.route.Stand(http.MethodGet, at.host, found.route.Pattern, middleware.Handler{ID: e})
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
	heads  map[place]bool // where HEAD has a route: elsewhere echo answers 405, with the path of the GET route
	hosts  bool           // there are routers of hosts
}

// annotation is a route with a policy.
type annotation struct {
	route *middleware.Route
	by    *middleware.Standing
	all   bool // its pattern names no method: a success of an unsafe one may invalidate
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
	return none // another handler, which the table does not speak of
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
		return fmt.Errorf("echocache: route %q: echo has no such GET route; correct the pattern, or register it before Annotate", pattern)
	}
	at := place{host, registered}
	if a.routes[at].route != nil {
		return fmt.Errorf("echocache: route %q: another line of the table stands for the same route; keep one", pattern)
	}
	a.routes[at] = annotation{route: route, all: method == ""}
	return nil
}

// registeredPath returns the path under which echo has the GET route that the pattern's path means.
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

package echocache

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v5"

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
// An Echo does not know for which host it is: in a table, "GET example.org/x" is the route /x for requests to that host. The
// Echos of a virtual host handler have a table each, with their hosts in it if they have the same paths.
//
// Annotate puts a function around e.HTTPErrorHandler, which sees errors that middleware of groups, such as Recover, handles
// when the answer has begun: such an answer is not kept. So set an error handler of your own before.
func Annotate(c *cache.Cache, e *echo.Echo, routes cache.Routes) error {
	a := annotations{routes: map[place]annotation{}, heads: map[string]bool{}}
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
	heads  map[string]bool // paths where HEAD has a route: elsewhere echo answers 405, with the path of the GET route
	hosts  bool            // lines of the table name hosts
}

// annotation is a route with a policy.
type annotation struct {
	route *middleware.Route
	by    *middleware.Standing
	all   bool // its pattern names no method: a success of an unsafe one may invalidate
}

// place is where a line of the table has its route: for which host, "" for all others, and the path as echo tells it.
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
	return none // another handler, which the table does not speak of
}

func (a *annotations) add(c *cache.Cache, e *echo.Echo, pattern string, p cache.Policy) error {
	method, host, path := keying.SplitPattern(pattern)
	if method != "" && method != http.MethodGet && method != http.MethodHead {
		return fmt.Errorf("echocache: route %q: %s is never cached; annotate its GET route, or remove the line", pattern, method)
	}
	registered, ok := registeredRoute(e, path)
	if !ok {
		return fmt.Errorf("echocache: route %q: echo has no such GET route; correct the pattern, or register it before Annotate", pattern)
	}
	at := place{host, rooted(registered.Path)}
	if a.routes[at].route != nil {
		return fmt.Errorf("echocache: route %q: another line of the table stands for the same route; keep one", pattern)
	}
	route, err := c.Compile(p, pattern)
	if err != nil {
		return err
	}
	a.routes[at] = annotation{route: route, all: method == ""}
	a.hosts = a.hosts || host != ""
	a.heads[at.path] = hasHead(e, registered)
	return nil
}

// registeredRoute returns the route of echo's that answers GET where the pattern's path means.
func registeredRoute(e *echo.Echo, path string) (echo.RouteInfo, bool) {
	want := keying.NormalizePattern(path)
	for _, r := range e.Router().Routes() {
		if (r.Method == http.MethodGet || r.Method == echo.RouteAny) && keying.NormalizePattern(rooted(r.Path)) == want {
			return r, true
		}
	}
	return echo.RouteInfo{}, false
}

// hasHead reports whether echo answers HEAD where it has the route: by another one, or, if its router is set up so, by
// this.
func hasHead(e *echo.Echo, registered echo.RouteInfo) bool {
	for _, r := range e.Router().Routes() {
		if (r.Method == http.MethodHead || r.Method == echo.RouteAny) && rooted(r.Path) == rooted(registered.Path) {
			return true
		}
	}
	values := make([]any, len(registered.Parameters))
	for i := range values {
		values[i] = "any-value-of-a-path-parameter"
	}
	ec := e.NewContext(&http.Request{Method: http.MethodHead, URL: &url.URL{Path: rooted(registered.Reverse(values...))}}, nil)
	e.Router().Route(ec)
	return ec.RouteInfo().Method == http.MethodGet && ec.Path() == rooted(registered.Path)
}

// rooted is a path as echo's router tells it with a request: it has a slash in front, also where it was registered without.
func rooted(path string) string { return "/" + strings.TrimPrefix(path, "/") }

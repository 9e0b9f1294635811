// Package nethttp applies a table of policies to the routes of a net/http ServeMux, without touching where they are
// registered:
//
//	handler, err := nethttp.Annotate(c, mux, routes)
//	…
//	http.ListenAndServe(":8080", handler)
package nethttp

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware"
)

// Annotate returns a handler that serves the mux and caches the routes in the table. All routes must be registered before.
// A pattern that no route of the mux has, a method that is never cached, or a policy that cannot work is an error, which
// lists all such lines; there is no handler then. The mux and the table are not changed.
//
// A pattern of the table stands for the route of the mux with the same host and path; "GET /x" also finds a route that was
// registered as "/x" for all methods. The policy then covers all of them: with RFC9111 a successful unsafe request invalidates.
//
// Wrappers around a route's handler run on misses only: a check there is skipped on hits, which an event warns about. Middleware
// that must run on hits too (authentication, CORS, compression) belongs around the returned handler. What the mux itself redirects,
// to a path that ends in a slash or has no dots, never reaches the cache.
func Annotate(c *cache.Cache, mux *http.ServeMux, routes cache.Routes) (http.Handler, error) {
	a := &annotated{mux: mux, routes: map[string]annotation{}}
	var faults []error
	for _, pattern := range slices.Sorted(maps.Keys(routes)) {
		if err := a.add(c, pattern, routes[pattern]); err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	for pattern, at := range a.routes {
		at.by = at.route.Stand(http.MethodGet, "", at.route.Pattern(), middleware.Handler{ID: mux})
		a.routes[pattern] = at
	}
	return a, nil
}

// annotated is a mux whose routes may have policies, by the pattern they were registered under.
type annotated struct {
	mux    *http.ServeMux
	routes map[string]annotation
}

// annotation is a route with a policy.
type annotation struct {
	route *middleware.Route
	by    *middleware.Standing // the mux's, among others with a route of the pattern
	param middleware.Param
	moved http.Handler   // the route's own handler, if that is a redirect
	alone *http.ServeMux // sets the path values for functions of the policy; nil: none needs them
}

func (a *annotated) add(c *cache.Cache, pattern string, p cache.Policy) error {
	route, err := c.Compile(p, pattern)
	if err != nil {
		return err
	}
	registered, own := a.find(pattern)
	if registered == "" {
		return fmt.Errorf("nethttp: route %q: the mux has no such route%s; correct the pattern, or register it before Annotate", pattern, a.instead(pattern))
	}
	if a.routes[registered].route != nil {
		return fmt.Errorf("nethttp: route %q: another line of the table stands for the same route %q; keep one", pattern, registered)
	}
	alone := only(registered)
	at := annotation{route: route, param: paramOf(alone)}
	if redirects(own) {
		at.moved = own
	}
	if asks := route.AsksApp(); asks && strings.Contains(registered, "{") {
		at.alone = alone
	}
	a.routes[registered] = at
	return nil
}

// only returns a mux with this one route. It gives a request the path values of the route: the app's own mux has not matched it
// yet, and a mux behind that one may set its own values.
func only(pattern string) *http.ServeMux {
	alone := http.NewServeMux()
	alone.HandleFunc(pattern, func(http.ResponseWriter, *http.Request) {})
	return alone
}

func paramOf(alone *http.ServeMux) middleware.Param {
	return func(r *http.Request, name string) string {
		matched := *r
		alone.ServeHTTP(nowhere{}, &matched)
		return matched.PathValue(name)
	}
}

// nowhere discards a redirect, which the mux sends instead of matching the route.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) WriteHeader(int)             {}
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

// deepest is how far below a route that ends in / or {x...} find looks for it: narrower routes may hide it further up.
const deepest = 4

// find returns the pattern under which the mux has the route, or "", and its handler.
func (a *annotated) find(pattern string) (registered string, own http.Handler) {
	_, host, path := keying.SplitPattern(pattern)
	for depth := range deepest {
		registered, own = a.match(pattern, depth)
		if _, registeredHost, registeredPath := keying.SplitPattern(registered); registeredHost == host && registeredPath == path {
			return registered, own
		}
	}
	return "", nil
}

// match returns the pattern of the mux that a request for the route would match, and its handler. A mux cannot list its routes, so
// match looks up a path in which every wildcard is a segment that no literal pattern has, and the open end is depth such segments.
func (a *annotated) match(pattern string, depth int) (registered string, own http.Handler) {
	const anything = "any-value-of-a-path-parameter"
	_, host, path := keying.SplitPattern(pattern)
	segments := strings.Split(path, "/")
	last := len(segments) - 1
	for i, s := range segments[:last] {
		if strings.HasPrefix(s, "{") {
			segments[i] = anything
		}
	}
	switch s := segments[last]; {
	case s == "{$}":
		segments[last] = ""
	case s == "" || strings.HasSuffix(s, "...}"):
		segments[last] = strings.TrimPrefix(strings.Repeat("/"+anything, depth), "/")
	case strings.HasPrefix(s, "{"):
		segments[last] = anything
	}
	if host == "" {
		host = "any.host.invalid"
	}
	u := &url.URL{RawPath: strings.Join(segments, "/")}
	u.Path = u.RawPath // of a pattern that is not escaped
	if path, err := url.PathUnescape(u.RawPath); err == nil {
		u.Path = path
	}
	own, registered = a.mux.Handler(&http.Request{Method: http.MethodGet, Host: host, URL: u, RequestURI: u.EscapedPath()})
	return registered, own
}

// redirection is the type of the handlers that the mux creates for paths that it would have in another form.
var redirection = reflect.TypeOf(http.RedirectHandler("/", http.StatusTemporaryRedirect))

func redirects(h http.Handler) bool { return reflect.TypeOf(h) == redirection }

// instead names the route that is there in place of the intended one.
func (a *annotated) instead(pattern string) string {
	if registered, _ := a.match(pattern, 1); registered != "" && registered != "/" {
		return fmt.Sprintf(" (it has %q there)", registered)
	}
	return ""
}

func (a *annotated) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, pattern := a.mux.Handler(r)
	at := a.routes[pattern]
	if at.route == nil || redirects(h) && h != at.moved { // the mux decides where to, with the query as it came
		a.mux.ServeHTTP(w, r)
		return
	}
	if at.alone != nil {
		at.alone.ServeHTTP(nowhere{}, r)
	}
	r.Pattern = pattern // outer middleware reads it there, as from a mux, even if the mux does not see the request
	passage, done := at.route.BeginFor(w, r, pattern, at.by)
	if !done {
		_ = at.route.Finish(passage, w, r, a.next, at.param) // a mux returns no error
	}
}

func (a *annotated) next(w http.ResponseWriter, r *http.Request) error {
	a.mux.ServeHTTP(w, r)
	return nil
}

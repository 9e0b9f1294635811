// Package echocache caches the responses of echo v4 handlers.
//
//	e.GET("/countries", listCountries, echocache.Middleware(c, cache.Policy{Class: cache.SharedGlobal}))
//
// or, for a whole table of policies at once, after the routes are registered:
//
//	err := echocache.Annotate(c, e, routes)
package echocache

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware"
)

// Middleware caches the responses of the routes that it is put on, as the policy says. It panics immediately if the policy cannot
// work, and says what to do. It belongs inside authentication, CORS and compression: after them in a list of middleware,
// nearest to the handler. An error that the handler returns goes to echo's error handler and nothing is stored. The exception is an
// [echo.HTTPError] whose status the policy stores (StatusTTL): echo's error handler responds at once, and the response is stored;
// outer middleware gets no error then, as on a hit.
//
// echo.WrapMiddleware(c.Middleware(p)) caches, too, but lacks some of this: it stores no returned error, and functions that outer
// middleware has registered with Before see the request as the handler does.
//
// A response that fails after its first bytes is not stored if the error is returned, or if JSON or http.Error writes it. Otherwise
// echo itself drops the rest, so the cache cannot see it: put Recover, and whatever else calls c.Error, outside of the cache, return
// errors, or call cache.NoStore.
//
// On a shared class the handler sees a request with only what the policy's key covers. It still sees what outer middleware has put
// into the echo.Context with Set, or into the request's context, and must not let it into the response: all but the user.
// If the key does not cover the whole query, the handler's echo.Context differs from that of outer middleware. But if an app has
// its own context type, it is the same, and what its QueryParams returned outside of the cache must not be read while the
// handler runs.
//
// Interim responses such as 103 pass, and so does the final one after them, which echo by itself drops. Only a handler that holds on
// to the Response must call its Header between the two heads, as handlers that set a field do.
func Middleware(c *cache.Cache, p cache.Policy) echo.MiddlewareFunc {
	route, err := c.Compile(p, "")
	if err != nil {
		panic(err.Error())
	}
	stands := &standings{route: route} // one pointer: echo creates the closure anew with each request
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(ec echo.Context) error { return serve(stands.route, stands.of(ec, next), ec, next) }
	}
}

// User returns an identity that is read from the echo.Context: what authentication has put there with Set. Outside of this
// package's middleware every user is unknown.
func User(fn func(echo.Context) (id string, ok bool)) keying.User {
	return func(r *http.Request) (string, bool) {
		ec, ok := r.Context().Value(contextKey{}).(echo.Context)
		if !ok {
			return "", false
		}
		return fn(ec)
	}
}

// Skip returns a [cache.Policy.Skip] that reads the echo.Context: what authentication has put there with Set, or a path
// parameter. Outside of this package's middleware it panics, and the request bypasses the cache.
func Skip(fn func(echo.Context) bool) func(*http.Request) bool {
	return func(r *http.Request) bool { return fn(contextOf(r, "Skip")) }
}

// VaryBy returns a [cache.Policy.VaryBy] that reads the echo.Context: the tenant, or the role, that outer middleware has
// put there with Set. Outside of this package's middleware it panics, and the request bypasses the cache. Processes that share
// Redis know all functions that VaryBy has returned by the same name: if policies of one path have several, name them in
// [cache.Options.By].
func VaryBy(fn func(echo.Context) string) func(*http.Request) string {
	return func(r *http.Request) string { return fn(contextOf(r, "VaryBy")) }
}

func contextOf(r *http.Request, asker string) echo.Context {
	ec, ok := r.Context().Value(contextKey{}).(echo.Context)
	if !ok {
		panic("echocache: " + asker + " asks for the echo.Context, which requests have in echocache.Middleware and Annotate alone")
	}
	return ec
}

type contextKey struct{}

// serve passes one request through the route. Its writer is echo's own Response, so that status, size and the functions
// registered with Before and After are right on hits too. Another goroutine sends a long body while its handler goes on running;
// the functions registered with After outside of the cache then run when the handler has returned.
func serve(route *middleware.Route, by *middleware.Standing, ec echo.Context, next echo.HandlerFunc) error {
	r := ec.Request()
	asks := route.AsksApp()
	if asks {
		r = identified(ec, r)
	}
	passage, done := route.BeginFor(ec.Response(), r, ec.Path(), by)
	if done {
		return nil
	}
	if !asks && route.AsksUser() { // a hit for everyone need not know the user
		r = identified(ec, r)
	}
	if route.Private() {
		h := ec.Response().Header()
		ec.Response().Before(func() { // applies to a response that the handler left to echo's error handler
			route.MarkPrivate(h)
		})
	}
	b := &behind{route: route, ec: ec, next: next, response: ec.Response(), request: ec.Request(), asked: r}
	out := &outside{Response: b.response, b: b}
	err := route.Finish(passage, out.writer(), r, b.run, b.param)
	out.end()
	if status, ok := errors.AsType[middleware.StatusError](err); ok {
		return status.Err
	}
	return err
}

// identified returns the request from which functions of the policy can read the echo.Context.
func identified(ec echo.Context, r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), contextKey{}, ec))
}

// behind is the handler behind the cache, for one request.
type behind struct {
	route *middleware.Route
	ec    echo.Context
	next  echo.HandlerFunc

	response *echo.Response // of outer middleware
	request  *http.Request
	query    url.Values    // outer middleware's, while the handler has a narrower one in its place
	asked    *http.Request // as the cache got it
	own      echo.Context  // the handler's, if it differs from that of outer middleware
	running  bool
}

func (b *behind) param(_ *http.Request, name string) string {
	if name == "*" || b.ec.Param(name) != "" {
		return b.ec.Param(name)
	}
	if strings.HasSuffix(b.route.Pattern(), "{"+name+"...}") { // {path...} of a table is echo's "*"
		return b.ec.Param("*")
	}
	return ""
}

// run runs the handler with the writer and the request that the cache gives it. Both are restored afterwards: the context
// is outer middleware's too.
func (b *behind) run(w http.ResponseWriter, r *http.Request) error {
	b.running = true
	defer func() {
		b.running = false
		b.ec.SetResponse(b.response)
		b.see(b.request)
	}()
	in := newInside(w, b.ec)
	err := b.next(b.seeing(r))
	if r != b.asked && b.keeps(err) && !b.ec.Response().Committed { // a request that bypasses the cache is left alone
		b.handlers().Error(err)
		if b.ec.Response().Committed {
			err = nil
		}
	}
	if in.implied {
		cache.NoStore(r.Context())
	}
	if in.late() {
		middleware.Fail(r.Context())
	}
	return withStatus(err)
}

// keeps reports whether the policy stores responses with the status that echo's error handler gives the error.
func (b *behind) keeps(err error) bool {
	var he *echo.HTTPError
	if !errors.As(err, &he) {
		return false
	}
	if inner, ok := he.Internal.(*echo.HTTPError); ok { //nolint:errorlint // as echo's own handler looks
		he = inner
	}
	return b.route.StoresStatus(he.Code)
}

// outwards runs f with the context as it is outside of the cache, in the handler's own goroutine.
func (b *behind) outwards(f func()) {
	if b.running {
		response, request := b.ec.Response(), b.ec.Request()
		b.ec.SetResponse(b.response)
		b.see(b.request)
		defer func() {
			b.ec.SetResponse(response)
			b.see(request)
		}()
	}
	f()
}

// seeing returns the context that the handler is to see with the request.
func (b *behind) seeing(r *http.Request) echo.Context {
	if b.ec.Request().URL.RawQuery != r.URL.RawQuery {
		b.own = narrow(b.ec)
	}
	b.see(r)
	return b.handlers()
}

// handlers returns the context of the handler.
func (b *behind) handlers() echo.Context {
	if b.own != nil {
		return b.own
	}
	return b.ec
}

// see makes the request the context's. If the handler has no context of its own, see also updates the query that echo has
// cached: otherwise the handler could read parameters that the key does not cover.
func (b *behind) see(r *http.Request) {
	before := b.ec.Request()
	if before == r {
		return
	}
	if b.own != nil || before.URL.RawQuery == r.URL.RawQuery {
		b.ec.SetRequest(r)
		return
	}
	query, values := b.ec.QueryParams(), r.URL.Query()
	switch b.request {
	case before:
		b.query = maps.Clone(query) // outer middleware may have changed it
	case r:
		if b.query != nil {
			values = b.query
		}
	}
	b.ec.SetRequest(r)
	clear(query)
	maps.Copy(query, values)
}

// withStatus attaches the status that echo's error handler gives the error.
func withStatus(err error) error {
	if he, ok := errors.AsType[*echo.HTTPError](err); ok {
		return middleware.StatusError{Status: he.Code, Err: err}
	}
	return err
}

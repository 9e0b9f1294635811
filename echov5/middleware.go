// Package echocache caches the responses of echo v5 handlers.
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

	"github.com/labstack/echo/v5"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware"
)

// Middleware caches the responses of the routes that it is put on, as the policy says. It panics immediately if the policy cannot
// work, and says what to do. It belongs inside authentication, CORS and compression: after them in a list of middleware,
// nearest to the handler. An error that the handler returns goes to echo's error handler and nothing is stored. The exception is
// an error whose status the policy stores (StatusTTL, and [echo.StatusCode]): echo's error handler responds at once, and the
// response is stored; outer middleware gets no error then, as on a hit.
//
// echo.WrapMiddleware(c.Middleware(p)) is no substitute: it creates a handler anew with each request, so that the cache never
// finds the same one twice and is bypassed (an event reports it, reason "handlers").
//
// Behind the cache ec.Response() is a writer in front of the [echo.Response]: [echo.UnwrapResponse] finds that. A response that
// fails after its first bytes is not stored if the error is returned, or if a late head shows it, as JSON and http.Error
// write one. What is written to the echo.Response itself, or through echo.WrapMiddleware behind the cache, echo drops before
// the cache can see it: return errors, or call cache.NoStore.
//
// Behind middleware that wraps the Response, such as Gzip, a client gets a response that is being stored only when its handler has
// returned, however long that takes; it gets one that is flushed at once.
//
// An Echo does not know which host it serves. Two Echos of a virtual host handler that have handlers for the same path under equal
// policies count as handlers that outer code chooses from: in Redis the second one bypasses the cache. [Annotate] takes
// hosts.
//
// On a shared class the handler sees a request with only what the policy's key covers. It still sees what outer middleware has put
// into the echo.Context with Set, or into the request's context, and must not let it into the response: all but the user.
// If the key does not cover the whole query, the map that QueryParams returned outside of the cache holds only what the handler may
// see of it while the handler runs, and must not be read elsewhere: echo has one map for all.
//
// Interim responses such as 103 pass, and so does the final one after them, which echo by itself drops.
func Middleware(c *cache.Cache, p cache.Policy) echo.MiddlewareFunc {
	route, err := c.Compile(p, "")
	if err != nil {
		panic(err.Error())
	}
	stands := &standings{route: route}
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(ec *echo.Context) error { return serve(stands.route, stands.of(ec, next), ec, next) }
	}
}

// User returns an identity that is read from the echo.Context: what authentication has put there with Set. Outside of this
// package's middleware every user is unknown.
func User(fn func(*echo.Context) (id string, ok bool)) keying.User {
	return func(r *http.Request) (string, bool) {
		ec, ok := r.Context().Value(contextKey{}).(*echo.Context)
		if !ok {
			return "", false
		}
		return fn(ec)
	}
}

// Skip returns a [cache.Policy.Skip] that reads the echo.Context: what authentication has put there with Set, or a path
// parameter. Outside of this package's middleware it panics, and the request bypasses the cache.
func Skip(fn func(*echo.Context) bool) func(*http.Request) bool {
	return func(r *http.Request) bool { return fn(contextOf(r, "Skip")) }
}

// VaryBy returns a [cache.Policy.VaryBy] that reads the echo.Context: the tenant, or the role, that outer middleware has
// put there with Set. Outside of this package's middleware it panics, and the request bypasses the cache. Processes that share
// Redis know all functions that VaryBy has returned by the same name: if policies of one path have several, name them in
// [cache.Options.By].
func VaryBy(fn func(*echo.Context) string) func(*http.Request) string {
	return func(r *http.Request) string { return fn(contextOf(r, "VaryBy")) }
}

func contextOf(r *http.Request, asker string) *echo.Context {
	ec, ok := r.Context().Value(contextKey{}).(*echo.Context)
	if !ok {
		panic("echocache: " + asker + " asks for the echo.Context, which requests have in echocache.Middleware and Annotate alone")
	}
	return ec
}

type contextKey struct{}

// serve passes one request through the route. Its writer is outer middleware's, so that status, size and the functions
// registered with Before and After are right on hits too. Another goroutine sends a long body while its handler goes on running;
// the functions registered with After outside of the cache then run when the handler has returned.
func serve(route *middleware.Route, by *middleware.Standing, ec *echo.Context, next echo.HandlerFunc) error {
	r := ec.Request()
	asks := route.AsksApp()
	if asks {
		r = identified(ec, r)
	}
	w := ec.Response()
	passage, done := route.BeginFor(w, r, ec.Path(), by)
	if done {
		return nil
	}
	if !asks && route.AsksUser() { // a hit for everyone need not know the user
		r = identified(ec, r)
	}
	b := &behind{route: route, ec: ec, next: next, outer: w, request: ec.Request(), asked: r}
	out := newOutside(w, b)
	if route.Private() {
		h := w.Header()
		out.response.Before(func() { // applies to a response that the handler left to echo's error handler
			route.MarkPrivate(h)
		})
	}
	err := route.Finish(passage, out.writer(), r, b.run, b.param)
	out.end()
	if status, ok := errors.AsType[middleware.StatusError](err); ok {
		return status.Err
	}
	return err
}

// identified returns the request from which functions of the policy can read the echo.Context.
func identified(ec *echo.Context, r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), contextKey{}, ec))
}

// behind is the handler behind the cache, for one request.
type behind struct {
	route *middleware.Route
	ec    *echo.Context
	next  echo.HandlerFunc

	outer   http.ResponseWriter // as outer middleware has put it into the context
	request *http.Request       // as outer middleware has it
	query   url.Values          // outer middleware's, while the handler has a narrower one in its place
	asked   *http.Request       // as the cache got it
	running bool
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
		b.ec.SetResponse(b.outer)
		b.see(b.request)
	}()
	in := newInside(w, b.ec)
	b.see(r)
	err := b.next(b.ec)
	if r != b.asked && b.keeps(err) && !committed(b.ec) { // a request that bypasses the cache is left alone
		b.ec.Echo().HTTPErrorHandler(b.ec, err)
		if committed(b.ec) {
			err = nil
		}
	}
	if in.implied || in.dropping() {
		cache.NoStore(r.Context())
	}
	return withStatus(err)
}

// committed reports whether echo has sent the head of a response.
func committed(ec *echo.Context) bool {
	response, err := echo.UnwrapResponse(ec.Response())
	return err == nil && response.Committed
}

// keeps reports whether the policy stores responses with the status that echo's error handler gives the error.
func (b *behind) keeps(err error) bool { return b.route.StoresStatus(echo.StatusCode(err)) }

// outwards runs f with the context as it is outside of the cache, in the handler's own goroutine.
func (b *behind) outwards(f func()) {
	if b.running {
		w, request := b.ec.Response(), b.ec.Request()
		b.ec.SetResponse(b.outer)
		b.see(b.request)
		defer func() {
			b.ec.SetResponse(w)
			b.see(request)
		}()
	}
	f()
}

// see makes the request the context's. Echo parses the query once and caches it; see updates that, or else the handler
// could read parameters that the key does not cover.
func (b *behind) see(r *http.Request) {
	before := b.ec.Request()
	if before == r {
		return
	}
	if before.URL.RawQuery == r.URL.RawQuery {
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
	if status := echo.StatusCode(err); status != 0 {
		return middleware.StatusError{Status: status, Err: err}
	}
	return err
}

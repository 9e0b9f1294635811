// Package echocache caches the answers of echo v4 handlers.
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

	"github.com/labstack/echo/v4"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware"
	"github.com/larder-go/cache/middleware/rfc9111"
)

// Middleware caches the answers of the routes that it is put on, as the policy says. It panics, now, if the policy cannot
// work, and says what to do. It belongs inside authentication, CORS and compression: after them in a list of middleware,
// nearest to the handler. An error that the handler returns goes to echo's error handler and nothing is kept.
//
// On a shared class the handler sees a request with only what the policy's key covers; what outer middleware has put into
// the echo.Context with Set it still sees, and must not let into the answer.
//
// Interim answers such as 103 pass, and the final one follows, which echo by itself drops. Only a handler that keeps the
// Response must call its Header between the two heads, as handlers that set a field do.
func Middleware(c *cache.Cache, p cache.Policy) echo.MiddlewareFunc {
	route, err := c.Compile(p, "")
	if err != nil {
		panic(err.Error())
	}
	stands := &standings{route: route} // one pointer: echo makes the closure anew with each request
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(ec echo.Context) error { return serve(stands.route, stands.of(ec, next), ec, next) }
	}
}

// User returns an identity that is read from the echo.Context: what authentication has Set there. It knows nobody outside
// of this package's middleware.
func User(fn func(echo.Context) (id string, ok bool)) keying.User {
	return func(r *http.Request) (string, bool) {
		ec, ok := r.Context().Value(contextKey{}).(echo.Context)
		if !ok {
			return "", false
		}
		return fn(ec)
	}
}

type contextKey struct{}

// serve passes one request through the route. Its writer is echo's own Response, so that status, size and the functions
// registered with Before and After are right on hits too. A long body is sent while its handler runs on, so that a function
// registered with After outside of the cache may be called by another goroutine meanwhile; all calls are over when the
// handler's middleware returns.
func serve(route *middleware.Route, by *middleware.Standing, ec echo.Context, next echo.HandlerFunc) error {
	r := ec.Request()
	if route.Scheme.Private {
		r = identified(route, ec, r)
	}
	passage, done := route.BeginFor(ec.Response(), r, ec.Path(), by)
	if done {
		return nil
	}
	if !route.Scheme.Private { // a hit for everyone need not know who is asking
		r = identified(route, ec, r)
	}
	if route.Scheme.Private {
		h := ec.Response().Header()
		ec.Response().Before(func() { // what echo's error handler says of an answer that the handler left to it
			h["Cache-Control"] = rfc9111.MakePrivate(h["Cache-Control"])
		})
	}
	b := behind{ec: ec, next: next}
	err := route.Finish(passage, outsideOf(ec.Response()), r, b.run, b.param)
	var status middleware.StatusError
	if errors.As(err, &status) {
		return status.Err
	}
	return err
}

// identified is the request from which a User can read the echo.Context.
func identified(route *middleware.Route, ec echo.Context, r *http.Request) *http.Request {
	if route.User == nil {
		return r
	}
	return r.WithContext(context.WithValue(r.Context(), contextKey{}, ec))
}

// behind is the handler behind the cache, for one request.
type behind struct {
	ec   echo.Context
	next echo.HandlerFunc
}

func (b behind) param(_ *http.Request, name string) string {
	if name == "*" || b.ec.Param(name) != "" {
		return b.ec.Param(name)
	}
	if names := b.ec.ParamNames(); len(names) > 0 && names[len(names)-1] == "*" {
		return b.ec.Param("*") // {path...} of a table is echo's "*"
	}
	return ""
}

// run runs the handler with the writer and the request that the cache gives it. Both are put back afterwards: the context
// is outer middleware's too.
func (b behind) run(w http.ResponseWriter, r *http.Request) error {
	outer, request := b.ec.Response(), b.ec.Request()
	defer func() {
		b.ec.SetResponse(outer)
		b.see(request)
	}()
	in := newInside(w, b.ec)
	b.see(r)
	err := b.next(b.ec)
	if in.implied {
		cache.NoStore(r.Context())
	}
	return withStatus(err)
}

// see makes the request the context's. Echo parses the query once and keeps it; what it kept is brought up to date, or a
// handler could read parameters that the key does not cover.
func (b behind) see(r *http.Request) {
	if b.ec.Request() == r {
		return
	}
	b.ec.SetRequest(r)
	query := b.ec.QueryParams()
	clear(query)
	maps.Copy(query, r.URL.Query())
}

// withStatus tells the status that echo's error handler answers the error with.
func withStatus(err error) error {
	var he *echo.HTTPError
	if errors.As(err, &he) {
		return middleware.StatusError{Status: he.Code, Err: err}
	}
	return err
}

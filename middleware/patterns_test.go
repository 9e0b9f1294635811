package middleware_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echo"
	"github.com/larder-go/cache/keying"
)

type requestKey struct{}

// renewing is middleware that makes a request of its own, as those that put something into its context do.
func renewing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, 1)))
	})
}

// subrouters are routers whose middleware runs before the whole pattern is known, or where echo's groups know it.
var subrouters = map[string]func(mw func(http.Handler) http.Handler, c *cache.Cache, p cache.Policy, h http.HandlerFunc) http.Handler{
	"a mux in a mux": func(mw func(http.Handler) http.Handler, _ *cache.Cache, _ cache.Policy, h http.HandlerFunc) http.Handler {
		inner, mux := http.NewServeMux(), http.NewServeMux()
		inner.Handle("GET /v2/a/{id}", h)
		inner.Handle("GET /v2/b", h)
		mux.Handle("/v2/", mw(inner))
		return mux
	},
	"around a mux": func(mw func(http.Handler) http.Handler, _ *cache.Cache, _ cache.Policy, h http.HandlerFunc) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("GET /v2/a/{id}", h)
		mux.Handle("GET /v2/b", h)
		return mw(mux)
	},
	"an echo group": func(_ func(http.Handler) http.Handler, c *cache.Cache, p cache.Policy, h http.HandlerFunc) http.Handler {
		e := echo.New()
		g := e.Group("/v2", echocache.Middleware(c, p))
		g.GET("/a/:id", echo.WrapHandler(h))
		g.GET("/b", echo.WrapHandler(h))
		return e
	},
}

// Where the cache is put around a router, or a part of one, its answers have the labels of the whole pattern, and events
// tell it, of hits too.
func TestAnswersOfSubroutersHaveTheWholePattern(t *testing.T) {
	for name, build := range subrouters {
		for _, standard := range []bool{false, true} {
			t.Run(fmt.Sprint(name, standard), func(t *testing.T) {
				var routes []string
				c := newCache(t, cache.Options{Observe: func(ev cache.Event) {
					if ev.Outcome == cache.Hit || ev.Outcome == cache.Miss || ev.Outcome == cache.Validated {
						routes = append(routes, string(ev.Outcome)+" "+cut(ev.Route))
					}
				}})
				p := cache.Policy{Class: cache.SharedGlobal, TTL: time.Minute, RFC9111: standard}
				runs := 0
				app := build(c.Middleware(p), c, p, func(w http.ResponseWriter, _ *http.Request) {
					runs++
					_, _ = io.WriteString(w, "x")
				})
				get := func(target string) (ran bool) {
					before := runs
					app.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil))
					return runs > before
				}
				for _, target := range []string{"/v2/a/1", "/v2/b"} {
					if !get(target) || get(target) {
						t.Errorf("%s is not kept", target)
					}
				}
				want := "[miss /v2/a/{id} hit /v2/a/{id} miss /v2/b hit /v2/b]"
				if got := fmt.Sprint(routes); got != want {
					t.Errorf("events tell %s; want %s", got, want)
				}
				if err := c.Purge(t.Context(), cache.Route("GET /v2/a/{id}")); err != nil {
					t.Error(err)
				}
				if get("/v2/b") || !get("/v2/a/1") {
					t.Error("a purge of the one route does not meet just that")
				}
			})
		}
	}
}

// cut is the pattern as all routers could write it.
func cut(pattern string) string { return keying.NormalizePattern(pattern) }

// Tags have the path parameters that routers further in tell, unescaped.
func TestTagsHaveTheParametersOfSubrouters(t *testing.T) {
	for name, build := range subrouters {
		if name == "an echo group" { // is told them beforehand
			continue
		}
		t.Run(name, func(t *testing.T) {
			c := newCache(t, cache.Options{})
			p := cache.Policy{Class: cache.SharedGlobal, TTL: time.Minute, Tags: []string{"thing:{id}"}}
			runs := 0
			app := build(c.Middleware(p), c, p, func(w http.ResponseWriter, _ *http.Request) {
				runs++
				_, _ = io.WriteString(w, "x")
			})
			for _, target := range []string{"/v2/a/1", "/v2/a/a%2Fb", "/v2/a/1", "/v2/a/a%2Fb"} {
				app.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil))
			}
			if runs != 2 {
				t.Errorf("%d runs; want 2, and two hits", runs)
			}
			if err := c.Purge(t.Context(), cache.Tag("thing:a/b")); err != nil {
				t.Error(err)
			}
			for _, target := range []string{"/v2/a/1", "/v2/a/a%2Fb"} {
				app.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil))
			}
			if runs != 3 {
				t.Errorf("%d runs after a purge of one of two; want 3", runs)
			}
		})
	}
}

package middleware_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echo"
	"github.com/larder-go/cache/nethttp"
)

// throughLogger is a writer around another, as a logger's.
type throughLogger struct{ http.ResponseWriter }

func (w throughLogger) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func logging(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(throughLogger{w}, r) })
}

// twiceBehind puts middleware twice around a handler, as other routers do it.
var twiceBehind = map[string]func(mw func(http.Handler) http.Handler, h http.HandlerFunc) http.Handler{}

// A cache around a cache is told, once: what the outer one keeps, for its own time, it serves without asking the inner one.
func TestACacheAroundACacheIsAWarning(t *testing.T) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) })
	echoed := func(ec echo.Context) error { return ec.String(200, "hello") }
	p := cache.Policy{Class: cache.SharedGlobal}
	table := cache.Routes{"GET /x": p}
	annotated := func(t *testing.T, c *cache.Cache, h http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("GET /x", h)
		h, err := nethttp.Annotate(c, mux, table)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	type nesting struct {
		build  func(t *testing.T, c *cache.Cache) http.Handler
		nested bool
	}
	tests := map[string]nesting{
		"once": {func(_ *testing.T, c *cache.Cache) http.Handler { return c.Middleware(p)(logging(answer)) }, false},
		"twice": {func(_ *testing.T, c *cache.Cache) http.Handler {
			return c.Middleware(p)(logging(c.Middleware(p)(answer)))
		}, true},
		"annotated and wrapped": {func(t *testing.T, c *cache.Cache) http.Handler { return annotated(t, c, c.Middleware(p)(answer)) }, true},
		"annotated twice":       {func(t *testing.T, c *cache.Cache) http.Handler { return annotated(t, c, annotated(t, c, answer)) }, true},
		"another cache": {func(t *testing.T, c *cache.Cache) http.Handler {
			return annotated(t, newCache(t, cache.Options{}), c.Middleware(p)(answer))
		}, true},
		"echo, once": {func(_ *testing.T, c *cache.Cache) http.Handler {
			e := echo.New()
			e.Use(echo.WrapMiddleware(logging))
			e.GET("/x", echoed, echocache.Middleware(c, p))
			return e
		}, false},
		"echo, annotated and wrapped": {func(t *testing.T, c *cache.Cache) http.Handler {
			e := echo.New()
			e.GET("/x", echoed, echocache.Middleware(c, p))
			if err := echocache.Annotate(c, e, table); err != nil {
				t.Fatal(err)
			}
			return e
		}, true},
		"echo, a group and its route": {func(_ *testing.T, c *cache.Cache) http.Handler {
			e := echo.New()
			e.Group("", echocache.Middleware(c, p), echo.WrapMiddleware(logging)).GET("/x", echoed, echocache.Middleware(c, p))
			return e
		}, true},
		"echo, wrapped middleware": {func(_ *testing.T, c *cache.Cache) http.Handler {
			e := echo.New()
			e.GET("/x", echoed, echo.WrapMiddleware(c.Middleware(p)), echocache.Middleware(c, p))
			return e
		}, true},
		"a handler that asks for another page": {func(_ *testing.T, c *cache.Cache) http.Handler {
			part := c.Middleware(p)(answer)
			return c.Middleware(p)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				part.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(r.Context(), "GET", "/part", nil))
				answer(w, r)
			}))
		}, false},
	}
	for name, twice := range twiceBehind {
		tests[name] = nesting{func(_ *testing.T, c *cache.Cache) http.Handler { return twice(c.Middleware(p), answer) }, true}
	}
	for name, test := range tests {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			var told []cache.Event
			c, err := cache.New(cache.Options{Observe: func(ev cache.Event) {
				if ev.Outcome == cache.Warning && ev.Reason == "nested" {
					told = append(told, ev)
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close(context.Background()) }()
			h := test.build(t, c)
			for _, target := range []string{"/x", "/x", "/x?2", "/x?3"} {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
				if w.Body.String() != "hello" {
					t.Errorf("%s is answered %q", target, w.Body)
				}
			}
			if want := map[bool]int{true: 1}[test.nested]; len(told) != want {
				t.Errorf("%d warnings %v; want %d", len(told), told, want)
			}
			for _, ev := range told {
				if !strings.Contains(ev.Err.Error(), "give the route one policy") {
					t.Errorf("the warning names no remedy: %v", ev.Err)
				}
			}
		})
	}
}

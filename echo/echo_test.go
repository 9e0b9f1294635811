package echocache_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echo"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
)

// remote stands in for Redis: memory, seen as a far store.
type remote struct{ store.Store }

// newCache returns a cache whose store gets a second: a busy machine may pause for longer than the default of 50 ms.
func newCache(t *testing.T, user keying.User) *cache.Cache {
	t.Helper()
	far := memstore.New(memstore.Options{})
	c, err := cache.New(cache.Options{Far: remote{far}, FarBudget: time.Second, User: user})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.Close(context.Background()), far.Close() })
	return c
}

func do(h http.Handler, method, target string, fields ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func get(h http.Handler, target string, fields ...string) *httptest.ResponseRecorder {
	return do(h, http.MethodGet, target, fields...)
}

// wiring puts a policy on a route in one of echo's two ways; the route is /p/:id.
type wiring struct {
	name string
	wire func(t *testing.T, e *echo.Echo, c *cache.Cache, p cache.Policy, h echo.HandlerFunc)
}

var wirings = []wiring{
	{"Middleware", func(_ *testing.T, e *echo.Echo, c *cache.Cache, p cache.Policy, h echo.HandlerFunc) {
		e.GET("/p/:id", h, echocache.Middleware(c, p))
	}},
	{"Annotate", func(t *testing.T, e *echo.Echo, c *cache.Cache, p cache.Policy, h echo.HandlerFunc) {
		e.GET("/p/:id", h)
		if err := echocache.Annotate(c, e, cache.Routes{"GET /p/{id}": p}); err != nil {
			t.Fatal(err)
		}
	}},
}

// run plays it for both ways and the classes of shared answers.
func run(t *testing.T, f func(t *testing.T, w wiring, class cache.Class)) {
	t.Helper()
	for _, w := range wirings {
		for _, class := range []cache.Class{cache.SharedGlobal, cache.PerUser, cache.HotShared, cache.FleetShared} {
			t.Run(w.name+"/"+class.String(), func(t *testing.T) { f(t, w, class) })
		}
	}
}

// getFrom is get, by way of a server.
func getFrom(server *http.Server, target string, fields ...string) *httptest.ResponseRecorder {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		server.Handler.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, server)))
	})
	return get(h, target, fields...)
}

package middleware_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/middleware"
	"github.com/larder-go/cache/store/memstore"
)

// newRoute returns a shared route in memory, changed as the test likes before it is used.
func newRoute(t testing.TB, change func(c *middleware.Config)) *middleware.Route {
	t.Helper()
	memory := memstore.New(memstore.Options{})
	t.Cleanup(func() { _ = memory.Close() })
	c := middleware.Config{
		Common:  middleware.NewCommon("larder", false),
		Scheme:  &keys.Scheme{Realm: "shared"},
		Cache:   readthrough.New(readthrough.Resolve(memory, nil), readthrough.Options{}),
		TTL:     time.Minute,
		MaxBody: 1 << 20,
	}
	if change != nil {
		change(&c)
	}
	c.Scheme.Compile()
	return middleware.New(c)
}

// private makes it one user's.
func private(c *middleware.Config) {
	c.Scheme.Private = true
	c.User = func(*http.Request) (string, bool) { return "alice", true }
}

// serve passes a request through the route.
func serve(rt *middleware.Route, w http.ResponseWriter, r *http.Request, h http.HandlerFunc) {
	p, done := rt.Begin(w, r, "GET /")
	if done {
		return
	}
	_ = rt.Finish(p, w, r, func(w http.ResponseWriter, r *http.Request) error {
		h(w, r)
		return nil
	}, (*http.Request).PathValue)
}

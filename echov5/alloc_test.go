//go:build !race

package echocache_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v5"

	"github.com/larder-go/cache"
)

// reused is a writer for many requests.
type reused struct{ header http.Header }

func (w *reused) Header() http.Header         { return w.header }
func (w *reused) WriteHeader(int)             { clear(w.header) }
func (w *reused) Write(p []byte) (int, error) { return len(p), nil }

// A hit from memory allocates nothing beside what echo and a bare handler do.
func TestNearHitAllocatesNothing(t *testing.T) {
	serve := func(build func(e *echo.Echo)) float64 {
		e := echo.New()
		build(e)
		w, r := &reused{http.Header{}}, httptest.NewRequest("GET", "/p/7?a=b", nil)
		e.ServeHTTP(w, r)
		return testing.AllocsPerRun(200, func() { e.ServeHTTP(w, r) })
	}
	text := []byte(strings.Repeat("x", 1000))
	handler := func(ec *echo.Context) error { _, err := ec.Response().Write(text); return err }
	bare := serve(func(e *echo.Echo) { e.GET("/p/:id", handler) })
	for _, w := range wirings {
		for _, class := range []cache.Class{cache.SharedGlobal, cache.HotShared} {
			runs := 0
			hit := serve(func(e *echo.Echo) {
				w.wire(t, e, newCache(t, nil), cache.Policy{Class: class, TTL: cache.DefaultTTL}, func(ec *echo.Context) error {
					runs++
					return handler(ec)
				})
			})
			if hit > bare || runs != 1 {
				t.Errorf("%s, %s: a hit allocates %v times, a bare handler %v; %d runs", w.name, class, hit, bare, runs)
			}
		}
	}
}

package main

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/nethttp"
	"github.com/larder-go/cache/store/redisstore"
)

// BenchmarkCountries is the README's table: the shop's countries as their handler makes them from the database, and as each
// class answers it from where it lives. Redis is a real one, over loopback.
//
//	go test -run '^$' -bench Countries ./examples/shop
func BenchmarkCountries(b *testing.B) {
	rounds = 1000
	db, err := openDatabase(filepath.Join(b.TempDir(), "shop.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	far, err := redisstore.Open(redistest.Real(b), redisstore.Options{Prefix: "shop"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { far.Close() })
	for _, bench := range []struct {
		name   string
		policy string
	}{
		{"handler", ""},
		{"redis hit (fleet-shared)", "fleet-shared ttl=1h vary=Accept-Language"},
		{"redis hit (per-user)", "per-user ttl=1h vary=Accept-Language"},
		{"near hit (hot-shared)", "hot-shared ttl=1h near=1h vary=Accept-Language"},
		{"memory hit (shared-global)", "shared-global ttl=1h vary=Accept-Language"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			c, err := cache.New(cache.Options{Far: far, User: keying.FromContext()})
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close(b.Context())
			serveCountries(b, newShop(db, c), bench.policy)
		})
	}
}

func serveCountries(b *testing.B, s *shop, policy string) {
	routes := cache.Routes{}
	if policy != "" {
		p, err := cache.ParsePolicy(policy)
		if err != nil {
			b.Fatal(err)
		}
		routes["GET /countries"] = p
	}
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.Handle(r.pattern, r.action)
	}
	handler, err := nethttp.Annotate(s.cache, mux, routes)
	if err != nil {
		b.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/countries", nil)
	r = r.WithContext(cache.WithUser(r.Context(), "alice"))
	w := discard{}
	handler.ServeHTTP(w, r) // fills
	b.ReportAllocs()
	for b.Loop() {
		clear(w)
		handler.ServeHTTP(w, r)
	}
}

// discard is a client that costs nothing.
type discard http.Header

func (d discard) Header() http.Header         { return http.Header(d) }
func (d discard) WriteHeader(int)             {}
func (d discard) Write(p []byte) (int, error) { return len(p), nil }

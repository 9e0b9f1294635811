package chicache_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/larder-go/cache"
	chicache "github.com/larder-go/cache/chi"
)

type tenantKey struct{}

// login is middleware of a sub-router, which knows who asks.
func login(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tenantKey{}, r.Header.Get("X-Session"))))
	})
}

func tenantOf(r *http.Request) string {
	name, _ := r.Context().Value(tenantKey{}).(string)
	return name
}

// What chi and its middleware know of a request selects, and skips, on misses, hits and refreshes.
func TestFunctionsFindWhatChiKnows(t *testing.T) {
	for _, standard := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p := cache.Policy{
				Class: cache.SharedGlobal, TTL: time.Minute, StaleWhileRevalidate: time.Minute, RFC9111: standard,
				VaryBy: func(r *http.Request) string { return tenantOf(r) },
				Skip: func(r *http.Request) bool {
					return tenantOf(r) == "" || chi.URLParam(r, "id") == "draft" || r.PathValue("id") == "draft"
				},
			}
			r, runs := chi.NewRouter(), 0
			r.Route("/p", func(r chi.Router) {
				r.Use(login)
				r.Get("/{id}", func(w http.ResponseWriter, r *http.Request) {
					runs++
					w.Header().Set("Cache-Control", "max-age=60, stale-while-revalidate=60")
					fmt.Fprint(w, runs, " ", tenantOf(r))
				})
			})
			if err := chicache.Annotate(newCache(t), r, cache.Routes{"GET /p/{id}": p}); err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: r}
			want := func(body, target, tenant string) {
				t.Helper()
				w, ask := httptest.NewRecorder(), httptest.NewRequest("GET", target, nil)
				ask.Header.Set("X-Session", tenant)
				server.Handler.ServeHTTP(w, ask.WithContext(context.WithValue(ask.Context(), http.ServerContextKey, server)))
				if w.Body.String() != body || !strings.HasPrefix(w.Header().Get("Cache-Control"), "private") {
					t.Errorf("%s of %q is answered %q with %v; want %q", target, tenant, w.Body, w.Header(), body)
				}
			}
			want("1 acme", "/p/7", "acme")
			want("2 beta", "/p/7", "beta")
			want("1 acme", "/p/7", "acme")
			want("3 ", "/p/7", "")
			want("4 ", "/p/7", "")
			want("5 acme", "/p/draft", "acme")
			want("6 acme", "/p/draft", "acme")
			time.Sleep(time.Minute + time.Second)
			want("1 acme", "/p/7", "acme")
			synctest.Wait()
			want("7 acme", "/p/7", "acme")
			want("2 beta", "/p/7", "beta")
			synctest.Wait()
			if runs != 8 {
				t.Errorf("standard: %t: the handler ran %d times; want 8", standard, runs)
			}
		})
	}
}

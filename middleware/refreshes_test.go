package middleware_test

import (
	"net/http"
	"testing"

	"github.com/larder-go/cache"
)

// Outer authentication refuses a refresh in the background, which has nobody's credentials: a request that it lets in
// refreshes the answer inline, after its client has the stale one.
func TestRefreshBehindAuthenticationIsInline(t *testing.T) {
	runLive(t, func(t *testing.T, s *site) {
		refreshes := make(chan cache.Reason, 2000)
		s.options.Observe = func(ev cache.Event) {
			if ev.Outcome == cache.Refresh {
				refreshes <- ev.Reason
			}
		}
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, err := r.Cookie("who"); err != nil {
					http.Error(w, "who are you?", http.StatusUnauthorized)
					return
				}
				next.ServeHTTP(w, r)
			})
		})
		answered := make(chan struct{}, 1)
		answered <- struct{}{} // the first run has nobody to wait for
		s.handle("GET /p/{id}", stale, func(w http.ResponseWriter, r *http.Request) error {
			<-answered
			return s.mirror(w, r)
		})
		server, client := s.serve(false)
		first := fetch(t, client, "GET", server.URL+"/p/7")
		if err := s.cache.Expire(t.Context(), cache.URL("/p/7")); err != nil {
			t.Fatal(err)
		}
		wantBody(t, fetch(t, client, "GET", server.URL+"/p/7"), first.body)
		if reason := <-refreshes; reason != "refresh-not-reached" {
			t.Fatalf("the refresh in the background ends with %q; want it refused", reason)
		}
		for range cap(refreshes) { // the refused one may not have been cleared away yet
			if got := fetch(t, client, "GET", server.URL+"/p/7"); got.body != first.body {
				s.wantTotal(2)
				return
			}
			select {
			case answered <- struct{}{}:
			default:
			}
		}
		t.Error("the answer is never refreshed")
	}, shared...)
}

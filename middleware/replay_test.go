package middleware_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// TestHitsSniffWhatMissesSniff: if the handler removed the Content-Type that outer middleware had set, both sniff it; if the
// handler suppressed it, neither does.
func TestHitsSniffWhatMissesSniff(t *testing.T) {
	for name, handler := range map[string]func(h http.Header){
		"removed":    func(h http.Header) { h.Del("Content-Type") },
		"suppressed": func(h http.Header) { h["Content-Type"] = nil },
		"kept":       func(http.Header) {},
	} {
		c, err := cache.New(cache.Options{})
		if err != nil {
			t.Fatal(err)
		}
		inner := c.Middleware(cache.Policy{Class: cache.SharedGlobal, TTL: time.Minute})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			handler(w.Header())
			_, _ = w.Write([]byte("<html>"))
		}))
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/x-outer")
			inner.ServeHTTP(w, r)
		}))
		types := [2]string{}
		for i := range types {
			resp, err := server.Client().Get(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			types[i] = resp.Header.Get("Content-Type")
		}
		if types[0] != types[1] {
			t.Errorf("%s: the miss has Content-Type %q, the hit %q", name, types[0], types[1])
		}
		server.Close()
		_ = c.Close(t.Context())
	}
}

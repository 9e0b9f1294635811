package middleware_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/middleware"
)

// TestAtMost32VariantsOfAURL are kept: the next one reaches its client and is not, until the others have expired. Other
// URLs have a bound of their own.
func TestAtMost32VariantsOfAURL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last middleware.Event
		rt := newRoute(t, func(rt *middleware.Route) {
			rt.Scheme.Headers = []string{"X-T"}
			rt.Observe = func(ev middleware.Event) { last = ev }
		})
		ask := func(target string, n int) middleware.Event {
			r, w := httptest.NewRequest("GET", target, nil), httptest.NewRecorder()
			r.Header.Set("X-T", fmt.Sprint(n))
			serve(rt, w, r, func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.Header.Get("X-T"))) })
			if w.Body.String() != fmt.Sprint(n) {
				t.Errorf("variant %d is answered with %q", n, w.Body)
			}
			return last
		}
		for n := range 33 {
			want := middleware.Reason("")
			if n == 32 {
				want = middleware.VariantsReason
			}
			if ev := ask("/", n); ev.Outcome != middleware.Miss || ev.Reason != want {
				t.Errorf("variant %d: %+v", n, ev)
			}
		}
		for n := range 32 {
			if ev := ask("/", n); ev.Outcome != middleware.Hit {
				t.Errorf("variant %d again: %+v", n, ev)
			}
		}
		if ev := ask("/other", 32); ev.Reason != "" {
			t.Errorf("another URL: %+v", ev)
		}
		time.Sleep(2 * time.Minute)
		if ev := ask("/", 33); ev.Reason != "" {
			t.Errorf("after the others have expired: %+v", ev)
		}
	})
}

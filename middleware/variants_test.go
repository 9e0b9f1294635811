package middleware_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/keying"
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

// TestTakingTurnsGivesNoMoreVariants: of URLs that meet in a slot of the table each has its bound.
func TestTakingTurnsGivesNoMoreVariants(t *testing.T) {
	var v middleware.Variants
	now, admitted := time.Now(), map[keying.Label]int{}
	urls := []keying.Label{{3: 1, 5: 2, 7: 3}, {3: 4, 5: 5, 7: 6}} // two bytes of a label are one slot
	for n := range 100 {
		for _, url := range urls {
			if v.Admit(url, keying.Key{byte(n)}, now, time.Minute) {
				admitted[url]++
			}
		}
	}
	for _, url := range urls {
		if admitted[url] != 32 {
			t.Errorf("%d variants of %v are admitted; want 32", admitted[url], url)
		}
	}
}

// TestAFullURLKeepsItsSlot until its variants have expired; one that is not full makes way.
func TestAFullURLKeepsItsSlot(t *testing.T) {
	var v middleware.Variants
	full, other, third := keying.Label{15: 1}, keying.Label{15: 2}, keying.Label{15: 3} // all have one slot only
	now := time.Now()
	for n := range 32 {
		if !v.Admit(full, keying.Key{byte(n)}, now, time.Minute) {
			t.Errorf("variant %d is refused", n)
		}
	}
	if v.Admit(other, keying.Key{}, now, time.Minute) {
		t.Error("another URL is admitted where there is no slot")
	}
	if !v.Admit(full, keying.Key{31}, now, time.Minute) || v.Admit(full, keying.Key{32}, now, time.Minute) {
		t.Error("the full URL has lost its variants, or gets more")
	}
	now = now.Add(time.Minute)
	if !v.Admit(other, keying.Key{}, now, time.Minute) || !v.Admit(third, keying.Key{}, now, time.Minute) {
		t.Error("a URL is refused although the slot's is not full")
	}
}

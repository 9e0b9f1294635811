package middleware_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/fartest"
)

// However often a copy near is asked for, and the clock therefore ticks, it is not served for longer than NearTTL.
func TestACopyNearThatIsAskedForOftenIsServedForNearTTLAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var looked []time.Time
		far := fartest.New()
		far.Before = func(op string, _ context.Context) {
			if op == "get" {
				looked = append(looked, time.Now())
			}
		}
		c, err := cache.New(cache.Options{Far: far})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(t.Context())
		policy := cache.Policy{Class: cache.HotShared, TTL: time.Hour, NearTTL: 1005 * time.Millisecond} // between two ticks
		h := c.Middleware(policy)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte("body"))
		}))
		r, w := newRequest("GET", "/"), &reused{header: http.Header{}}
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(37 * time.Microsecond) {
			clear(w.header)
			h.ServeHTTP(w, r)
		}
		if len(looked) < 4 {
			t.Fatalf("%d looks at the far store in five seconds", len(looked))
		}
		for i := range looked[1:] {
			if d := looked[i+1].Sub(looked[i]); d > policy.NearTTL {
				t.Errorf("%v between two looks at the far store; want %v at most", d, policy.NearTTL)
			}
		}
	})
}

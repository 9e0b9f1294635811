package middleware_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/middleware"
)

// shutting is a request's context. When it is used, it acts as if another refresh had just failed to reach the route.
type shutting struct {
	context.Context
	rt *middleware.Route
}

func (c shutting) Value(key any) any {
	if key == http.ServerContextKey {
		c.rt.Shut(true)
	}
	return c.Context.Value(key)
}

// TestAWayInThatShutsLeavesNoRefreshBehind: background refreshes become inline while an early refresh begins. That refresh runs or
// does not, but its key does not stay marked: otherwise it would never be refreshed again, and Close would not return.
func TestAWayInThatShutsLeavesNoRefreshBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, runs := newRoute(t, nil), 0
		h := func(w http.ResponseWriter, _ *http.Request) {
			runs++
			time.Sleep(10 * time.Second)
			_, _ = w.Write([]byte("page"))
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(rt, w, r, h) })}
		request := func() *http.Request {
			r := httptest.NewRequest("GET", "/", nil)
			ctx := context.WithValue(r.Context(), http.ServerContextKey, server)
			return r.WithContext(shutting{ctx, rt})
		}
		serve(rt, httptest.NewRecorder(), request(), h)
		made := time.Now()
		for range 600 { // in the last half of its life a hit may have it refreshed
			time.Sleep(100 * time.Millisecond)
			rt.Shut(false)
			serve(rt, httptest.NewRecorder(), request(), h)
			if synctest.Wait(); runs > 1 || time.Since(made) > 50*time.Second {
				break
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := rt.Common().Close(ctx); err != nil {
			t.Errorf("Close: %v, with nothing under way", err)
		}
	})
}

// TestSlowReadersHoldNoRefreshes: an inline refresh waits for its client to take the stale response. If the client is slow,
// another request refreshes the response, and Close does not wait.
func TestSlowReadersHoldNoRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, runs := newRoute(t, func(c *middleware.Config) { c.WhileRevalidate = time.Hour }), 0
		h := func(w http.ResponseWriter, _ *http.Request) {
			runs++
			_, _ = w.Write([]byte("page"))
		}
		request := func() *http.Request { return httptest.NewRequest("GET", "/", nil) }
		serve(rt, httptest.NewRecorder(), request(), h)
		time.Sleep(2 * time.Minute)
		reads := make(chan struct{})
		go serve(rt, unread{httptest.NewRecorder(), reads}, request(), h)
		synctest.Wait()
		serve(rt, httptest.NewRecorder(), request(), h)
		if runs != 2 {
			t.Errorf("the handler has run %d times; want another's refresh", runs)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := rt.Common().Close(ctx); err != nil {
			t.Errorf("Close: %v, with nothing under way", err)
		}
		close(reads)
	})
}

// unread is a client that takes nothing for a while.
type unread struct {
	*httptest.ResponseRecorder
	reads chan struct{}
}

func (c unread) Flush() { <-c.reads }

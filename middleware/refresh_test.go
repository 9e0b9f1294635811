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

// shutting is a request's context during whose use a refresh elsewhere finds the way in shut.
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

// TestAWayInThatShutsLeavesNoRefreshBehind: an early refresh that has found it open goes on, or not at all. Nothing stays
// marked as being refreshed, which would keep its key from being refreshed ever again, and Close from returning.
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
		if err := rt.Common.Close(ctx); err != nil {
			t.Errorf("Close: %v, with nothing under way", err)
		}
	})
}

package middleware_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware"
)

// TestOneRefreshPerKeyAndAtMost64: a refresh beyond the limit does not run, then or later.
func TestOneRefreshPerKeyAndAtMost64(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := middleware.NewCommon("", false)
		var runs atomic.Int64
		end := make(chan struct{})
		refresh := func(context.Context) { runs.Add(1); <-end }
		for n := range byte(65) {
			c.Background(new(middleware.Share), keying.Key{n}, refresh)
			c.Background(new(middleware.Share), keying.Key{n}, refresh)
		}
		if synctest.Wait(); runs.Load() != 64 {
			t.Errorf("%d refreshes at once, want 64", runs.Load())
		}
		close(end)
		synctest.Wait()
		c.Background(new(middleware.Share), keying.Key{0}, refresh)
		if synctest.Wait(); runs.Load() != 65 {
			t.Errorf("%d refreshes, want 65: there is room again", runs.Load())
		}
	})
}

func TestARefreshIsBoundTo30Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, began := middleware.NewCommon("", false), time.Now()
		c.Background(new(middleware.Share), keying.Key{}, func(ctx context.Context) { <-ctx.Done() })
		if err := c.Close(t.Context()); err != nil || time.Since(began) != 30*time.Second {
			t.Errorf("Close = %v after %v", err, time.Since(began))
		}
	})
}

// TestCloseWaitsForRefreshes as long as its context allows, and no refresh begins afterwards.
func TestCloseWaitsForRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := middleware.NewCommon("", false)
		end := make(chan struct{})
		c.Background(new(middleware.Share), keying.Key{}, func(context.Context) { <-end })
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Close(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close = %v while a refresh runs", err)
		}
		c.Background(new(middleware.Share), keying.Key{1}, func(context.Context) { t.Error("a refresh after Close") })
		close(end)
		for range 2 {
			if err := c.Close(t.Context()); err != nil {
				t.Errorf("Close = %v", err)
			}
		}
	})
}

// TestCloseMeetsRefreshes that begin at the same moment: it waits for them or they do not run.
func TestCloseMeetsRefreshes(t *testing.T) {
	for range 200 {
		c := middleware.NewCommon("", false)
		var closed atomic.Bool
		go func() {
			for n := range byte(8) {
				c.Background(new(middleware.Share), keying.Key{n}, func(context.Context) {
					if closed.Load() {
						t.Error("a refresh runs after Close")
					}
				})
			}
		}()
		if err := c.Close(t.Context()); err != nil {
			t.Error(err)
		}
		closed.Store(true)
	}
}

// TestRecordingIsBounded by 64 MiB over all requests: a response that does not fit reaches its client and is not stored.
func TestRecordingIsBounded(t *testing.T) {
	for body, want := range map[string]middleware.Reason{"four": "", "five5": middleware.ReasonBusy} {
		var seen []middleware.Event
		rt := newRoute(t, func(c *middleware.Config) { c.Observe = func(ev middleware.Event) { seen = append(seen, ev) } })
		if !rt.Common().Reserve(64<<20 - len("four")) {
			t.Fatal("no room at all")
		}
		w := httptest.NewRecorder()
		serve(rt, w, httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(body)) })
		if w.Body.String() != body || seen[0].Reason != want {
			t.Errorf("%s: body %q, event %+v", body, w.Body, seen[0])
		}
		if n := rt.Common().Recording(); n != 64<<20-int64(len("four")) {
			t.Errorf("%s: %d bytes are accounted for", body, n)
		}
	}
}

// TestEndingsThatKeepNothing: how the handler ends decides here, not what it has written.
func TestEndingsThatKeepNothing(t *testing.T) {
	failed := errors.New("failed")
	tests := []struct {
		name   string
		reason middleware.Reason
		next   middleware.Next
	}{
		{"error", middleware.ReasonError, func(w http.ResponseWriter, _ *http.Request) error { _, _ = w.Write([]byte("x")); return failed }},
		{"error of the client's", middleware.ReasonError, func(w http.ResponseWriter, _ *http.Request) error {
			_, _ = w.Write([]byte("x"))
			return middleware.StatusError{Status: 404, Err: failed}
		}},
		{"hijack", middleware.ReasonHijack, func(w http.ResponseWriter, _ *http.Request) error {
			_, _, _ = http.NewResponseController(w).Hijack()
			_, _ = w.Write([]byte("x"))
			return nil
		}},
		{"another protocol", middleware.ReasonUpgrade, func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(101); return nil }},
	}
	for _, tt := range tests {
		var seen []middleware.Event
		rt := newRoute(t, func(c *middleware.Config) { c.Observe = func(ev middleware.Event) { seen = append(seen, ev) } })
		for range 2 {
			writers, _ := bare()
			w, r := writers[len(writers)-1], httptest.NewRequest("GET", "/", nil)
			p, done := rt.Begin(w, r, "")
			if done {
				t.Fatalf("%s: it was kept", tt.name)
			}
			err := rt.Finish(p, w, r, tt.next, (*http.Request).PathValue)
			if wantErr := strings.HasPrefix(tt.name, "error"); wantErr != errors.Is(err, failed) {
				t.Errorf("%s: Finish = %v", tt.name, err)
			}
		}
		if len(seen) != 2 || seen[0].Reason != tt.reason || seen[0].Outcome != middleware.Miss || !errors.Is(seen[0].Err, seen[1].Err) {
			t.Errorf("%s: events %+v", tt.name, seen)
		}
		if n := rt.Common().Recording(); n != 0 {
			t.Errorf("%s: %d bytes are still accounted for", tt.name, n)
		}
	}
}

// TestACanceledAnswerIsNotKept: a handler whose context ended may have cut it short.
func TestACanceledAnswerIsNotKept(t *testing.T) {
	var seen []middleware.Event
	rt := newRoute(t, func(c *middleware.Config) { c.Observe = func(ev middleware.Event) { seen = append(seen, ev) } })
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	for range 2 {
		serve(rt, httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(ctx), func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			_, _ = w.Write([]byte("x"))
		})
	}
	for _, ev := range seen {
		if ev.Outcome != middleware.Miss || ev.Reason != middleware.ReasonCanceled {
			t.Errorf("event %+v", ev)
		}
	}
	if n := rt.Common().Recording(); len(seen) != 2 || n != 0 {
		t.Errorf("%d events, %d bytes are still accounted for", len(seen), n)
	}
}

// TestAPanicGoesOn with its own value, and its key works again.
func TestAPanicGoesOn(t *testing.T) {
	rt := newRoute(t, nil)
	for _, value := range []any{"boom", http.ErrAbortHandler} {
		func() {
			defer func() {
				if v := recover(); v != value {
					t.Errorf("recovered %v, want %v", v, value)
				}
			}()
			serve(rt, httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, r *http.Request) {
				chunks(w, r)
				panic(value)
			})
		}()
		if n := rt.Common().Recording(); n != 0 {
			t.Errorf("%d bytes are still accounted for", n)
		}
	}
	w := httptest.NewRecorder()
	serve(rt, w, httptest.NewRequest("GET", "/", nil), chunks)
	if w.Body.String() != long {
		t.Errorf("after the panics: %d bytes", w.Body.Len())
	}
}

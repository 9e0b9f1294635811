package middleware_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
)

// Of an answer that takes its time, one of many requests shortly before its end has a new one made: nobody ever waits.
func TestSlowAnswersAreRefreshedEarly(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /p/{id}", cache.Policy{TTL: 20 * time.Second}, func(w http.ResponseWriter, r *http.Request) error {
			time.Sleep(time.Second)
			return s.mirror(w, r)
		})
		first := s.miss("/p/7", behindServer(s))
		time.Sleep(8 * time.Second)
		for range 100 {
			wantBody(t, s.get("/p/7", behindServer(s)), first.body)
			wantBody(t, s.get("/p/7"), first.body) // without a server nothing runs in the background
		}
		s.wantTotal(1)
		for range 4000 {
			began := time.Now()
			s.get("/p/7", behindServer(s))
			if took := time.Since(began); took > 0 {
				t.Fatalf("a request waited %v", took)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := s.runs.Load(); n < 3 || n > 5 {
			t.Errorf("the handler ran %d times in 48 s; want about every 15 s", n)
		}
	})
}

// A refresh that comes too late, because the answer was made anew meanwhile, says nothing of what stands in front of the
// route: the next one is in the background again.
func TestRefreshThatComesTooLateIsNotRefused(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /p/{id}", cache.Policy{TTL: 10 * time.Second, StaleWhileRevalidate: time.Minute}, s.mirror)
		var requests atomic.Int64
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if requests.Add(1) == 3 { // the refresh
					time.Sleep(time.Second)
				}
				next.ServeHTTP(w, r)
			})
		})
		s.miss("/p/7")
		time.Sleep(11 * time.Second)
		s.get("/p/7", behindServer(s))
		synctest.Wait()
		s.purge(cache.Everything())
		s.miss("/p/7")
		time.Sleep(2 * time.Second)
		if requests.Load() != 4 || s.count(cache.Refresh, "refresh-not-reached") > 0 {
			t.Errorf("%d requests, %d refreshes refused; want 4 and none", requests.Load(), s.count(cache.Refresh, "refresh-not-reached"))
		}
	}, shared...)
}

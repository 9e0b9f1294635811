package middleware_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// A cache that is cold, or without its Redis, lets no more requests into the handler at once than the route says; all are
// answered.
func TestRunsOfARouteAreBounded(t *testing.T) {
	for name, down := range map[string]bool{"cold": false, "without Redis": true} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, s *site) {
				s.far.Down.Store(down)
				var now, most atomic.Int64
				s.handle("GET /p/{id}", cache.Policy{MaxRuns: 10}, func(w http.ResponseWriter, r *http.Request) error {
					for n := now.Add(1); n > most.Load(); {
						most.Store(n)
					}
					defer now.Add(-1)
					time.Sleep(10 * time.Millisecond)
					return s.mirror(w, r)
				})
				began := time.Now()
				var all sync.WaitGroup
				for i := range 200 {
					all.Go(func() { wantStatus(t, s.get(fmt.Sprint("/p/", i)), http.StatusOK) })
				}
				all.Wait()
				if took := time.Since(began); most.Load() != 10 || took != 200*time.Millisecond {
					t.Errorf("%d requests were in the handler at once, for %v; want 10, for 200 ms", most.Load(), took)
				}
			})
		})
	}
}

package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
)

// A route whose handler is slow, and Values whose load is, leave others room for refreshes.
func TestSlowRefreshesLeaveOthersRoom(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		end, slow, loads := make(chan struct{}), false, 0
		p := cache.Policy{TTL: time.Minute, StaleWhileRevalidate: time.Hour}
		s.handle("GET /slow/{id}", p, func(w http.ResponseWriter, r *http.Request) error {
			if slow {
				<-end
			}
			return text("hello")(w, r)
		})
		s.handle("GET /quick", p, text("hello"))
		s.start()
		p.Class = s.class
		values := cache.NewValues(s.cache, "quick", p, func(context.Context, string) (int, error) { loads++; return loads, nil })
		ask := func(target string) { s.get(target, behindServer(s)) }
		all := func() {
			for i := range 100 {
				ask(fmt.Sprint("/slow/", i))
			}
			ask("/quick")
			_, _ = values.Get(cache.WithUser(t.Context(), "alice"), "1")
			synctest.Wait()
		}
		all()
		time.Sleep(2 * time.Minute)
		slow = true
		all()
		before := s.runs.Load()
		if ask("/quick"); s.runs.Load() != before || s.count(cache.Refresh, "") != 2 {
			t.Errorf("%d refreshes; want those of the quick route and value", s.count(cache.Refresh, ""))
		}
		if loads != 2 {
			t.Errorf("the value was loaded %d times; want 2", loads)
		}
		close(end)
		synctest.Wait()
	})
}

// A route whose clients all hang up leaves others room to finish what nobody waits for any more.
func TestSlowHandlersWithoutClientsLeaveOthersRoom(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /slow/{id}", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			<-r.Context().Done()
			return r.Context().Err()
		})
		s.handle("GET /quick", cache.Policy{TTL: time.Minute}, func(w http.ResponseWriter, r *http.Request) error {
			time.Sleep(time.Second)
			return text("hello")(w, r)
		})
		s.start()
		ctx, hangUp := context.WithCancel(t.Context())
		for i := range 100 {
			go s.get(fmt.Sprint("/slow/", i), within(ctx))
		}
		synctest.Wait()
		hangUp()
		synctest.Wait()
		ctx, hangUp = context.WithCancel(t.Context())
		go s.get("/quick", within(ctx))
		synctest.Wait()
		hangUp()
		time.Sleep(2 * time.Second)
		s.hit("/quick")
		time.Sleep(time.Minute)
	})
}

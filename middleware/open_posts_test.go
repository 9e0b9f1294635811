package middleware_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// Whoever may send as many unsafe requests as he likes, to one route, takes the answers of no other from the cache. Those
// of the route itself are invalidated as ever.
func TestFloodOfUnsafeRequestsEmptiesNothingElse(t *testing.T) {
	floods := map[string]func(i int) string{
		"one URL": func(int) string { return "/comments/7" },
		"ids":     func(i int) string { return fmt.Sprint("/comments/", i) },
		"queries": func(i int) string { return fmt.Sprint("/comments?x=", i) },
		"below":   func(i int) string { return fmt.Sprint("/comments/", i, "/votes") },
		"hosts":   func(i int) string { return fmt.Sprint("http://host", i, ".example/comments/7") },
	}
	for name, target := range floods {
		t.Run(name, func(t *testing.T) {
			var told int
			c, err := cache.New(cache.Options{Observe: func(ev cache.Event) {
				if ev.Outcome == cache.Warning && ev.Reason == cache.ReasonWidened {
					told++
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close(t.Context()) })
			mux, runs := http.NewServeMux(), map[string]int{}
			standard := c.Middleware(cache.Policy{Class: cache.SharedGlobal, RFC9111: true, TTL: time.Hour})
			plain := c.Middleware(cache.Policy{Class: cache.SharedGlobal, TTL: time.Hour})
			answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				runs[r.Method+r.URL.String()]++
				w.Header().Set("Cache-Control", "public")
				w.Header().Set("Location", "/comments/latest")
				_, _ = w.Write([]byte("answer"))
			})
			mux.Handle("/comments/", standard(answer))
			mux.Handle("/comments", standard(answer))
			mux.Handle("/pages/{id}", standard(answer))
			mux.Handle("GET /news", plain(answer))
			send := func(method, target string) { mux.ServeHTTP(nowhere{}, newRequest(method, target)) }

			for range 2 {
				send("GET", "/pages/1")
				send("GET", "/news")
				send("GET", "/comments/latest")
			}
			send("POST", "/pages/2")
			for i := range 70_000 {
				send("POST", target(i))
			}
			for _, target := range []string{"/pages/1", "/news", "/comments/latest", "/comments/latest"} {
				send("GET", target)
			}
			if runs["GET/pages/1"] != 1 || runs["GET/news"] != 1 || runs["GET/comments/latest"] != 2 {
				t.Errorf("the handlers ran: %v", map[string]int{"pages": runs["GET/pages/1"], "news": runs["GET/news"], "latest": runs["GET/comments/latest"]})
			}
			if name != "one URL" && told == 0 {
				t.Error("no event says that purges were widened")
			}
		})
	}
}

type nowhere http.Header

func (w nowhere) Header() http.Header       { return http.Header(w) }
func (nowhere) WriteHeader(int)             {}
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

// A log that processes share gets a bounded number of records from the answers of a process; each purge is in it before
// its answer is out.
func TestFloodOfUnsafeRequestsDoesNotFloodTheLog(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("/items/{id}", cache.Policy{RFC9111: true, TTL: time.Hour}, public(text("item")))
		s.handle("/pages/{id}", cache.Policy{RFC9111: true, TTL: time.Hour}, public(text("page")))
		s.missHit("/pages/1")
		var all sync.WaitGroup
		for g := range 20 {
			all.Go(func() {
				for i := range 100 {
					target := fmt.Sprint("/items/", g*100+i%50)
					s.get(target)
					s.do("POST", target)
					if got := s.get(target, header("Cache-Control", "only-if-cached")); got.status == http.StatusOK {
						t.Errorf("GET %s after POST: it is there still", target)
					}
				}
			})
		}
		all.Wait()
		if n := s.far.Records.Load(); n > 300 {
			t.Errorf("%d records of 2,000 requests", n)
		}
	}, cache.HotShared, cache.FleetShared)
}

// What becomes one record is what each of its purges names, and no more unless there are many of one area.
func TestJoinedPurgesHitWhatEachNames(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("/items/{id}", cache.Policy{RFC9111: true, TTL: time.Hour}, public(text("item")))
		s.handle("/pages/{id}", cache.Policy{RFC9111: true, TTL: time.Hour}, public(setting("Cache-Group-Invalidation: \"g\"")))
		s.handle("GET /grouped", cache.Policy{RFC9111: true, TTL: time.Hour}, public(setting("Cache-Groups: \"g\"")))
		for _, target := range []string{"/items/1", "/items/200", "/pages/1", "/pages/2", "/grouped"} {
			s.missHit(target)
		}
		var all sync.WaitGroup
		for i := range 80 { // the first ones are records of their own
			all.Go(func() { s.do("POST", fmt.Sprint("/items/", 100+i)) })
		}
		all.Go(func() { time.Sleep(time.Millisecond); s.do("POST", "/pages/1") })
		all.Go(func() { time.Sleep(time.Millisecond); s.do("POST", "/items/1") })
		all.Wait()
		for _, target := range []string{"/items/1", "/pages/1", "/grouped", "/items/200"} {
			s.miss(target) // the last one because there were many of its area
		}
		s.hit("/pages/2")
	}, cache.HotShared, cache.FleetShared)
}

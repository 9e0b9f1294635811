package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/fartest"
	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/keying"
)

// withoutRouter removes from the context what a router has put there for its own sub-routers.
var withoutRouter = func(ctx context.Context) context.Context { return ctx }

// asks returns what a handler gets that sends a request to the site itself, with its own context.
func (s *site) asks(r *http.Request, target string, options ...option) reply {
	return s.get(target, append(options, within(withoutRouter(r.Context())))...)
}

// asking is a handler that takes a while, requests the targets and responds with what it got.
func (s *site) asking(takes time.Duration, targets ...string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		<-time.After(takes)
		w.Header().Set("Cache-Control", "max-age=60")
		if s.class == cache.PerUser {
			w.Header().Set("Cache-Control", "private, max-age=60")
		}
		answer := r.URL.Path
		for _, target := range targets {
			got := s.asks(r, target)
			answer += fmt.Sprintf("(%d %s)", got.status, got.body)
		}
		_, err := w.Write([]byte(answer))
		return err
	}
}

// modes has one policy for each mode.
var modes = map[string]cache.Policy{"policy": {TTL: time.Minute}, "standard": {RFC9111: true}}

func TestAHandlerThatAsksForItsOwnAnswerDoesNotWaitForIt(t *testing.T) {
	for name, p := range modes {
		run(t, func(t *testing.T, s *site) {
			s.handle("GET /x", p, s.asking(time.Second, "/x"))
			s.start()
			began := time.Now()
			got := s.get("/x")
			if took := time.Since(began); took > 2*time.Second || got.status != http.StatusOK || got.body != "/x(200 /x(508 ))" {
				t.Errorf("%s: %d %q after %v; want the handler's, which ran once more", name, got.status, got.body, took)
			}
			s.wantTotal(2)
			if n := s.count(cache.Miss, "loop"); n != 1 {
				t.Errorf("%s: %d events tell of the loop; want 1", name, n)
			}
			if again := s.hit("/x"); again.body == "" {
				t.Errorf("%s: nothing is kept", name)
			}
		})
	}
}

// A handler that sees in its context that it called itself may end the loop.
func TestAnInnerRequestMayAnswerWithoutAskingAgain(t *testing.T) {
	type inner struct{}
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			if r.Context().Value(inner{}) != nil {
				return text("inner")(w, r)
			}
			got := s.asks(r.WithContext(context.WithValue(r.Context(), inner{}, true)), "/x")
			return text("outer "+got.body)(w, r)
		})
		began := time.Now()
		if got := s.get("/x"); got.body != "outer inner" || time.Since(began) > 0 {
			t.Errorf("the answer is %q, after %v", got.body, time.Since(began))
		}
		s.wantTotal(2)
	})
}

// Handlers request each other's pages while both run: the request that would close the circle does not wait, but runs.
func TestHandlersThatAskForEachOtherDoNotWait(t *testing.T) {
	for name, p := range modes {
		for circle := 2; circle < 5; circle++ {
			run(t, func(t *testing.T, s *site) {
				for i := range circle {
					s.handle(fmt.Sprintf("GET /p%d", i), p, s.asking(time.Second, fmt.Sprintf("/p%d", (i+1)%circle)))
				}
				began := time.Now()
				replies := s.atOnce(10*circle, func(i int) *http.Request { return newRequest("GET", fmt.Sprintf("/p%d", i%circle)) })
				if took := time.Since(began); took > 15*time.Second {
					t.Errorf("%s, %d: answered after %v", name, circle, took)
				}
				for _, got := range replies {
					wantStatus(t, got, http.StatusOK)
				}
				for i := range circle {
					s.hit(fmt.Sprintf("/p%d", i))
				}
			}, cache.SharedGlobal, cache.FleetShared)
		}
	}
}

// A handler may send several requests at once; none of them waits for the handler.
func TestHandlersThatAskForManyAtOnceDoNotWait(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		fan := func(w http.ResponseWriter, r *http.Request) error {
			time.Sleep(time.Second)
			var all sync.WaitGroup
			for _, target := range []string{"/a", "/b", "/c"} {
				if target != r.URL.Path {
					all.Go(func() { s.asks(r, target) })
				}
			}
			all.Wait()
			return text("done")(w, r)
		}
		for _, target := range []string{"/a", "/b", "/c"} {
			s.handle("GET "+target, cache.Policy{}, fan)
		}
		began := time.Now()
		for _, got := range s.atOnce(3, func(i int) *http.Request { return newRequest("GET", []string{"/a", "/b", "/c"}[i]) }) {
			wantStatus(t, got, http.StatusOK)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("answered after %v", took)
		}
	}, cache.SharedGlobal)
}

// A request from a handler does not wait for a place among MaxRuns while that handler has it.
func TestAnInnerRequestDoesNotWaitForItsOuterRun(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /p/{id}", cache.Policy{MaxRuns: 1}, func(w http.ResponseWriter, r *http.Request) error {
			if strings.HasSuffix(r.URL.Path, "/inner") {
				return text("inner")(w, r)
			}
			time.Sleep(100 * time.Millisecond)
			return text("outer "+s.asks(r, "/p/inner").body)(w, r)
		})
		began := time.Now()
		replies := s.atOnce(2, func(i int) *http.Request { return newRequest("GET", []string{"/p/outer", "/p/inner"}[i]) })
		if took := time.Since(began); took > 200*time.Millisecond || replies[0].body != "outer inner" || replies[1].body != "inner" {
			t.Errorf("%q and %q after %v", replies[0].body, replies[1].body, took)
		}
	})
}

// A request from a goroutine that outlives its handler is not inner any more: it waits like all others.
func TestAContextIsOfItsRunWhileThatLasts(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		kept := make(chan *http.Request, 2)
		s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			time.Sleep(time.Second)
			kept <- r.WithContext(context.WithoutCancel(r.Context()))
			return text("x")(w, r)
		})
		s.get("/x")
		s.purge(cache.Everything())
		s.runs.Store(0)
		over := <-kept
		var all sync.WaitGroup
		for range 10 {
			all.Go(func() { s.asks(over, "/x") })
		}
		all.Wait()
		s.wantTotal(1)
	})
}

// The context marks a refresh, but a request from its handler is no refresh.
func TestWhatARefreshAsksForIsAnswered(t *testing.T) {
	for name, p := range modes {
		run(t, func(t *testing.T, s *site) {
			p.StaleWhileRevalidate = time.Hour
			var inner []string
			s.handle("GET /x", p, func(w http.ResponseWriter, r *http.Request) error {
				w.Header().Set("Cache-Control", "max-age=10, stale-while-revalidate=3600")
				if s.class == cache.PerUser {
					w.Header().Set("Cache-Control", "private, max-age=10, stale-while-revalidate=3600")
				}
				if s.runs.Load() > 1 && len(inner) < 1 {
					inner = append(inner, "")
					inner[0] = s.asks(r, "/x").body
				}
				return text("answer")(w, r)
			})
			s.start()
			server := behindServer(s)
			s.get("/x", server)
			time.Sleep(2 * time.Minute)
			began := time.Now()
			s.get("/x", server)
			synctest.Wait()
			if len(inner) != 1 || inner[0] != "answer" || time.Since(began) > 0 {
				t.Errorf("%s: within a refresh, the handler got %q after %v", name, inner, time.Since(began))
			}
		})
	}
}

// An inner request does not wait for a lease that its own process holds.
func TestAnInnerRequestDoesNotWaitForALeaseOfItsProcess(t *testing.T) {
	for _, class := range inRedis {
		for _, rt := range []router{routers[0], routers[2]} {
			s := newSite(t, rt, class)
			s.options.Far = open(t, redistest.Real(t))
			s.handle("GET /x", cache.Policy{}, s.asking(50*time.Millisecond, "/x"))
			s.handle("GET /a", cache.Policy{}, s.asking(50*time.Millisecond, "/b"))
			s.handle("GET /b", cache.Policy{}, s.asking(50*time.Millisecond, "/a"))
			began := time.Now()
			for _, got := range s.atOnce(3, func(i int) *http.Request { return newRequest("GET", []string{"/x", "/a", "/b"}[i]) }) {
				wantStatus(t, got, http.StatusOK)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("%s, %s: answered after %v", class, rt.name, took)
			}
		}
	}
}

// A route is wrapped twice by mistake, so that each request passes the cache twice.
func TestARouteWrappedTwiceDoesNotWaitForItself(t *testing.T) {
	for _, class := range classes {
		for _, p := range modes {
			synctest.Test(t, func(t *testing.T) {
				c, err := cache.New(cache.Options{Far: fartest.New(), User: keying.FromContext()})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close(context.Background())
				p.Class = class
				wrap := c.Middleware(p)
				s := newSite(t, routers[0], class)
				s.handlePlain("GET /x", func(w http.ResponseWriter, r *http.Request) error {
					wrap(wrap(text("x").plain())).ServeHTTP(w, r)
					return nil
				})
				began := time.Now()
				if got := s.get("/x"); got.body != "x" || time.Since(began) > 0 {
					t.Errorf("%s: %d %q after %v", class, got.status, got.body, time.Since(began))
				}
			})
		}
	}
}

// A page uses a value, whose load requests the page.
func TestAPageAndAValueThatAskForEachOtherDoNotWait(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		var menu *cache.Values[string]
		s.handle("GET /page", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			time.Sleep(time.Second)
			text, err := menu.Get(r.Context(), "main")
			_, _ = fmt.Fprintf(w, "page(%s %v)", text, err)
			return nil
		})
		s.start()
		menu = cache.NewValues(s.cache, "menu", cache.Policy{Class: s.class}, func(ctx context.Context, id string) (string, error) {
			time.Sleep(time.Second)
			r := newRequest("GET", "/").WithContext(ctx)
			return "menu(" + s.asks(r, "/page").body + ")", nil
		})
		began := time.Now()
		var all sync.WaitGroup
		all.Go(func() { wantStatus(t, s.get("/page"), http.StatusOK) })
		all.Go(func() {
			if _, err := menu.Get(alice(t), "main"); err != nil {
				t.Error(err)
			}
		})
		all.Wait()
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("answered after %v", took)
		}
	})
}

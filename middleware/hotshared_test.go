package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/fartest"
	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
)

// fleet is a far store whose log can be followed.
type fleet struct {
	store.Log
	store.Store
	follows atomic.Int64 // how often Follow was called
	under   atomic.Int64 // how many are under way
	deaf    bool         // Follow does not end with its context
	panics  bool
	changed func(error)
	release chan struct{} // ends a deaf one
}

func newFleet(t *testing.T) *fleet {
	memory := memstore.New(memstore.Options{})
	t.Cleanup(func() { _ = memory.Close() })
	return &fleet{Log: readthrough.NewLog(), Store: memory, release: make(chan struct{})}
}

func (f *fleet) CatchUp(context.Context) error { return nil }

func (f *fleet) Post(ctx context.Context, r store.Record) error { return f.Append(ctx, r) }

func (f *fleet) CircuitOpen() bool { return false }

func (f *fleet) Follow(ctx context.Context, changed func(error)) {
	f.follows.Add(1)
	f.under.Add(1)
	defer f.under.Add(-1)
	if f.panics {
		panic("a hook")
	}
	f.changed = changed
	if f.deaf {
		<-f.release
		return
	}
	<-ctx.Done()
}

// counted is a route whose responses say how many times its handler has run.
func counted(c *cache.Cache, p cache.Policy) (get func() string) {
	var n atomic.Int64
	h := c.Middleware(p)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, n.Add(1)) }))
	return func() string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/x", nil))
		return w.Body.String()
	}
}

func TestLogIsFollowedFromTheFirstNearCopyOn(t *testing.T) {
	for class, want := range map[cache.Class]int64{cache.SharedGlobal: 1, cache.HotShared: 1, cache.FleetShared: 0} {
		t.Run(class.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t)
				c := newCache(t, cache.Options{Far: f})
				get := counted(c, cache.Policy{Class: class})
				if synctest.Wait(); f.follows.Load() != 0 {
					t.Error("the log is followed before anything is kept")
				}
				var clients sync.WaitGroup
				for range 20 {
					clients.Go(func() { get() })
				}
				clients.Wait()
				if synctest.Wait(); f.follows.Load() != want {
					t.Errorf("Follow was called %d times; want %d", f.follows.Load(), want)
				}
				if err := c.Close(t.Context()); err != nil {
					t.Errorf("Close: %v", err)
				}
				if get(); f.under.Load() != 0 || f.follows.Load() != want {
					t.Error("the log is followed after Close")
				}
			})
		})
	}
}

func TestNothingIsFollowedAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		c := newCache(t, cache.Options{Far: f})
		get := counted(c, cache.Policy{Class: cache.SharedGlobal})
		_ = c.Close(t.Context())
		get()
		if synctest.Wait(); f.follows.Load() != 0 {
			t.Error("the log is followed after Close")
		}
	})
}

func TestCloseWaitsForFollowing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.deaf = true
		c := newCache(t, cache.Options{Far: f})
		counted(c, cache.Policy{Class: cache.SharedGlobal})()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close = %v; want the context's error", err)
		}
		close(f.release)
		if err := c.Close(t.Context()); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
}

func TestLostLogIsAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		var events []cache.Event
		c := newCache(t, cache.Options{Far: f, Observe: func(ev cache.Event) {
			if ev.Class == 0 {
				events = append(events, ev)
			}
		}})
		counted(c, cache.Policy{Class: cache.SharedGlobal})()
		synctest.Wait()
		lost := errors.New("down")
		f.changed(lost)
		f.changed(nil)
		time.Sleep(time.Second)
		synctest.Wait()
		want := []cache.Event{{Outcome: cache.Fault, Reason: cache.ReasonLog, Count: 1, Err: lost}, {Outcome: cache.Followed}}
		if len(events) != 2 || events[0] != want[0] || events[1] != want[1] {
			t.Errorf("events %v; want %v", events, want)
		}
	})
}

func TestPanicWhileFollowingIsAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(t)
		f.panics = true
		var faults atomic.Int64
		c := newCache(t, cache.Options{Far: f, Observe: func(ev cache.Event) {
			if ev.Reason == cache.ReasonLog {
				faults.Add(1)
			}
		}})
		counted(c, cache.Policy{Class: cache.SharedGlobal})()
		if synctest.Wait(); faults.Load() != 1 {
			t.Errorf("%d events; want 1", faults.Load())
		}
	})
}

// A purge by another process ends copies in memory, although nothing is read from Redis.
func TestOnRedisPurgesReachCopiesInMemory(t *testing.T) {
	for _, class := range []cache.Class{cache.SharedGlobal, cache.HotShared} {
		for _, secret := range [][]byte{nil, []byte("0123456789abcdef0123456789abcdef")} {
			t.Run(fmt.Sprint(class, " sealed ", secret != nil), func(t *testing.T) {
				url := redistest.Real(t)
				c := newCache(t, cache.Options{Far: open(t, url), Secret: secret})
				other := newCache(t, cache.Options{Far: open(t, url), Secret: secret})
				get := counted(c, cache.Policy{Class: class, TTL: time.Hour, NearTTL: time.Hour * time.Duration(hot(class))})
				answer := get()
				for range 3 {
					if err := other.Purge(t.Context(), cache.URL("/x")); err != nil {
						t.Fatalf("Purge: %v", err)
					}
					began := time.Now()
					for get() == answer {
						if time.Since(began) > 10*time.Second {
							t.Fatal("the purged answer is served after 10 s")
						}
					}
					answer = get()
				}
			})
		}
	}
}

// hot is 1 for the class that has a near TTL.
func hot(class cache.Class) int {
	if class == cache.HotShared {
		return 1
	}
	return 0
}

// Caches that share a memory store each have their own responses there, whatever their secrets. A purge hits only those of its
// own cache, however a response is found.
func TestCachesThatShareAMemoryDoNotShareAnswers(t *testing.T) {
	for name, secrets := range map[string][2]string{
		"the same secret": {strings.Repeat("a", 32), strings.Repeat("a", 32)}, "another": {strings.Repeat("a", 32), strings.Repeat("b", 32)}, "none": {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			near := memstore.New(memstore.Options{})
			defer near.Close()
			var gets [2]func() int // how often a Cache's handler, and its load, ran
			var caches [2]*cache.Cache
			for i, secret := range secrets {
				c, err := cache.New(cache.Options{Near: near, Secret: []byte(secret)})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close(t.Context())
				runs := 0
				h := c.Middleware(cache.Policy{Class: cache.SharedGlobal, Tags: []string{"tag"}})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					runs++
					_, _ = w.Write([]byte("body"))
				}))
				values := cache.NewValues(c, "value", cache.Policy{Class: cache.SharedGlobal, Tags: []string{"tag"}}, func(context.Context, string) (int, error) {
					runs++
					return i, nil
				})
				caches[i], gets[i] = c, func() int {
					h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/x?a=b", nil))
					if got, err := values.Get(t.Context(), "id"); got != i || err != nil {
						t.Errorf("cache %d has the value %d, %v", i, got, err)
					}
					return runs
				}
			}
			for range 3 { // the second finds it by its key, the third by what selects it
				if a, b := gets[0](), gets[1](); a != 2 || b != 2 {
					t.Fatalf("the handlers and loads ran %d and %d times; want 2 each", a, b)
				}
			}
			for range 5 { // counts of one must mean nothing to the other
				_ = caches[0].Purge(t.Context(), cache.Tag("other"))
			}
			if err := caches[1].Purge(t.Context(), cache.Tag("tag")); err != nil {
				t.Fatal(err)
			}
			if a, b := gets[0](), gets[1](); a != 2 || b != 4 {
				t.Errorf("after one's purge the handlers and loads ran %d and %d times; want 2 and 4", a, b)
			}
		})
	}
}

// Two caches share a memory store, and Redis or not. A purge by one also hits the other's copies in memory if they share a Redis.
func TestCachesThatShareMemoryAndRedis(t *testing.T) {
	for name, common := range map[string]bool{"one": true, "two": false} {
		t.Run(name, func(t *testing.T) {
			near, fars := memstore.New(memstore.Options{}), [2]*fartest.Store{fartest.New(), fartest.New()}
			defer near.Close()
			if common {
				fars[1] = fars[0]
			}
			var handlers [2]http.Handler
			var caches [2]*cache.Cache
			for i := range handlers {
				c, err := cache.New(cache.Options{Near: near, Far: fars[i]})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close(t.Context())
				runs := 0
				caches[i] = c
				handlers[i] = c.Middleware(cache.Policy{Class: cache.HotShared, Tags: []string{"tag"}})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					runs++
					_, _ = fmt.Fprintf(w, "%d of %d", runs, i)
				}))
			}
			get := func(i int) string {
				w := httptest.NewRecorder()
				handlers[i].ServeHTTP(w, httptest.NewRequest("GET", "/x", nil))
				return w.Body.String()
			}
			for range 3 {
				want := "1 of 1"
				if common {
					want = "1 of 0"
				}
				if a, b := get(0), get(1); a != "1 of 0" || b != want {
					t.Fatalf("%q and %q", a, b)
				}
			}
			if err := caches[1].Purge(t.Context(), cache.Tag("tag")); err != nil {
				t.Fatal(err)
			}
			want := "2 of 1"
			if common {
				want = "1 of 1"
			}
			if got := get(1); got != want {
				t.Errorf("after its purge a cache serves %q; want %q", got, want)
			}
		})
	}
}

// plainNear is a memory store with only the methods that a near store must have.
type plainNear struct {
	store.Store
	store.Local
}

// onPlainMemory gives the site another memory than the default one.
func onPlainMemory(s *site) *memstore.Store {
	near := memstore.New(memstore.Options{})
	s.t.Cleanup(func() { _ = near.Close() })
	s.options.Near = plainNear{near, near}
	return near
}

func TestAnotherNearStoreServesHits(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		near := onPlainMemory(s)
		s.handle("GET /p/{id}", cache.Policy{TTL: 10 * time.Second}, s.mirror)
		for _, target := range []string{"/p/7", "/p/8", "/p/7?a=b"} {
			again := s.missHit(target)
			if got := again.header.Get("Cache-Status"); !strings.HasSuffix(got, "detail=near") {
				t.Errorf("GET %s: Cache-Status is %q; want a near hit", target, got)
			}
		}
		if near.Len() != 3 {
			t.Errorf("the store has %d entries; want 3", near.Len())
		}
		time.Sleep(10 * time.Second)
		s.missHit("/p/7")
	}, cache.SharedGlobal, cache.HotShared)
}

func TestAnotherNearStoreIsPurged(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		onPlainMemory(s)
		s.handle("GET /p/{id}", cache.Policy{Tags: []string{"p:{id}"}}, s.mirror)
		s.missHit("/p/7")
		s.missHit("/p/8")
		s.purge(cache.Tag("p:7"))
		s.hit("/p/8")
		s.missHit("/p/7")
		s.purge(cache.Everything())
		s.missHit("/p/7")
		s.missHit("/p/8")
	}, cache.SharedGlobal, cache.HotShared)
}

// A copy in memory is not served for longer than NearTTL, however often it is requested, which makes the clock tick.
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

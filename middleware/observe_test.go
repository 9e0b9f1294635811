package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

// A listener that panics fails no request, fresh or stale, and ends no goroutine. It gets an event about its panic.
func TestPanickingListenerFailsNothing(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		told := s.options.Observe
		s.options.Observe = func(ev cache.Event) {
			if told(ev); ev.Reason != cache.ReasonObserve {
				panic("a listener")
			}
		}
		s.handle("GET /x", cache.Policy{TTL: time.Minute, StaleWhileRevalidate: time.Minute}, s.mirror)
		s.missHit("/x")
		time.Sleep(90 * time.Second)
		if got := s.get("/x"); got.status != http.StatusOK {
			t.Errorf("a stale answer: %d", got.status)
		}
		synctest.Wait()
		if err := s.cache.Purge(t.Context(), cache.Everything()); err != nil {
			t.Errorf("Purge: %v", err)
		}
		if err := s.cache.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
		if n := s.sum(cache.Fault, cache.ReasonObserve); n < 4 {
			t.Errorf("told of %d panics of its own; want one for each event", n)
		}
	})
}

// A listener that panics at every event fails nothing either.
func TestListenerThatAlwaysPanicsFailsNothing(t *testing.T) {
	log.SetOutput(io.Discard)
	defer log.SetOutput(os.Stderr)
	get := counted(newCache(t, cache.Options{Observe: func(cache.Event) { panic("a listener") }}), cache.Policy{Class: cache.SharedGlobal})
	if first, second := get(), get(); first != "1" || second != "1" {
		t.Errorf("answers %q and %q; want a miss and its hit", first, second)
	}
}

// A listener may call the Cache at any event: its caller holds no lock and no place among MaxRuns, and nothing waits for it.
func TestListenerMayCallTheCache(t *testing.T) {
	for name, call := range map[string]func(*cache.Cache) error{
		"Close":   func(c *cache.Cache) error { return c.Close(context.Background()) },
		"Purge":   func(c *cache.Cache) error { return c.Purge(context.Background(), cache.Tag("x")) },
		"Preload": func(c *cache.Cache) error { _, err := c.Preload(context.Background(), 0); return err },
	} {
		t.Run(name, func(t *testing.T) {
			var c atomic.Pointer[cache.Cache]
			var reasons sync.Map
			var nested atomic.Int64
			server := redistest.NewProcess(t)
			far := open(t, server.URL())
			made, err := cache.New(cache.Options{Far: far, FarBudget: time.Second, Observe: func(ev cache.Event) {
				reasons.Store(string(ev.Outcome)+" "+string(ev.Reason), true)
				if nested.Add(1) < 3 && c.Load() != nil {
					_ = call(c.Load())
				}
				nested.Add(-1)
			}})
			if err != nil {
				t.Fatal(err)
			}
			c.Store(made)
			h := made.Middleware(cache.Policy{Class: cache.HotShared, TTL: time.Second, NearTTL: 50 * time.Millisecond, StaleWhileRevalidate: time.Minute})(
				http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "x") }))
			front := httptest.NewServer(h) // refreshes are in the background
			defer front.Close()
			client := http.Client{Timeout: 5 * time.Second}
			get := func() {
				t.Helper()
				resp, err := client.Get(front.URL)
				if err != nil {
					t.Fatalf("a request hangs: %v", err)
				}
				_ = resp.Body.Close()
			}
			until := func(what string) {
				t.Helper()
				for deadline := time.After(10 * time.Second); ; get() {
					if _, ok := reasons.Load(what); ok {
						return
					}
					select {
					case <-deadline:
						t.Fatalf("no event %q", what)
					case <-time.After(5 * time.Millisecond):
					}
				}
			}
			until("hit ")
			if name == "Close" {
				return // what has ended tells of nothing any more
			}
			server.Kill()
			until("fault rest")
			until("fault log-lost")
			server.Start()
			until("recovered rest")
			until("followed ")
			until("refresh ")
			if err := made.Close(t.Context()); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
}

// Close, called in an event of the follower or of a refresh, does not wait for itself.
func TestCloseWithinAnEventOfABackgroundGoroutine(t *testing.T) {
	for _, outcome := range []cache.Outcome{cache.Refresh, cache.Followed, cache.Fault} {
		t.Run(string(outcome), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFleet(t)
				var c *cache.Cache
				closed := make(chan error, 10)
				c = newCache(t, cache.Options{Far: f, Observe: func(ev cache.Event) {
					if ev.Outcome == outcome {
						closed <- c.Close(context.Background())
					}
				}})
				h := c.Middleware(cache.Policy{Class: cache.HotShared, TTL: time.Minute, StaleWhileRevalidate: time.Minute})(
					http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "x") }))
				ask := func() {
					r := httptest.NewRequest("GET", "/x", nil)
					server := &http.Server{Handler: h}
					h.ServeHTTP(httptest.NewRecorder(), r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, server)))
				}
				ask()
				ask()
				synctest.Wait()
				switch outcome {
				case cache.Refresh:
					time.Sleep(90 * time.Second)
					ask()
				case cache.Followed:
					f.changed(nil)
				default:
					f.changed(errors.New("lost"))
				}
				if err := <-closed; err != nil {
					t.Errorf("Close: %v", err)
				}
			})
		})
	}
}

// If the identity function panics, there is no user, and an event says so.
func TestPanickingIdentityIsNobody(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.options.User = func(*http.Request) (string, bool) { panic("an identity function") }
		s.handle("GET /me", cache.Policy{}, s.mirror)
		for range 2 {
			got := s.get("/me")
			if got.status != http.StatusOK || !strings.Contains(got.header.Get("Cache-Control"), "no-store") {
				t.Errorf("%d, Cache-Control %q; want the handler's answer, not to be kept", got.status, got.header.Get("Cache-Control"))
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if s.runs.Load() != 2 || s.sum(cache.Fault, "identity") != 2 {
			t.Errorf("%d runs and %d faults; want two of each", s.runs.Load(), s.sum(cache.Fault, "identity"))
		}
	}, perUser...)
}

// hook panics on commands of the name.
type hook struct {
	command atomic.Pointer[string]
	hit     atomic.Int64
}

func (h *hook) meet(cmds ...redis.Cmder) {
	for _, cmd := range cmds {
		if name := h.command.Load(); name != nil && cmd.Name() == *name {
			h.hit.Add(1)
			panic("a hook, at " + *name)
		}
	}
}

func (h *hook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error { h.meet(cmd); return next(ctx, cmd) }
}

func (h *hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { h.meet(cmds...); return next(ctx, cmds) }
}

// If a hook of the caller's Redis client panics, at any command, requests are answered, the process goes on, and an event says so.
func TestPanickingHookIsAFault(t *testing.T) {
	server := redistest.NewProcess(t)
	for _, command := range []string{"getrange", "set", "evalsha", "eval", "xrevrange", "xrange", "xadd", "zincrby", "unlink"} {
		t.Run(command, func(t *testing.T) {
			client := redis.NewClient(&redis.Options{
				Addr: server.Addr(), ContextTimeoutEnabled: true, MaxRetries: -1, DialerRetries: 1, DialTimeout: 500 * time.Millisecond,
				ReadTimeout: 250 * time.Millisecond, WriteTimeout: 250 * time.Millisecond, PoolTimeout: 250 * time.Millisecond,
			})
			defer client.Close()
			h := new(hook)
			client.AddHook(h)
			far, err := redisstore.New(client, redisstore.Options{Prefix: "hook-" + command})
			if err != nil {
				t.Fatal(err)
			}
			defer far.Close()
			var faults atomic.Int64
			c := newCache(t, cache.Options{Far: far, FarBudget: time.Second, Observe: func(ev cache.Event) {
				if ev.Err != nil && strings.Contains(ev.Err.Error(), "a hook, at "+command) {
					faults.Add(1)
				}
			}})
			get := func(class cache.Class, slow time.Duration) {
				w := httptest.NewRecorder()
				c.Middleware(cache.Policy{Class: class, TTL: time.Minute})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					<-time.After(slow)
					fmt.Fprint(w, "x")
				})).ServeHTTP(w, httptest.NewRequest("GET", "/"+command+class.String(), nil))
				if w.Body.String() != "x" {
					t.Errorf("%s: the answer is %q", class, w.Body.String())
				}
			}
			h.command.Store(&command)
			get(cache.FleetShared, time.Second) // a lease is extended meanwhile
			get(cache.HotShared, 0)
			get(cache.FleetShared, 0)
			_ = c.Purge(t.Context(), cache.Tag("x"))
			_ = far.Rank(t.Context(), storetest.Key("k"))
			if h.hit.Load() > 0 && faults.Load() == 0 && command != "zincrby" && command != "unlink" {
				t.Errorf("%d panics and no fault is told", h.hit.Load())
			}
		})
	}
}

// An event says once which prefix the cache has made up.
func TestWhatMaySurpriseAboutFarIsTold(t *testing.T) {
	far := &surprising{fleet: newFleet(t)}
	var told []cache.Event
	newCache(t, cache.Options{Far: far, Observe: func(ev cache.Event) { told = append(told, ev) }})
	if len(told) != 1 || told[0].Outcome != cache.Warning || told[0].Reason != cache.ReasonOptions || !errors.Is(told[0].Err, errSurprise) {
		t.Errorf("told %v; want the warning, once", told)
	}
}

var errSurprise = errors.New("a prefix was made up")

type surprising struct{ *fleet }

func (*surprising) Warning() error { return errSurprise }

func (*surprising) OnFault(func(error)) (stop func()) { return func() {} }

func (*surprising) OnCircuit(func(string, error)) (stop func()) { return func() {} }

package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/redistest"
	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

// runRedis plays it on a real redis-server, where there is one, and on one in the process.
func runRedis(t *testing.T, f func(t *testing.T, s *site, url string), only ...cache.Class) {
	t.Helper()
	servers := map[string]func(t *testing.T) string{
		"redis-server": func(t *testing.T) string { return storetest.Redis(t) },
		"in process":   func(t *testing.T) string { return redistest.Start(t).URL() },
	}
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			url := server(t)
			each(t, func(t *testing.T, rt router, class cache.Class) {
				s := newSite(t, rt, class)
				far := open(t, url)
				s.options.Far, s.options.FarBudget = far, time.Second
				t.Cleanup(func() {
					if s.cache != nil {
						_ = s.cache.Purge(context.Background(), cache.Everything())
					}
				})
				f(t, s, url)
			}, only...)
		})
	}
}

// patient are time-outs for a test machine that is busy.
const patient = "?read_timeout=250ms&write_timeout=250ms&pool_timeout=250ms&dial_timeout=500ms"

func open(t *testing.T, url string) *redisstore.Store {
	t.Helper()
	far, err := redisstore.Open(url+patient, redisstore.Options{Prefix: "larder"})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = far.Close() })
	return far
}

func TestOnRedisAnswersAreKeptAndPurged(t *testing.T) {
	runRedis(t, func(t *testing.T, s *site, _ string) {
		s.handle("GET /p/{id}", cache.Policy{Tags: []string{"p:{id}"}}, s.mirror)
		s.missHit("/p/7")
		s.missHit("/p/8")
		s.purge(cache.Tag("p:7"))
		s.miss("/p/7")
		s.hit("/p/8")
		s.purge(cache.Everything())
		s.miss("/p/8")
	}, inRedis...)
}

func TestOnRedisUsersGetTheirOwnAnswers(t *testing.T) {
	runRedis(t, func(t *testing.T, s *site, _ string) {
		s.handle("GET /me", cache.Policy{}, s.mirror)
		for _, get := range []func(string, ...option) reply{s.miss, s.hit} {
			for _, who := range []string{"alice", "bob"} {
				if got := get("/me", as(who)); !strings.Contains(got.body, "user "+who) {
					t.Errorf("%s has %q", who, got.body)
				}
			}
		}
		s.purge(cache.User("alice"))
		s.miss("/me", as("alice"))
		s.hit("/me", as("bob"))
	}, perUser...)
}

func TestOnRedisAnswersSurviveARestart(t *testing.T) {
	runRedis(t, func(t *testing.T, s *site, url string) {
		s.handle("GET /x", cache.Policy{}, s.mirror)
		first := s.missHit("/x")
		one, far := s.served, s.cache
		s.options.Far = open(t, url)
		s.restart()
		wantBody(t, s.hit("/x"), first.body)
		s.purge(cache.URL("/x")) // reaches the first process through Redis
		s.miss("/x")
		second := s.hit("/x")
		s.served, s.cache = one, far
		s.miss("/x?other") // whatever is read from Redis brings the news
		wantBody(t, s.hit("/x"), second.body)
	}, inRedis...)
}

func TestOnRedisRequestsAtOnceShareOneRun(t *testing.T) {
	runRedis(t, func(t *testing.T, s *site, _ string) {
		begun := make(chan struct{}, 100)
		release := make(chan struct{})
		s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			begun <- struct{}{}
			<-release
			return s.mirror(w, r)
		})
		s.start()
		go func() {
			<-begun
			close(release)
		}()
		replies := s.atOnce(50, same("/x"))
		for _, got := range replies {
			wantBody(t, got, replies[0].body)
		}
		s.wantTotal(1)
	}, inRedis...)
}

// THREATS 48: no key tells whose answer it holds, or for what.
func TestOnRedisKeysNameNobody(t *testing.T) {
	for _, class := range inRedis {
		t.Run(class.String(), func(t *testing.T) {
			server := redistest.Start(t)
			s := newSite(t, routers[0], class)
			s.options.Far, s.options.FarBudget = open(t, "redis://"+server.Addr()), time.Second
			s.options.Secret = []byte("0123456789abcdef0123456789abcdef")
			s.handle("GET /secret-path/{id}", cache.Policy{Tags: []string{"secret-tag:{id}"}}, s.mirror)
			s.missHit("/secret-path/7?q=secret-query", as("secret-user@example.org"))
			s.purge(cache.User("secret-user@example.org"), cache.Tag("secret-tag:7"), cache.URL("/secret-path/7"))
			keys := server.Keys()
			if len(keys) == 0 {
				t.Error("Redis holds nothing")
			}
			for _, key := range keys {
				if strings.Contains(key, "secret") {
					t.Errorf("the key %q tells too much", key)
				}
				if ttl := server.TTL(key); ttl <= 0 {
					t.Errorf("the key %q has no TTL", key)
				}
				if values := server.Do("XRANGE", key, "-", "+"); strings.Contains(fmt.Sprint(values), "secret") {
					t.Errorf("the log tells too much: %v", values)
				}
			}
		})
	}
}

// A Redis that dies costs answers from the cache, and nothing else.
func TestOnRedisOutageIsAMiss(t *testing.T) {
	for _, class := range inRedis {
		for _, rt := range routers {
			t.Run(class.String()+"/"+rt.name, func(t *testing.T) {
				server := redistest.Start(t)
				s := newSite(t, rt, class)
				s.options.Far, s.options.FarBudget = open(t, "redis://"+server.Addr()), time.Second
				s.handle("GET /x", cache.Policy{}, s.mirror)
				s.missHit("/x")
				server.Close()
				for i := range 20 {
					wantStatus(t, s.get(fmt.Sprint("/x?", i)), http.StatusOK)
				}
				if err := s.cache.Purge(t.Context(), cache.Everything()); err == nil {
					t.Error("Purge without Redis returns no error")
				}
				s.miss("/x")
			})
		}
	}
}

// What a 304 ends is gone from Redis too, with the lease given back: the next request runs its handler at once.
func TestOnRedisA304EndsTheStoredAnswer(t *testing.T) {
	runRedis(t, func(t *testing.T, s *site, _ string) {
		answer := answering(200, "a", "Cache-Control: max-age=1, stale-if-error=1000", `Etag: "a"`)
		s.handle("GET /x", standardPolicy, func(w http.ResponseWriter, r *http.Request) error { return answer(w, r) })
		s.missHit("/x")
		answer = answering(304, "", "Cache-Control: no-store", `Etag: "a"`)
		wantBody(t, s.miss("/x", header("Cache-Control", "no-cache")), "a")
		answer = answering(500, "")
		wantStatus(t, s.miss("/x"), 500)
	}, cache.PerUser, cache.FleetShared)
}

// A command that Redis refuses is named by an event of its own, with the rule that allows it.
func TestWhatRedisRefusesIsAnEvent(t *testing.T) {
	server := storetest.NewServer(t)
	admin := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer admin.Close()
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "default", "-xread").Err(); err != nil {
		t.Fatal(err)
	}
	events := make(chan cache.Event, 100)
	c := newCache(t, cache.Options{Far: open(t, server.URL()), FarBudget: time.Second, Observe: func(ev cache.Event) { events <- ev }})
	h := c.Middleware(cache.Policy{Class: cache.FleetShared})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("x")) }))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	for timeout := time.After(10 * time.Second); ; {
		select {
		case ev := <-events:
			if ev.Reason != cache.ReasonCommands {
				continue
			}
			if text := fmt.Sprint(ev.Err); ev.Outcome != cache.Fault || !strings.Contains(text, "refuses to this user XREAD;") || !strings.Contains(text, "+xread") {
				t.Errorf("the event is %s: %s; want a fault that names XREAD and the rule", ev.Outcome, text)
			}
			return
		case <-timeout:
			t.Fatal("no event tells of it")
		}
	}
}

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
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
	"github.com/larder-go/cache/store/storetest"
)

// runRedis plays f on a real redis-server, if there is one, and on one in the process.
func runRedis(t *testing.T, f func(t *testing.T, s *site, url string), only ...cache.Class) {
	t.Helper()
	servers := map[string]func(t *testing.T) string{
		"redis-server": func(t *testing.T) string { return redistest.Real(t) },
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

// patient has timeouts for a busy test machine.
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

// No key in Redis shows whose response it has, or for which URL.
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

// If Redis dies, there are no hits, and nothing else fails.
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

// A stored response that a 304 ends is removed from Redis, too, and the lease is released: the next request runs the handler at
// once.
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

// An event names the command that Redis refuses, and the ACL rule that would allow it.
func TestWhatRedisRefusesIsAnEvent(t *testing.T) {
	server := redistest.NewProcess(t)
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

// The circuit breakers are visible as events: one when a circuit opens, one when Redis answers again.
func TestRestsAreEvents(t *testing.T) {
	server := redistest.Start(t)
	var mu sync.Mutex
	var rests, recoveries int
	c := newCache(t, cache.Options{Far: open(t, "redis://"+server.Addr()), FarBudget: time.Second, Observe: func(ev cache.Event) {
		mu.Lock()
		defer mu.Unlock()
		if ev.Reason == cache.ReasonRest && ev.Err != nil {
			rests++
		}
		if ev.Outcome == cache.Recovered && ev.Reason == cache.ReasonRest {
			recoveries++
		}
	}})
	get := counted(c, cache.Policy{Class: cache.FleetShared})
	want := func(wantRests, wantRecoveries int) bool {
		mu.Lock()
		defer mu.Unlock()
		return rests == wantRests && recoveries == wantRecoveries
	}
	get()
	server.SetError("LOADING Redis is loading the dataset in memory")
	for range 20 {
		get()
	}
	eventually := func(wantRests, wantRecoveries int) {
		t.Helper()
		for deadline := time.After(10 * time.Second); !want(wantRests, wantRecoveries); get() {
			select {
			case <-deadline:
				t.Fatalf("%d rests and %d recoveries; want %d and %d", rests, recoveries, wantRests, wantRecoveries)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	eventually(1, 0)
	server.SetError("")
	eventually(1, 1)
}

// If Redis loses purges that it had acknowledged, an event with its own reason says so, and what they named is not served again,
// from Redis or from memory.
func TestALossOfPurgesIsAnEvent(t *testing.T) {
	for _, class := range []cache.Class{cache.SharedGlobal, cache.HotShared, cache.FleetShared} {
		t.Run(class.String(), func(t *testing.T) {
			server := redistest.NewProcess(t)
			client := redis.NewClient(&redis.Options{Addr: server.Addr()})
			defer client.Close()
			var mu sync.Mutex
			var told []cache.Event
			c := newCache(t, cache.Options{Far: open(t, server.URL()), FarBudget: time.Second, Observe: func(ev cache.Event) {
				mu.Lock()
				defer mu.Unlock()
				if ev.Reason == cache.ReasonRecords {
					told = append(told, ev)
				}
			}})
			get := counted(c, cache.Policy{Class: class})
			get()
			if err := c.Purge(t.Context(), cache.Tag("other")); err != nil { // the log is there also for a class in memory
				t.Fatal(err)
			}
			log := client.Dump(t.Context(), "larder:1:log").Val()
			if err := c.Purge(t.Context(), cache.URL("/x")); err != nil {
				t.Fatal(err)
			}
			if err := client.RestoreReplace(t.Context(), "larder:1:log", time.Hour, log).Err(); err != nil {
				t.Fatal(err)
			}
			if got := get(); got != "2" {
				t.Errorf("run %s of the handler; want a second one for what was purged", got)
			}
			if err := c.Purge(t.Context(), cache.Tag("another")); err != nil { // a class in memory asks nothing
				t.Fatal(err)
			}
			heard := func() bool {
				mu.Lock()
				defer mu.Unlock()
				return len(told) > 0
			}
			for deadline := time.After(10 * time.Second); !heard(); { // it is told by a goroutine of its own
				select {
				case <-deadline:
					t.Fatal("nothing was told")
				case <-time.After(time.Millisecond):
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if len(told) != 1 || told[0].Outcome != cache.Fault || !errors.Is(told[0].Err, store.ErrRecordsLost) {
				t.Errorf("told %v; want one fault of lost records", told)
			}
		})
	}
}

// threeOf are three processes of one site that share a Redis.
func threeOf(t *testing.T, class cache.Class, h handler) []*site {
	url := redistest.Real(t)
	processes := make([]*site, 3)
	for i := range processes {
		processes[i] = newSite(t, routers[0], class)
		processes[i].options.Far = open(t, url)
		processes[i].handle("GET /x", cache.Policy{}, h)
		processes[i].start()
	}
	return processes
}

// herd sends n requests to each process at once.
func herd(t *testing.T, processes []*site, n int) {
	var all sync.WaitGroup
	for _, s := range processes {
		for range n {
			all.Go(func() { wantStatus(t, s.get("/x"), http.StatusOK) })
		}
	}
	all.Wait()
}

// met closes the processes, so that they have reported all faults, and returns their number: on a busy machine Redis exceeds a
// timeout now and then, and then a process goes on without it.
func met(t *testing.T, processes []*site) (faults int64) {
	for _, s := range processes {
		if err := s.cache.Close(t.Context()); err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		for _, ev := range s.events {
			if ev.Outcome == cache.Fault || ev.Outcome == cache.Recovered {
				faults += int64(ev.Count)
			}
		}
		s.mu.Unlock()
	}
	return faults
}

// 3 processes with 200 clients each run the handler once.
func TestOneRunPerFleet(t *testing.T) {
	for _, class := range inRedis {
		t.Run(class.String(), func(t *testing.T) {
			var runs atomic.Int64
			processes := threeOf(t, class, func(w http.ResponseWriter, _ *http.Request) error {
				runs.Add(1)
				time.Sleep(300 * time.Millisecond)
				_, err := w.Write([]byte("hello"))
				return err
			})
			herd(t, processes, 200)
			faults := met(t, processes)
			if n := runs.Load(); n < 1 || n > 1+faults {
				t.Errorf("the handler ran %d times, with %d faults; want once", n, faults)
			}
		})
	}
}

// Requests for a response that cannot be stored do not take turns: all are answered in the time of two runs.
func TestUnstorableAnswersDoNotTakeTurns(t *testing.T) {
	processes := threeOf(t, cache.FleetShared, func(w http.ResponseWriter, _ *http.Request) error {
		time.Sleep(300 * time.Millisecond)
		w.Header().Set("Set-Cookie", "a=b")
		_, err := w.Write([]byte("hello"))
		return err
	})
	began := time.Now()
	herd(t, processes, 50)
	if took := time.Since(began); took > 1500*time.Millisecond { // what a busy machine adds
		t.Errorf("150 clients waited %v; want about 600 ms", took)
	}
}

// planted are changes that turn a valid entry into one that no process could have stored.
var planted = map[string]func(*store.Entry){
	"no status":        func(e *store.Entry) { e.Status = 0 },
	"not modified":     func(e *store.Entry) { e.Status = http.StatusNotModified },
	"early hints":      func(e *store.Entry) { e.Status = http.StatusEarlyHints },
	"no HTTP":          func(e *store.Entry) { e.Status = 1000 },
	"a part":           func(e *store.Entry) { e.Status = http.StatusPartialContent },
	"an error":         func(e *store.Entry) { e.Status = http.StatusInternalServerError },
	"no content":       func(e *store.Entry) { e.Status = http.StatusNoContent },
	"shorter":          setField("Content-Length", "3"),
	"longer":           setField("Content-Length", "4000"),
	"no length":        setField("content-length", "x"),
	"two lengths":      setField("Content-Length", "7", "8"),
	"its own framing":  setField("Transfer-Encoding", "chunked"),
	"ends connections": setField("connection", "close"),
	"two lines":        setField("X-A", "a\r\nSet-Cookie: b"),
}

func setField(name string, lines ...string) func(*store.Entry) {
	return func(e *store.Entry) { e.Header = store.MakeHeader(store.Field{Name: name, Values: lines}) }
}

// A planted entry is a miss, on every class and router, for GET, HEAD and ranges: nothing panics, and nothing of it is served.
func TestPlantedEntriesAreMisses(t *testing.T) {
	for name, change := range planted {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, s *site) {
				s.handle("GET /x", cache.Policy{}, s.mirror)
				s.options.Debug = true
				key := keyOf(t, s.get("/x").header.Get("Cache-Status"))
				s.far.Plant(t, key, change)
				time.Sleep(6 * time.Second) // the near copy has ended
				for _, method := range []option{func(*http.Request) {}, func(r *http.Request) { r.Method = "HEAD" }, header("Range", "bytes=0-2")} {
					got := s.get("/x", method)
					if got.status >= 300 || strings.Contains(got.body, "pla") {
						t.Errorf("%d %q; want the handler's answer", got.status, got.body)
					}
				}
			}, inRedis...)
		})
	}
}

// An entry from Redis is never served on a memory-only route, even if it has a key of that route: a planted ranking cannot make
// Preload load it.
func TestPlantedEntriesDoNotReachMemoryOnlyRoutes(t *testing.T) {
	far := newRanked(t)
	c := newCache(t, cache.Options{Far: far, Debug: true})
	serve := func(class cache.Class, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		c.Middleware(cache.Policy{Class: class, TTL: time.Minute})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "own") })).
			ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w
	}
	serve(cache.HotShared, "/hot")
	key := keyOf(t, serve(cache.SharedGlobal, "/x").Header().Get("Cache-Status"))
	if err := c.Purge(t.Context(), cache.Everything()); err != nil {
		t.Fatal(err)
	}
	e := storetest.Entry(key, "planted")
	e.Stored, e.Fresh, e.Status = time.Now(), time.Hour, http.StatusOK
	e.At = far.Ledger().Head()
	if err := far.Set(t.Context(), key, e, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := far.Rank(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Preload(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if got := serve(cache.SharedGlobal, "/x").Body.String(); got != "own" {
		t.Errorf("the answer is %q", got)
	}
}

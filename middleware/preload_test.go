package middleware_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/internal/redistest"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
)

// ranked is a far store that ranks keys, and counts its reads.
type ranked struct {
	*fleet
	gets atomic.Int64
	hung bool // Rank ends with its context
	hook bool // Rank panics

	mu    sync.Mutex
	told  [][]keying.Key
	asked int
	fails error
}

func (r *ranked) Get(ctx context.Context, key keying.Key) (*store.Entry, bool, error) {
	r.gets.Add(1)
	return r.fleet.Get(ctx, key)
}

func (r *ranked) Rank(ctx context.Context, keys ...keying.Key) error {
	r.mu.Lock()
	r.told = append(r.told, keys)
	r.mu.Unlock()
	if r.hung {
		<-ctx.Done()
	}
	if r.hook {
		panic("a hook")
	}
	return r.fails
}

func (r *ranked) Hottest(_ context.Context, n int) ([]keying.Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = n
	keys := slices.Concat(r.told...)
	return keys[:min(n, len(keys))], r.fails
}

func newRanked(t *testing.T) *ranked { return &ranked{fleet: newFleet(t)} }

// pages is a route of one process for all paths. get returns its Cache-Status.
func pages(c *cache.Cache, p cache.Policy) (get func(path string) string) {
	p.Class = cache.HotShared
	h := c.Middleware(p)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	return func(path string) string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w.Header().Get("Cache-Status")
	}
}

// heat requests the paths often enough, and for long enough, for them to be reported as hot.
func heat(get func(string) string, paths ...string) {
	for range 4 {
		for _, path := range paths {
			get(path)
		}
		time.Sleep(6 * time.Second)
	}
	synctest.Wait()
}

func wantPreloaded(t *testing.T, c *cache.Cache, n, want int) {
	t.Helper()
	if got, err := c.Preload(t.Context(), n); got != want || err != nil {
		t.Errorf("Preload = %d, %v; want %d", got, err, want)
	}
}

func wantTier(t *testing.T, status, want string) {
	t.Helper()
	if !strings.Contains(status, want) {
		t.Errorf("Cache-Status %q; want %q", status, want)
	}
}

func TestPreloadedAnswersAreInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newRanked(t)
		a, b := newCache(t, cache.Options{Far: far}), newCache(t, cache.Options{Far: far})
		get := pages(a, cache.Policy{TTL: time.Hour})
		get("/once")
		heat(get, "/x", "/y")
		get = pages(b, cache.Policy{})
		wantPreloaded(t, b, 0, 2)
		if synctest.Wait(); far.asked != 200 || far.follows.Load() != 2 {
			t.Errorf("asked for %d keys, followed %d times; want 200 and, once per process, twice", far.asked, far.follows.Load())
		}
		before := far.gets.Load()
		for _, path := range []string{"/x", "/y"} {
			wantTier(t, get(path), "detail=near")
		}
		if n := far.gets.Load() - before; n != 0 {
			t.Errorf("%d reads from far; want none", n)
		}
		wantTier(t, get("/once"), "detail=far")
		time.Sleep(cache.DefaultNearTTL + time.Nanosecond)
		wantTier(t, get("/x"), "detail=far")
	})
}

func TestPreloadIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newRanked(t)
		c := newCache(t, cache.Options{Far: far})
		pages(c, cache.Policy{})
		for n, want := range map[int]int{-1: 200, 0: 200, 7: 7, 1000: 1000, 1001: 1000} {
			if wantPreloaded(t, c, n, 0); far.asked != want {
				t.Errorf("Preload(%d) asks for %d keys; want %d", n, far.asked, want)
			}
		}
	})
}

// Preloaded copies live for the shortest near TTL, and no longer than the response itself.
func TestPreloadedCopiesEndInTime(t *testing.T) {
	for name, tt := range map[string]struct{ ttl, near, sleep time.Duration }{
		"near":  {time.Hour, 2 * time.Second, 2 * time.Second},
		"fresh": {30 * time.Second, 20 * time.Second, 6 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far := newRanked(t)
				a, b := newCache(t, cache.Options{Far: far}), newCache(t, cache.Options{Far: far})
				heat(pages(a, cache.Policy{TTL: tt.ttl}), "/x")
				get := pages(b, cache.Policy{NearTTL: tt.near})
				pages(b, cache.Policy{NearTTL: time.Minute})
				wantPreloaded(t, b, 0, 1)
				wantTier(t, get("/x"), "detail=near")
				time.Sleep(tt.sleep + time.Nanosecond)
				if status := get("/x"); strings.Contains(status, "detail=near") {
					t.Errorf("Cache-Status %q; want the copy gone", status)
				}
			})
		})
	}
}

// Preload knows no routes: it loads a response with the longer TTL that it was stored with, which ends with the copy.
func TestPreloadedCopiesKeepALongerTTLForANearTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newRanked(t)
		a, b := newCache(t, cache.Options{Far: far}), newCache(t, cache.Options{Far: far})
		heat(pages(a, cache.Policy{TTL: time.Hour}), "/x")
		time.Sleep(time.Minute)
		get := pages(b, cache.Policy{TTL: time.Minute})
		wantPreloaded(t, b, 0, 1)
		wantTier(t, get("/x"), "hit")
		time.Sleep(cache.DefaultNearTTL + time.Nanosecond)
		wantTier(t, get("/x"), "fwd=miss")
	})
}

func TestNothingToPreload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newRanked(t)
		busy := newCache(t, cache.Options{Far: far})
		heat(pages(busy, cache.Policy{TTL: time.Minute, Tags: []string{"one"}, StaleIfError: -1}), "/x")

		wantPreloaded(t, newCache(t, cache.Options{}), 0, 0)
		plain := newCache(t, cache.Options{Far: newFleet(t)})
		pages(plain, cache.Policy{})
		wantPreloaded(t, plain, 0, 0)
		wantPreloaded(t, newCache(t, cache.Options{Far: far}), 0, 0) // no route

		c := newCache(t, cache.Options{Far: far})
		pages(c, cache.Policy{})
		wantPreloaded(t, c, 0, 1)
		if err := busy.Expire(t.Context(), cache.Tag("one")); err != nil {
			t.Fatal(err)
		}
		wantPreloaded(t, c, 0, 0)
		heat(pages(busy, cache.Policy{TTL: time.Minute, Tags: []string{"one"}, StaleIfError: -1}), "/x")
		wantPreloaded(t, c, 1, 1)
		if err := busy.Purge(t.Context(), cache.Tag("one")); err != nil {
			t.Fatal(err)
		}
		wantPreloaded(t, c, 0, 0)
		time.Sleep(time.Hour) // gone from far
		wantPreloaded(t, c, 0, 0)
	})
}

// A key that is requested once per near TTL is reported once in ten seconds, however short the near TTL.
func TestHotKeysAreToldOfNowAndThen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newRanked(t)
		get := pages(newCache(t, cache.Options{Far: far}), cache.Policy{TTL: time.Hour, NearTTL: time.Second})
		for range 60 {
			for i := range 3 {
				get(fmt.Sprint("/", i))
			}
			time.Sleep(time.Second + time.Nanosecond)
		}
		synctest.Wait()
		if n := len(far.told); n < 4 || n > 6 {
			t.Errorf("told %d times in a minute; want about 5", n)
		}
		for _, keys := range far.told {
			if len(keys) > 3 {
				t.Errorf("told of %d keys; want each of the three once", len(keys))
			}
		}
	})
}

// However many keys are hot, they take little memory. A ranking that fails or hangs delays no request, and an event reports its
// panic.
func TestRankingCostsNothing(t *testing.T) {
	for name, far := range map[string]*ranked{"works": {}, "fails": {fails: errors.New("down")}, "hangs": {hung: true}, "panics": {hook: true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far.fleet = newFleet(t)
				var faults atomic.Int64
				c := newCache(t, cache.Options{Far: far, Observe: func(ev cache.Event) {
					if ev.Outcome == cache.Fault {
						faults.Add(1)
					}
				}})
				get := pages(c, cache.Policy{TTL: time.Hour})
				for range 6 {
					began := time.Now()
					for i := range 600 {
						get(fmt.Sprint("/", i))
					}
					if took := time.Since(began); took > 0 {
						t.Errorf("the requests took %v", took)
					}
					time.Sleep(6 * time.Second)
				}
				panics := 0
				if synctest.Wait(); far.hook {
					panics = len(far.told)
				}
				if len(far.told) < 2 || int(faults.Load()) != panics {
					t.Errorf("told %d times, with %d faults; want %d", len(far.told), faults.Load(), panics)
				}
				for _, keys := range far.told {
					if len(keys) > 500 {
						t.Errorf("told of %d keys; want 500 at most", len(keys))
					}
				}
				if _, err := c.Preload(t.Context(), 0); (err != nil) != (far.fails != nil) || far.fails != nil && !errors.Is(err, far.fails) {
					t.Errorf("Preload: %v; want %v", err, far.fails)
				}
			})
		})
	}
}

func TestCloseEndsTheRanking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newRanked(t)
		far.hung = true
		c := newCache(t, cache.Options{Far: far})
		get := pages(c, cache.Policy{TTL: time.Hour})
		for range 3 {
			get("/x")
			time.Sleep(6 * time.Second)
		}
		get("/x") // tells, and hangs
		began := time.Now()
		for range 2 {
			if err := c.Close(t.Context()); err != nil || time.Since(began) > 0 {
				t.Errorf("Close = %v after %v; want it at once", err, time.Since(began))
			}
		}
		told := len(far.told)
		if heat(get, "/x"); len(far.told) != told {
			t.Error("the ranking is told after Close")
		}
	})
}

// Two processes on Redis; the second one has just started.
func TestOnRedisPreloadReadsTheHottest(t *testing.T) {
	for name, secret := range map[string]string{"plain": "", "sealed": "0123456789abcdef0123456789abcdef"} {
		t.Run(name, func(t *testing.T) {
			url := redistest.Real(t)
			fars := []*redisstore.Store{open(t, url), open(t, url)}
			options := func(i int) cache.Options {
				return cache.Options{Far: fars[i], Secret: []byte(secret), Debug: true, FarBudget: time.Second}
			}
			a, b := newCache(t, options(0)), newCache(t, options(1))
			get := pages(a, cache.Policy{TTL: time.Hour, Tags: []string{"all"}})
			ranker := readthrough.Ranker(fars[0])
			if secret != "" {
				ranker = fars[0].Sealed([]byte(secret)).(readthrough.Ranker)
			}
			for _, path := range []string{"/cold", "/hot"} {
				get(path)
				keys := []keying.Key{keyOf(t, get(path))}
				if path == "/hot" {
					keys = append(keys, keys...)
				}
				if err := ranker.Rank(t.Context(), keys...); err != nil {
					t.Fatalf("Rank: %v", err)
				}
			}
			get = pages(b, cache.Policy{TTL: time.Hour, NearTTL: time.Hour})
			wantPreloaded(t, b, 1, 1)
			wantTier(t, get("/hot"), "detail=near")
			wantTier(t, get("/cold"), "detail=far")
			if err := a.Purge(t.Context(), cache.Tag("all")); err != nil {
				t.Fatal(err)
			}
			wantPreloaded(t, newProcess(t, options(1)), 0, 0)
		})
	}
}

func newProcess(t *testing.T, o cache.Options) *cache.Cache {
	c := newCache(t, o)
	pages(c, cache.Policy{})
	return c
}

// keyOf reads the key in a Cache-Status for debugging.
func keyOf(t *testing.T, status string) (key keying.Key) {
	t.Helper()
	_, text, _ := strings.Cut(status, `key="`)
	text, _, _ = strings.Cut(text, `"`)
	if n, err := base64.RawURLEncoding.Decode(key[:], []byte(text)); n != len(key) || err != nil {
		t.Fatalf("no key in Cache-Status %q", status)
	}
	return key
}

func TestOnRedisPreloadWithoutRedisIsAnError(t *testing.T) {
	server := redistest.Start(t)
	c := newCache(t, cache.Options{Far: open(t, "redis://"+server.Addr())})
	get := pages(c, cache.Policy{})
	server.Close()
	if n, err := c.Preload(t.Context(), 0); n != 0 || err == nil || !strings.HasPrefix(err.Error(), "cache: preload: redisstore: ") {
		t.Errorf("Preload = %d, %v; want what Redis said", n, err)
	}
	wantTier(t, get("/x"), "fwd=miss")
}

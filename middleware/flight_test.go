package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/store/memstore"
)

// atOnce sends n requests at once and returns their responses, when all are there, in the order of i.
func (s *site) atOnce(n int, request func(i int) *http.Request) []reply {
	s.start()
	var all sync.WaitGroup
	replies := make([]reply, n)
	for i := range n {
		all.Go(func() { replies[i] = s.send(request(i)) })
	}
	all.Wait()
	return replies
}

func same(target string, options ...option) func(int) *http.Request {
	return func(int) *http.Request { return newRequest("GET", target, options...) }
}

// slow is the site's mirror, taking a second.
func (s *site) slow(w http.ResponseWriter, r *http.Request) error {
	time.Sleep(time.Second)
	return s.mirror(w, r)
}

func (s *site) wantTotal(want int64) {
	s.t.Helper()
	if n := s.runs.Load(); n != want {
		s.t.Errorf("the handlers ran %d times; want %d", n, want)
	}
}

func TestRequestsAtOnceShareOneRun(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, s.slow)
		replies := s.atOnce(100, same("/x"))
		for _, got := range replies {
			wantBody(t, got, replies[0].body)
			wantStatus(t, got, http.StatusOK)
		}
		s.wantTotal(1)
		if n := s.count(cache.Shared, ""); n != 99 {
			t.Errorf("%d requests were answered by another's run; want 99", n)
		}
	})
}

// Concurrent requests share a run only if they want the same variant.
func TestVariantsNeverShareARun(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{Vary: []string{"Accept-Language"}}, s.slow)
		replies := s.atOnce(64, func(i int) *http.Request {
			return newRequest("GET", "/x", header("Accept-Language", fmt.Sprint("lang-", i%8)))
		})
		for i, got := range replies {
			if !strings.Contains(got.body, fmt.Sprintf("[%q]", fmt.Sprint("lang-", i%8))) {
				t.Errorf("variant %d is answered %q", i%8, got.body)
			}
		}
		s.wantTotal(8)
	})
}

// If the leader's response cannot be shared, the waiters run at the same time, not one after the other.
func TestUnstorableLeaderHoldsUpNobody(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /late", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			time.Sleep(time.Second)
			w.Header().Set("Set-Cookie", "sid=1")
			return s.mirror(w, r)
		})
		s.handle("GET /early", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Cache-Control", "no-store")
			w.WriteHeader(http.StatusOK)
			return s.slow(w, r)
		})
		for _, test := range []struct {
			target string
			within time.Duration
		}{{"/late", 2 * time.Second}, {"/late", time.Second}, {"/late", time.Second}, {"/early", time.Second}} {
			began, before, bodies := time.Now(), s.runs.Load(), map[string]bool{}
			for _, got := range s.atOnce(100, same(test.target)) {
				bodies[got.body] = true
			}
			if took := time.Since(began); took > test.within {
				t.Errorf("%s: 100 requests took %v; want %v at most", test.target, took, test.within)
			}
			if n := s.runs.Load() - before; n != 100 || len(bodies) != 100 {
				t.Errorf("%s: %d runs and %d different answers; want 100", test.target, n, len(bodies))
			}
		}
	})
}

// When the leader's client hangs up, at any point, the waiters get their response nonetheless.
func TestLeaderThatHangsUpFailsNobody(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			select {
			case <-time.After(time.Second):
				return s.mirror(w, r)
			case <-r.Context().Done():
				return r.Context().Err()
			}
		})
		for point := range 10 {
			before, target := s.runs.Load(), fmt.Sprint("/x?", point)
			ctx, cancel := context.WithCancel(t.Context())
			go s.get(target, within(ctx))
			synctest.Wait()
			time.AfterFunc(time.Duration(point)*99*time.Millisecond, cancel)
			for _, got := range s.atOnce(100, same(target)) {
				wantStatus(t, got, http.StatusOK)
			}
			if n := s.runs.Load() - before; n > 2 {
				t.Errorf("the handler ran %d times; want at most 2", n)
			}
			s.hit(target)
			cancel()
		}
	})
}

// A waiter that hangs up leaves at once, and spoils nothing for those that come later.
func TestWaiterThatHangsUpLeaves(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			if r.Context().Err() != nil {
				return r.Context().Err()
			}
			return s.slow(w, r)
		})
		go s.get("/x")
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		time.AfterFunc(100*time.Millisecond, cancel)
		s.get("/x", within(ctx))
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("the waiter left after %v; want 100ms", took)
		}
		wantStatus(t, s.get("/x"), http.StatusOK)
		synctest.Wait()
		s.hit("/x")
	})
}

// When the leader panics, it panics with its own value, nothing is stored, and the waiters run the handler.
func TestLeaderThatPanicsLeavesNothingBehind(t *testing.T) {
	for _, value := range []any{http.ErrAbortHandler, errors.New("a bug"), "text"} {
		for _, wrote := range []int{0, 100, 100_000} {
			run(t, func(t *testing.T, s *site) {
				failing := true
				s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
					if !failing {
						return s.slow(w, r)
					}
					failing = false
					_, _ = io.WriteString(w, strings.Repeat("x", wrote))
					time.Sleep(time.Second)
					panic(value)
				})
				s.start()
				var leader sync.WaitGroup
				leader.Go(func() {
					defer func() {
						if got := recover(); got != value {
							t.Errorf("the leader panicked with %v; want %v", got, value)
						}
					}()
					s.get("/x")
				})
				synctest.Wait()
				for _, got := range s.atOnce(50, same("/x")) {
					if got.status != http.StatusOK || !strings.HasPrefix(got.body, "answer") {
						t.Errorf("a waiter got %d %q", got.status, clip(got.body))
					}
				}
				leader.Wait()
				s.hit("/x")
			})
		}
	}
}

// blocked is a client that does not read.
type blocked struct {
	*httptest.ResponseRecorder
	reads chan struct{}
}

func (b blocked) Write(p []byte) (int, error) {
	<-b.reads
	return b.ResponseRecorder.Write(p)
}

// A leader whose client does not read does not delay the waiters.
func TestClientThatDoesNotReadHoldsUpNobody(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 16<<10)
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, _ *http.Request) error {
			for rest := body; rest != ""; rest = rest[4096:] {
				if _, err := io.WriteString(w, rest[:4096]); err != nil {
					return err
				}
				time.Sleep(time.Millisecond)
			}
			return nil
		})
		s.start()
		client := blocked{httptest.NewRecorder(), make(chan struct{})}
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.ServeHTTP(client, newRequest("GET", "/x"))
		}()
		synctest.Wait()
		began := time.Now()
		for _, got := range s.atOnce(20, same("/x")) {
			wantBody(t, got, body)
		}
		if took := time.Since(began); took > 100*time.Millisecond {
			t.Errorf("others waited %v", took)
		}
		s.wantTotal(1)
		close(client.reads)
		<-done
		if client.Body.String() != body {
			t.Errorf("the slow client has %d bytes; want %d", client.Body.Len(), len(body))
		}
	})
}

// Waiters behind a handler that hangs run the handler themselves after a while.
func TestWaitersDoNotWaitForEver(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		hang := make(chan struct{})
		s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			if s.runs.Load() == 1 {
				<-hang
			}
			return s.mirror(w, r)
		})
		go s.get("/x")
		synctest.Wait()
		began := time.Now()
		for _, got := range s.atOnce(50, same("/x")) {
			wantStatus(t, got, http.StatusOK)
		}
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("waiters were answered after %v; want 30s at most", took)
		}
		close(hang)
		synctest.Wait()
	})
}

// Few handlers go on without their client, and not for long; what they write after their context ended is not stored.
func TestHandlersWithoutClientsAreBounded(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		ended := make(chan struct{}, 300)
		s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			<-r.Context().Done()
			ended <- struct{}{}
			return s.mirror(w, r) // as a handler that does not look
		})
		s.start()
		ctx, cancel := context.WithCancel(t.Context())
		for i := range 200 {
			go s.get(fmt.Sprint("/x?", i), within(ctx))
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		if on := 200 - len(ended); on == 0 || on > 64 {
			t.Errorf("%d of 200 handlers run on without a client; want 1 to 64", on)
		}
		time.Sleep(31 * time.Second)
		if len(ended) != 200 {
			t.Errorf("%d of 200 handlers have ended after 31s", len(ended))
		}
		if s.far.Len() != 0 {
			t.Error("an answer of a handler whose context had ended was kept")
		}
		s.miss("/x?1", within(over(t)))
	})
}

// over is a context that has ended.
func over(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// The handler has the request's deadline, also if others wait for it.
func TestDeadlinesHold(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			<-r.Context().Done()
			return s.mirror(w, r)
		})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		s.get("/x", within(ctx))
		if took := time.Since(began); took != time.Second {
			t.Errorf("the handler ended after %v; want 1s", took)
		}
		if s.far.Len() != 0 {
			t.Error("its answer was kept")
		}
	})
}

// A GET and a HEAD never share a run.
func TestHeadSharesNoRun(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, s.slow)
		replies := s.atOnce(2, func(i int) *http.Request { return newRequest([]string{"GET", "HEAD"}[i], "/x") })
		if !strings.Contains(replies[0].body, "GET example.com") {
			t.Errorf("GET is answered %q", replies[0].body)
		}
		s.wantTotal(2)
		s.hit("/x")
	})
}

// A cache that is cold, or without its Redis, runs a route's handler at most as often at once as the route allows, and all
// requests are answered.
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

// misses serves requests that are all new, to show what a miss costs.
type misses struct {
	t        testing.TB
	entries  int // that the memory has room for
	full     bool
	policy   cache.Policy
	cache    *cache.Cache
	requests int // so far
	targets  []string
	r        *http.Request
	w        *reused
	cached   http.Handler
	drop     func()
}

// fresh is how many misses go into a memory that was empty.
const fresh = 4096

func newMisses(t testing.TB, entries int, full bool) *misses {
	m := &misses{t: t, entries: entries, full: full, w: &reused{header: http.Header{}}, drop: func() {}}
	m.policy = cache.Policy{Class: cache.SharedGlobal, TTL: cache.DefaultTTL}
	m.targets = make([]string, 2*entries)
	for i := range m.targets {
		m.targets[i] = fmt.Sprintf("/products?page=%d&sort=price", i)
	}
	m.r = newRequest("GET", "/products?page=1&sort=price",
		header("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
		header("Accept-Encoding", "gzip, deflate, br, zstd"), header("Accept-Language", "en-GB,en;q=0.5"),
		header("Cookie", "session=0123456789abcdef; theme=dark"), header("Referer", "https://shop.example/"),
		header("Sec-Fetch-Dest", "document"), header("Sec-Fetch-Mode", "navigate"), header("Sec-Fetch-Site", "same-origin"),
		header("Upgrade-Insecure-Requests", "1"), header("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"))
	m.r.Pattern = "GET /products"
	m.renew()
	t.Cleanup(func() { m.drop() })
	return m
}

// page is what the bare handler does.
var page = func() http.HandlerFunc {
	body := make([]byte, 1024)
	return func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Cache-Control", "public, max-age=60")
		h.Set("Last-Modified", "Tue, 15 Nov 1994 12:45:26 GMT")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		_, _ = w.Write(body)
	}
}()

// renew begins with a new memory: an empty one, or one that is full.
func (m *misses) renew() {
	m.drop()
	near := memstore.New(memstore.Options{MaxEntries: m.entries, MaxBytes: 1 << 30})
	c, err := cache.New(cache.Options{Near: near})
	if err != nil {
		m.t.Fatal(err)
	}
	m.drop = func() {
		_ = c.Close(context.Background())
		_ = near.Close()
	}
	m.cache, m.requests = c, 0
	m.cached = m.handle(page)
	if m.full {
		for range m.entries + m.entries/2 {
			m.serve(m.cached)
		}
	}
}

func (m *misses) handle(h http.HandlerFunc) http.Handler { return m.cache.Middleware(m.policy)(h) }

// ask returns the next request.
func (m *misses) ask() *http.Request {
	target := m.targets[m.requests%len(m.targets)] // a full memory has forgotten it by then
	m.requests++
	m.r.RequestURI, m.r.URL.RawQuery = target, target[len("/products?"):]
	clear(m.w.header)
	return m.r
}

func (m *misses) serve(h http.Handler) { h.ServeHTTP(m.w, m.ask()) }

// TestAMissAllocatesLittle: only what a handler may keep, what becomes the entry, and what the memory store needs for it. If the
// client's context can end, there is also a context for the handler, which outlasts it.
func TestAMissAllocatesLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	m := newMisses(t, 1000, true)
	bare := testing.AllocsPerRun(500, func() { m.serve(page) })
	miss := testing.AllocsPerRun(500, func() { m.serve(m.cached) }) - bare
	tied := testing.AllocsPerRun(500, func() { m.serve(ending(m.cached)) }) - testing.AllocsPerRun(500, func() { m.serve(ending(page)) })
	t.Logf("%v allocations for a miss, %v where the context can end, beside the handler's %v", miss, tied, bare)
	if miss > 12 {
		t.Errorf("a miss allocates %v times; want 12 at most", miss)
	}
	if tied > 20 {
		t.Errorf("a miss whose context can end allocates %v times; want 20 at most", tied)
	}
}

// TestAMissTakesFewBytes: only for the body, the entry and what the handler may keep.
func TestAMissTakesFewBytes(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	const rounds = 500
	m := newMisses(t, 1000, true)
	bytes := func(h http.Handler) uint64 {
		return allocated(func() {
			for range rounds {
				m.serve(h)
			}
		}) / rounds
	}
	extra := bytes(m.cached) - bytes(page)
	t.Logf("%d bytes for a miss of 1 KiB, beside the handler's", extra)
	if extra > 3<<10 {
		t.Errorf("a miss of 1 KiB allocates %d bytes; want %d at most", extra, 3<<10)
	}
}

// ending gives each request a context that can end, as a server does.
func ending(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		h.ServeHTTP(w, r.WithContext(ctx))
	})
}

func BenchmarkMiss(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		m := newMisses(b, 20_000, false)
		b.ReportAllocs()
		for b.Loop() {
			m.serve(page)
		}
	})
	for name, full := range map[string]bool{"empty": false, "full": true} {
		b.Run(name, func(b *testing.B) { newMisses(b, 20_000, full).run(b, func(h http.Handler) http.Handler { return h }) })
	}
	b.Run("context", func(b *testing.B) { newMisses(b, 20_000, false).run(b, ending) })
}

func (m *misses) run(b *testing.B, around func(http.Handler) http.Handler) {
	h := around(m.cached)
	b.ReportAllocs()
	for b.Loop() {
		if !m.full && m.requests == fresh {
			b.StopTimer()
			m.renew()
			h = around(m.cached)
			b.StartTimer()
		}
		m.serve(h)
	}
}

// TestWhatAHandlerKeepsIsItsOwn: a handler may keep its request, header and context, although it should not. They are never
// reused for another request.
func TestWhatAHandlerKeepsIsItsOwn(t *testing.T) {
	type kept struct {
		r      *http.Request
		header http.Header
	}
	var all []kept
	m := newMisses(t, 100, false)
	page := m.handle(func(w http.ResponseWriter, r *http.Request) {
		all = append(all, kept{r, w.Header()})
		cache.AddTags(r.Context(), r.URL.RawQuery)
		w.Header().Set("X-Query", r.URL.RawQuery)
		_, _ = w.Write([]byte(r.URL.RawQuery))
	})
	for range 50 {
		m.serve(page)
	}
	if len(all) != 50 {
		t.Fatalf("the handler ran %d times; want 50", len(all))
	}
	for i, k := range all {
		want := m.targets[i][len("/products?"):]
		if k.r.URL.RawQuery != want || k.r.RequestURI != m.targets[i] || k.header.Get("X-Query") != want {
			t.Errorf("request %d has become %s, %s, %v", i, k.r.URL, k.r.RequestURI, k.header)
		}
	}
}

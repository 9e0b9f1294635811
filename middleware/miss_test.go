package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/store/memstore"
)

// misses serves requests of which none was asked before, to show what a miss costs.
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

// ask makes the request the next one.
func (m *misses) ask() *http.Request {
	target := m.targets[m.requests%len(m.targets)] // a full memory has forgotten it by then
	m.requests++
	m.r.RequestURI, m.r.URL.RawQuery = target, target[len("/products?"):]
	clear(m.w.header)
	return m.r
}

func (m *misses) serve(h http.Handler) { h.ServeHTTP(m.w, m.ask()) }

// TestAMissAllocatesLittle: what a handler may keep, what becomes an entry, and what the memory takes for it. Where the
// client's context can end, there is a context for the handler that outlasts it.
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

// TestAMissTakesFewBytes: the body, the entry and what the handler may keep. A miss costs what its bytes cost.
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

// TestWhatAHandlerKeepsIsItsOwn: a handler may keep its request, header and context, although it should not; no other
// request's get there.
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

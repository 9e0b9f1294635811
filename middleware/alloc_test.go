package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/fartest"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store/memstore"
)

// reused is a writer that costs nothing: its header is cleared for each request.
type reused struct {
	header http.Header
	bytes  int
}

func (w *reused) Header() http.Header         { return w.header }
func (w *reused) WriteHeader(int)             {}
func (w *reused) Write(p []byte) (int, error) { w.bytes += len(p); return len(p), nil }

// nearHit returns a function that serves one hit from memory on the router, warmed up. The response may vary by fields.
func nearHit(t testing.TB, rt router, p cache.Policy, vary ...string) (serve func(), w *reused) {
	told := 0
	c, err := cache.New(cache.Options{Far: fartest.New(), User: keying.FromContext(), Observe: func(cache.Event) { told++ }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	runs := 0
	h := handler(func(w http.ResponseWriter, _ *http.Request) error {
		runs++
		w.Header().Set("Content-Type", "text/plain")
		if p.RFC9111 { // or what requests with cookies bring would not be kept
			w.Header().Set("Cache-Control", "public")
		}
		if vary != nil {
			w.Header()["Vary"] = vary
		}
		_, err := w.Write(make([]byte, 1000))
		return err
	})
	served, err := rt.build(c, []endpoint{{"GET /p/{id}", &p, h}})
	if err != nil {
		t.Fatal(err)
	}
	w = &reused{header: http.Header{}}
	r := newRequest("GET", "/p/7?a=b", header("Accept-Language", "fr, en;q=0.5"), header("Accept-Encoding", "gzip, br"))
	serve = func() {
		clear(w.header)
		served.ServeHTTP(w, r)
	}
	for range 3 {
		serve()
	}
	t.Cleanup(func() {
		if runs != 1 {
			t.Errorf("the handler ran %d times; want hits only", runs)
		}
		if told < 3 {
			t.Errorf("%d events; want one a request", told)
		}
	})
	return serve, w
}

// allocations is what a hit costs on each router; without is what the router itself costs, with a handler that only writes.
func allocations(t *testing.T, rt router, class cache.Class) (hit, without float64) {
	p := cache.Policy{Class: class, Vary: []string{"Accept-Language"}, TTL: cache.DefaultTTL}
	serve, _ := nearHit(t, rt, p)
	hit = testing.AllocsPerRun(200, serve)
	body := make([]byte, 1000)
	bare, err := rt.build(nil, []endpoint{{"GET /p/{id}", nil, func(w http.ResponseWriter, _ *http.Request) error {
		_, err := w.Write(body)
		return err
	}}})
	if err != nil {
		t.Fatal(err)
	}
	w, r := &reused{header: http.Header{}}, newRequest("GET", "/p/7?a=b")
	without = testing.AllocsPerRun(200, func() { bare.ServeHTTP(w, r) })
	return hit, without
}

// A hit from memory allocates nothing, on any router, except what the router itself allocates.
func TestNearHitAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, rt := range routers {
		for _, class := range []cache.Class{cache.SharedGlobal, cache.HotShared} {
			hit, without := allocations(t, rt, class)
			if rt.name == "echo" {
				without++ // echo wraps a route's middleware anew around each request
			}
			t.Logf("%s, %s: %v allocations for a hit, %v for the router and a bare handler", rt.name, class, hit, without)
			if hit > without {
				t.Errorf("%s, %s: a hit allocates %v times; want %v at most", rt.name, class, hit, without)
			}
		}
	}
}

// direct is no router: the route alone.
var direct = router{"direct", func(c *cache.Cache, endpoints []endpoint) (http.Handler, error) { return endpoints[0].wrapped(c), nil }}

// Without a router around it, a hit allocates nothing at all.
func TestNearHitOfTheMiddlewareAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, p := range []cache.Policy{{}, {Vary: []string{"Accept-Language", "Accept"}}, {Cookies: []string{"theme"}}, {Pass: []string{"User-Agent"}}, {Query: keying.Only()}, {Query: keying.Only("a", "b")}, {Query: keying.Except("utm_*")}, {Skip: preview, VaryBy: tenant}, {RFC9111: true, TTL: cache.DefaultTTL, VaryBy: tenant}, {RFC9111: true, TTL: cache.DefaultTTL}} {
		p.Class = cache.SharedGlobal
		serve, w := nearHit(t, direct, p)
		if n := testing.AllocsPerRun(200, serve); n != 0 {
			t.Errorf("%s: a hit allocates %v times; want none", p, n)
		}
		if w.bytes == 0 {
			t.Error("nothing was written")
		}
	}
}

// A response that varies is found through another entry. Its selection is remembered from the last request with the same fields.
func TestNearHitOfAVaryingAnswerAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	p := cache.Policy{Class: cache.SharedGlobal, RFC9111: true, TTL: cache.DefaultTTL}
	serve, _ := nearHit(t, direct, p, "Accept-Language, Accept-Encoding", "Origin")
	if n := testing.AllocsPerRun(200, serve); n != 0 {
		t.Errorf("a hit allocates %v times; want none", n)
	}
}

// A hit in a far store costs one allocation, besides those of the store: for the bytes, the entry, its text, its lines and its
// labels.
func TestFarHitAllocatesOnce(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	const brought = 5
	serve, _ := nearHit(t, direct, cache.Policy{Class: cache.FleetShared})
	if n := testing.AllocsPerRun(200, serve); n > brought+1 {
		t.Errorf("a hit allocates %v times; want %d at most", n, brought+1)
	}
}

func BenchmarkNearHit(b *testing.B) {
	for _, rt := range routers {
		b.Run(rt.name, func(b *testing.B) {
			serve, _ := nearHit(b, rt, cache.Policy{Class: cache.SharedGlobal, TTL: cache.DefaultTTL})
			b.ReportAllocs()
			for b.Loop() {
				serve()
			}
		})
	}
}

// A value that memory holds is returned without an allocation.
func TestNearHitOfAValueAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	type product struct {
		Name string
		Tags []string
	}
	far := fartest.New()
	for _, class := range []cache.Class{cache.SharedGlobal, cache.HotShared, cache.HotShared} { // the last one finds it in Redis
		c, err := cache.New(cache.Options{Far: far})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close(t.Context())
		values := cache.NewValues(c, "product", cache.Policy{Class: class}, func(context.Context, string) (product, error) {
			return product{Name: "lamp", Tags: []string{"a"}}, nil
		})
		ctx := context.Background()
		get := func() {
			if p, err := values.Get(ctx, "7"); err != nil || p.Name != "lamp" {
				t.Fatalf("Get = %v, %v", p, err)
			}
		}
		get()
		if n := testing.AllocsPerRun(200, get); n != 0 {
			t.Errorf("%s: a hit allocates %v times; want none", class, n)
		}
	}
}

// Hits allocate nothing even with more pages than any of the middleware's tables has room for, and without a router that tells
// handlers apart.
func TestNearHitsOfManyPagesAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	c := newCache(t, cache.Options{Near: memstore.New(memstore.Options{MaxEntries: 1 << 15}), Far: fartest.New()})
	runs := 0
	h := c.Middleware(cache.Policy{Class: cache.HotShared, TTL: time.Hour, NearTTL: time.Hour})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		runs++
		_, _ = w.Write([]byte("page"))
	}))
	requests := make([]*http.Request, 20_000)
	for i := range requests {
		requests[i] = newRequest("GET", fmt.Sprint("/", i))
	}
	w := nowhere{}
	all := func() {
		for _, r := range requests {
			clear(w)
			h.ServeHTTP(w, r)
		}
	}
	all()
	all()
	if n := testing.AllocsPerRun(1, all); runs != len(requests) || n > float64(len(requests))/10 {
		t.Errorf("%d runs and %v allocations for %d hits; want none", runs, n, len(requests))
	}
}

package cache_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/fartest"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
)

// sealed is memory that claims to authenticate.
type sealed struct {
	*memstore.Store
	secret *string
}

func (s sealed) Sealed(secret []byte) store.Store {
	*s.secret = string(secret)
	return s.Store
}

// TestOptionsThatCannotWorkAreErrors, which name the option, the fault and the remedy.
func TestOptionsThatCannotWorkAreErrors(t *testing.T) {
	far, got := memory(t), ""
	authentic := sealed{far, &got}
	tests := []struct {
		name          string
		options       cache.Options
		fault, remedy string // "": it works
	}{
		{"none", cache.Options{}, "", ""},
		{"a name", cache.Options{Name: "Edge-1"}, "", ""},
		{"no header", cache.Options{Name: "-"}, "", ""},
		{"a name with a space", cache.Options{Name: "my cache"}, `Options.Name is "my cache", which Cache-Status cannot carry`, "a letter first"},
		{"a name with a digit first", cache.Options{Name: "1st"}, `Options.Name is "1st"`, "a letter first"},
		{"a name with a line break", cache.Options{Name: "a\r\nSet-Cookie: x"}, "Options.Name is", "use letters, digits"},
		{"a name with a semicolon", cache.Options{Name: "a;hit"}, "Options.Name is", "use letters, digits"},
		{"two dashes", cache.Options{Name: "--"}, "Options.Name is", "a letter first"},
		{"a secret of 15 bytes", cache.Options{Far: authentic, Secret: make([]byte, 15)}, "Options.Secret has 15 bytes", "use at least 16, better 32 random ones"},
		{"a secret of 16 bytes", cache.Options{Far: authentic, Secret: make([]byte, 16)}, "", ""},
		{"a secret for a store that has no use for it", cache.Options{Far: far, Secret: make([]byte, 32)}, "the Far store (*memstore.Store) cannot authenticate entries",
			"leave Secret out, or use one that implements store.Sealer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := cache.New(tt.options)
			if c != nil {
				defer func() { _ = c.Close(t.Context()) }()
			}
			if tt.fault != "" && c != nil {
				t.Error("a cache beside the error")
			}
			wantRefusal(t, err, "cache: ", tt.fault, tt.remedy)
		})
	}
}

func TestTheSecretSealsTheFarStore(t *testing.T) {
	got, secret := "", []byte(strings.Repeat("s", 32))
	newCache(t, cache.Options{Far: sealed{memory(t), &got}, Secret: secret})
	if got != strings.Repeat("s", 32) {
		t.Errorf("sealed with %q", got)
	}
}

func TestCloseMayBeCalledAgain(t *testing.T) {
	c, err := cache.New(cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := c.Middleware(cache.Policy{Class: cache.SharedGlobal})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }))
	for range 2 {
		if err := c.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil)); w.Body.String() != "hello" {
			t.Errorf("after Close the answer is %q", w.Body)
		}
	}
}

// TestStoresThatWereGivenStayOpen after Close.
func TestStoresThatWereGivenStayOpen(t *testing.T) {
	near := memory(t)
	c, err := cache.New(cache.Options{Near: near})
	if err != nil {
		t.Fatal(err)
	}
	runs := 0
	h := c.Middleware(cache.Policy{Class: cache.SharedGlobal})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		runs++
		_, _ = w.Write([]byte("hello"))
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)); runs != 1 {
		t.Errorf("%d runs: the caller's memory was closed", runs)
	}
}

// TestDefaultIsOneCache until another is set. Middleware that was registered before keeps the old one.
func TestDefaultIsOneCache(t *testing.T) {
	before := cache.Default()
	t.Cleanup(func() {
		cache.SetDefault(nil) // the next one asked for is new
		_ = before.Close(context.Background())
	})
	if before == nil || cache.Default() != before {
		t.Fatal("Default is another each time")
	}
	runs := 0
	p := cache.Policy{Class: cache.SharedGlobal}
	count := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		runs++
		_, _ = w.Write([]byte("hello"))
	})
	ask := func(h http.Handler) int {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/default", nil))
		return runs
	}
	first, second := cache.Middleware(p)(count), cache.Middleware(p)(count)
	if ask(first) != 1 || ask(second) != 1 {
		t.Errorf("%d runs in one cache, want 1", runs)
	}
	other := newCache(t, cache.Options{})
	cache.SetDefault(other)
	if cache.Default() != other {
		t.Error("Default is not what was set")
	}
	third := cache.Middleware(p)(count)
	if ask(third) != 2 || ask(first) != 2 {
		t.Errorf("%d runs in two caches, want 2", runs)
	}
}

// TestDefaultIsNeverNil, whatever other goroutines set concurrently.
func TestDefaultIsNeverNil(t *testing.T) {
	t.Cleanup(func() { cache.SetDefault(nil) })
	other := newCache(t, cache.Options{})
	var all sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					cache.SetDefault(other)
					cache.SetDefault(nil)
				}
			}
		})
	}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for range 1000 {
				if cache.Default() == nil {
					t.Error("Default returns nil")
					return
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	all.Wait()
}

// TestALabelThatNamesNothingIsAnError: a purge that cannot match anything must not look like a successful one.
func TestALabelThatNamesNothingIsAnError(t *testing.T) {
	c := newCache(t, cache.Options{})
	for _, tt := range []struct {
		label cache.Label
		fault string // "": it works
	}{
		{cache.Label{}, "a label names nothing; make it with Tag, Route, URL, User or Everything"},
		{cache.URL("//shop.example/p"), `"//shop.example/p" is not a URL; write "https://host/path" or "/path"`},
		{cache.URL("mailto:a@b"), "is not a URL; write"},
		{cache.URL("http://[::1"), "is not a URL; write"},
		{cache.URL("/%zz"), "is not a URL; write"},
		{cache.URL("products/7"), "is not a URL; write"},
		{cache.URL("shop.example/p"), "is not a URL; write"},
		{cache.URL("https:///p"), "is not a URL; write"},
		{cache.URL(""), "is not a URL; write"},
		{cache.URL("https://shop.example"), ""},
		{cache.URL("https://shop.example/p?x"), ""},
		{cache.URL("/p?x=1"), ""},
		{cache.Tag("product:7"), ""},
		{cache.Route("GET /p"), ""},
		{cache.User("alice"), ""},
		{cache.Everything(), ""},
	} {
		for _, f := range []func(context.Context, ...cache.Label) error{c.Purge, c.Expire} {
			wantRefusal(t, f(t.Context(), tt.label), "cache: purge: ", tt.fault, "")
		}
	}
	if err := errors.Join(c.Purge(t.Context()), c.Expire(t.Context())); err != nil {
		t.Errorf("a purge of nothing: %v", err)
	}
}

// TestPurgeByURLReachesIt however it is written.
func TestPurgeByURLReachesIt(t *testing.T) {
	c := newCache(t, cache.Options{})
	runs := 0
	h := c.Middleware(cache.Policy{Class: cache.SharedGlobal})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		runs++
		_, _ = w.Write([]byte("hello"))
	}))
	for _, tt := range []struct {
		target, label string
		gone          bool
	}{
		{"http://shop.example/p?a=1&b=2", "/p?a=1&b=2", true},
		{"http://shop.example/p?a=1&b=2", "/p?b=2&a=1", true},
		{"http://shop.example/p?a=1&b=2", "http://shop.example/p?a=1&b=2#f", true},
		{"http://shop.example/p?a=1&b=2", "HTTP://SHOP.example/p?a=1&b=2", true},
		{"http://shop.example/", "http://shop.example", true},
		{"http://shop.example/", "/", true},
		{"http://shop.example/p", "https://shop.example/p", false},
		{"http://shop.example/p", "http://other.example/p", false},
		{"http://shop.example/p", "/p?a", false},
		{"http://shop.example/p?a=1&a=2", "/p?a=2&a=1", false},
		{"http://shop.example/a%2Fb", "/a/b", false},
		{"http://shop.example/a%2Fb", "/a%2Fb", true},
	} {
		ask := func() int {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", tt.target, nil))
			return runs
		}
		before := ask()
		if err := c.Purge(t.Context(), cache.URL(tt.label)); err != nil {
			t.Fatal(err)
		}
		if gone := ask() > before; gone != tt.gone {
			t.Errorf("%s after a purge of %s: gone %v, want %v", tt.target, tt.label, gone, tt.gone)
		}
	}
}

func TestAFarBudgetHasBounds(t *testing.T) {
	for _, budget := range []time.Duration{-1, time.Second + 1} {
		if _, err := cache.New(cache.Options{FarBudget: budget}); err == nil || !strings.Contains(err.Error(), "FarBudget is "+budget.String()+"; set one above zero") {
			t.Errorf("a budget of %v: %v; want an error that says what to do", budget, err)
		}
	}
	for _, budget := range []time.Duration{0, 1, time.Second} {
		if _, err := cache.New(cache.Options{FarBudget: budget}); err != nil {
			t.Errorf("a budget of %v: %v", budget, err)
		}
	}
}

// An app with two Caches may purge with the wrong one. If that has nothing to purge, here or elsewhere, it is a warning, once.
func TestAPurgeOfACacheWithoutRoutesIsAWarning(t *testing.T) {
	routes := func(c *cache.Cache) {
		c.Middleware(cache.Policy{Class: cache.SharedGlobal})
	}
	values := func(c *cache.Cache) {
		cache.NewValues(c, "v", cache.Policy{Class: cache.SharedGlobal}, func(context.Context, string) (int, error) { return 0, nil })
	}
	for name, tt := range map[string]struct {
		far   store.Store
		setUp func(*cache.Cache)
		want  int
	}{
		"in memory, without routes":  {want: 1},
		"in memory, with a route":    {setUp: routes},
		"in memory, with Values":     {setUp: values},
		"a Far store without a log":  {far: bare{memstore.New(memstore.Options{})}, want: 1},
		"a process that only purges": {far: fartest.New()},
	} {
		t.Run(name, func(t *testing.T) {
			warnings := 0
			c := newCache(t, cache.Options{Far: tt.far, Observe: func(ev cache.Event) {
				if ev.Outcome == cache.Warning && ev.Reason == cache.ReasonNoRoute && strings.Contains(ev.Err.Error(), "cache.Default()") {
					warnings++
				}
			}})
			if tt.setUp != nil {
				tt.setUp(c)
			}
			for range 2 {
				if err := errors.Join(c.Purge(t.Context(), cache.Tag("a")), c.Expire(t.Context(), cache.Everything())); err != nil {
					t.Error(err)
				}
			}
			if warnings != tt.want {
				t.Errorf("%d warnings; want %d", warnings, tt.want)
			}
		})
	}
}

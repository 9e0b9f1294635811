package middleware_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echo"
	"github.com/larder-go/cache/internal/fartest"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/nethttp"
)

// A warned is a cache that remembers what it has warned of.
type warned struct {
	*cache.Cache
	warnings []cache.Event
}

func newWarned(t *testing.T, o cache.Options) *warned {
	s := &warned{}
	o.Observe = func(ev cache.Event) {
		if ev.Outcome == cache.Warning {
			s.warnings = append(s.warnings, ev)
		}
	}
	s.Cache = newCache(t, o)
	return s
}

// want wants one warning for each of the reasons since the last time, in their order, and returns what they say.
func (s *warned) want(t *testing.T, reasons ...cache.Reason) string {
	t.Helper()
	var got []cache.Reason
	var texts []string
	for _, ev := range s.warnings {
		got, texts = append(got, ev.Reason), append(texts, fmt.Sprint(ev.Err))
	}
	s.warnings = nil
	if fmt.Sprint(got) != fmt.Sprint(reasons) {
		t.Errorf("warned of %s (%s); want %s", got, strings.Join(texts, "; "), reasons)
	}
	return strings.Join(texts, "; ")
}

func (s *warned) wantText(t *testing.T, reason cache.Reason, texts ...string) {
	t.Helper()
	got := s.want(t, reason)
	for _, text := range texts {
		if !strings.Contains(got, text) {
			t.Errorf("the warning is %q; want %q in it", got, text)
		}
	}
}

func answer(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }

// A table's routes are known: a purge of another one is an error that names the nearest, whichever router has it, and
// however it is written.
func TestAPurgeOfARouteThatIsNotThereIsAnError(t *testing.T) {
	table := cache.Routes{"GET /products/{id}": {Class: cache.SharedGlobal}, "GET /files/{path...}": {Class: cache.SharedGlobal}, "/{$}": {Class: cache.SharedGlobal}}
	for name, register := range map[string]func(c *cache.Cache) error{
		"net/http": func(c *cache.Cache) error {
			mux := http.NewServeMux()
			for pattern := range table {
				mux.HandleFunc(pattern, answer)
			}
			_, err := nethttp.Annotate(c, mux, table)
			return err
		},
		"echo": func(c *cache.Cache) error {
			e := echo.New()
			for _, path := range []string{"/products/:id", "/files/*", "/"} {
				e.GET(path, func(ec echo.Context) error { return ec.String(200, "x") })
			}
			return echocache.Annotate(c, e, table)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newWarned(t, cache.Options{})
			if err := register(c.Cache); err != nil {
				t.Fatal(err)
			}
			for _, purge := range []func(context.Context, ...cache.Label) error{c.Purge, c.Expire} {
				for _, there := range []string{"GET /products/{id}", "/products/:id", "HEAD /products/{id:[0-9]+}", "/files/*", "/files/{any...}", "/", "/{$}"} {
					if err := purge(t.Context(), cache.Route(there)); err != nil {
						t.Errorf("%q is there: %v", there, err)
					}
				}
				for wrong, near := range map[string]string{
					"GET /produkts/{id}": "/products/{id}", "/products/{pid}": "/products/{id}", "products/{id}": "/products/{id}", "/product/:id": "/products/{id}",
					"/file/*": "/files/{path...}", "shop.example/products/{id}": "", "/somewhere/else/entirely/{id}": "",
				} {
					err := purge(t.Context(), cache.Tag("x"), cache.Route(wrong))
					if err == nil || !strings.Contains(err.Error(), near) || near == "" && strings.Contains(err.Error(), "nearest") {
						t.Errorf("%q: %v; want an error that names %q", wrong, err, near)
					}
				}
			}
			c.want(t)
		})
	}
}

// A process that has no routes purges freely.
func TestAProcessWithoutRoutesPurgesFreely(t *testing.T) {
	c := newWarned(t, cache.Options{Far: fartest.New()})
	err := c.Purge(t.Context(), cache.Route("GET /products/{id}"), cache.Tag("product:7"), cache.URL("https://shop.example/"), cache.User("alice"))
	if err != nil {
		t.Error(err)
	}
	c.want(t)
}

// Middleware learns its patterns from requests: a purge before the first one is free, and one of a pattern that none has come by
// is a doubt, told once.
func TestAPurgeOfARouteNobodyAskedForIsADoubt(t *testing.T) {
	c := newWarned(t, cache.Options{})
	mux := http.NewServeMux()
	mux.Handle("GET /products/{id}", c.Middleware(cache.Policy{Class: cache.SharedGlobal})(http.HandlerFunc(answer)))
	purge := func(pattern string) {
		t.Helper()
		if err := c.Purge(t.Context(), cache.Route(pattern)); err != nil {
			t.Errorf("%q: %v", pattern, err)
		}
	}
	purge("GET /produkts/{id}")
	c.want(t)
	mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/products/7", nil))
	purge("/products/:id")
	c.want(t)
	purge("GET /produkts/{id}")
	c.wantText(t, "no-route", `"GET /produkts/{id}"`, `"GET /products/{id}"`)
	purge("GET /produkts/{id}")
	purge("/produkts/:id")
	c.want(t)
	for i := range 1000 {
		purge(fmt.Sprint("/made/up/", i))
	}
	if len(c.warnings) > 64 {
		t.Errorf("%d warnings", len(c.warnings))
	}
}

// A tag is known if a policy has it, or an answer was given it. What is remembered are outlines.
func TestAPurgeOfATagThatNothingHasIsADoubt(t *testing.T) {
	c := newWarned(t, cache.Options{})
	c.Middleware(cache.Policy{Class: cache.SharedGlobal, Tags: []string{"product:{id}", "catalogue", "{lang}/page/{id}.html"}})
	added := c.Middleware(cache.Policy{Class: cache.SharedGlobal})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cache.AddTags(r.Context(), "user-"+r.URL.Query().Get("n"), "plain")
		w.Header().Set("Cache-Groups", `"group:1"`)
		answer(w, r)
	}))
	cache.NewValues(c.Cache, "price", cache.Policy{Class: cache.SharedGlobal, Tags: []string{"price:{id}"}}, func(context.Context, string) (int, error) { return 1, nil })
	values := cache.NewValues(c.Cache, "stock", cache.Policy{Class: cache.SharedGlobal}, func(ctx context.Context, id string) (int, error) {
		cache.AddTags(ctx, "stock/"+id)
		return 1, nil
	})
	if _, err := values.Get(t.Context(), "7"); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		added.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", fmt.Sprint("/?n=", i), nil))
	}
	purge := func(tag string) {
		t.Helper()
		if err := c.Purge(t.Context(), cache.Tag(tag)); err != nil {
			t.Error(err)
		}
	}
	for _, tag := range []string{"product:7", "product:a:b", "catalogue", "de/page/7.html", "price:1", "stock/8", "user-99", "plain", "group:2"} {
		purge(tag)
	}
	c.want(t)
	for tag, near := range map[string]string{"prodct:7": `"product:"`, "product:": "", "catalog": `"catalogue"`, "de/pages/7.html": "", "user_7": `"user-"`, "alice@example.org": ""} {
		purge(tag)
		if tag == "product:" { // its outline is known; what it lacks is an id
			c.warnings = nil
			continue
		}
		c.wantText(t, "no-tag", near)
	}
	purge("prodct:8")
	c.want(t)
}

// A tag that was added to an answer that is not kept is no misspelt one.
func TestTagsOfAnswersThatAreNotKeptAreNoDoubt(t *testing.T) {
	c := newWarned(t, cache.Options{})
	refused := c.Middleware(cache.Policy{Class: cache.SharedGlobal, Tags: []string{"product:{id}"}})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cache.AddTags(r.Context(), "note:7")
		http.SetCookie(w, &http.Cookie{Name: "seen", Value: "1"})
		answer(w, r)
	}))
	refused.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if err := c.Purge(t.Context(), cache.Tag("note:7")); err != nil {
		t.Error(err)
	}
	c.want(t)
}

// Of what a purge names, a warning tells no more than the outline.
func TestWarningsOfPurgesTellNoID(t *testing.T) {
	c := newWarned(t, cache.Options{})
	c.Middleware(cache.Policy{Class: cache.SharedGlobal, Tags: []string{"product:{id}"}})
	err := c.Purge(t.Context(), cache.Tag("visitor:bob@example.org"), cache.User("bob@example.org"))
	if got := c.want(t, "no-tag", "no-user"); err != nil || strings.Contains(got, "bob") {
		t.Errorf("%v; the warnings are %q", err, got)
	}
}

// What is remembered of tags is bounded; when it is full, everything may be known.
func TestManyTagsAreNoDoubt(t *testing.T) {
	c := newWarned(t, cache.Options{})
	values := cache.NewValues(c.Cache, "v", cache.Policy{Class: cache.SharedGlobal}, func(ctx context.Context, id string) (int, error) {
		cache.AddTags(ctx, id)
		return 1, nil
	})
	for i := range 2000 {
		if _, err := values.Get(t.Context(), strings.Repeat("x", i/26)+string(rune('a'+i%26))+":"); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Purge(t.Context(), cache.Tag("unheard-of")); err != nil {
		t.Error(err)
	}
	c.want(t)
}

// A purge by https where all has come by http is a doubt that names the option for proxies, and the other way round.
func TestAPurgeOfASchemeNobodyCameByIsADoubt(t *testing.T) {
	for _, tt := range []struct {
		name   string
		trust  bool
		ask    func(r *http.Request)
		purge  string
		reason []cache.Reason
		text   string
	}{
		{"behind a proxy", false, nil, "https://shop.example/x", []cache.Reason{"no-scheme"}, "TrustProxy"},
		{"behind one that says nothing", true, nil, "HTTPS://shop.example/x", []cache.Reason{"no-scheme"}, "X-Forwarded-Proto"},
		{"behind one that says so", true, func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "https") }, "https://shop.example/x", nil, ""},
		{"by the path", false, nil, "/x", nil, ""},
		{"by http", false, nil, "http://shop.example/x", nil, ""},
		{"over TLS", false, func(r *http.Request) { r.TLS = &tls.ConnectionState{} }, "https://shop.example/x", nil, ""},
		{"over TLS, by http", false, func(r *http.Request) { r.TLS = &tls.ConnectionState{} }, "http://shop.example/x", []cache.Reason{"no-scheme"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newWarned(t, cache.Options{TrustProxy: tt.trust})
			h := c.Middleware(cache.Policy{Class: cache.SharedGlobal})(http.HandlerFunc(answer))
			purge := func() {
				t.Helper()
				if err := c.Purge(t.Context(), cache.URL(tt.purge)); err != nil {
					t.Error(err)
				}
			}
			purge() // before the first request anything may come
			c.want(t)
			r := httptest.NewRequest("GET", "http://shop.example/x", nil)
			if tt.ask != nil {
				tt.ask(r)
			}
			h.ServeHTTP(httptest.NewRecorder(), r)
			purge()
			if got := c.want(t, tt.reason...); !strings.Contains(got, tt.text) || strings.Contains(got, "shop.example") {
				t.Errorf("the warning is %q; want %q in it, and no URL", got, tt.text)
			}
			purge()
			c.want(t)
		})
	}
}

func TestAPurgeOfAUserWithoutPerUserRoutesIsADoubt(t *testing.T) {
	purge := func(c *warned) {
		t.Helper()
		if err := c.Purge(t.Context(), cache.User("alice")); err != nil {
			t.Error(err)
		}
	}
	options := cache.Options{Far: fartest.New(), User: keying.FromContext()}
	c := newWarned(t, options)
	c.Middleware(cache.Policy{Class: cache.HotShared})
	purge(c)
	c.wantText(t, "no-user", "per-user")
	c.Middleware(cache.Policy{Class: cache.PerUser})
	purge(c)
	c.want(t)
	c = newWarned(t, options)
	cache.NewValues(c.Cache, "v", cache.Policy{Class: cache.PerUser}, func(context.Context, string) (int, error) { return 1, nil })
	purge(c)
	c.want(t)
}

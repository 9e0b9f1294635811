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
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echo"
	"github.com/larder-go/cache/internal/fartest"
	"github.com/larder-go/cache/internal/user"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/nethttp"
)

func TestPurgeHitsWhatItNames(t *testing.T) {
	tests := []struct {
		name  string
		label cache.Label
		gone  string // of the targets below
	}{
		{"a tag of the route", cache.Tag("p:7"), "/p/7 /p/7?a=1&b=2"},
		{"a tag of the handler", cache.Tag("added"), "/p/7 /p/7?a=1&b=2 /p/8 /q/7"},
		{"a fixed tag", cache.Tag("products"), "/p/7 /p/7?a=1&b=2 /p/8"},
		{"a tag nobody has", cache.Tag("p:9"), ""},
		{"part of a tag", cache.Tag("p:"), ""},
		{"a route", cache.Route("GET /p/{id}"), "/p/7 /p/7?a=1&b=2 /p/8"},
		{"a route as echo writes it", cache.Route("/p/:id"), "/p/7 /p/7?a=1&b=2 /p/8"},
		{"a URL", cache.URL("/p/7"), "/p/7"},
		{"a URL with its query", cache.URL("/p/7?b=2&a=1"), "/p/7?a=1&b=2"},
		{"a URL of the host", cache.URL("http://example.com/p/7"), "/p/7"},
		{"a URL of another host", cache.URL("http://example.org/p/7"), ""},
		{"a URL of another scheme", cache.URL("https://example.com/p/7"), ""},
		{"everything", cache.Everything(), "/p/7 /p/7?a=1&b=2 /p/8 /q/7"},
	}
	targets := []string{"/p/7", "/p/7?a=1&b=2", "/p/8", "/q/7"}
	run(t, func(t *testing.T, s *site) {
		tagged := func(w http.ResponseWriter, r *http.Request) error {
			cache.AddTags(r.Context(), "added", "more")
			return s.mirror(w, r)
		}
		s.handle("GET /p/{id}", cache.Policy{Tags: []string{"p:{id}", "products"}}, tagged)
		s.handle("GET /q/{id}", cache.Policy{Tags: []string{"q:{id}"}}, tagged)
		for _, test := range tests {
			for _, target := range targets {
				s.get(target)
				s.hit(target)
			}
			s.purge(test.label)
			for _, target := range targets {
				before := s.runs.Load()
				s.get(target)
				if got, want := s.runs.Load() > before, containsWord(test.gone, target); got != want {
					t.Errorf("purge of %s: gone %t for %s; want %t", test.name, got, target, want)
				}
			}
		}
	})
}

func containsWord(words, word string) bool {
	for w := range strings.FieldsSeq(words) {
		if w == word {
			return true
		}
	}
	return false
}

func TestPurgeOfAUserLeavesTheOthers(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /a", cache.Policy{}, s.mirror)
		s.handle("GET /b", cache.Policy{}, s.mirror)
		for _, who := range []string{"alice", "bob"} {
			s.miss("/a", as(who))
			s.miss("/b", as(who))
		}
		s.purge(cache.User("alice"))
		s.hit("/a", as("bob"))
		s.hit("/b", as("bob"))
		s.miss("/a", as("alice"))
		s.miss("/b", as("alice"))
		s.purge(cache.URL("/a")) // for all users
		s.miss("/a", as("alice"))
		s.miss("/a", as("bob"))
		s.hit("/b", as("bob"))
	}, perUser...)
}

// A purge during a run wins, however long either takes.
func TestPurgeDuringARunWins(t *testing.T) {
	purges := map[string]func(*site, cache.Label) error{
		"Purge":  func(s *site, l cache.Label) error { return s.cache.Purge(s.t.Context(), l) },
		"Expire": func(s *site, l cache.Label) error { return s.cache.Expire(s.t.Context(), l) },
	}
	for name, purge := range purges {
		for _, label := range []cache.Label{cache.Tag("p:7"), cache.Tag("late"), cache.URL("/p/7"), cache.Route("/p/{id}"), cache.Everything()} {
			run(t, func(t *testing.T, s *site) {
				data := "old"
				s.handle("GET /p/{id}", cache.Policy{Tags: []string{"p:{id}"}}, func(w http.ResponseWriter, r *http.Request) error {
					read := data
					time.Sleep(time.Second)
					cache.AddTags(r.Context(), "late")
					return text(read)(w, r)
				})
				s.start()
				go s.get("/p/7")
				synctest.Wait()
				data = "new"
				if err := purge(s, label); err != nil {
					t.Fatal(err)
				}
				for _, got := range s.atOnce(10, same("/p/7")) { // they came after the purge
					wantBody(t, got, "new")
				}
				wantBody(t, s.get("/p/7"), "new")
				if n := s.runs.Load(); name == "Purge" && n > 3 {
					t.Errorf("%s: the handler ran %d times; want 3 at most", name, n)
				}
			})
		}
	}
}

func TestExpireMakesStale(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		fail := false
		s.handle("GET /swr/{id}", cache.Policy{Tags: []string{"p:{id}"}, StaleWhileRevalidate: time.Minute}, s.mirror)
		s.handle("GET /sie/{id}", cache.Policy{Tags: []string{"p:{id}"}, StaleIfError: time.Minute}, s.failing(&fail, serverFailures["status"]))
		s.handle("GET /hard/{id}", cache.Policy{Tags: []string{"p:{id}"}, StaleIfError: -1}, s.mirror)
		behind := behindServer(s)
		swr, sie := s.miss("/swr/7", behind), s.miss("/sie/7")
		hard := s.miss("/hard/7")
		s.miss("/swr/8")
		if err := s.cache.Expire(t.Context(), cache.Tag("p:7")); err != nil {
			t.Fatal(err)
		}
		if s.miss("/hard/7").body == hard.body {
			t.Error("an expired answer without a stale window was served")
		}
		s.hit("/swr/8")
		wantBody(t, s.get("/swr/7", behind), swr.body)
		synctest.Wait()
		if s.hit("/swr/7", behind).body == swr.body {
			t.Error("an expired answer was not refreshed")
		}
		fail = true
		wantBody(t, s.miss("/sie/7"), sie.body)
		s.purge(cache.Tag("p:7"))
		wantStatus(t, s.miss("/sie/7"), http.StatusBadGateway)
	})
}

// Every process sees a purge, at once if it reads Redis, and otherwise within the near TTL.
func TestPurgeReachesTheOtherProcesses(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, s.mirror)
		s.miss("/x")
		one := s.served
		s.restart()
		s.hit("/x")
		s.purge(cache.URL("/x"))
		s.served = one
		s.miss("/x")
	}, inRedis...)
}

// A purge that does not reach Redis returns an error, but takes effect in this process.
func TestPurgeTellsWhenRedisWasNotTold(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, s.mirror)
		s.missHit("/x")
		s.far.Down.Store(true)
		if err := s.cache.Purge(t.Context(), cache.URL("/x")); err == nil {
			t.Error("Purge without Redis returns no error")
		}
		if n := s.count(cache.Purged, cache.ReasonPurge); n != 1 {
			t.Errorf("%d events of a failed purge; want 1", n)
		}
		s.far.Down.Store(false)
		s.miss("/x")
	})
}

func TestPurgeOfNothingIsNoError(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, s.mirror)
		s.miss("/x")
		s.purge()
		s.hit("/x")
		for _, bad := range []cache.Label{{}, cache.URL("example.com/x\x7f"), cache.URL("mailto:x"), cache.URL("//example.com/x")} {
			if err := s.cache.Purge(t.Context(), bad); err == nil {
				t.Errorf("Purge(%v) returns no error", bad)
			}
		}
		s.hit("/x")
	})
}

// Every router fills tags from the path, however the client has escaped it.
func TestTagsAreFilledFromThePath(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /u/{user}/p/{id}", cache.Policy{Tags: []string{"{user}/{id}"}}, s.mirror)
		s.handle("GET /files/{path...}", cache.Policy{Tags: []string{"all"}}, s.mirror)
		for _, path := range []string{"/u/a/p/b", "/u/a%20b/p/c", "/files/a/b"} {
			s.missHit(path)
		}
		s.purge(cache.Tag("b/a"), cache.Tag("{user}/{id}"), cache.Tag("a/c"))
		s.hit("/u/a/p/b")
		s.purge(cache.Tag("a/b"))
		s.miss("/u/a/p/b")
		s.hit("/u/a%20b/p/c")
		s.purge(cache.Tag("a b/c"), cache.Tag("all"))
		s.miss("/u/a%20b/p/c")
		s.miss("/files/a/b")
	})
}

func TestHandlersSteer(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		steer := func(f func(r *http.Request)) handler {
			return func(w http.ResponseWriter, r *http.Request) error {
				f(r)
				return s.mirror(w, r)
			}
		}
		s.handle("GET /nostore", cache.Policy{}, steer(func(r *http.Request) { cache.NoStore(r.Context()) }))
		s.handle("GET /zero", cache.Policy{}, steer(func(r *http.Request) { cache.SetTTL(r.Context(), 0) }))
		s.handle("GET /short", cache.Policy{StaleIfError: -1}, steer(func(r *http.Request) {
			cache.SetTTL(r.Context(), 10*time.Second)
			cache.SetTTL(r.Context(), 40*time.Second)
		}))
		s.handle("GET /long", cache.Policy{StaleIfError: -1}, steer(func(r *http.Request) { cache.SetTTL(r.Context(), time.Hour) }))
		s.handle("GET /tags", cache.Policy{}, steer(func(r *http.Request) {
			for i := range 200 {
				cache.AddTags(r.Context(), fmt.Sprint("tag-", i))
			}
		}))
		s.neverKept("/nostore")
		s.neverKept("/zero")
		s.neverKept("/tags")
		s.miss("/short")
		s.miss("/long")
		time.Sleep(9 * time.Second)
		s.hit("/short")
		time.Sleep(time.Second)
		s.miss("/short")
		time.Sleep(50 * time.Second)
		s.miss("/long")
	})
}

// Outside a handler's run, functions such as AddTags do nothing.
func TestSteeringOutsideARunDoesNothing(t *testing.T) {
	cache.AddTags(t.Context(), "a")
	cache.SetTTL(t.Context(), time.Second)
	cache.NoStore(t.Context())
	if id, ok := user.Of(cache.WithUser(t.Context(), "")); ok {
		t.Errorf("the empty user is %q", id)
	}
}

// The URL of a purge is the client's, whatever prefix was stripped from it on the way.
func TestPurgeByURLReachesWhatIsMounted(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /p/{id}", cache.Policy{Query: keying.Only("page")}, s.mirror)
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/a/", http.StripPrefix("/a", next))
			mux.Handle("/b/", http.StripPrefix("/b", next))
			return mux
		})
		for _, label := range []string{"/a/p/7?page=1", "http://example.com/a/p/7?page=1"} {
			s.get("/a/p/7?page=1&x=2")
			s.get("/b/p/7?page=1")
			s.purge(cache.URL(label))
			s.hit("/b/p/7?page=1")
			s.miss("/a/p/7?page=1")
		}
	})
}

// A warned is a cache that records its warnings.
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

// want wants one warning for each of the reasons, in this order, since its last call. It returns their texts.
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

// The routes of a table are known, so a purge of any other route is an error that names the most similar one, with every router
// and however the route is written.
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

// A process without routes may purge any route without a warning.
func TestAProcessWithoutRoutesPurgesFreely(t *testing.T) {
	c := newWarned(t, cache.Options{Far: fartest.New()})
	err := c.Purge(t.Context(), cache.Route("GET /products/{id}"), cache.Tag("product:7"), cache.URL("https://shop.example/"), cache.User("alice"))
	if err != nil {
		t.Error(err)
	}
	c.want(t)
}

// Middleware learns its patterns from requests. Before the first request, a purge of any pattern is accepted; later, a purge of a
// pattern that had no request is a warning, once.
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

// A tag is known if a policy or a response has it. Only the outlines of tags are remembered.
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

// A tag that was added to a response that is not stored is not taken for a misspelt one.
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

// A warning has only the outline of what a purge names.
func TestWarningsOfPurgesTellNoID(t *testing.T) {
	c := newWarned(t, cache.Options{})
	c.Middleware(cache.Policy{Class: cache.SharedGlobal, Tags: []string{"product:{id}"}})
	err := c.Purge(t.Context(), cache.Tag("visitor:bob@example.org"), cache.User("bob@example.org"))
	if got := c.want(t, "no-tag", "no-user"); err != nil || strings.Contains(got, "bob") {
		t.Errorf("%v; the warnings are %q", err, got)
	}
}

// The number of remembered tags is bounded. Beyond that, every tag counts as known.
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

// A purge of an https URL, if all requests came by http, is a warning that names the option for proxies, and vice versa.
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

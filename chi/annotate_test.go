package chicache_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	chimiddleware "github.com/go-chi/chi/v5/middleware"

	"github.com/larder-go/cache"
	chicache "github.com/larder-go/cache/chi"
	"github.com/larder-go/cache/keying"
)

var global = cache.Policy{Class: cache.SharedGlobal}

func newCache(t *testing.T) *cache.Cache {
	t.Helper()
	c, err := cache.New(cache.Options{User: keying.FromContext()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// numbered answers with a number that no other answer has, the pattern and the path value.
func numbered() http.HandlerFunc {
	n := 0
	return func(w http.ResponseWriter, r *http.Request) {
		n++
		fmt.Fprint(w, n, " ", r.Method, " ", r.Pattern, " ", chi.URLParam(r, "id"))
	}
}

func get(h http.Handler, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

// hits reports whether the target is answered from the cache when it is asked for again.
func hits(h http.Handler, target string) bool {
	first, again := get(h, "GET", target), get(h, "GET", target)
	return first.Code == 200 && first.Body.String() == again.Body.String()
}

// Each line of a table means one route of the router, and only that one is cached.
func TestPatternsFindTheirRoute(t *testing.T) {
	tests := []struct{ registered, annotated, target string }{
		{"/p/{id}", "GET /p/{id}", "/p/7"},
		{"/p/{id}", "/p/{id}", "/p/7"},
		{"/p/{id}", "HEAD /p/{id}", "/p/7"},
		{"/p/{id:[0-9]+}", "GET /p/{id}", "/p/7"},
		{"/p/{id:[0-9]+}", "GET /p/{id:[0-9]+}", "/p/7"},
		{"/p/{id}", "GET /p/:id", "/p/7"},
		{"/files/*", "GET /files/{path...}", "/files/a/b"},
		{"/files/*", "GET /files/*", "/files/a/b"},
		{"/", "GET /{$}", "/"},
		{"/dir/", "GET /dir/", "/dir/"},
		{"/x", "GET  /x", "/x"},
	}
	for _, test := range tests {
		r := chi.NewRouter()
		r.Get(test.registered, numbered())
		r.Get("/other/{id}", numbered())
		if err := chicache.Annotate(newCache(t), r, cache.Routes{test.annotated: global}); err != nil {
			t.Errorf("%q for %q: %v", test.annotated, test.registered, err)
			continue
		}
		if !hits(r, test.target) {
			t.Errorf("%q for %q: GET %s is no hit", test.annotated, test.registered, test.target)
		}
		if hits(r, "/other/7") {
			t.Errorf("%q: another route is cached", test.annotated)
		}
	}
}

// Routes of sub-routers are written in full, however they came there.
func TestPatternsOfSubRoutersAreFull(t *testing.T) {
	r := chi.NewRouter()
	r.Route("/api", func(r chi.Router) {
		r.Get("/", numbered())
		r.Route("/v2", func(r chi.Router) {
			r.Get("/users/{id}", numbered())
			r.Get("/users/{id}/posts", numbered())
		})
	})
	twice := chi.NewRouter()
	twice.Get("/x", numbered())
	r.Mount("/one", twice)
	r.Mount("/two", twice)
	r.Mount("/static", numbered())
	top := chi.NewRouter()
	top.Get("/top", numbered())
	r.Mount("/", top)
	r.Group(func(r chi.Router) {
		r.Get("/grouped", numbered())
		r.With(chimiddleware.NoCache).Get("/with", numbered())
	})
	routes := cache.Routes{}
	for _, pattern := range []string{"/api", "/api/v2/users/{id}", "/one/x", "/static/*", "/top", "/grouped"} {
		routes["GET "+pattern] = global
	}
	if err := chicache.Annotate(newCache(t), r, routes); err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]bool{
		"/api": true, "/api/": true, "/api/v2/users/7": true, "/api/v2/users/7/posts": false,
		"/one/x": true, "/two/x": false, "/static/a.css": true, "/top": true, "/grouped": true, "/with": false,
	} {
		if got := hits(r, target); got != want {
			t.Errorf("%s is a hit: %t; want %t", target, got, want)
		}
	}
	if got := get(r, "GET", "/api/v2/users/7").Body.String(); !strings.HasSuffix(got, " GET /api/v2/users/{id} 7") {
		t.Errorf("the handler has %q", got)
	}
}

// All middleware of chi's runs on hits too, once a request, and in its order.
func TestMiddlewareRunsOnHits(t *testing.T) {
	var ran []string
	mw := func(name string) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ran = append(ran, name)
				next.ServeHTTP(w, r)
			})
		}
	}
	r, runs := chi.NewRouter(), 0
	r.Use(mw("root"))
	r.Route("/sub", func(r chi.Router) {
		r.Use(mw("sub"))
		r.Group(func(r chi.Router) {
			r.Use(mw("group"))
			r.With(mw("with")).Method("GET", "/x", chi.Chain(mw("chain")).HandlerFunc(func(w http.ResponseWriter, r *http.Request) { runs++; fmt.Fprint(w, "x") }))
		})
	})
	if err := chicache.Annotate(newCache(t), r, cache.Routes{"GET /sub/x": global}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		ran = nil
		get(r, "GET", "/sub/x")
		if want := []string{"root", "sub", "group", "with", "chain"}; !slices.Equal(ran, want) {
			t.Errorf("what ran is %q; want %q", ran, want)
		}
	}
	if runs != 1 {
		t.Errorf("%d runs; want 1", runs)
	}
	count := 0 // what walks the routes still finds the middleware
	_ = chi.Walk(r, func(_, _ string, _ http.Handler, m ...func(http.Handler) http.Handler) error {
		count = len(m)
		return nil
	})
	if count != 4 {
		t.Errorf("chi.Walk finds %d middlewares; want those of root, sub, group and with", count)
	}
}

// A user that middleware of a sub-router makes known is known to the cache.
func TestIdentityOfInnerMiddlewareIsKnown(t *testing.T) {
	r := chi.NewRouter()
	r.Group(func(r chi.Router) {
		r.Use(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if who := r.Header.Get("X-Session"); who != "" {
					r = r.WithContext(cache.WithUser(r.Context(), who))
					next.ServeHTTP(w, r)
					return
				}
				http.Error(w, "log in", http.StatusUnauthorized)
			})
		})
		r.Get("/report", numbered())
	})
	if err := chicache.Annotate(newCache(t), r, cache.Routes{"GET /report": global}); err != nil {
		t.Fatal(err)
	}
	ask := func(who string) int {
		w, r2 := httptest.NewRecorder(), httptest.NewRequest("GET", "/report", nil)
		r2.Header.Set("X-Session", who)
		r.ServeHTTP(w, r2)
		return w.Code
	}
	if got := []int{ask("root"), ask(""), ask("bob")}; !slices.Equal(got, []int{200, 401, 200}) {
		t.Errorf("root, nobody and bob are answered %d", got)
	}
}

// All faulty lines are told at once, each with its pattern and a remedy; nothing is changed then.
func TestFaultyTablesListEveryFault(t *testing.T) {
	r := chi.NewRouter()
	r.Get("/p/{id}", numbered())
	r.Post("/p", numbered())
	r.Handle("/any", numbered())
	r.Mount("/foreign", foreign{})
	routes := cache.Routes{
		"GET /p/{id}":    {Class: cache.SharedGlobal, Tags: []string{"p:{name}"}},
		"GET /p/:id":     {Class: cache.SharedGlobal, Tags: []string{"p:{name}"}},
		"GET /unknown":   global,
		"GET /p/{name}":  global,
		"POST /p":        global,
		"GET /p":         global,
		"nonsense":       global,
		"GET /any":       global,
		"/any":           global,
		"GET x.org/any":  global,
		"HEAD /p/{id}":   {Class: cache.HotShared},
		"GET /foreign/x": global,
	}
	err := chicache.Annotate(newCache(t), r, routes)
	if err == nil {
		t.Fatal("Annotate returns no error")
	}
	lines := strings.Split(err.Error(), "\n")
	for pattern := range routes {
		if pattern == "/any" || pattern == "GET /any" {
			pattern = "/any" // the second of the two is at fault
		}
		if !strings.Contains(err.Error(), fmt.Sprintf("%q", pattern)) {
			t.Errorf("nothing is said of %q:\n%v", pattern, err)
		}
	}
	for _, line := range lines {
		if !strings.ContainsAny(line, ";(,") {
			t.Errorf("no remedy in %q", line)
		}
	}
	if len(lines) != len(routes)-1 {
		t.Errorf("%d faults; want %d:\n%v", len(lines), len(routes)-1, err)
	}
	for line, want := range map[string]string{"GET /p/{name}": `it has "/p/{id}" there`, "GET /p": "it has POST there"} {
		if !slices.ContainsFunc(lines, func(s string) bool { return strings.Contains(s, fmt.Sprintf("%q", line)) && strings.Contains(s, want) }) {
			t.Errorf("%s: it is not told that %s:\n%v", line, want, err)
		}
	}
	if hits(r, "/any") {
		t.Error("a faulty table has changed the router")
	}
}

// foreign lists its routes as chi does and is no router of chi's.
type foreign struct{}

func (foreign) ServeHTTP(w http.ResponseWriter, r *http.Request) { numbered()(w, r) }
func (foreign) Routes() []chi.Route {
	return []chi.Route{{Pattern: "/x", Handlers: map[string]http.Handler{"GET": numbered()}}}
}
func (foreign) Middlewares() chi.Middlewares               { return nil }
func (foreign) Match(*chi.Context, string, string) bool    { return true }
func (foreign) Find(_ *chi.Context, _, path string) string { return path }

// A router of With or Group would put its middleware around every handler once more.
func TestRoutersOfGroupsAreRefused(t *testing.T) {
	r := chi.NewRouter()
	g := r.With(chimiddleware.NoCache)
	g.Get("/x", numbered())
	if err := chicache.Annotate(newCache(t), g, cache.Routes{"GET /x": global}); err == nil || !strings.Contains(err.Error(), "With or Group") {
		t.Errorf("the error is %v", err)
	}
	r = chi.NewRouter()
	r.Group(func(r chi.Router) { r.Get("/x", numbered()); g = r })
	if err := chicache.Annotate(newCache(t), r, cache.Routes{"GET /x": global}); err != nil || !hits(r, "/x") {
		t.Errorf("the router that the group belongs to: %v", err)
	}
}

// Another method of a path is another handler, which the table does not speak of; whether there is HEAD chi says as ever.
func TestOtherMethodsStayTheirOwn(t *testing.T) {
	r := chi.NewRouter()
	r.Get("/get", numbered())
	r.Get("/both", numbered())
	r.Head("/both", numbered())
	r.Post("/both", numbered())
	r.Handle("/all", numbered())
	if err := chicache.Annotate(newCache(t), r, cache.Routes{"GET /get": global, "GET /both": global, "/all": global}); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/get", "/both", "/all"} {
		if !hits(r, target) {
			t.Errorf("%s is no hit", target)
		}
	}
	if got := get(r, "HEAD", "/get"); got.Code != 405 {
		t.Errorf("HEAD /get is answered %d; want 405", got.Code)
	}
	for _, target := range []string{"/both", "/all"} {
		if got := get(r, "HEAD", target); got.Body.Len() != 0 || !strings.Contains(got.Header().Get("Cache-Status"), "hit") {
			t.Errorf("HEAD %s is answered %q with %v; want the hit's head", target, got.Body, got.Header())
		}
		if got := get(r, "POST", target); !strings.Contains(got.Body.String(), "POST") {
			t.Errorf("POST %s is answered %q", target, got.Body)
		}
	}
	r = chi.NewRouter()
	r.Use(chimiddleware.GetHead)
	r.Get("/get", numbered())
	if err := chicache.Annotate(newCache(t), r, cache.Routes{"GET /get": global}); err != nil {
		t.Fatal(err)
	}
	body := get(r, "GET", "/get").Body.String()
	if got := get(r, "HEAD", "/get"); got.Body.Len() != 0 || got.Header().Get("Content-Length") != fmt.Sprint(len(body)) {
		t.Errorf("HEAD by the route of GET: %q %v", got.Body, got.Header())
	}
}

// Tags are filled from chi's parameters, and a purge finds them, as it does the route and the URL.
func TestPurgesFindTheRoutesAnswers(t *testing.T) {
	for _, label := range []cache.Label{
		cache.Tag("product:7"), cache.Tag("file:a/b"), cache.Route("GET /shop/products/{id}"), cache.URL("/shop/products/7"), cache.Route("GET /shop/files/{path...}"),
	} {
		c := newCache(t)
		r := chi.NewRouter()
		r.Route("/shop", func(r chi.Router) {
			r.Get("/products/{id}", numbered())
			r.Get("/files/*", numbered())
		})
		routes := cache.Routes{
			"GET /shop/products/{id}":   {Class: cache.SharedGlobal, Tags: []string{"product:{id}"}},
			"GET /shop/files/{path...}": {Class: cache.SharedGlobal, Tags: []string{"file:{path}"}},
		}
		if err := chicache.Annotate(c, r, routes); err != nil {
			t.Fatal(err)
		}
		var changed []string
		before := map[string]string{}
		targets := []string{"/shop/files/a/b", "/shop/products/7", "/shop/products/8"}
		for _, target := range targets {
			before[target] = get(r, "GET", target).Body.String()
		}
		if err := c.Purge(t.Context(), label); err != nil {
			t.Fatal(err)
		}
		for _, target := range targets {
			if get(r, "GET", target).Body.String() != before[target] {
				changed = append(changed, target)
			}
		}
		want := map[cache.Label][]string{
			cache.Tag("product:7"): targets[1:2], cache.Tag("file:a/b"): targets[:1], cache.URL("/shop/products/7"): targets[1:2],
			cache.Route("GET /shop/products/{id}"): targets[1:], cache.Route("GET /shop/files/{path...}"): targets[:1],
		}[label]
		if !slices.Equal(changed, want) {
			t.Errorf("%v: %q were purged; want %q", label, changed, want)
		}
	}
}

// The table is not kept.
func TestTheTableMayChangeAfterwards(t *testing.T) {
	r := chi.NewRouter()
	r.Get("/x", numbered())
	routes := cache.Routes{"GET /x": global}
	if err := chicache.Annotate(newCache(t), r, routes); err != nil {
		t.Fatal(err)
	}
	delete(routes, "GET /x")
	if !hits(r, "/x") {
		t.Error("no hit after the table was changed")
	}
}

// A route has one policy: a second table may have other routes, and is an error where it has one of the first.
func TestASecondTableHasOtherRoutes(t *testing.T) {
	r, sub := chi.NewRouter(), chi.NewRouter()
	r.Get("/a", numbered())
	r.With(chimiddleware.SetHeader("X-B", "b")).Get("/b/{id}", numbered())
	r.Get("/c", numbered())
	sub.Get("/x", numbered())
	r.Mount("/one", sub)
	r.Mount("/two", sub)
	c := newCache(t)
	if err := chicache.Annotate(c, r, cache.Routes{"GET /a": global, "GET /b/{id}": global, "GET /one/x": global}); err != nil {
		t.Fatal(err)
	}
	err := chicache.Annotate(newCache(t), r, cache.Routes{"GET /b/:id": global, "GET /c": global})
	if want := `chicache: route "GET /b/:id": an earlier call of Annotate has given it a policy; keep one of them`; fmt.Sprint(err) != want {
		t.Errorf("Annotate again: %v\nwant %s", err, want)
	}
	if hits(r, "/c") {
		t.Error("a faulty table has changed the router")
	}
	if err := chicache.Annotate(c, r, cache.Routes{"GET /c": global, "GET /two/x": global}); err != nil {
		t.Fatal(err)
	}
	if err := chicache.Annotate(c, r, cache.Routes{"GET /one/x": global}); err == nil {
		t.Error("a route of a router that is mounted twice has two policies")
	}
	for _, target := range []string{"/a", "/b/7", "/c", "/one/x", "/two/x"} {
		if again := get(r, "GET", target); !hits(r, target) || len(again.Header()["Cache-Status"]) != 1 {
			t.Errorf("%s is answered %q with %v; want a hit of one cache", target, again.Body, again.Header())
		}
	}
	other := chi.NewRouter()
	other.Get("/a", numbered())
	if err := chicache.Annotate(c, other, cache.Routes{"GET /a": global}); err != nil {
		t.Errorf("another router: %v", err)
	}
}

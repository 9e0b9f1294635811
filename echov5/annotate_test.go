package echocache_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/labstack/echo/v5"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echov5"
	"github.com/larder-go/cache/keying"
)

var global = cache.Policy{Class: cache.SharedGlobal}

// numbered answers with a number that no other answer has.
func numbered() echo.HandlerFunc {
	n := 0
	return func(ec *echo.Context) error {
		n++
		return ec.String(200, fmt.Sprint(n, " ", ec.Request().Method, " ", ec.Path()))
	}
}

// Tables are written as net/http or as echo writes patterns.
func TestPatternsFindTheirRoute(t *testing.T) {
	tests := []struct{ registered, annotated, target string }{
		{"/p/:id", "GET /p/{id}", "/p/7"},
		{"/p/:id", "GET /p/:id", "/p/7"},
		{"/p/:id", "/p/{id}", "/p/7"},
		{"/p/:id", "HEAD /p/{id}", "/p/7"},
		{"/files/*", "GET /files/{path...}", "/files/a/b"},
		{"/files/*", "GET /files/*", "/files/a/b"},
		{"/", "GET /{$}", "/"},
		{"/x", "GET  /x", "/x"},
	}
	for _, test := range tests {
		e := echo.New()
		e.GET(test.registered, numbered())
		e.GET("/other/:id", numbered())
		if err := echocache.Annotate(newCache(t, nil), e, cache.Routes{test.annotated: global}); err != nil {
			t.Errorf("%q for %q: %v", test.annotated, test.registered, err)
			continue
		}
		first, again := get(e, test.target).Body.String(), get(e, test.target).Body.String()
		if first != again || !strings.HasPrefix(first, "1 ") {
			t.Errorf("%q for %q: %q and then %q; want a hit", test.annotated, test.registered, first, again)
		}
		if a, b := get(e, "/other/7").Body.String(), get(e, "/other/7").Body.String(); a == b {
			t.Errorf("%q: another route is cached", test.annotated)
		}
	}
}

func TestFaultyTablesListEveryFault(t *testing.T) {
	e := echo.New()
	e.GET("/p/:id", numbered())
	e.POST("/p", numbered())
	routes := cache.Routes{
		"GET /p/{id}":  {Class: cache.SharedGlobal, Tags: []string{"p:{name}"}},
		"GET /p/:id":   {Class: cache.SharedGlobal, Tags: []string{"p:{name}"}},
		"GET /unknown": global,
		"POST /p":      global,
		"GET /p":       global,
		"nonsense":     global,
		"GET x.org/p":  global,
		"HEAD /p/{id}": {Class: cache.PerUser},
	}
	err := echocache.Annotate(newCache(t, nil), e, routes)
	if err == nil {
		t.Fatal("Annotate returns no error")
	}
	for pattern := range routes {
		if !strings.Contains(err.Error(), fmt.Sprintf("%q", pattern)) {
			t.Errorf("nothing is said of %q:\n%v", pattern, err)
		}
	}
	for line := range strings.Lines(err.Error()) {
		if !strings.ContainsAny(line, ";(,") {
			t.Errorf("no remedy in %q", line)
		}
	}
	if a, b := get(e, "/p/7").Body.String(), get(e, "/p/7").Body.String(); a == b {
		t.Error("a faulty table has changed the router")
	}
}

// Another method of a path is another handler, which the table does not speak of.
func TestOtherMethodsStayTheirOwn(t *testing.T) {
	e := echo.New()
	e.GET("/x", numbered())
	e.POST("/x", numbered())
	e.HEAD("/x", numbered())
	if err := echocache.Annotate(newCache(t, nil), e, cache.Routes{"GET /x": global}); err != nil {
		t.Fatal(err)
	}
	get(e, "/x")
	for range 2 {
		if got := do(e, "POST", "/x"); !strings.Contains(got.Body.String(), "POST") || got.Header().Get("Cache-Status") != "" {
			t.Errorf("POST is answered %q with %v", got.Body, got.Header())
		}
	}
	if got := get(e, "/x").Body.String(); got != "1 GET /x" {
		t.Errorf("GET is answered %q; want a hit", got)
	}
	if got := do(e, "HEAD", "/x"); got.Body.Len() != 0 || got.Header().Get("Content-Length") != "8" {
		t.Errorf("HEAD is answered %q with %v; want the hit's head", got.Body, got.Header())
	}
}

// Whether echo has a HEAD route does not depend on what is cached.
func TestHeadIsAnsweredWhereItHasARoute(t *testing.T) {
	e := echo.New()
	e.GET("/get", numbered())
	e.GET("/both", numbered())
	e.HEAD("/both", numbered())
	e.Any("/any", numbered())
	e.RouteNotFound("/get", func(ec *echo.Context) error { return ec.NoContent(404) })
	if err := echocache.Annotate(newCache(t, nil), e, cache.Routes{"/get": global, "/both": global, "/any": global}); err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]int{"/get": 404, "/both": 200, "/any": 200} {
		cold := do(e, "HEAD", target)
		get(e, target)
		warm := do(e, "HEAD", target)
		if cold.Code != want || warm.Code != want {
			t.Errorf("HEAD %s is answered %d, and %d when GET is cached; want %d", target, cold.Code, warm.Code, want)
		}
	}
}

// Hosts have an Echo each; in a table the host is told, for an Echo does not know it.
func TestHostsNeverShare(t *testing.T) {
	c := newCache(t, nil)
	hosts := map[string]*echo.Echo{}
	for _, host := range []string{"one.example", "two.example", "three.example"} {
		e := echo.New()
		e.GET("/x", func(n echo.HandlerFunc) echo.HandlerFunc {
			return func(ec *echo.Context) error { ec.Response().Header().Set("X-Host", host); return n(ec) }
		}(numbered()))
		hosts[host] = e
		if host == "three.example" {
			continue
		}
		for _, class := range []cache.Class{cache.FleetShared} {
			if err := echocache.Annotate(c, e, cache.Routes{"GET " + host + "/x": {Class: class}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	served := echo.NewVirtualHostHandler(hosts)
	served.GET("/x", numbered())
	for host, cached := range map[string]bool{"one.example": true, "two.example": true, "three.example": false, "example.com": false} {
		first, again := get(served, "http://"+host+"/x"), get(served, "http://"+host+"/x")
		if (first.Body.String() == again.Body.String()) != cached {
			t.Errorf("%s: %q and then %q; cached: want %t", host, first.Body, again.Body, cached)
		}
		if got := again.Header().Get("X-Host"); got != host && host != "example.com" {
			t.Errorf("%s has the answer of %s", host, got)
		}
	}
}

// A line with a host is for that host alone, also where the Echo serves others; a line without one is for the rest.
func TestALineWithAHostIsForThatHost(t *testing.T) {
	e := echo.New()
	e.GET("/one", numbered())
	e.GET("/both", numbered())
	routes := cache.Routes{
		"GET one.example/one":  global,
		"GET one.example/both": {Class: cache.SharedGlobal, Client: "max-age=1"},
		"GET /both":            {Class: cache.SharedGlobal, Client: "max-age=2"},
	}
	if err := echocache.Annotate(newCache(t, nil), e, routes); err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]string{
		"http://one.example/one": "cached ", "http://two.example/one": "",
		"http://one.example/both": "cached max-age=1", "http://two.example/both": "cached max-age=2",
	} {
		got := ""
		if first, again := get(e, target), get(e, target); first.Body.String() == again.Body.String() {
			got = "cached " + again.Header().Get("Cache-Control")
		}
		if got != want {
			t.Errorf("%s is %q; want %q", target, got, want)
		}
	}
}

// A router may answer HEAD by the routes of GET. Its answers are the same with and without a cache.
func TestHeadByTheRouteOfGet(t *testing.T) {
	for _, w := range wirings {
		for _, class := range []cache.Class{cache.SharedGlobal, cache.PerUser, cache.HotShared, cache.FleetShared} {
			build := func() *echo.Echo {
				return echo.NewWithConfig(echo.Config{Router: echo.NewRouter(echo.RouterConfig{AutoHandleHEAD: true})})
			}
			h := func(ec *echo.Context) error {
				if ec.Param("id") == "none" {
					return echo.ErrNotFound
				}
				return ec.String(200, strings.Repeat("x", 10_000))
			}
			bare := build()
			bare.GET("/p/:id", h)
			e, runs := build(), 0
			w.wire(t, e, newCache(t, everyone), cache.Policy{Class: class}, func(ec *echo.Context) error { runs++; return h(ec) })
			for i, method := range []string{"HEAD", "GET", "HEAD"} {
				for _, target := range []string{"/p/7", "/p/none"} {
					got, want := do(e, method, target), do(bare, method, target)
					if got.Code != want.Code || got.Body.String() != want.Body.String() || got.Result().ContentLength != want.Result().ContentLength {
						t.Errorf("%s/%s, %d: %s %s is %d with %d bytes, %d told; without a cache %d with %d, %d told", w.name, class, i, method, target,
							got.Code, got.Body.Len(), got.Result().ContentLength, want.Code, want.Body.Len(), want.Result().ContentLength)
					}
					if target == "/p/7" && i == 2 && !strings.Contains(got.Header().Get("Cache-Status"), "hit") {
						t.Errorf("%s/%s: HEAD after GET is no hit: %v", w.name, class, got.Header())
					}
				}
			}
		}
	}
}

// Echo puts a slash before a path that was registered without.
func TestPathsWithoutASlashAreFound(t *testing.T) {
	e := echo.New()
	e.GET("", numbered())
	e.GET("x", numbered())
	if err := echocache.Annotate(newCache(t, nil), e, cache.Routes{"/": global, "GET /x": global}); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/", "/x"} {
		if first, again := get(e, target).Body.String(), get(e, target).Body.String(); first != again {
			t.Errorf("%s: %q and then %q; want a hit", target, first, again)
		}
	}
}

// Authentication added with Use before Annotate runs outside of the cache, that of a group behind it.
func TestIdentityBehindTheCacheIsNotKnown(t *testing.T) {
	login := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(ec *echo.Context) error {
			r := ec.Request()
			ec.SetRequest(r.WithContext(cache.WithUser(r.Context(), r.Header.Get("X-Session"))))
			return next(ec)
		}
	}
	for _, outside := range []bool{true, false} {
		e := echo.New()
		if outside {
			e.Use(login)
			e.GET("/me", numbered())
		} else {
			e.GET("/me", numbered(), login)
		}
		p := cache.Policy{Class: cache.PerUser}
		if err := echocache.Annotate(newCache(t, keying.FromContext()), e, cache.Routes{"GET /me": p}); err != nil {
			t.Fatal(err)
		}
		first, again := get(e, "/me", "X-Session", "alice"), get(e, "/me", "X-Session", "alice")
		if cached := first.Body.String() == again.Body.String(); cached != outside {
			t.Errorf("authentication outside: %t; cached: %t", outside, cached)
		}
		if !outside && again.Header().Get("Cache-Control") != "private, no-store" {
			t.Errorf("without a known user the answer leaves with %v", again.Header())
		}
		if bob := get(e, "/me", "X-Session", "bob"); bob.Body.String() == again.Body.String() {
			t.Error("bob has alice's answer")
		}
	}
}

// An error names what echo has in the place of the route that was meant.
func TestAFaultyLineNamesWhatEchoHas(t *testing.T) {
	e := echo.New()
	e.Static("/static", ".")
	e.File("/icon.ico", "icon.ico")
	e.Any("/any/:id", numbered())
	e.POST("/orders", numbered())
	e.PUT("/orders", numbered())
	api := e.Group("/api/v1", func(next echo.HandlerFunc) echo.HandlerFunc { return next })
	api.GET("/users/:id", numbered())
	for pattern, want := range map[string]string{
		"GET /static/{path...}": `(it has "/static*" there)`,
		"GET /static/":          `(it has "/static*" there)`,
		"GET /static/app.css":   `(it has "/static*" there)`,
		"GET /any":              ``,
		"GET /any/{name}":       `(it has "/any/:id" there)`,
		"GET /orders":           `(it has POST, PUT there)`,
		"GET /users/{id}":       `(it has "/api/v1/users/:id")`,
		"GET /nothing":          ``,
	} {
		err := echocache.Annotate(newCache(t, nil), e, cache.Routes{pattern: global})
		if err == nil {
			t.Errorf("%q: no error", pattern)
			continue
		}
		if want != "" {
			want = " " + want
		}
		if want = fmt.Sprintf("echocache: route %q: echo has no such GET route%s; correct the pattern, or register it before Annotate", pattern, want); err.Error() != want {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
	for _, pattern := range []string{"GET /static*", "GET /icon.ico", "GET /any/{id}", "GET /api/v1/users/{id}", "GET shop.example/api/v1/users/{id}"} {
		if err := echocache.Annotate(newCache(t, nil), e, cache.Routes{pattern: global}); err != nil {
			t.Errorf("%q: %v", pattern, err)
		}
	}
}

// A route has one policy: a second table may have other routes, and is an error where it has one of the first.
func TestASecondTableHasOtherRoutes(t *testing.T) {
	e := echo.New()
	for _, path := range []string{"/a", "/b/:id", "/c"} {
		e.GET(path, numbered())
	}
	c := newCache(t, nil)
	if err := echocache.Annotate(c, e, cache.Routes{"GET /a": global, "GET /b/{id}": global}); err != nil {
		t.Fatal(err)
	}
	err := echocache.Annotate(newCache(t, nil), e, cache.Routes{"GET /b/:id": global, "GET /c": global})
	if want := `echocache: route "GET /b/:id": an earlier call of Annotate has given it a policy; keep one of them`; fmt.Sprint(err) != want {
		t.Errorf("Annotate again: %v\nwant %s", err, want)
	}
	if a, b := get(e, "/c").Body.String(), get(e, "/c").Body.String(); a == b {
		t.Error("a faulty table has changed the router")
	}
	if err := echocache.Annotate(c, e, cache.Routes{"GET /c": global}); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/a", "/b/7", "/c"} {
		if first, again := get(e, target), get(e, target); first.Body.String() != again.Body.String() || len(again.Header()["Cache-Status"]) != 1 {
			t.Errorf("%s is answered %q and then %q with %v; want a hit of one cache", target, first.Body, again.Body, again.Header())
		}
	}
	other := echo.New()
	other.GET("/a", numbered())
	if err := echocache.Annotate(c, other, cache.Routes{"GET /a": global}); err != nil {
		t.Errorf("another echo: %v", err)
	}
}

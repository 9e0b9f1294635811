package echocache_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echo"
	"github.com/larder-go/cache/keying"
)

var global = cache.Policy{Class: cache.SharedGlobal}

// numbered answers with a number that no other answer has.
func numbered() echo.HandlerFunc {
	n := 0
	return func(ec echo.Context) error {
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
	e.Host("one.example").GET("/both", numbered())
	e.Host("two.example").Match([]string{"GET", "HEAD"}, "/get", numbered())
	routes := cache.Routes{"/get": global, "/both": global, "/any": global, "one.example/both": global, "two.example/get": global}
	if err := echocache.Annotate(newCache(t, nil), e, routes); err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]int{
		"/get": 405, "/both": 200, "/any": 200, "http://one.example/both": 405, "http://two.example/get": 200,
	} {
		cold := do(e, "HEAD", target)
		get(e, target)
		warm := do(e, "HEAD", target)
		if cold.Code != want || warm.Code != want {
			t.Errorf("HEAD %s is answered %d, and %d when GET is cached; want %d", target, cold.Code, warm.Code, want)
		}
	}
}

// Hosts are routers of their own.
func TestHostsNeverShare(t *testing.T) {
	e := echo.New()
	e.GET("/x", numbered())
	e.Host("one.example").GET("/x", numbered())
	e.Host("two.example").GET("/x", numbered())
	if err := echocache.Annotate(newCache(t, nil), e, cache.Routes{"GET one.example/x": global}); err != nil {
		t.Fatal(err)
	}
	for host, cached := range map[string]bool{"one.example": true, "two.example": false, "example.com": false} {
		first, again := get(e, "http://"+host+"/x").Body.String(), get(e, "http://"+host+"/x").Body.String()
		if (first == again) != cached {
			t.Errorf("%s: %q and then %q; cached: want %t", host, first, again, cached)
		}
	}
}

// Authentication added with Use before Annotate runs outside of the cache, that of a group behind it.
func TestIdentityBehindTheCacheIsNotKnown(t *testing.T) {
	login := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(ec echo.Context) error {
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
	e.Host("shop.example").GET("/cart", numbered())
	for pattern, want := range map[string]string{
		"GET /static/{path...}":  `(it has "/static*" there)`,
		"GET /static/":           `(it has "/static*" there)`,
		"GET /static/app.css":    `(it has "/static*" there)`,
		"GET /any":               ``,
		"GET /any/{name}":        `(it has "/any/:id" there)`,
		"GET /orders":            `(it has POST, PUT there)`,
		"GET /users/{id}":        `(it has "/api/v1/users/:id")`,
		"GET /cart":              `(it has "shop.example/cart")`,
		"GET shop.example/carts": ``,
		"GET other.example/cart": `(it has no such host; it has "shop.example")`,
		"GET /nothing":           ``,
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
	for _, pattern := range []string{"GET /static*", "GET /icon.ico", "GET /any/{id}", "GET /api/v1/users/{id}", "GET shop.example/cart"} {
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

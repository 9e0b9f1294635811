package middleware_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echo"
	"github.com/larder-go/cache/keying"
)

// plainOf turns an http.Handler into a handler of the suite.
func plainOf(h http.Handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }

// innerRouters are handlers for /shops/{id}/items/{item} that call the item id.
var innerRouters = func() map[string]http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/shops/{shop}/items/{id}", ok)
	return map[string]http.Handler{
		"mux": mux,
		"values that are set": http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.SetPathValue("id", "99")
			ok(w, r)
		}),
		"a mux below a prefix": http.StripPrefix("/shops", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			short := http.NewServeMux()
			short.HandleFunc("/{shop}/items/{id}", ok)
			short.ServeHTTP(w, r)
		})),
	}
}

// The parameters in a tag are those of the route that has the policy, whatever routers are behind it.
func TestTagsTakeTheParametersOfTheCachedRoute(t *testing.T) {
	for name := range innerRouters() {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, s *site) {
				s.handle("GET /shops/{id}/items/{item}", cache.Policy{Tags: []string{"shop:{id}", "item:{id}-{item}"}}, plainOf(innerRouters()[name]))
				target := "/shops/1/items/99"
				s.missHit(target)
				s.purge(cache.Tag("shop:99"), cache.Tag("shop:"), cache.Tag("item:99-99"), cache.Tag("shop:{id}"))
				s.hit(target)
				for _, tag := range []string{"shop:1", "item:1-99"} {
					s.purge(cache.Tag(tag))
					s.missHit(target)
				}
			})
		})
	}
}

// A background refresh gives its response the same tags as the first request.
func TestRefreshedAnswersHaveTheParametersOfTheCachedRoute(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /shops/{id}/items/{item}", cache.Policy{TTL: time.Minute, StaleWhileRevalidate: time.Hour, Tags: []string{"shop:{id}"}}, plainOf(innerRouters()["mux"]))
		for _, from := range [][]option{{behindServer(s)}, nil} {
			target := "/shops/1/items/99"
			s.miss(target, from...)
			time.Sleep(2 * time.Minute)
			before := s.runs.Load()
			s.get(target, from...)
			synctest.Wait()
			if n := s.runs.Load() - before; n != 1 {
				t.Fatalf("%d runs refresh the answer; want 1", n)
			}
			s.hit(target, from...)
			s.purge(cache.Tag("shop:1"))
			s.missHit(target, from...)
			s.purge(cache.Everything())
		}
	})
}

// A parameter in a tag is the text from the path, unescaped once.
func TestTagsHaveParametersUnescapedOnce(t *testing.T) {
	for _, test := range []struct{ in, want, not string }{
		{"bob", "bob", "Bob"},
		{"bob%40x.org", "bob@x.org", "bob%40x.org"},
		{"bob@x.org", "bob@x.org", "bob%40x.org"},
		{"%2540", "%40", "@"},
		{"%2540%40", "%40@", "@@"},
		{"%2525%32%35", "%2525", "%25"},
		{"a%2Fb", "a/b", "a%2Fb"},
		{"a%252Fb", "a%2Fb", "a/b"},
		{"100%25", "100%", "100%25"},
		{"%40%25", "@%", "@%25"},
		{"%C3%BC", "ü", "%C3%BC"},
		{"ü", "ü", "%C3%BC"},
		{"a+b", "a+b", "a b"},
		{"{id}", "{id}", "id"},
		{"%7Bid%7D", "{id}", "%7Bid%7D"},
		{":id", ":id", "id"},
		{"%3Aid", ":id", "%3Aid"},
		{"*", "*", ""},
		{"%2A", "*", "%2A"},
	} {
		t.Run(strings.ReplaceAll(test.in, "/", "-"), func(t *testing.T) {
			run(t, func(t *testing.T, s *site) {
				s.handle("GET /u/{id}", cache.Policy{Tags: []string{"user:{id}"}}, plainOf(http.HandlerFunc(ok)))
				s.missHit("/u/" + test.in)
				s.purge(cache.Tag("user:" + test.not))
				s.hit("/u/" + test.in)
				s.purge(cache.Tag("user:" + test.want))
				s.missHit("/u/" + test.in)
				s.purge(cache.URL("/u/" + test.in))
				s.missHit("/u/" + test.in)
				s.purge(cache.Route("/u/{id}"))
				s.miss("/u/" + test.in)
			}, cache.SharedGlobal, cache.PerUser)
		})
	}
}

// The same holds for several parameters, if one of them looks like an escaped form of another part of the path.
func TestTagsTellParametersFromOtherPartsOfThePath(t *testing.T) {
	for target, tags := range map[string][2]string{
		"/u/%2540/x%40":                     {"%40", "x@"},
		"/u/x%40/%2540":                     {"x@", "%40"},
		"/u/bob%40x.org/bob%2540x.org":      {"bob@x.org", "bob%40x.org"},
		"/u/bob%2540x.org/bob%40x.org":      {"bob%40x.org", "bob@x.org"},
		"/u/%7Bb%7D/%7Ba%7D":                {"{b}", "{a}"},
		"/u/{b}/:a":                         {"{b}", ":a"},
		"/u/a%2F%2540/%2540?q=%40&x=a%252F": {"a/%40", "%40"},
	} {
		t.Run(url.PathEscape(target), func(t *testing.T) {
			run(t, func(t *testing.T, s *site) {
				s.handle("GET /u/{a}/{b}", cache.Policy{Tags: []string{"a:{a}", "b:{b}"}}, plainOf(http.HandlerFunc(ok)))
				s.missHit(target)
				for i, name := range []string{"a:", "b:"} {
					s.purge(cache.Tag(name+tags[1-i]), cache.Tag(name+url.PathEscape(tags[i])+"?"))
					s.hit(target)
					s.purge(cache.Tag(name + tags[i]))
					s.missHit(target)
				}
			}, cache.SharedGlobal)
		})
	}
}

// The rest of a path is a parameter, too.
func TestTagsTakeTheRestOfThePath(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		name := map[bool]string{true: "*", false: "path"}[strings.HasPrefix(s.router.name, "chi") || s.router.name == "echo"]
		s.handle("GET /files/{path...}", cache.Policy{Tags: []string{"file:{" + name + "}"}}, plainOf(http.HandlerFunc(ok)))
		target := "/files/a%20b/c%2540%2Fd@e"
		s.missHit(target)
		s.purge(cache.Tag("file:a%20b/c%2540%2Fd@e"), cache.Tag("file:a b/c@/d@e"))
		s.hit(target)
		s.purge(cache.Tag("file:a b/c%40/d@e"))
		s.miss(target)
	}, cache.SharedGlobal)
}

// A handler that rewrites the URL in place, as routers behind it need, does not change the URL that a purge names.
func TestURLsOfAnswersAreThoseOfTheRequest(t *testing.T) {
	for name, strip := range map[string]bool{"as asked": false, "below a prefix": true} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, s *site) {
				s.handle("GET /old/{id}", cache.Policy{Vary: []string{"Accept-Language"}}, func(w http.ResponseWriter, r *http.Request) error {
					r.URL.Path, r.URL.RawPath, r.URL.RawQuery, r.Host, r.RequestURI = "/new", "", "x=2", "other.test", "/new"
					ok(w, r)
					return nil
				})
				target := "/old/1?x=1"
				if strip {
					s.outer = append(s.outer, func(h http.Handler) http.Handler { return http.StripPrefix("/app", h) })
					target = "/app" + target
				}
				s.missHit(target)
				s.purge(cache.URL("/new"), cache.URL("/new?x=2"), cache.URL("http://other.test/old/1?x=1"))
				s.hit(target)
				for _, u := range []string{"/old/1?x=1", target, "http://example.com" + target} {
					s.purge(cache.URL(u))
					s.missHit(target)
				}
			})
		})
	}
}

// A mounted is a target, the tag that its answer has, and one that it has not.
type mounted struct{ target, tag, not string }

// belowMounts are a router that is not net/http's, and what its routes' answers are tagged with.
var belowMounts = func(func(tags ...string) func(http.Handler) http.Handler, http.HandlerFunc) (http.Handler, []mounted) {
	return http.NotFoundHandler(), nil
}

// If the policy is outside the router that knows the parameter, that router provides it. A parameter in a stripped prefix is not
// taken from another part of the path.
func TestTagsBelowMounts(t *testing.T) {
	c, err := cache.New(cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	runs := 0
	count := func(w http.ResponseWriter, r *http.Request) { runs++; ok(w, r) }
	cached := func(tags ...string) func(http.Handler) http.Handler {
		return c.Middleware(cache.Policy{Class: cache.SharedGlobal, Tags: tags})
	}
	inner := http.NewServeMux()
	inner.HandleFunc("GET /sub/{item}", count)
	router, more := belowMounts(cached, count)
	mux := http.NewServeMux()
	mux.Handle("/sub/", cached("item:{item}")(inner))
	mux.Handle("/api/{id}/", http.StripPrefix("/api", cached("api:{id}")(http.HandlerFunc(count))))
	mux.Handle("/nested/{id}/", cached("outer:{id}")(func() http.Handler {
		m := http.NewServeMux()
		m.Handle("/nested/{x}/{id}", cached("inner:{id}")(http.HandlerFunc(count)))
		return m
	}()))
	mux.Handle("/", router)
	for _, test := range append(more, []mounted{
		{"/sub/a%40b", "item:a@b", "item:a%40b"},
		{"/api/a%40%2540/", "api:a@%40", "api:a@@"},
		{"/nested/a%40/c%40", "outer:a@", "outer:c@"},
	}...) {
		want := func(n int, after string) {
			t.Helper()
			runs = 0
			mux.ServeHTTP(&reused{header: http.Header{}}, newRequest("GET", test.target))
			if runs != n {
				t.Errorf("GET %s after %s: %d runs; want %d", test.target, after, runs, n)
			}
		}
		want(1, "nothing")
		want(0, "one request")
		if err := c.Purge(t.Context(), cache.Tag(test.not)); err != nil {
			t.Fatal(err)
		}
		want(0, "a purge of "+test.not)
		if err := c.Purge(t.Context(), cache.Tag(test.tag)); err != nil {
			t.Fatal(err)
		}
		if test.tag == "outer:a@" {
			want(0, "a purge of the outer answer: the inner one stands")
			continue
		}
		want(1, "a purge of "+test.tag)
	}
}

// The same holds for what a successful unsafe request invalidates.
func TestStandardInvalidationIsOfTheURLThatWasAskedFor(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.outer = append(s.outer, func(h http.Handler) http.Handler { return http.StripPrefix("/app", h) })
		s.handle("/old/{id}", cache.Policy{RFC9111: true, TTL: time.Hour}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Cache-Control", "public")
			r.URL.Path, r.URL.RawQuery, r.Host, r.RequestURI = "/new", "x=2", "other.test", "/new"
			ok(w, r)
			return nil
		})
		s.missHit("/app/old/1?x=1")
		s.do("POST", "/app/old/1?x=1")
		s.missHit("/app/old/1?x=1")
	})
}

// A parameter that the route does not have is not filled from its wildcard: no purge could name such a tag.
func TestTagsTakeNoWildcardForAnotherParameter(t *testing.T) {
	c, err := cache.New(cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	e, runs := echo.New(), 0
	mw := func(tag string) echo.MiddlewareFunc {
		return echocache.Middleware(c, cache.Policy{Class: cache.SharedGlobal, Tags: []string{tag}})
	}
	h := func(ec echo.Context) error { runs++; return ec.String(http.StatusOK, "hello") }
	e.GET("/wrong/:id/*", h, mw("user:{user}"))
	e.GET("/right/:id/*", h, mw("user:{id}"))
	e.GET("/rest/:id/*", h, mw("file:{*}"))
	for target, want := range map[string]int{"/wrong/1/2": 3, "/right/1/2": 1, "/rest/1/2": 1} {
		runs = 0
		for range 3 {
			e.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil))
		}
		if runs != want {
			t.Errorf("%s: %d runs; want %d", target, runs, want)
		}
	}
}

type requestKey struct{}

// renewing is middleware that passes on a copy of the request, as middleware that changes the context does.
func renewing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, 1)))
	})
}

// subrouters are routers whose middleware runs before the whole pattern is known, or where echo's groups know it.
var subrouters = map[string]func(mw func(http.Handler) http.Handler, c *cache.Cache, p cache.Policy, h http.HandlerFunc) http.Handler{
	"a mux in a mux": func(mw func(http.Handler) http.Handler, _ *cache.Cache, _ cache.Policy, h http.HandlerFunc) http.Handler {
		inner, mux := http.NewServeMux(), http.NewServeMux()
		inner.Handle("GET /v2/a/{id}", h)
		inner.Handle("GET /v2/b", h)
		mux.Handle("/v2/", mw(inner))
		return mux
	},
	"around a mux": func(mw func(http.Handler) http.Handler, _ *cache.Cache, _ cache.Policy, h http.HandlerFunc) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("GET /v2/a/{id}", h)
		mux.Handle("GET /v2/b", h)
		return mw(mux)
	},
	"an echo group": func(_ func(http.Handler) http.Handler, c *cache.Cache, p cache.Policy, h http.HandlerFunc) http.Handler {
		e := echo.New()
		g := e.Group("/v2", echocache.Middleware(c, p))
		g.GET("/a/:id", echo.WrapHandler(h))
		g.GET("/b", echo.WrapHandler(h))
		return e
	},
}

// If the cache wraps a router, or a part of one, its responses have the labels of the whole pattern. Events have the pattern, too,
// also for hits.
func TestAnswersOfSubroutersHaveTheWholePattern(t *testing.T) {
	for name, build := range subrouters {
		for _, standard := range []bool{false, true} {
			t.Run(fmt.Sprint(name, standard), func(t *testing.T) {
				var routes []string
				c := newCache(t, cache.Options{Observe: func(ev cache.Event) {
					if ev.Outcome == cache.Hit || ev.Outcome == cache.Miss || ev.Outcome == cache.Validated {
						routes = append(routes, string(ev.Outcome)+" "+cut(ev.Route))
					}
				}})
				p := cache.Policy{Class: cache.SharedGlobal, TTL: time.Minute, RFC9111: standard}
				runs := 0
				app := build(c.Middleware(p), c, p, func(w http.ResponseWriter, _ *http.Request) {
					runs++
					_, _ = io.WriteString(w, "x")
				})
				get := func(target string) (ran bool) {
					before := runs
					app.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil))
					return runs > before
				}
				for _, target := range []string{"/v2/a/1", "/v2/b"} {
					if !get(target) || get(target) {
						t.Errorf("%s is not kept", target)
					}
				}
				want := "[miss /v2/a/{id} hit /v2/a/{id} miss /v2/b hit /v2/b]"
				if got := fmt.Sprint(routes); got != want {
					t.Errorf("events tell %s; want %s", got, want)
				}
				if err := c.Purge(t.Context(), cache.Route("GET /v2/a/{id}")); err != nil {
					t.Error(err)
				}
				if get("/v2/b") || !get("/v2/a/1") {
					t.Error("a purge of the one route does not meet just that")
				}
			})
		}
	}
}

// cut is the pattern as all routers could write it.
func cut(pattern string) string { return keying.NormalizePattern(pattern) }

// Tags have the path parameters that inner routers provide, unescaped.
func TestTagsHaveTheParametersOfSubrouters(t *testing.T) {
	for name, build := range subrouters {
		if name == "an echo group" { // is told them beforehand
			continue
		}
		t.Run(name, func(t *testing.T) {
			c := newCache(t, cache.Options{})
			p := cache.Policy{Class: cache.SharedGlobal, TTL: time.Minute, Tags: []string{"thing:{id}"}}
			runs := 0
			app := build(c.Middleware(p), c, p, func(w http.ResponseWriter, _ *http.Request) {
				runs++
				_, _ = io.WriteString(w, "x")
			})
			for _, target := range []string{"/v2/a/1", "/v2/a/a%2Fb", "/v2/a/1", "/v2/a/a%2Fb"} {
				app.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil))
			}
			if runs != 2 {
				t.Errorf("%d runs; want 2, and two hits", runs)
			}
			if err := c.Purge(t.Context(), cache.Tag("thing:a/b")); err != nil {
				t.Error(err)
			}
			for _, target := range []string{"/v2/a/1", "/v2/a/a%2Fb"} {
				app.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil))
			}
			if runs != 3 {
				t.Errorf("%d runs after a purge of one of two; want 3", runs)
			}
		})
	}
}

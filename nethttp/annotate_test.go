package nethttp_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/nethttp"
	"github.com/larder-go/cache/store/memstore"
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
func numbered() http.Handler {
	n := 0
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n++
		fmt.Fprint(w, n, " ", r.Pattern, " ", r.PathValue("id"))
	})
}

func get(h http.Handler, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

// Each line of a table means one route of the mux, and only that one is cached.
func TestPatternsFindTheirRoute(t *testing.T) {
	tests := []struct{ registered, annotated, target string }{
		{"GET /p/{id}", "GET /p/{id}", "/p/7"},
		{"/p/{id}", "GET /p/{id}", "/p/7"},
		{"/p/{id}", "/p/{id}", "/p/7"},
		{"GET /p/{id}", "HEAD /p/{id}", "/p/7"},
		{"GET /files/{path...}", "GET /files/{path...}", "/files/a/b"},
		{"GET /{$}", "GET /{$}", "/"},
		{"GET /dir/", "GET /dir/", "/dir/x"},
		{"GET example.com/x", "GET example.com/x", "/x"},
		{"GET  /x", "GET /x", "/x"},
	}
	for _, test := range tests {
		mux := http.NewServeMux()
		mux.Handle(test.registered, numbered())
		mux.Handle("GET /other/{id}", numbered())
		h, err := nethttp.Annotate(newCache(t), mux, cache.Routes{test.annotated: global})
		if err != nil {
			t.Errorf("%q for %q: %v", test.annotated, test.registered, err)
			continue
		}
		first, again := get(h, "GET", test.target).Body.String(), get(h, "GET", test.target).Body.String()
		if first != again || !strings.HasPrefix(first, "1 ") {
			t.Errorf("%q for %q: GET %s is answered %q and then %q; want a hit", test.annotated, test.registered, test.target, first, again)
		}
		if a, b := get(h, "GET", "/other/7").Body.String(), get(h, "GET", "/other/7").Body.String(); a == b {
			t.Errorf("%q: another route is cached", test.annotated)
		}
	}
}

// A route is found whatever narrower ones stand beside it, and however its path is escaped.
func TestNarrowerRoutesDoNotHideARoute(t *testing.T) {
	tests := []struct {
		annotated, target string
		beside            []string
	}{
		{"/", "/x", []string{"/{$}"}},
		{"/{$}", "/", []string{"/"}},
		{"GET /a/", "/a/x", []string{"GET /a/{$}"}},
		{"GET /a/", "/a/", []string{"GET /a/{b}/{c...}"}},
		{"GET /x/{a}/", "/x/1/2/3", []string{"GET /x/{a}/{b}"}},
		{"GET /files/{path...}", "/files/a/b", []string{"GET /files/{id}"}},
		{"GET /files/{path...}", "/files/a/b/c", []string{"GET /files/{id}", "GET /files/{id}/{part}"}},
		{"GET /{x}/b", "/c/b", []string{"GET /{x}/c"}},
		{"GET /b%2Fc/{id}", "/b%2Fc/7", []string{"GET /b/c/{id}"}},
		{"GET /café", "/caf%C3%A9", nil},
		{"GET /a%20b", "/a%20b", nil},
		{"GET /100%", "/100%25", nil},
	}
	for _, test := range tests {
		mux := http.NewServeMux()
		for _, pattern := range append(test.beside, test.annotated) {
			mux.Handle(pattern, numbered())
		}
		h, err := nethttp.Annotate(newCache(t), mux, cache.Routes{test.annotated: global})
		if err != nil {
			t.Errorf("%q beside %q: %v", test.annotated, test.beside, err)
			continue
		}
		if first, again := get(h, "GET", test.target), get(h, "GET", test.target); first.Body.String() != again.Body.String() {
			t.Errorf("%q beside %q: GET %s is answered %q and then %q; want a hit", test.annotated, test.beside, test.target, first.Body, again.Body)
		}
	}
}

// All faulty lines are told at once, each with its pattern and a remedy; there is no handler then.
func TestFaultyTablesListEveryFault(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /p/{id}", numbered())
	mux.Handle("POST /p", numbered())
	mux.Handle("/any", numbered())
	routes := cache.Routes{
		"GET /p/{id}":   {Class: cache.SharedGlobal, Tags: []string{"p:{name}"}},
		"GET /unknown":  global,
		"GET /p/{name}": global,
		"POST /p":       global,
		"GET /p":        global,
		"nonsense":      global,
		"GET /any":      global,
		"/any":          global,
		"GET x.org/any": global,
		"HEAD /p/{id}":  {Class: cache.HotShared},
	}
	h, err := nethttp.Annotate(newCache(t), mux, routes)
	if err == nil || h != nil {
		t.Fatalf("Annotate = %v, %v; want an error and no handler", h, err)
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
}

func TestMuxAndTableAreNotChanged(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /x", numbered())
	routes := cache.Routes{"GET /x": global}
	h, err := nethttp.Annotate(newCache(t), mux, routes)
	if err != nil {
		t.Fatal(err)
	}
	delete(routes, "GET /x")
	get(h, "GET", "/x")
	if got := get(h, "GET", "/x").Body.String(); !strings.HasPrefix(got, "1 ") {
		t.Errorf("after the table was changed the answer is %q; want a hit", got)
	}
	if got := get(mux, "GET", "/x"); !strings.HasPrefix(got.Body.String(), "2 ") || got.Header().Get("Cache-Status") != "" {
		t.Errorf("the mux itself answers %q with %v; want no cache", got.Body, got.Header())
	}
}

// What the mux answers itself it answers as ever.
func TestAnswersOfTheMuxStayItsOwn(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /dir/", numbered())
	mux.Handle("GET /x", numbered())
	h, err := nethttp.Annotate(newCache(t), mux, cache.Routes{"GET /dir/": global, "GET /x": global})
	if err != nil {
		t.Fatal(err)
	}
	for _, request := range [][2]string{{"GET", "/nothing"}, {"POST", "/x"}, {"GET", "/dir"}, {"GET", "/dir//x"}, {"GET", "/dir/../x"}} {
		for range 2 {
			got, want := get(h, request[0], request[1]), get(mux, request[0], request[1])
			if got.Code != want.Code || got.Header().Get("Location") != want.Header().Get("Location") || got.Header().Get("Allow") != want.Header().Get("Allow") {
				t.Errorf("%v: %d %v; the mux %d %v", request, got.Code, got.Header(), want.Code, want.Header())
			}
		}
	}
}

func TestHeadIsAnsweredFromGet(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /x", numbered())
	h, err := nethttp.Annotate(newCache(t), mux, cache.Routes{"GET /x": global})
	if err != nil {
		t.Fatal(err)
	}
	body := get(h, "GET", "/x").Body.String()
	if got := get(h, "HEAD", "/x"); got.Body.Len() != 0 || got.Header().Get("Content-Length") != fmt.Sprint(len(body)) {
		t.Errorf("HEAD: %q %v", got.Body, got.Header())
	}
}

// Outer middleware reads the pattern from the request, as a mux leaves it there.
func TestOuterMiddlewareSeesThePattern(t *testing.T) {
	mux := http.NewServeMux()
	mux.Handle("GET /p/{id}", numbered())
	mux.Handle("GET /dir/", numbered())
	h, err := nethttp.Annotate(newCache(t), mux, cache.Routes{"GET /p/{id}": global, "GET /dir/": global})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"/p/7", "/p/7", "/dir", "/dir/x", "/dir/x", "/nothing"} {
		got, want := httptest.NewRequest("GET", target, nil), httptest.NewRequest("GET", target, nil)
		h.ServeHTTP(httptest.NewRecorder(), got)
		mux.ServeHTTP(httptest.NewRecorder(), want)
		if got.Pattern != want.Pattern {
			t.Errorf("GET %s leaves the pattern %q; the mux %q", target, got.Pattern, want.Pattern)
		}
	}
}

// The mux redirects to the path that it has a route for, with the query that came: what a policy hides from a handler is none
// of it, and what the mux says is kept under no route.
func TestRedirectsOfTheMuxKeepTheQuery(t *testing.T) {
	policies := map[string]cache.Policy{
		"none of the query": {Class: cache.SharedGlobal, Query: keying.Only()},
		"some of it":        {Class: cache.SharedGlobal, Query: keying.Only("page")},
		"statuses":          {Class: cache.SharedGlobal, Query: keying.Only("page"), StatusTTL: map[int]time.Duration{301: time.Hour, 307: time.Hour, 308: time.Hour}},
		"standard":          {Class: cache.SharedGlobal, Query: keying.Only("page"), RFC9111: true, TTL: time.Hour},
	}
	for name, p := range policies {
		mux := http.NewServeMux()
		mux.Handle("GET /tree/", numbered())
		mux.Handle("GET /p/{id}", numbered())
		mux.Handle("GET /old", http.RedirectHandler("/new", http.StatusMovedPermanently))
		h, err := nethttp.Annotate(newCache(t), mux, cache.Routes{"GET /tree/": p, "GET /p/{id}": p, "GET /old": p})
		if err != nil {
			t.Fatal(err)
		}
		for _, method := range []string{"GET", "HEAD"} {
			for _, target := range []string{"/tree?token=abc", "/tree?token=def&page=2", "/tree//x?token=abc", "/tree/../p/7?token=abc", "/p//7?token=abc", "/tree?token=abc"} {
				got, want := get(h, method, target), get(mux, method, target)
				if got.Code != want.Code || got.Header().Get("Location") != want.Header().Get("Location") || got.Header().Get("Cache-Status") != "" {
					t.Errorf("%s: %s %s is answered %d %v; the mux says %d %v", name, method, target, got.Code, got.Header(), want.Code, want.Header())
				}
			}
		}
		get(h, "GET", "/tree/x?token=abc")
		if got := get(h, "GET", "/tree/x?token=def").Body.String(); !strings.HasPrefix(got, "1 ") {
			t.Errorf("%s: the route itself is answered %q; want a hit", name, got)
		}
		if got := get(h, "GET", "/old?token=abc"); got.Header().Get("Cache-Status") == "" {
			t.Errorf("%s: a redirect that the app has registered is not the route's: %v", name, got.Header())
		}
	}
}

// Functions of the policy find the path values, as they do where the cache is put around one handler.
func TestFunctionsFindThePathValues(t *testing.T) {
	by := func(r *http.Request) string { return r.PathValue("shop") }
	for name, p := range map[string]cache.Policy{
		"Skip": {Class: cache.SharedGlobal, Skip: func(r *http.Request) bool { return by(r) == "draft" }},
		"VaryBy": {Class: cache.SharedGlobal, VaryBy: func(r *http.Request) string {
			if by(r) == "draft" {
				panic("found")
			}
			return by(r)
		}},
		"User": {Class: cache.PerUser, User: func(r *http.Request) (string, bool) { return "alice", by(r) != "draft" }},
	} {
		for _, pattern := range []string{"GET /p/{shop}", "/p/{shop...}", "example.com/p/{shop}"} {
			far, err := cache.New(cache.Options{Far: memstore.New(memstore.Options{}), Observe: func(cache.Event) {}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = far.Close(context.Background()) })
			mux := http.NewServeMux()
			mux.Handle(pattern, numbered())
			h, err := nethttp.Annotate(far, mux, cache.Routes{pattern: p})
			if err != nil {
				t.Fatal(err)
			}
			for target, cached := range map[string]bool{"/p/7": true, "/p/draft": false} {
				first, again := get(h, "GET", target).Body.String(), get(h, "GET", target).Body.String()
				if (first == again) != cached {
					t.Errorf("%s, %s: %s is answered %q and then %q; cached: want %t", name, pattern, target, first, again, cached)
				}
			}
		}
	}
}

package middleware_test

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/keying"
)

// forwarding are headers that apps and frameworks are known to read without a cache knowing.
var forwarding = []string{
	"X-Forwarded-Host", "X-Forwarded-Scheme", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Server", "X-Forwarded-For",
	"X-Forwarded-Prefix", "X-Forwarded-Path", "X-Forwarded-Uri", "X-Forwarded-Ssl", "X-Forwarded", "Forwarded", "X-Host",
	"X-Original-Url", "X-Rewrite-Url", "X-Original-Host", "X-Original-Uri", "X-Http-Host-Override", "X-Url-Scheme", "X-Real-Ip",
	"X-Client-Ip", "True-Client-Ip", "Cf-Connecting-Ip", "X-Cluster-Client-Ip", "X-Remote-Addr", "X-Originating-Ip", "X-Wap-Profile",
	"X-Arbitrary", "Front-End-Https", "Origin", "Referer", "User-Agent", "Accept", "Accept-Language", "Accept-Encoding",
	"Accept-Charset", "X-Requested-With", "Via", "From", "Dnt", "Save-Data", "Sec-Ch-Ua", "Sec-Fetch-Mode", "X-Csrf-Token",
	"X-User", "X-User-Id", "X-Tenant", "X-Debug", "X-Backend-Host", "X-Proxy-Url", "Proxy", "Base-Url", "Request-Uri",
	"Max-Forwards", "Pragma", "Cache-Control", "X-Middleware-Subrequest", "Next-Url", "Rsc", "X-Nextjs-Data", "Content-Type",
}

// Visible ⇒ keyed: THREATS 1, 3.
func TestUnkeyedHeadersAreInvisible(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, s.mirror)
		for _, name := range forwarding {
			target := "/x?" + name
			first := s.miss(target, header(name, "evil.example"))
			again := s.hit(target, header(name, "another"))
			if strings.Contains(first.body+fmt.Sprint(first.header), "evil") || first.body != again.body {
				t.Errorf("%s is visible: %q", name, first.body)
			}
		}
		var all []option
		for _, name := range forwarding {
			all = append(all, header(name, "evil.example"))
		}
		for i := range 1000 {
			all = append(all, header(fmt.Sprint("X-Custom-", i), "evil.example"))
		}
		if got := s.miss("/x", all...); strings.Contains(got.body+fmt.Sprint(got.header), "evil") {
			t.Errorf("together they are visible: %q", clip(got.body))
		}
		s.hit("/x")
	}, shared...)
}

func TestTracingAndPassAreVisibleAndSelectNothing(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{Pass: []string{"x-experiment"}}, s.mirror)
		first := s.miss("/x", header("Traceparent", "00-aa"), header("X-Experiment", "green"))
		if !strings.Contains(first.body, "00-aa") || !strings.Contains(first.body, "green") {
			t.Errorf("the handler saw %q; want Traceparent and X-Experiment", first.body)
		}
		s.hit("/x", header("Traceparent", "00-bb"), header("X-Experiment", "blue"))
	})
}

// Requests that must never share an answer: THREATS 4, 7, 9, 10, 16, 25.
func TestDifferentRequestsNeverShare(t *testing.T) {
	tests := []struct {
		name    string
		targets []string
	}{
		{"query values", []string{"/?id=1", "/?id=2", "/?id=", "/?id", "/?", "/", "/?ID=1"}},
		{"order of values", []string{"/?a=1&a=2", "/?a=2&a=1", "/?a=1", "/?a=1,2", "/?a=1&a=2&a=2"}},
		{"order of names", []string{"/?a=1&b=2", "/?b=2&a=1"}},
		{"escapes in the query", []string{"/?a=%41", "/?a=A", "/?a=%2541", "/?a=b+c", "/?a=b%20c", "/?a%26b=1", "/?a&b=1"}},
		{"escapes in the path", []string{"/u/a%2Fb", "/u/a/b", "/u/a%252Fb", "/u/a%5Cb", "/u/%61/b", "/u/a%3Bb", "/u/a;b", "/u/a%2fb"}},
		{"case", []string{"/u/Case", "/u/case", "/u/CASE"}},
		{"trailing slash", []string{"/u/a", "/u/a/"}},
		{"scheme", []string{"http://example.com/u", "https://example.com/u"}},
		{"host", []string{"http://example.com/u", "http://example.org/u", "http://example.com:8080/u", "http://EXAMPLE.com/u"}},
	}
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /{rest...}", cache.Policy{}, s.mirror)
		for _, test := range tests {
			bodies := map[string]string{}
			for _, target := range test.targets {
				got := s.miss(target)
				if other, seen := bodies[got.body]; seen {
					t.Errorf("%s: %s is answered with the answer of %s", test.name, target, other)
				}
				bodies[got.body] = target
			}
			for _, target := range test.targets {
				if got := s.hit(target); bodies[got.body] != target {
					t.Errorf("%s: a hit on %s brings the answer of %s", test.name, target, bodies[got.body])
				}
			}
			s.purge(cache.Everything())
		}
	})
}

// All lines count, with their number: THREATS 24, 25.
func TestHeaderLinesAreFramed(t *testing.T) {
	variants := [][]string{nil, {""}, {"a"}, {"a", "b"}, {"b", "a"}, {"a, b"}, {"a,b"}, {"ab"}, {"a", ""}, {"", "a"}}
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{Vary: []string{"X-T", "X-U"}}, s.mirror)
		lines := func(values []string, name string) option {
			return func(r *http.Request) {
				if values != nil {
					r.Header[name] = values
				}
			}
		}
		for _, name := range []string{"X-T", "X-U"} {
			for i, values := range variants {
				if name == "X-U" && values == nil {
					continue // the same as no X-T
				}
				first := s.miss("/x", lines(values, name))
				if again := s.hit("/x", lines(values, name)); again.body != first.body {
					t.Errorf("%s %d: the hit is %q", name, i, again.body)
				}
			}
		}
	})
}

// What parsers read differently is neither looked up nor kept: THREATS 6.
func TestAmbiguousQueriesBypass(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, s.mirror)
		s.miss("/x?a=1")
		for _, query := range []string{"a=1;x=evil", "a=1&b=%zz", "a=%", "a=%0", "a=%00", ";"} {
			if got := s.neverKept("/x?" + query); !strings.Contains(got.body, query) {
				t.Errorf("the handler saw %q; want the query %q", got.body, query)
			}
		}
		s.hit("/x?a=1")
		s.missHit("/x?")
	})
}

func TestQueryRulesSelectAndHide(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /only", cache.Policy{Query: keying.Only("page", "sort")}, s.mirror)
		s.handle("GET /except", cache.Policy{Query: keying.Except("utm_*")}, s.mirror)
		first := s.miss("/only?page=1&utm_source=evil&sort=a")
		if s.class != cache.PerUser && strings.Contains(first.body, "evil") {
			t.Errorf("a parameter that does not select is visible: %q", first.body)
		}
		s.hit("/only?sort=a&page=1&x=2")
		s.miss("/only?page=2")
		s.miss("/only?page=2&page=1")
		s.miss("/only?page=1&page=2")
		first = s.miss("/except?a=1&utm_source=evil")
		if strings.Contains(first.body, "evil") {
			t.Errorf("a parameter that does not select is visible: %q", first.body)
		}
		s.hit("/except?utm_campaign=2&a=1")
		s.miss("/except?a=2")
	})
}

// A body, or a method that is not the one it seems: THREATS 18, 19, 150.
func TestOddRequestsBypass(t *testing.T) {
	fat := func(length int64) option {
		return func(r *http.Request) {
			r.Body, r.ContentLength = http.NoBody, length
			if length < 0 {
				r.TransferEncoding = []string{"chunked"}
			}
		}
	}
	tests := map[string]option{
		"a body":                 fat(10),
		"a chunked body":         fat(-1),
		"X-HTTP-Method-Override": header("X-HTTP-Method-Override", "DELETE"),
		"X-HTTP-Method":          header("X-HTTP-Method", "DELETE"),
		"X-Method-Override":      header("X-Method-Override", "DELETE"),
	}
	run(t, func(t *testing.T, s *site) {
		s.handle("/x", cache.Policy{}, s.mirror)
		for name, odd := range tests {
			target := "/x?" + strings.ReplaceAll(name, " ", "+")
			s.miss(target, odd)
			clean := s.missHit(target)
			if got := s.miss(target, odd); got.body == clean.body {
				t.Errorf("a request with %s is answered from the cache", name)
			}
		}
		s.do("POST", "/x", header("X-HTTP-Method-Override", "GET"), header("X-Evil", "evil"))
		if got := s.miss("/x"); strings.Contains(got.body, "evil") || strings.Contains(got.body, "POST") {
			t.Errorf("after an overridden POST, GET is answered %q", got.body)
		}
	})
}

// The cached answer is the one without a cache: THREATS 13.
func TestEncodedSeparatorsReachTheHandlerAsTheyAre(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		what := func(w http.ResponseWriter, r *http.Request) error {
			path := strings.TrimPrefix(r.URL.EscapedPath(), "/cached")
			rest := r.PathValue("rest") + r.PathValue("*")
			_, err := fmt.Fprintf(w, "%s %s", strings.TrimPrefix(path, "/plain"), rest)
			return err
		}
		s.handle("GET /cached/{rest...}", cache.Policy{}, what)
		s.handlePlain("GET /plain/{rest...}", what)
		for _, rest := range []string{"/admin%2Fx", "/admin%5Cx", "/admin%252Fx", "/a/b", "/a%2F..%2Fb", "/a;b", "/%61", "/a%3Fb", "/a%00b", "/a%0Ab"} {
			plain := s.get("/plain" + rest)
			wantBody(t, s.missHit("/cached"+rest), plain.body)
		}
	})
}

// A stripped prefix is part of the key: THREATS 21.
func TestMountPointsNeverShare(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /{rest...}", cache.Policy{}, s.mirror)
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			mux := http.NewServeMux()
			for _, prefix := range []string{"/a", "/ab", "/a/b"} {
				mux.Handle(prefix+"/", http.StripPrefix(prefix, next))
			}
			return mux
		})
		for _, target := range []string{"/a/bc", "/ab/c", "/a/b/c", "/ab/bc", "/a/b/bc"} {
			s.miss(target)
		}
		for _, target := range []string{"/a/bc", "/ab/c", "/a/b/c"} {
			s.hit(target)
		}
	})
}

// What cannot be keyed never shares a flight: THREATS 22.
func TestUnkeyableRequestsNeverWaitForEachOther(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		var both sync.WaitGroup
		both.Add(2)
		s.handle("GET /{rest...}", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			both.Done()
			both.Wait()
			return s.mirror(w, r)
		})
		for _, path := range []string{"/a", "/b"} {
			go func() {
				if got := s.get(path + "?x=%00"); !strings.Contains(got.body, " "+path+" ") {
					t.Errorf("GET %s is answered %q", path, got.body)
				}
			}()
		}
		synctest.Wait()
		if n := s.runs.Load(); n != 2 {
			t.Errorf("the handler ran %d times; want 2", n)
		}
	})
}

// THREATS 27.
func TestRequestIsNeverChanged(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x/{id}", cache.Policy{Query: keying.Only("a"), Vary: []string{"Accept"}, Cookies: []string{"theme"}}, s.mirror)
		for range 2 {
			r := newRequest("GET", "/x/7?b=2&a=1", header("Accept", "b"), header("Accept", "a"), cookie("theme=dark"), header("If-None-Match", `"x"`))
			r.URL.RawFragment = ""
			query, headers, u, uri, remote, host := r.URL.RawQuery, r.Header.Clone(), *r.URL, r.RequestURI, r.RemoteAddr, r.Host
			s.send(r)
			if r.URL.RawQuery != query || !reflect.DeepEqual(r.Header, headers) || *r.URL != u || r.RequestURI != uri || r.RemoteAddr != remote || r.Host != host {
				t.Errorf("the request was changed: %+v", r)
			}
		}
	})
}

// Each limit of a key holds to the byte: THREATS 84.
func TestLimitsOfAKey(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{Vary: []string{"X-T"}, Cookies: []string{"theme"}}, text("x"))
		params := func(n int) string { return "/x?a" + strings.Repeat("&a", n-1) }
		s.missHit(params(keys.MaxParams))
		s.neverKept(params(keys.MaxParams + 1))
		long := func(n int) []option { return []option{header("X-T", strings.Repeat("a", n))} }
		wantLimit(s, "a header", func(n int) (string, []option) { return "/x", long(n) })
		wantLimit(s, "a query", func(n int) (string, []option) { return "/x?" + strings.Repeat("a", n), nil })
		wantLimit(s, "a cookie", func(n int) (string, []option) { return "/x", []option{cookie("theme=" + strings.Repeat("a", n))} })
	})
}

// wantLimit finds the longest request that is kept: it must be near keys.MaxInput, and one byte more is never kept.
func wantLimit(s *site, what string, request func(n int) (string, []option)) {
	s.t.Helper()
	kept := func(n int) bool {
		target, options := request(n)
		s.get(target, options...)
		before := s.runs.Load()
		s.get(target, options...)
		return s.runs.Load() == before
	}
	low, high := 1, keys.MaxInput+1
	for low+1 < high {
		if middle := (low + high) / 2; kept(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	if low < keys.MaxInput-512 || low >= keys.MaxInput || !kept(low) || kept(low+1) {
		s.t.Errorf("the longest request that is kept for %s has %d bytes; want just under %d", what, low, keys.MaxInput)
	}
}

func TestCookiesSelectAndTheOthersAreInvisible(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{Cookies: []string{"theme"}}, s.mirror)
		dark := s.miss("/x", cookie("theme=dark; track=evil"))
		if !strings.Contains(dark.body, "theme=dark") || s.class != cache.PerUser && strings.Contains(dark.body, "evil") {
			t.Errorf("the handler saw %q; want the cookie theme and no other", dark.body)
		}
		light := s.miss("/x", cookie("theme=light"))
		wantBody(t, s.hit("/x", cookie("track=2; theme=dark")), dark.body)
		wantBody(t, s.hit("/x", cookie("theme=light")), light.body)
		s.miss("/x", cookie("theme=light; theme=dark"))
		s.miss("/x", cookie("theme=dark; theme=light"))
		s.miss("/x")
	})
}

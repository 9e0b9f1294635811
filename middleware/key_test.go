package middleware_test

import (
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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

// A header that is not in the key is invisible to the handler.
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

// Requests that must never share a response.
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

// The key has all lines of a header, and their number.
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

// A query that parsers read differently is neither looked up nor stored.
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

// A request with a body, or with a method that is not what it seems, bypasses the cache.
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

// A path with encoded separators reaches the handler as it does without a cache.
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

// A stripped prefix is part of the key.
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

// Requests without a key never share a flight.
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

// The cache changes neither the request nor its URL and header.
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

// Each limit of a key is exact to the byte.
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

// wantLimit finds the longest request whose response is stored: it must be near keys.MaxInput, and one byte more is never stored.
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

// There is one warning for each hidden header that a shared response varies by, whoever set Vary, and whether or not the request
// had the header. The warning names the route, the header and what to set.
func TestAnswersThatVaryByAHiddenHeaderAreWarnedOf(t *testing.T) {
	for field, remedy := range map[string]string{
		"HX-Request": "vary=Hx-Request", "Accept": "vary=Accept", "User-Agent": "vary=User-Agent", "accept-language": "vary=Accept-Language",
		"X-Forwarded-Proto": "TrustProxy", "X-Forwarded-Host": "TrustProxy", "X-Forwarded-For": "vary=X-Forwarded-For", "Authorization": "per-user",
	} {
		for who, inside := range map[string]bool{"the handler": true, "outer middleware": false} {
			t.Run(field+" by "+who, func(t *testing.T) {
				run(t, func(t *testing.T, s *site) {
					h := text("x")
					if inside {
						if h = setting("Vary: " + field); s.class != cache.PerUser {
							h = setting("Vary: Accept-Encoding, " + field)
						}
					} else {
						s.outer = append(s.outer, outerHeader("Vary", field))
					}
					s.handle("GET /x/{id}", cache.Policy{}, h)
					s.get("/x/1", header(field, "1"))
					s.get("/x/2")
					got := s.warnings("hidden-header")
					if field == "Authorization" && s.class == cache.PerUser {
						if len(got) != 0 {
							t.Errorf("warnings: %q; want none, for it tells the user", got)
						}
						return
					}
					if len(got) != 1 || !strings.Contains(got[0], http.CanonicalHeaderKey(field)) || !strings.Contains(got[0], remedy) || !strings.Contains(got[0], "/x/") {
						t.Errorf("warnings: %q; want one that names %s, %s and the route", got, field, remedy)
					}
				})
			})
		}
	}
}

// There is no warning for headers that select, for the Vary of compressors and CORS outside, and for what standard routes handle
// by themselves.
func TestAnswersThatVaryByWhatSelectsAreNotWarnedOf(t *testing.T) {
	for name, outer := range map[string]string{"nothing": "", "a compressor": "Accept-Encoding", "CORS": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"} {
		for _, standard := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				run(t, func(t *testing.T, s *site) {
					s.outer = append(s.outer, outerHeader("Vary", outer))
					fields := "Vary: Accept-Language, Accept-Encoding"
					switch {
					case standard:
						fields = "Vary: Accept, HX-Request, User-Agent"
					case s.class == cache.PerUser: // whose handler sees what the client accepts
						fields = "Vary: Accept-Language"
					}
					s.handle("GET /x", cache.Policy{Vary: []string{"Accept-Language"}, RFC9111: standard}, public(setting(fields)))
					s.get("/x")
					if got := s.count(cache.Warning, "hidden-header"); got != 0 {
						t.Errorf("%d warnings", got)
					}
				})
			})
		}
	}
}

// Standard routes hide headers that name another URL from shared handlers. A response that varies by one is a warning, too.
func TestStandardAnswersThatVaryByAHiddenHeaderAreWarnedOf(t *testing.T) {
	for _, trust := range []bool{false, true} {
		run(t, func(t *testing.T, s *site) {
			s.options.TrustProxy = trust
			s.handle("GET /x", cache.Policy{RFC9111: true}, public(setting("Vary: X-Forwarded-Proto, Accept")))
			s.get("/x")
			want := 0
			if !trust && s.class != cache.PerUser {
				want = 1
			}
			if got := s.warnings("hidden-header"); len(got) != want {
				t.Errorf("warnings: %q; want %d", got, want)
			}
		})
	}
}

// There is a warning if the Accept headers, which are not in the key, decide a per-user response: the handler refuses a type,
// compresses, or responds differently to the same request later.
func TestPerUserRoutesThatNegotiateAreWarnedOf(t *testing.T) {
	byLanguage := func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Content-Language", r.Header.Get("Accept-Language"))
		_, err := io.WriteString(w, "x")
		return err
	}
	byType := func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Content-Type", r.Header.Get("Accept")+"; charset=utf-8")
		_, err := io.WriteString(w, "x")
		return err
	}
	changing := func(name, first, then string) handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set(name, map[bool]string{true: then, false: first}[r.Header.Get("X-Again") != ""])
			_, err := io.WriteString(w, "x")
			return err
		}
	}
	again := func(s *site, name, one, two string) {
		s.get("/x", header(name, one))
		time.Sleep(61 * time.Second)
		s.get("/x", header(name, two), header("X-Again", "1"))
	}
	for name, tt := range map[string]struct {
		serve  handler
		ask    func(s *site)
		policy cache.Policy
		want   string
	}{
		"406":              {func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(406); return nil }, func(s *site) { s.get("/x", header("Accept", "a/b")) }, cache.Policy{}, "vary=Accept "},
		"compressed":       {setting("Content-Encoding: gzip"), func(s *site) { s.get("/x", header("Accept-Encoding", "gzip")) }, cache.Policy{}, "vary=Accept-Encoding "},
		"another language": {byLanguage, func(s *site) { again(s, "Accept-Language", "de", "en") }, cache.Policy{}, "vary=Accept-Language "},
		"another type":     {byType, func(s *site) { again(s, "Accept", "text/html", "application/json") }, cache.Policy{}, "vary=Accept "},
		"the same type":    {byType, func(s *site) { again(s, "Accept", "text/html", "text/html") }, cache.Policy{}, ""},
		"a type that is as welcome": {changing("Content-Type", "image/png", "image/jpeg"), func(s *site) {
			again(s, "Accept", "image/avif,image/webp,image/*,*/*;q=0.8", "image/avif,image/webp,image/*,*/*;q=0.8")
		},
			cache.Policy{}, ""},
		"a type for anybody": {byType, func(s *site) { again(s, "Accept", "text/html", "*/*") }, cache.Policy{}, ""},
		"a language that the user has set": {changing("Content-Language", "de", "en"), func(s *site) { again(s, "Accept-Language", "de-DE,de;q=0.9", "de-DE,de;q=0.9") },
			cache.Policy{}, ""},
		"a language of a browser": {changing("Content-Language", "en", "de"), func(s *site) { again(s, "Accept-Language", "en-GB,en;q=0.9", "de-DE,de;q=0.9,en;q=0.8") },
			cache.Policy{}, "vary=Accept-Language "},
		"it selects": {byType, func(s *site) { again(s, "Accept", "text/html", "application/json") }, cache.Policy{Vary: []string{"Accept"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, s *site) {
				tt.policy.StaleIfError = time.Hour
				s.handle("GET /x", tt.policy, tt.serve)
				tt.ask(s)
				got := s.warnings("negotiated")
				if tt.want == "" && len(got) != 0 || tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
					t.Errorf("warnings: %q; want one with %q", got, tt.want)
				}
			}, perUser...)
		})
	}
}

// A client that makes up variants of a URL prevents no other variant from being stored, of that URL or another, in memory or in
// Redis, and fills neither: the least used variant is removed, also from the store.
func TestMadeUpVariantsKeepNobodyOut(t *testing.T) {
	policies := map[string]cache.Policy{
		"/header": {Vary: []string{"Accept-Language"}}, "/cookie": {Cookies: []string{"theme"}}, "/standard": {RFC9111: true},
	}
	run(t, func(t *testing.T, s *site) {
		for path, p := range policies {
			s.handle("GET "+path, p, func(w http.ResponseWriter, r *http.Request) error {
				if path != "/cookie" {
					w.Header().Set("Vary", "Accept-Language")
				}
				w.Header().Set("Cache-Control", "max-age=1000")
				_, err := fmt.Fprint(w, r.Header.Get("Accept-Language"), r.Header["Cookie"])
				return err
			})
		}
		variant := func(path string, name any) option {
			if path == "/cookie" {
				return cookie(fmt.Sprint("theme=", name))
			}
			return header("Accept-Language", fmt.Sprint(name))
		}
		for path := range policies {
			s.miss(path, variant(path, "en"))
			for n := range 100 {
				s.miss(path, variant(path, n))
				s.hit(path, variant(path, "en"))
			}
			s.missHit(path, variant(path, "fr"))
		}
		if n := s.far.Len(); n > 3*33 {
			t.Errorf("%d entries lie in the store; want 32 of each URL, and what leads there", n)
		}
	})
}

package middleware_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
)

// varies are the names in the answer's Vary, sorted, as they are spelt.
func varies(h http.Header) string {
	var names []string
	for _, line := range h["Vary"] {
		for name := range strings.SplitSeq(line, ",") {
			names = append(names, strings.TrimSpace(name))
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// adding is outer middleware that adds the fields before the handler runs, and others when the head is written, as
// compressors do.
func adding(before, late http.Header) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for name, values := range before {
				w.Header()[name] = append(w.Header()[name], values...)
			}
			next.ServeHTTP(&addingLate{ResponseWriter: w, late: late}, r)
		})
	}
}

type addingLate struct {
	http.ResponseWriter
	late http.Header
	done bool
}

func (w *addingLate) WriteHeader(status int) {
	if !w.done && status >= 200 {
		w.done = true
		for name, values := range w.late {
			for _, value := range values {
				w.Header().Add(name, value)
			}
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *addingLate) Write(p []byte) (int, error) {
	if !w.done {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

func (w *addingLate) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Vary names what the policy selects by, once, besides what the handler and outer middleware say, on every response that a cache
// in front may store.
func TestWhatSelectsIsSaid(t *testing.T) {
	policy := cache.Policy{Vary: []string{"Accept-Language", "X-Device"}, Cookies: []string{"theme"}, StatusTTL: map[int]time.Duration{404: time.Minute, 301: time.Minute}}
	const ours = "Accept-Language Cookie X-Device"
	for _, test := range []struct {
		name    string
		handler handler
		outer   http.Header
		late    http.Header
		vary    string
	}{
		{name: "silent", handler: text("hello"), vary: ours},
		{name: "some of it", handler: setting("Vary: accept-language"), vary: "Cookie X-Device accept-language"},
		{name: "all of it", handler: setting("Vary: X-Device, Accept-Language,Cookie"), vary: ours},
		{name: "on two lines", handler: setting("Vary: X-Device", "Vary: Cookie, Accept-Encoding"), vary: "Accept-Encoding " + ours},
		{name: "misspelt by the handler", handler: setting("vary: Cookie"), vary: ours},
		{name: "all", handler: setting("Vary: *"), vary: "*"},
		{name: "outer", handler: text("hello"), outer: http.Header{"Vary": {"Origin"}}, vary: "Accept-Language Cookie Origin X-Device"},
		{name: "outer, of ours", handler: text("hello"), outer: http.Header{"Vary": {"x-device, Origin"}}, vary: "Accept-Language Cookie Origin x-device"},
		{name: "outer and the handler's", handler: func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Add("Vary", "Cookie")
			return text("hello")(w, r)
		}, outer: http.Header{"Vary": {"Origin"}}, vary: "Accept-Language Cookie Origin X-Device"},
		{name: "a compressor's", handler: text("hello"), late: http.Header{"Vary": {"Accept-Encoding"}}, vary: "Accept-Encoding " + ours},
		{name: "404", handler: answering(404, "no"), vary: ours},
		{name: "301", handler: answering(301, "there", "Location: /x"), vary: ours},
		{name: "500", handler: answering(500, "no"), vary: ours},
		{name: "204", handler: answering(204, ""), vary: ours},
		{name: "never written to", handler: func(http.ResponseWriter, *http.Request) error { return nil }, vary: ours},
		{name: "with a cookie", handler: setting("Set-Cookie: a=b"), vary: ours},
		{name: "flushed", handler: func(w http.ResponseWriter, r *http.Request) error {
			_ = http.NewResponseController(w).Flush()
			return text("hello")(w, r)
		}, vary: ours},
		{name: "unwrapped", handler: func(w http.ResponseWriter, r *http.Request) error {
			return text("hello")(w.(interface{ Unwrap() http.ResponseWriter }).Unwrap(), r)
		}, vary: ours},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "-"), func(t *testing.T) {
			run(t, func(t *testing.T, s *site) {
				s.handle("/x/{id}", policy, test.handler)
				s.outer = append(s.outer, adding(test.outer, test.late))
				for _, ask := range []struct {
					method  string
					options []option
				}{
					{"HEAD", nil}, {"GET", []option{header("Range", "bytes=0-1")}}, {"GET", nil}, {"GET", nil}, {"GET", nil}, {"HEAD", nil},
					{"GET", []option{header("Range", "bytes=0-1")}}, {"GET", []option{header("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"), header("If-None-Match", "*")}},
					{"GET", []option{header("Authorization", "x")}}, {"POST", nil}, {"GET", []option{as("")}},
					{"GET", []option{header("Connection", "Upgrade"), header("Upgrade", "h2c")}}, {"GET", []option{header("X-Http-Method-Override", "GET")}},
				} {
					got := s.do(ask.method, "/x/1", ask.options...)
					if names := varies(got.header); !strings.EqualFold(names, test.vary) && names != test.vary {
						t.Errorf("%s %v: %d varies by %q; want %q", ask.method, newRequest("GET", "/", ask.options...).Header, got.status, got.header["Vary"], test.vary)
					}
				}
			})
		})
	}
}

// A policy that selects by nothing adds no Vary, and the Vary that outer middleware sets for one response is in no other.
func TestNothingIsSaidOfWhatDoesNotSelect(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /plain", cache.Policy{Pass: []string{"User-Agent"}}, text("hello"))
		s.handle("GET /x", cache.Policy{Vary: []string{"Accept-Language"}}, text("hello"))
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Origin") != "" {
					w.Header().Add("Vary", "Origin, accept-language")
				}
				next.ServeHTTP(w, r)
			})
		})
		for range 2 {
			wantHeader(t, s.get("/plain"), "Vary")
			wantHeader(t, s.get("/x", header("Origin", "a")), "Vary", "Origin, accept-language")
			wantHeader(t, s.get("/x"), "Vary", "Accept-Language")
		}
	})
}

// A standard route adds it to Vary, too, and still selects by the Vary of its responses.
func TestStandardSaysWhatSelects(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		p := cache.Policy{RFC9111: true, TTL: time.Minute, Vary: []string{"X-Device"}, Cookies: []string{"theme"}}
		s.handle("GET /own", p, func(w http.ResponseWriter, r *http.Request) error {
			return setting("Vary: Accept-Language", `Etag: "`+r.Header.Get("Accept-Language")+`"`, "Cache-Control: max-age=60")(w, r)
		})
		s.handle("GET /silent", p, setting("Cache-Control: public, max-age=60"))
		for range 2 {
			s.missHit("/own", header("Accept-Language", "de"))
			first := s.get("/own", header("Accept-Language", "de"), cookie("other=1"))
			second := s.get("/own", header("Accept-Language", "en"), cookie("other=2"))
			if varies(first.header) != "Accept-Language Cookie X-Device" || varies(second.header) != varies(first.header) || first.body == second.body {
				t.Errorf("%q varies by %q, %q by %q", first.body, first.header["Vary"], second.body, second.header["Vary"])
			}
			s.hit("/own", header("Accept-Language", "en"), cookie("other=3"))
			s.missHit("/silent")
			s.hit("/silent", cookie("other=4"))
			if got := s.get("/silent"); varies(got.header) != "Cookie X-Device" {
				t.Errorf("the silent answer varies by %q", got.header["Vary"])
			}
			s.miss("/silent", cookie("theme=dark"))
			s.miss("/silent", header("X-Device", "tv"))
			time.Sleep(2 * time.Minute)
			s.purge(cache.Everything())
		}
	})
}

// Waiters get the same Vary.
func TestWhatSelectsIsSaidToWaiters(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		release := make(chan struct{})
		s.handle("GET /x", cache.Policy{Vary: []string{"Accept-Language"}, Client: "max-age=5"}, func(w http.ResponseWriter, r *http.Request) error {
			<-release
			return text("hello")(w, r)
		})
		s.start()
		replies := make(chan reply, 5)
		for range cap(replies) {
			go func() { replies <- s.get("/x") }()
		}
		synctest.Wait()
		close(release)
		for range cap(replies) {
			got := <-replies
			wantHeader(t, got, "Vary", "Accept-Language")
			if control := got.header.Get("Cache-Control"); !strings.HasSuffix(control, "max-age=5") {
				t.Errorf("Cache-Control is %q", control)
			}
		}
	})
}

// What the policy adds to Vary allocates nothing on a hit, whatever Vary the handler sets.
func TestHitsWithTheirOwnVaryAllocateNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for _, own := range [][]string{nil, {"Accept-Encoding"}, {"Accept-Language"}, {"accept-language, Cookie"}} {
		for _, standard := range []bool{false, true} {
			p := cache.Policy{Class: cache.SharedGlobal, TTL: time.Minute, Vary: []string{"Accept-Language"}, Cookies: []string{"theme"}, Client: "max-age=60", RFC9111: standard}
			serve, w := nearHit(t, direct, p, own...)
			if n := testing.AllocsPerRun(200, serve); n != 0 {
				t.Errorf("Vary %q, standard %t: a hit allocates %v times; want none", own, standard, n)
			}
			if !strings.Contains(strings.ToLower(strings.Join(w.header["Vary"], ",")), "cookie") || w.header.Get("Cache-Control") != "max-age=60" {
				t.Errorf("Vary %q: the header is %v", own, w.header)
			}
		}
	}
}

// When outer middleware appends to Vary, the stored response does not change.
func TestOuterMiddlewareThatAddsToVaryChangesNoOtherAnswer(t *testing.T) {
	c, err := cache.New(cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	h := c.Middleware(cache.Policy{Class: cache.SharedGlobal, Vary: []string{"X-B", "X-A", "X-C"}})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Vary"] = []string{"X-A", "Accept-Encoding"}
		_, _ = io.WriteString(w, "hello")
	}))
	for i, add := range []string{"", "One", "Two", ""} {
		var late http.Header
		if add != "" {
			late = http.Header{"Vary": {add}}
		}
		w := httptest.NewRecorder()
		adding(nil, late)(h).ServeHTTP(w, newRequest("GET", "/x"))
		if got, want := varies(w.Header()), strings.TrimPrefix("Accept-Encoding "+add+" X-A X-B X-C", " "); got != strings.ReplaceAll(want, "  ", " ") {
			t.Errorf("answer %d varies by %q; want %q", i, got, want)
		}
	}
}

// For stored responses the policy's Cache-Control replaces the handler's, unless the handler's forbids more.
func TestClientsAreSentThePolicysCacheControl(t *testing.T) {
	cdn := func(fields ...string) handler { return setting(append(fields, "CDN-Cache-Control: max-age=3600")...) }
	for _, test := range []struct {
		name     string
		client   string
		status   map[int]time.Duration
		handler  handler
		want     string // on shared classes
		personal string // per user
		kept     bool
	}{
		{"silent", "no-cache", nil, text("hello"), "no-cache", "private, no-cache", true},
		{"for a minute", "max-age=60, must-revalidate", nil, text("hello"), "max-age=60, must-revalidate", "private, max-age=60, must-revalidate", true},
		{"the handler's own", "max-age=60", nil, setting("Cache-Control: public, max-age=300", "Age: 5"), "max-age=60", "private, max-age=60", true},
		{"private", "private, max-age=60", nil, text("hello"), "private, max-age=60", "private, max-age=60", true},
		{"kept 404", "max-age=60", map[int]time.Duration{404: time.Hour}, answering(404, "no"), "max-age=60", "private, max-age=60", true},
		{"404 that is not kept", "max-age=60", nil, answering(404, "no"), "", "private", false},
		{"500", "max-age=60", nil, answering(500, "no"), "", "private", false},
		{"a cookie", "max-age=60", nil, setting("Set-Cookie: a=b"), "", "private", false},
		{"no-store", "max-age=60", nil, setting("Cache-Control: no-store"), "no-store", "private, no-store", false},
		{"no-cache", "max-age=60", nil, setting("Cache-Control: max-age=5, no-cache"), "max-age=5, no-cache", "private, max-age=5, no-cache", false},
		{"nothing that can be read", "max-age=60", nil, setting("Cache-Control: max age"), "max age", "private, no-store", false},
		{"stale already", "max-age=60", nil, setting("Cache-Control: max-age=0"), "max-age=0", "private, max-age=0", false},
		{"refused by the handler", "max-age=60", nil, func(w http.ResponseWriter, r *http.Request) error {
			cache.NoStore(r.Context())
			return text("hello")(w, r)
		}, "", "private", false},
		{"forbidden to clients alone", "max-age=60", nil, cdn("Cache-Control: no-store"), "no-store", "private, no-store", false},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "-"), func(t *testing.T) {
			run(t, func(t *testing.T, s *site) {
				want, kept := test.want, test.kept
				if s.class == cache.PerUser {
					want = test.personal
				} else {
					kept = kept || test.name == "forbidden to clients alone"
				}
				s.handle("GET /x", cache.Policy{TTL: time.Hour, Client: test.client, StatusTTL: test.status}, test.handler)
				for i, ask := range [][]option{{header("Range", "bytes=0-1")}, nil, nil, nil, {header("Range", "bytes=0-1")}, {header("If-None-Match", "*")}} {
					before := s.runs.Load()
					got := s.get("/x", ask...)
					if control := strings.Join(got.header["Cache-Control"], ", "); control != want {
						t.Errorf("answer %d, %d: Cache-Control is %q; want %q", i, got.status, control, want)
					}
					if hit := s.runs.Load() == before; hit != (kept && i > 1) {
						t.Errorf("answer %d: hit %t; want %t", i, hit, !hit)
					}
					if kept && want != "no-store" && i > 0 && got.header["Age"] != nil {
						t.Errorf("answer %d: Age is %q, which uses up what clients are told", i, got.header["Age"])
					}
					time.Sleep(time.Minute)
				}
				if head := s.do("HEAD", "/x"); strings.Join(head.header["Cache-Control"], ", ") != want {
					t.Errorf("HEAD: Cache-Control is %q; want %q", head.header["Cache-Control"], want)
				}
			})
		})
	}
}

// If outer middleware forbids more for this request, clients get that.
func TestOuterMiddlewareMayForbidMoreThanThePolicy(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{Client: "max-age=60"}, text("hello"))
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if say := r.Header.Get("X-Say"); say != "" {
					w.Header().Set("Cache-Control", say)
				}
				next.ServeHTTP(w, r)
			})
		})
		s.missHit("/x")
		wantHeader(t, s.hit("/x", header("X-Say", "no-store")), "Cache-Control", "no-store")
		wantHeader(t, s.hit("/x", header("X-Say", "public, max-age=7")), "Cache-Control", "max-age=60")
		wantHeader(t, s.hit("/x"), "Cache-Control", "max-age=60")
	}, shared...)
}

// On a standard route Client changes only what clients get: the response is stored, varies and is validated as the handler says.
func TestStandardClientReplacesOnTheWayOutOnly(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{RFC9111: true, Client: "max-age=5"}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Etag", `"a"`)
			w.Header().Set("Date", time.Now().Add(-time.Second).UTC().Format(http.TimeFormat))
			w.Header().Set("Cache-Control", "max-age=100, stale-while-revalidate=0")
			if r.Header.Get("If-None-Match") != "" {
				w.WriteHeader(http.StatusNotModified)
				return nil
			}
			return text("hello")(w, r)
		})
		s.handle("GET /asked", cache.Policy{RFC9111: true, Client: "max-age=5"}, setting("Cache-Control: no-cache", `Etag: "a"`))
		want := map[bool]string{true: "private, max-age=5", false: "max-age=5"}[s.class == cache.PerUser]
		check := func(got reply) {
			t.Helper()
			wantHeader(t, got, "Cache-Control", want)
			if got.header["Age"] != nil || got.header["Date"] != nil { // which net/http sets anew
				t.Errorf("the answer counts from %q, %q", got.header["Date"], got.header["Age"])
			}
		}
		check(s.miss("/x"))
		time.Sleep(50 * time.Second)
		check(s.hit("/x"))
		time.Sleep(60 * time.Second)
		check(s.miss("/x")) // validated
		check(s.hit("/x"))
		for range 2 {
			if got := s.miss("/asked"); !strings.HasSuffix(got.header.Get("Cache-Control"), "no-cache") {
				t.Errorf("Cache-Control is %q", got.header["Cache-Control"])
			}
		}
	})
}

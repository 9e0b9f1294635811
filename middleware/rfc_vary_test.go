package middleware_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// Which responses a request selects: RFC 9111 §4.1.
func TestStandardVary(t *testing.T) {
	const vary = "origin 200 | Cache-Control: max-age=100 | Vary: "
	obey(t, []rule{
		{of: "RFC 9111 §4.1: variants", script: vary + `X-A
			GET | X-A: a => run #1 | saw X-A: a
			GET | X-A: a => hit #1 | Vary: X-A
			GET | X-A: b => run #2
			GET => run #3
			GET | X-A: a => hit #1
			GET | X-A: b => hit #2
			GET => hit #3
			GET | X-A: a | X-B: x => hit #1`},
		{of: "RFC 9111 §4.1: a URL's answers vary by four sets of names at most, of which the newest count", script: vary + `X-1
			GET | X-1: a => run #1
			` + vary + `X-2
			GET | X-2: a => run #2
			` + vary + `X-3
			GET | X-3: a => run #3
			` + vary + `X-4
			GET | X-1: b | X-2: b | X-3: b | X-4: a => run #4
			GET | X-1: a | X-2: b | X-3: b | X-4: b => hit #1
			` + vary + `X-5
			GET | X-1: b | X-2: b | X-3: b | X-4: b | X-5: a => run #5
			GET | X-1: b | X-2: b | X-3: b | X-4: b | X-5: a => hit #5
			GET | X-1: b | X-2: b | X-3: b | X-4: a | X-5: b => hit #4
			GET | X-1: a | X-2: b | X-3: b | X-4: b | X-5: b => run #6`},
		{of: "RFC 9111 §4.1: an empty field is not an absent one, nor is case the same, nor two lines one of them", script: vary + `X-A
			GET | X-A: a => run #1
			GET | X-A: A => run #2
			GET => run #3
			GET | X-A: => run #4
			GET | X-A: a | X-A: b => run #5
			GET | X-A: a, b => hit #5
			GET | X-A: b, a => run #6
			GET | X-A: ab => run #7`},
		{of: "RFC 9110 §12.5.4: languages: case, spaces, order and weights that mean the same", script: vary + `Accept-Language
			GET | Accept-Language: en, de;q=0.5 => run #1
			GET | Accept-Language: EN,de;q=0.50 => hit #1
			GET | Accept-Language: de ; q=0.5 , en;q=1.0 => hit #1
			GET | Accept-Language: de;q=0.5 | Accept-Language: en => hit #1
			GET | Accept-Language: en;q=0.5, de => run #2
			GET | Accept-Language: en, de;q=0.6 => run #3
			GET | Accept-Language: en => run #4
			GET => run #5`},
		{of: "RFC 9110 §12.5.3: codings", script: vary + `Accept-Encoding
			GET | Accept-Encoding: gzip, br => run #1
			GET | Accept-Encoding: br,gzip => hit #1
			GET | Accept-Encoding: gzip => run #2
			GET | Accept-Encoding: gzip;q=0 => run #3
			GET => run #4`},
		{of: "RFC 9110 §12.5.5: names in any case and order, on several lines", script: vary + `x-b, X-A | Vary: x-a
			GET | X-A: a | X-B: b => run #1
			GET | X-A: a | X-B: b => hit #1
			GET | X-A: b | X-B: a => run #2
			GET | X-A: a => run #3`},
		{of: "RFC 9110 §12.5.5: * never matches", script: vary + `*
			GET => run #1
			GET => run #2
			` + vary + `X-A | Vary: *
			GET => run #3
			GET => run #4`},
		{of: "eight fields at most", script: vary + `A, B, C, D, E, F, G, H
			GET /eight => run #1
			GET /eight => hit #1
			` + vary + `A, B, C, D, E, F, G, H, I
			GET => run #2
			GET => run #3`},
		{of: "RFC 9111 §4.1: a Vary that changes", script: vary + `X-A
			GET | X-A: a | X-B: b => run #1
			` + vary + `X-B
			GET | X-A: b | X-B: b => run #2
			GET | X-A: c | X-B: b => hit #2
			GET | X-A: a | X-B: c => hit #1
			GET | X-A: b | X-B: c => run #3
			origin 200 | Cache-Control: max-age=100
			GET | X-A: d | X-B: d => run #4
			GET | X-A: e | X-B: e => hit #4
			GET => hit #4
			` + vary + `X-A
			GET | Cache-Control: no-cache | X-A: f => run #5
			GET | X-A: f => hit #5
			GET | X-A: g => run #6`},
		{of: "RFC 9111 §4.3: each variant is validated by itself", script: `
			origin 200 | Cache-Control: max-age=10 | Vary: X-A | ETag: "a"
			GET | X-A: a => run #1
			origin 200 | Cache-Control: max-age=10 | Vary: X-A | ETag: "b"
			GET | X-A: b => run #2
			+10s
			origin 304 | ETag: "a"
			GET | X-A: a => run #1 | saw If-None-Match: "a"
			GET | X-A: a => hit #1
			origin 304 | ETag: "b"
			GET | X-A: b => run #2 | saw If-None-Match: "b"
			GET | X-A: b => hit #2
			GET | X-A: c => run 304 | saw If-None-Match: -`},
		{of: "RFC 9111 §4.1, §4.3.4: a 304 that says another Vary adds to the stored one", script: `
			origin 200 | Cache-Control: max-age=10 | Vary: X-A | ETag: "a"
			GET | X-A: a | X-B: b => run #1
			+10s
			origin 304 | Cache-Control: max-age=10 | Vary: X-B | ETag: "a"
			GET | X-A: a | X-B: b => run #1
			GET | X-A: a | X-B: b => hit #1
			origin 200
			GET | X-A: c | X-B: b => run #3
			GET | X-A: a | X-B: c => run #4`},
		{of: "RFC 9211 §2.2: why", script: vary + `X-A
			GET | X-A: a => run #1 | Cache-Status: larder; fwd=uri-miss; stored; detail=cold
			GET | X-A: b => run #2 | Cache-Status: larder; fwd=vary-miss; stored; detail=variant`},
		{of: "one user's variants are his", only: perUser, script: vary + `X-A
			GET | X-A: a => run #1
			GET | X-A: a | as bob => run #2
			GET | X-A: b | as bob => run #3
			GET | X-A: a => hit #1
			GET | X-A: a | as bob => hit #2
			GET | X-A: b => run #4`},
	})
}

// Purges reach all variants, and the entries that lead to variants do not undo them.
func TestStandardPurgesReachAllVariants(t *testing.T) {
	labels := map[string]cache.Label{
		"URL": cache.URL("/p/7"), "origin": cache.URL("http://example.com/p/7"), "tag": cache.Tag("p:7"), "group": cache.Tag("g"),
		"route": cache.Route("GET /p/{id}"), "everything": cache.Everything(), "user": cache.User("alice"),
	}
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /p/{id}", cache.Policy{RFC9111: true, Tags: []string{"p:{id}"}}, func(w http.ResponseWriter, r *http.Request) error {
			h := w.Header()
			h.Set("Cache-Control", "max-age=1000")
			h.Set("Vary", "X-A")
			h.Set("Etag", `"a"`)
			h.Set("Cache-Groups", `"g"`)
			return s.mirror(w, r)
		})
		for name, label := range labels {
			if name == "user" && s.class != cache.PerUser {
				continue
			}
			for range 2 {
				for _, v := range []string{"a", "b", "c"} {
					s.missHit("/p/7", header("X-A", v))
				}
				s.purge(label)
			}
			if got := s.miss("/p/7", header("X-A", "a"), header("Cache-Control", "max-stale")); !strings.Contains(got.header.Get("Cache-Status"), "miss") {
				t.Errorf("after a purge of the %s: %v", name, got.header)
			}
			s.purge(cache.Everything())
		}
	})
}

// First requests for different variants race, and Vary changes meanwhile: nobody gets the response for another variant.
func TestStandardRacingVariants(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /{id}", cache.Policy{RFC9111: true}, func(w http.ResponseWriter, r *http.Request) error {
			time.Sleep(time.Duration(1+len(r.Header.Get("X-A"))) * time.Millisecond)
			w.Header().Set("Cache-Control", "max-age=1")
			for _, name := range []string{"X-A", "X-B"} {
				if r.PathValue("id") != "change" || s.runs.Load()%3 != 0 {
					w.Header().Add("Vary", name)
				}
			}
			if len(w.Header()["Vary"]) == 1 { // what is varied by is all that is told
				_, err := fmt.Fprint(w, r.Header.Get(w.Header().Get("Vary")))
				return err
			}
			_, err := io.WriteString(w, want(r))
			return err
		})
		for round := range 3 {
			for i, got := range s.together(60, func(i int) reply {
				time.Sleep(time.Duration(i%5) * time.Millisecond)
				return s.get("/same", variant(i)...)
			}) {
				if wanted := want(newRequest("GET", "/same", variant(i)...)); got.body != wanted {
					t.Errorf("round %d: who asks for %s has %q", round, wanted, got.body)
				}
			}
			time.Sleep(700 * time.Millisecond)
		}
		if n := s.runs.Load(); n > 3*60 {
			t.Errorf("the handler ran %d times", n)
		}
	})
}

func variant(i int) []option {
	return []option{header("X-A", strings.Repeat("a", i%4)), header("X-B", fmt.Sprint(i%3)), as([]string{"alice", "bob"}[i%2])}
}

// want returns everything that selects.
func want(r *http.Request) string {
	who, _ := r.Cookie("who")
	return fmt.Sprint(r.Header["X-A"], r.Header["X-B"], who)
}

// A client that makes up variants does not fill the cache with them, however short they live.
func TestStandardVariantsAreBounded(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		if s.router.name != "servemux" {
			return // all the same behind each
		}
		for i, control := range []string{"max-age=1000", "no-cache", "max-age=0", "max-age=1"} {
			s.handle(fmt.Sprint("GET /", i), cache.Policy{RFC9111: true}, setting("Cache-Control: "+control, "Vary: X-A", `Etag: "a"`))
		}
		for i := range 4 {
			kept := 0
			for v := range 50 {
				s.get(fmt.Sprint("/", i), header("X-A", fmt.Sprint(v)))
				time.Sleep(50 * time.Millisecond)
			}
			for v := range 50 {
				got := s.get(fmt.Sprint("/", i), header("X-A", fmt.Sprint(v)), header("Cache-Control", "only-if-cached, max-stale"))
				if got.status == 200 {
					kept++
				}
			}
			if s.class != cache.SharedGlobal {
				if n := s.far.Len(); n > 40 {
					t.Errorf("%d: %d entries lie in the store", i, n)
				}
				s.far.Evict()
			}
			if kept > 32 {
				t.Errorf("%d: %d variants are kept", i, kept)
			}
		}
	})
}

// What outer middleware varies by is part of the key, and does not prevent requests from sharing a run.
func TestStandardOuterVaryCoalesces(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Add("Vary", "Origin")
				next.ServeHTTP(w, r)
			})
		})
		varies := [][]string{nil, {"Vary: X-A"}}
		for i, fields := range varies {
			s.handle(fmt.Sprint("GET /", i), cache.Policy{RFC9111: true}, func(w http.ResponseWriter, r *http.Request) error {
				time.Sleep(time.Second)
				return answering(200, "from "+r.Header.Get("Origin"), append(fields, "Cache-Control: max-age=10")...)(w, r)
			})
		}
		for i := range varies {
			before := s.runs.Load()
			for _, origin := range []string{"a", "b"} {
				for _, got := range s.together(8, func(int) reply { return s.get(fmt.Sprint("/", i), header("Origin", origin)) }) {
					wantBody(t, got, "from "+origin)
				}
			}
			if n := s.runs.Load() - before; n != 2 {
				t.Errorf("%d: the handler ran %d times; want once for each origin", i, n)
			}
		}
	})
}

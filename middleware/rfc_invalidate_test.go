package middleware_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/keying"
)

// Unsafe methods invalidate: RFC 9111 §4.4.
func TestStandardInvalidation(t *testing.T) {
	const kept = `
			origin 200 | Cache-Control: max-age=1000 | ETag: "a"
			GET /a => run #1
			GET /b?c=d => run #2
			GET /c%20d => run #3
`
	rules := []rule{
		{of: "RFC 9111 §4.4: its own URL, with its query", script: kept + `
			origin 200
			POST /b?c=d => run
			GET /a => hit #1
			GET /c%20d => hit #3
			GET /b?c=d => run #5`},
		{of: "RFC 9111 §4.4: another query is another URL", script: kept + `
			origin 200
			POST /b?x=y => run
			POST /b => run
			GET /b?c=d => hit #2`},
		{of: "RFC 9111 §4.4: escaped", script: kept + `
			origin 204
			DELETE /c%20d => run 204
			GET /c%20d => run 204
			GET /a => hit #1`},
		{of: "RFC 9111 §4.4: Location and Content-Location, relative", script: kept + `
			origin 201 | Location: b?c=d | Content-Location: @/c%20d
			PUT /other => run 201
			GET /a => hit #1
			GET /b?c=d => run 201
			GET /c%20d => run 201`},
		{of: "RFC 9111 §4.4: Location and Content-Location, absolute", script: kept + `
			origin 303 | Location: http://example.com@/b?c=d#e | Content-Location: HTTP://EXAMPLE.com:80@/x/../c%20d
			PATCH /other => run 303
			GET /a => hit #1
			GET /b?c=d => run 303
			GET /c%20d => run 303`},
		{of: "RFC 9111 §4.4: not those of other origins", script: kept + `
			origin 303 | Location: http://example.org@/a | Content-Location: https://example.com@/b?c=d
			POST /other => run 303
			origin 303 | Location: //example.com:8080@/a | Content-Location: mailto:a@b
			POST /other => run 303
			GET /a => hit #1
			GET /b?c=d => hit #2`},
		{of: "RFC 9111 §4.4: not on what is no URL", script: kept + `
			origin 303 | Location: :// | Content-Location: %zz
			POST /other => run 303
			GET /a => hit #1`},
		{of: "RFC 9111 §4.4: not on errors", script: kept + `
			origin 404 | Location: @/a
			POST /a => run 404
			origin 500 | Location: @/a
			POST /a => run 500
			GET /a => hit #1`},
		{of: "RFC 9110 §9.2.1: not by safe methods", script: kept + `
			origin 200 | Location: @/a
			OPTIONS /a => run
			HEAD /other => run
			GET /other => run #6
			GET /a => hit #1`},
		{of: "RFC 9111 §4.4: variants, parts and what is stale", script: `
			origin 200 | Cache-Control: max-age=10, stale-if-error=1000 | Vary: X-A | ETag: "a"
			GET /a | X-A: a => run #1
			GET /a | X-A: b => run #2
			+11s
			origin 200
			POST /a => run
			origin 500
			GET /a | X-A: a => run 500 | saw If-None-Match: -
			GET /a | X-A: b => run 500 | saw If-None-Match: -`},
		{of: "RFC 9111 §4.4: for every user", only: perUser, script: kept + `
			GET /a | as bob => run #4
			origin 200
			POST /a | as carol => run
			GET /a => run #6
			GET /a | as bob => run #7`},
		{of: "the policy's rules for the query hold", policy: cache.Policy{RFC9111: true, Query: keying.Only("page")}, script: `
			origin 200 | Cache-Control: max-age=1000
			GET /a?page=1&x=2 => run #1
			GET /a?page=2 => run #2
			POST /a?y=3&page=1 => run #3
			GET /a?page=1 => run #4
			GET /a?page=2&x=1 => hit #2`},
	}
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		for _, status := range []int{200, 201, 204, 302, 303} {
			rules = append(rules, rule{of: fmt.Sprintf("RFC 9111 §4.4: %s %d", method, status), script: kept + fmt.Sprintf(`
			origin %d
			%s /a => run %d
			origin 200
			GET /a => run #5
			GET /b?c=d => hit #2`, status, method, status)})
		}
	}
	obey(t, rules)
}

// An unknown method may change something (RFC 9110 §9.2.1), but not one that is registered as safe (§16.1.1). A
// Cache-Group-Invalidation in the response to a safe method is ignored (RFC 9875 §3).
func TestStandardMethodsInvalidateUnlessTheyAreSafe(t *testing.T) {
	safe := map[string]bool{
		"HEAD": true, "OPTIONS": true, "TRACE": true, "QUERY": true, "PROPFIND": true, "REPORT": true, "SEARCH": true, "PRI": true,
		"POST": false, "PROPPATCH": false, "MKCOL": false, "LOCK": false, "MOVE": false, "LINK": false, "FROBNICATE": false,
	}
	run(t, func(t *testing.T, s *site) {
		s.handle("/x", standardPolicy, setting("Cache-Control: max-age=100", `Cache-Group-Invalidation: "g"`, "Location: /y"))
		s.handle("/y", standardPolicy, setting("Cache-Control: max-age=100"))
		s.handle("/z", standardPolicy, setting("Cache-Control: max-age=100", `Cache-Groups: "g"`))
		for method, safe := range safe {
			for _, path := range []string{"/x", "/y", "/z"} {
				s.get(path)
				s.hit(path)
			}
			s.do(method, "/x")
			for _, path := range []string{"/x", "/y", "/z"} {
				before := s.runs.Load()
				if s.get(path); (s.runs.Load() == before) != safe {
					t.Errorf("%s, which is safe: %t; of %s this remembers: %t", method, safe, path, s.runs.Load() == before)
				}
			}
		}
	})
}

// In policy mode, too, the response to a safe method invalidates no groups.
func TestGroupsAreInvalidatedByUnsafeMethodsAlone(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("/x", cache.Policy{TTL: time.Hour}, setting(`Cache-Groups: "g"`, `Cache-Group-Invalidation: "g"`))
		s.missHit("/x")
		s.do("QUERY", "/x")
		s.do("REPORT", "/x")
		s.hit("/x")
		s.do("POST", "/x")
		s.miss("/x")
	})
}

// spellings are of one URL each (RFC 3986 §6.2.2, §6.2.3, RFC 9110 §4.2.3), where the site is asked as example.com.
var spellings = [][]string{
	{"http://example.com/~a", "http://example.com:80/~a", "http://EXAMPLE.com/~a", "http://example.com/%7Ea", "http://Example.Com.:80/%7ea"},
	{"http://example.com/%C3%A9%2F", "http://example.com:80/%c3%a9%2F", "http://example.com/%c3%A9%2f"},
	{"http://example.com/a?b=c&d=~", "http://example.com/a?b=%63&d=%7e", "http://example.com:/a?b=%63&d=~"},
	{"http://example.com/a/b", "http://example.com/%61/b", "http://example.com/a/x/%2e./b"},
}

// The URL of a request, of Location or of a purge invalidates the stored response in every spelling (§4.4), although the spelling
// is part of the key.
func TestAURLIsInvalidatedInEverySpelling(t *testing.T) {
	at := func(text string) (target string, o option) {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return u.RequestURI(), func(r *http.Request) { r.Host = u.Host }
	}
	run(t, func(t *testing.T, s *site) {
		s.handle("/{rest...}", standardPolicy, func(w http.ResponseWriter, r *http.Request) error {
			if to := r.Header.Get("X-To"); to != "" {
				return answering(303, "", r.Header.Get("X-Name")+": "+to)(w, r)
			}
			return answering(200, "", "Cache-Control: public, max-age=1000")(w, r)
		})
		for _, same := range spellings {
			for _, kept := range same {
				path, host := at(kept)
				keep := func(t *testing.T) {
					s.get(path, host)
					s.hit(path, host)
				}
				for _, named := range same {
					keep(t)
					target, where := at(named)
					s.do("POST", target, where)
					s.miss(path, host)

					keep(t)
					s.do("POST", "/other", func(r *http.Request) { r.Host = "example.com" }, header("X-Name", "Location"), header("X-To", named))
					s.miss(path, host)

					keep(t)
					s.do("POST", "/other", where, header("X-Name", "Content-Location"), header("X-To", target))
					s.miss(path, host)

					keep(t)
					s.purge(cache.URL(named))
					s.miss(path, host)

					keep(t)
					s.purge(cache.URL(target))
					s.miss(path, host)
					if t.Failed() {
						t.Fatalf("%s was kept, and %s named", kept, named)
					}
				}
			}
		}
		// Keys are told apart.
		s.get("/~a")
		s.miss("/%7Ea")
		s.miss("/~a", func(r *http.Request) { r.Host = "EXAMPLE.com" })
		// What is another URL stays.
		for _, other := range []string{"http://example.com:8080/~a", "http://example.org/~a", "http://example.com/~A", "http://example.com/~a/", "http://example.com/~a?", "http://example.com/%257Ea"} {
			target, where := at(other)
			if target != "/~a?" { // which is the same to a purge
				s.do("POST", target, where)
			}
		}
		s.hit("/~a")
	})
}

// A group belongs to its origin, however that is spelled.
func TestGroupsAreInvalidatedInEverySpellingOfTheirOrigin(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("/{rest...}", standardPolicy, setting("Cache-Control: public, max-age=1000", `Cache-Groups: "g"`, `Cache-Group-Invalidation: "g"`))
		for _, host := range []string{"example.com:80", "EXAMPLE.COM", "example.com."} {
			s.get("/a")
			s.hit("/a")
			s.do("POST", "/b", func(r *http.Request) { r.Host = host })
			s.miss("/a")
		}
	})
}

// The same with requests that net/http reads from the wire, also in absolute form.
func TestAURLIsInvalidatedInEverySpellingOnTheWire(t *testing.T) {
	runLive(t, func(t *testing.T, s *site) {
		s.handle("/{rest...}", standardPolicy, answering(200, "", "Cache-Control: public, max-age=1000"))
		server, _ := s.serve(false)
		ask := func(method, target, host string) {
			exchange(t, server, method+" "+target+" HTTP/1.1\r\nHost: "+host+"\r\nCookie: who=alice\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		}
		for _, named := range [][2]string{{"/%7ea", "example.com"}, {"/~a", "Example.com:80"}, {"http://EXAMPLE.com:80/%7Ea", "x"}, {"/./%7Ea", "example.com."}} {
			if named[0][1] == '.' && strings.HasPrefix(s.router.name, "servemux") {
				continue // which redirects it by itself
			}
			ask("GET", "/~a", "example.com")
			ask("POST", named[0], named[1])
			before := s.runs.Load()
			if ask("GET", "/~a", "example.com"); s.runs.Load() == before {
				t.Errorf("POST %s to %s does not reach /~a", named[0], named[1])
			}
		}
	}, cache.SharedGlobal, cache.FleetShared)
}

// A response whose run overlaps an invalidation is not stored, and not given to requests that come after that.
func TestStandardInvalidationWhileAnAnswerIsMade(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		var state atomic.Value
		s.handle("/{rest...}", standardPolicy, func(w http.ResponseWriter, r *http.Request) error {
			if r.Method == http.MethodPost {
				state.Store("new")
				return answering(204, "")(w, r)
			}
			seen := state.Load().(string)
			time.Sleep(time.Second)
			return answering(200, seen, "Cache-Control: max-age=100", `Etag: "`+seen+`"`, "Vary: X-A")(w, r)
		})
		for range 2 { // the second time with an index
			state.Store("old")
			s.purge(cache.Everything())
			first := make(chan reply)
			go func() { first <- s.get("/x") }()
			time.Sleep(time.Second / 2)
			s.do("POST", "/x")
			for _, got := range s.together(3, func(int) reply { return s.get("/x") }) {
				wantBody(t, got, "new")
			}
			wantBody(t, <-first, "old")
			wantBody(t, s.hit("/x"), "new")
		}
	})
}

// Two processes on one Redis.
func TestStandardInvalidationReachesTheFleet(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		other := newSite(t, s.router, s.class)
		other.far, other.options.Far = s.far, s.far
		content := "1"
		for _, site := range []*site{s, other} {
			site.handle("/x", standardPolicy, func(w http.ResponseWriter, _ *http.Request) error {
				w.Header().Set("Cache-Control", "max-age=1000")
				_, err := io.WriteString(w, content)
				return err
			})
		}
		wantBody(t, s.get("/x"), "1")
		content = "2"
		wantBody(t, other.hit("/x"), "1")
		wantBody(t, s.hit("/x"), "1")
		other.do("POST", "/x")
		wantBody(t, other.get("/x"), "2")
		wantBody(t, s.hit("/x"), "2")
	}, inRedis...)
}

// A client that sends many unsafe requests to one route removes no other route's responses from the cache. Those of the route
// itself are invalidated as usual.
func TestFloodOfUnsafeRequestsEmptiesNothingElse(t *testing.T) {
	floods := map[string]func(i int) string{
		"one URL": func(int) string { return "/comments/7" },
		"ids":     func(i int) string { return fmt.Sprint("/comments/", i) },
		"queries": func(i int) string { return fmt.Sprint("/comments?x=", i) },
		"below":   func(i int) string { return fmt.Sprint("/comments/", i, "/votes") },
		"hosts":   func(i int) string { return fmt.Sprint("http://host", i, ".example/comments/7") },
	}
	for name, target := range floods {
		t.Run(name, func(t *testing.T) {
			var told int
			c, err := cache.New(cache.Options{Observe: func(ev cache.Event) {
				if ev.Outcome == cache.Warning && ev.Reason == cache.ReasonWidened {
					told++
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close(t.Context()) })
			mux, runs := http.NewServeMux(), map[string]int{}
			standard := c.Middleware(cache.Policy{Class: cache.SharedGlobal, RFC9111: true, TTL: time.Hour})
			plain := c.Middleware(cache.Policy{Class: cache.SharedGlobal, TTL: time.Hour})
			answer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				runs[r.Method+r.URL.String()]++
				w.Header().Set("Cache-Control", "public")
				w.Header().Set("Location", "/comments/latest")
				_, _ = w.Write([]byte("answer"))
			})
			mux.Handle("/comments/", standard(answer))
			mux.Handle("/comments", standard(answer))
			mux.Handle("/pages/{id}", standard(answer))
			mux.Handle("GET /news", plain(answer))
			send := func(method, target string) { mux.ServeHTTP(nowhere{}, newRequest(method, target)) }

			for range 2 {
				send("GET", "/pages/1")
				send("GET", "/news")
				send("GET", "/comments/latest")
			}
			send("POST", "/pages/2")
			for i := range 70_000 {
				send("POST", target(i))
			}
			for _, target := range []string{"/pages/1", "/news", "/comments/latest", "/comments/latest"} {
				send("GET", target)
			}
			if runs["GET/pages/1"] != 1 || runs["GET/news"] != 1 || runs["GET/comments/latest"] != 2 {
				t.Errorf("the handlers ran: %v", map[string]int{"pages": runs["GET/pages/1"], "news": runs["GET/news"], "latest": runs["GET/comments/latest"]})
			}
			if name != "one URL" && told == 0 {
				t.Error("no event says that purges were widened")
			}
		})
	}
}

type nowhere http.Header

func (w nowhere) Header() http.Header       { return http.Header(w) }
func (nowhere) WriteHeader(int)             {}
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

// Unsafe requests to one process append a bounded number of records to the shared log. Each purge is in the log before the response
// to its request is sent.
func TestFloodOfUnsafeRequestsDoesNotFloodTheLog(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("/items/{id}", cache.Policy{RFC9111: true, TTL: time.Hour}, public(text("item")))
		s.handle("/pages/{id}", cache.Policy{RFC9111: true, TTL: time.Hour}, public(text("page")))
		s.missHit("/pages/1")
		var all sync.WaitGroup
		for g := range 20 {
			all.Go(func() {
				for i := range 100 {
					target := fmt.Sprint("/items/", g*100+i%50)
					s.get(target)
					s.do("POST", target)
					if got := s.get(target, header("Cache-Control", "only-if-cached")); got.status == http.StatusOK {
						t.Errorf("GET %s after POST: it is there still", target)
					}
				}
			})
		}
		all.Wait()
		if n := s.far.Records.Load(); n > 300 {
			t.Errorf("%d records of 2,000 requests", n)
		}
	}, cache.HotShared, cache.FleetShared)
}

// A record that joins several purges hits exactly what each of them names, unless there are many of one area.
func TestJoinedPurgesHitWhatEachNames(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("/items/{id}", cache.Policy{RFC9111: true, TTL: time.Hour}, public(text("item")))
		s.handle("/pages/{id}", cache.Policy{RFC9111: true, TTL: time.Hour}, public(setting("Cache-Group-Invalidation: \"g\"")))
		s.handle("GET /grouped", cache.Policy{RFC9111: true, TTL: time.Hour}, public(setting("Cache-Groups: \"g\"")))
		for _, target := range []string{"/items/1", "/items/200", "/pages/1", "/pages/2", "/grouped"} {
			s.missHit(target)
		}
		var all sync.WaitGroup
		for i := range 80 { // the first ones are records of their own
			all.Go(func() { s.do("POST", fmt.Sprint("/items/", 100+i)) })
		}
		all.Go(func() { time.Sleep(time.Millisecond); s.do("POST", "/pages/1") })
		all.Go(func() { time.Sleep(time.Millisecond); s.do("POST", "/items/1") })
		all.Wait()
		for _, target := range []string{"/items/1", "/pages/1", "/grouped", "/items/200"} {
			s.miss(target) // the last one because there were many of its area
		}
		s.hit("/pages/2")
	}, cache.HotShared, cache.FleetShared)
}

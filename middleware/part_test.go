package middleware_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// parts are requests for less than the whole response.
var parts = map[string]struct {
	method string
	option option
	status int
	body   string
	length string
}{
	"HEAD":       {"HEAD", header("X-None", "1"), 200, "", "26"},
	"a range":    {"GET", header("Range", "bytes=2-4"), 206, "cde", "3"},
	"a suffix":   {"GET", header("Range", "bytes=-3"), 206, "xyz", "3"},
	"two ranges": {"GET", header("Range", "bytes=0-1,3-4"), 206, "", ""},
}

const alphabet = "abcdefghijklmnopqrstuvwxyz"

// content serves the alphabet after a while, as http.ServeContent does, with the fields.
func (s *site) content(fields ...string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		time.Sleep(100 * time.Millisecond)
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Type", "text/plain")
		for _, field := range fields {
			addField(w.Header(), field)
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(alphabet))
		return nil
	}
}

// Concurrent HEADs, or requests for the same range, of what is not stored share a run, as GETs do. Each gets the response that it
// would get alone, and in policy mode nothing of it is stored.
func TestPartsAtOnceShareOneRun(t *testing.T) {
	for name, part := range parts {
		for _, standard := range []bool{false, true} {
			if part.body == "" && part.method == "GET" && (standard || part.status != 206) {
				continue // such an answer is not for sharing
			}
			t.Run(fmt.Sprint(name, "/standard ", standard), func(t *testing.T) {
				run(t, func(t *testing.T, s *site) {
					s.handle("GET /x", cache.Policy{RFC9111: standard, TTL: time.Minute}, s.content(`Etag: "a"`, "X-A: b"))
					send := func(int) *http.Request { return newRequest(part.method, "/x", part.option) }
					for _, got := range s.atOnce(20, send) {
						if got.status != part.status || part.body != "" && got.body != part.body || got.header.Get("X-A") != "b" {
							t.Errorf("the answer is %d %q %v", got.status, got.body, got.header)
						}
						if part.length != "" {
							wantHeader(t, got, "Content-Length", part.length)
						}
						if part.body != "" {
							wantHeader(t, got, "Content-Range", map[string]string{"cde": "bytes 2-4/26", "xyz": "bytes 23-25/26"}[part.body])
						}
					}
					s.wantTotal(1)
					if n := s.count(cache.Shared, ""); n != 19 {
						t.Errorf("%d answers were shared; want 19", n)
					}
					if !standard { // the standard stores parts, which is another matter
						s.do(part.method, "/x", part.option)
						s.wantTotal(2)
					}
					runs := s.runs.Load()
					wantBody(t, s.get("/x"), alphabet)
					s.wantTotal(runs + 1)
				})
			})
		}
	}
}

// Runs for HEADs and ranges count among the route's MaxRuns, too.
func TestRunsForPartsAreBounded(t *testing.T) {
	for name, part := range parts {
		for _, standard := range []bool{false, true} {
			if standard && part.body == "" && part.method == "GET" {
				continue // what is known not to be kept counts no more
			}
			t.Run(fmt.Sprint(name, "/standard ", standard), func(t *testing.T) {
				run(t, func(t *testing.T, s *site) {
					var now, most atomic.Int64
					content := s.content()
					s.handle("GET /p/{id}", cache.Policy{MaxRuns: 4, RFC9111: standard, TTL: time.Minute}, func(w http.ResponseWriter, r *http.Request) error {
						for n := now.Add(1); n > most.Load(); {
							most.Store(n)
						}
						defer now.Add(-1)
						return content(w, r)
					})
					for _, got := range s.atOnce(12, func(i int) *http.Request { return newRequest(part.method, fmt.Sprint("/p/", i), part.option) }) {
						wantStatus(t, got, part.status)
					}
					if most.Load() != 4 {
						t.Errorf("%d requests were in the handler at once; want 4", most.Load())
					}
				})
			})
		}
	}
}

// Different requests share no run: a part and the whole, different ranges, different users, what a standard response varies by.
func TestDifferentPartsShareNoRun(t *testing.T) {
	pairs := map[string][2]func() *http.Request{
		"HEAD and GET":      {asking("HEAD"), asking("GET")},
		"a range and GET":   {asking("GET", header("Range", "bytes=0-1")), asking("GET")},
		"a range and HEAD":  {asking("GET", header("Range", "bytes=0-1")), asking("HEAD")},
		"two ranges":        {asking("GET", header("Range", "bytes=0-1")), asking("GET", header("Range", "bytes=0-2"))},
		"one line and two":  {asking("GET", header("Range", "bytes=0-1")), asking("GET", header("Range", "bytes=0-1"), header("Range", "bytes=0-1"))},
		"If-Range":          {asking("GET", header("Range", "bytes=0-1")), asking("GET", header("Range", "bytes=0-1"), header("If-Range", `"b"`))},
		"what is varied by": {asking("HEAD", header("X-Variant", "a")), asking("HEAD", header("X-Variant", "b"))},
		"the query":         {asking("HEAD"), func() *http.Request { return newRequest("HEAD", "/x?a=b") }},
	}
	for name, pair := range pairs {
		for _, standard := range []bool{false, true} {
			t.Run(fmt.Sprint(name, "/standard ", standard), func(t *testing.T) {
				run(t, func(t *testing.T, s *site) {
					p := cache.Policy{RFC9111: standard, TTL: time.Minute}
					if !standard {
						p.Vary = []string{"X-Variant"}
					}
					s.handle("GET /x", p, s.content("Vary: X-Variant"))
					s.atOnce(2, func(i int) *http.Request { return pair[i]() })
					s.wantTotal(2)
				})
			})
		}
	}
	t.Run("users", func(t *testing.T) {
		run(t, func(t *testing.T, s *site) {
			s.handle("GET /x", cache.Policy{}, s.slow)
			s.atOnce(2, func(i int) *http.Request { return newRequest("HEAD", "/x", as([]string{"alice", "bob"}[i])) })
			s.wantTotal(2)
		}, perUser...)
	})
}

func asking(method string, options ...option) func() *http.Request {
	return func() *http.Request { return newRequest(method, "/x", options...) }
}

// A part of a response that must not be shared is not shared either, and its requests do not run one after the other.
func TestPartsThatMayNotBeSharedAreNot(t *testing.T) {
	with := func(field string) func(s *site) handler { return func(s *site) handler { return s.content(field) } }
	failing := func(fail func(w http.ResponseWriter, r *http.Request)) func(s *site) handler {
		return func(s *site) handler {
			return func(w http.ResponseWriter, r *http.Request) error {
				time.Sleep(100 * time.Millisecond)
				fail(w, r)
				return nil
			}
		}
	}
	answers := map[string]func(s *site) handler{
		"a cookie": with("Set-Cookie: a=b"),
		"no-store": with("Cache-Control: no-store"),
		"Vary: *":  with("Vary: *"),
		"a nonce":  with("Content-Security-Policy: script-src 'nonce-abc'"),
		"an error": failing(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", 500) }),
		"a late one": failing(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<p>")
			http.Error(w, "no", 500)
		}),
		"NoStore":     func(s *site) handler { return s.refusing() },
		"a long body": failing(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 64<<10)) }),
	}
	for name, answer := range answers {
		for _, standard := range []bool{false, true} {
			run(t, func(t *testing.T, s *site) {
				if s.class == cache.PerUser && name == "a nonce" {
					return // is the user's own
				}
				s.handle("GET /x", cache.Policy{RFC9111: standard, TTL: time.Minute, StaleIfError: -1, MaxBody: 16 << 10}, answer(s))
				for _, o := range []func() *http.Request{asking("HEAD"), asking("GET", header("Range", "bytes=0-1"))} {
					before, began := s.runs.Load(), time.Now()
					s.atOnce(5, func(int) *http.Request { return o() })
					if n := s.runs.Load() - before; n != 5 {
						t.Errorf("%s, standard %v: %d runs for 5 requests; want 5", name, standard, n)
					}
					if took := time.Since(began); took > 200*time.Millisecond {
						t.Errorf("%s, standard %v: they took %v; want 200ms at most", name, standard, took)
					}
				}
			})
		}
	}
}

func (s *site) refusing() handler {
	content := s.content()
	return func(w http.ResponseWriter, r *http.Request) error {
		cache.NoStore(r.Context())
		return content(w, r)
	}
}

package middleware_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
)

// During a background refresh all requests get the stale response, and the handler runs once, for the requested variant.
func TestStandardRefreshBehindAServer(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		var refreshes atomic.Int64
		s.options.Observe = func(ev cache.Event) {
			if ev.Outcome == cache.Refresh {
				refreshes.Add(1)
				if ev.Reason != "" {
					t.Errorf("a refresh ended with %q", ev.Reason)
				}
			}
		}
		policy := cache.Policy{RFC9111: true, StaleWhileRevalidate: time.Minute}
		s.handle("GET /{vary}", policy, func(w http.ResponseWriter, r *http.Request) error {
			if s.runs.Load() > 1 {
				time.Sleep(time.Second)
			}
			h := w.Header()
			h.Set("Cache-Control", "max-age=10")
			if vary := r.PathValue("vary"); vary != "none" {
				h.Set("Vary", vary)
			}
			_, err := fmt.Fprintf(w, "%s %d", r.Header.Get("X-A"), s.runs.Load())
			return err
		})
		server := behindServer(s)
		for _, path := range []string{"/none", "/X-A", "/x-b,x-a"} {
			ask := []option{server, header("X-A", "a")}
			first := s.get(path, ask...)
			for range 2 {
				time.Sleep(12 * time.Second)
				before, told := s.runs.Load(), refreshes.Load()
				for _, got := range s.together(5, func(int) reply { return s.get(path, ask...) }) {
					wantBody(t, got, first.body)
				}
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if n := s.runs.Load() - before; n != 1 || refreshes.Load() != told+1 {
					t.Errorf("%s: the handler ran %d times, and %d refreshes are told of; want one", path, n, refreshes.Load()-told)
				}
				if got := s.hit(path, ask...); got.body == first.body {
					t.Errorf("%s: the refreshed answer is %q", path, got.body)
				} else {
					first = got
				}
			}
		}
	})
}

// After a refresh of one variant, those that vary by other fields are still found.
func TestStandardRefreshKeepsOtherVariants(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		policy := cache.Policy{RFC9111: true, StaleWhileRevalidate: time.Minute}
		s.handle("GET /x", policy, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Vary", r.Header.Get("X-Vary"))
			w.Header().Set("Cache-Control", "max-age="+r.Header.Get("X-Age"))
			return s.mirror(w, r)
		})
		b := []option{header("X-Vary", "X-B"), header("X-B", "b"), header("X-Age", "1000")}
		a := []option{header("X-Vary", "X-A"), header("X-A", "a"), header("X-Age", "1")}
		s.miss("/x", b...)
		s.miss("/x", a...)
		s.hit("/x", b...)
		for range 3 {
			time.Sleep(2 * time.Second)
			s.get("/x", a...) // stale, and refreshed inline
			s.hit("/x", a...)
			s.hit("/x", b...)
		}
	})
}

// What is stale, and when it may be served: RFC 5861.
func TestStandardStale(t *testing.T) {
	policy := cache.Policy{RFC9111: true, StaleWhileRevalidate: 20 * time.Second, StaleIfError: 40 * time.Second}
	obey(t, []rule{
		{of: "RFC 5861 §3: from the answer", script: `
			origin 200 | Cache-Control: max-age=10, stale-while-revalidate=5
			GET => run #1
			+12s
			GET => run #1 | Age: 12 | Cache-Status: ~larder; hit; ttl=-2
			GET => hit #2 | Age: 0
			+15s
			GET => run #3`},
		{of: "RFC 5861 §3: from the policy", policy: policy, script: `
			origin 200 | Cache-Control: max-age=10
			GET => run #1
			+29s
			GET => run #1 | Age: 29
			GET => hit #2
			+30s
			GET => run #3`},
		{of: "RFC 5861 §3: the answer's own goes before it", policy: policy, script: `
			origin 200 | Cache-Control: max-age=10, stale-while-revalidate=0
			GET => run #1
			+11s
			GET => run #2`},
		{of: "RFC 5861 §3: the refresh validates", policy: policy, script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a" | X-A: 1
			GET => run #1
			+11s
			origin 304 | Cache-Control: max-age=10 | ETag: "a" | X-A: 2
			GET | If-None-Match: "z" => run #1 | saw If-None-Match: "a" | X-A: 1
			GET => hit #1 | Age: 0 | X-A: 2
			+11s
			GET | Range: bytes=0-1 => run 206 #1[0:2] | saw If-None-Match: "a" | saw Range: -
			GET => hit #1`},
		{of: "RFC 5861 §3: a refresh that fails leaves what is stored", policy: policy, script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a"
			GET => run #1
			+11s
			origin 500
			GET => run #1
			GET => hit #1
			+1s
			origin panic
			GET => run #1
			+1s
			origin 304
			GET => run #1
			GET => hit #1`},
		{of: "RFC 5861 §3: a refresh of a variant", policy: policy, script: `
			origin 200 | Cache-Control: max-age=10 | Vary: X-A
			GET | X-A: a => run #1
			GET | X-A: b => run #2
			+11s
			GET | X-A: a => run #1
			GET | X-A: a => hit #3
			GET | X-A: b => run #2
			GET | X-A: b => hit #4`},
		{of: "RFC 5861 §4: from the answer, and no longer", script: `
			origin 200 | Cache-Control: max-age=10, stale-if-error=20
			GET => run #1
			+29s
			origin 500
			GET => run #1 | Age: 29
			GET | Range: bytes=0-1 => run 206 #1[0:2]
			origin panic
			GET => run #1
			+1s
			origin 502
			GET => run 502 #5`},
		{of: "RFC 5861 §4: from the policy", policy: policy, script: `
			origin 200 | Cache-Control: max-age=10, stale-while-revalidate=0
			GET => run #1
			+49s
			origin 503
			GET => run #1 | Age: 49
			HEAD => run 200
			+1s
			GET => run 503 #4`},
		{of: "RFC 5861 §4: what is no error", policy: policy, script: `
			origin 200 | Cache-Control: max-age=10, stale-while-revalidate=0
			GET => run #1
			+11s
			origin 404
			GET => run 404 #2`},
	})
}

// A HEAD refreshes a response that is stale, or nears its end, as a GET does: nobody may ever request the body.
func TestHeadRefreshes(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		policies := map[string]cache.Policy{
			"/policy": {TTL: 10 * time.Second, StaleWhileRevalidate: time.Minute}, "/standard": {RFC9111: true, StaleWhileRevalidate: time.Minute},
		}
		for path, p := range policies {
			s.handle("GET "+path, p, func(w http.ResponseWriter, r *http.Request) error {
				if r.Method != http.MethodGet {
					t.Errorf("a refresh asks with %s", r.Method)
				}
				return answering(200, fmt.Sprint(s.runs.Load()), "Cache-Control: public, max-age=10")(w, r)
			})
		}
		for path := range policies {
			server := behindServer(s)
			first := s.get(path, server)
			time.Sleep(12 * time.Second)
			got := s.do("HEAD", path, server, header("If-None-Match", `"x"`))
			if synctest.Wait(); got.status != 200 || got.body != "" || got.header.Get("Age") != "12" {
				t.Errorf("HEAD %s of what is stale: %d %q %v", path, got.status, got.body, got.header)
			}
			if again := s.hit(path, server); again.body == first.body || again.header.Get("Age") != "0" {
				t.Errorf("%s is %q after a HEAD, of age %s", path, again.body, again.header.Get("Age"))
			}
			// Where nothing lets a refresh in, the handler of HEAD may be another than GET's: it is not asked for a body.
			time.Sleep(12 * time.Second)
			before := s.runs.Load()
			s.do("HEAD", path)
			if n := s.runs.Load() - before; n != 0 {
				t.Errorf("HEAD %s without a server ran the handler %d times", path, n)
			}
		}
	})
}

// Requests that wait for a validation get the validated response or one of their own, whatever the handler says.
func TestStandardWaitersOfAValidation(t *testing.T) {
	cases := []struct {
		name   string
		status int
		fields []string
		body   string
		want   reply
		runs   int64 // of nine requests at once
	}{
		{"confirmed", 304, []string{`Etag: "a"`, "Cache-Control: max-age=10"}, "", reply{status: 200, body: "one"}, 1},
		{"replaced", 200, []string{`Etag: "b"`, "Cache-Control: max-age=10"}, "two", reply{status: 200, body: "two"}, 1},
		{"with a cookie", 304, []string{`Etag: "a"`, "Cache-Control: max-age=10", "Set-Cookie: a=b"}, "", reply{status: 200, body: "one"}, 9},
		{"not to be kept", 200, []string{"Cache-Control: no-store"}, "two", reply{status: 200, body: "two"}, 9},
		{"failed", 500, nil, "oops", reply{status: 200, body: "one"}, 1},
	}
	run(t, func(t *testing.T, s *site) {
		for i, c := range cases {
			n := 0
			var mu sync.Mutex
			s.handle(fmt.Sprint("GET /", i), cache.Policy{RFC9111: true, StaleIfError: time.Hour}, func(w http.ResponseWriter, r *http.Request) error {
				mu.Lock()
				n++
				first := n == 1
				mu.Unlock()
				if first {
					w.Header().Set("Cache-Control", "max-age=10")
					w.Header().Set("Etag", `"a"`)
					_, err := w.Write([]byte("one"))
					return err
				}
				time.Sleep(time.Second)
				return answering(c.status, c.body, c.fields...)(w, r)
			})
		}
		for i, c := range cases {
			target := fmt.Sprint("/", i)
			s.miss(target)
			time.Sleep(11 * time.Second)
			before := s.runs.Load()
			for _, got := range s.together(9, func(int) reply { return s.get(target) }) {
				if got.status != c.want.status || got.body != c.want.body {
					t.Errorf("%s: a client has %d %q; want %d %q", c.name, got.status, got.body, c.want.status, c.want.body)
				}
			}
			if n := s.runs.Load() - before; n != c.runs {
				t.Errorf("%s: the handler ran %d times; want %d", c.name, n, c.runs)
			}
		}
	})
}

// together sends requests at the same time.
func (s *site) together(n int, send func(i int) reply) []reply {
	replies := make([]reply, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { replies[i] = send(i) })
	}
	wg.Wait()
	return replies
}

// answering responds with a status, fields and a body.
func answering(status int, body string, fields ...string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		for _, field := range fields {
			addField(w.Header(), field)
		}
		w.WriteHeader(status)
		if body == "" {
			return nil
		}
		_, err := w.Write([]byte(body))
		return err
	}
}

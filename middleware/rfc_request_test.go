package middleware_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/redistest"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
)

// What a request's Cache-Control demands.
func TestStandardRequestDirectives(t *testing.T) {
	patient := cache.Policy{RFC9111: true, StaleIfError: time.Hour}
	swr := cache.Policy{RFC9111: true, StaleIfError: -1, StaleWhileRevalidate: time.Hour}
	obey(t, []rule{
		{of: "RFC 9111 §5.2.1.1: max-age", script: `
			origin 200 | Cache-Control: max-age=100
			GET => run #1
			+5s
			GET | Cache-Control: max-age=5 => hit #1
			GET | Cache-Control: max-age=4 => run #2
			GET => hit #2
			+5s
			GET | Cache-Control: max-age=5, max-age=4 => run #3
			+1s
			GET | Cache-Control: max-age=0 => run #4
			+1s
			GET | Cache-Control: max-age=x => run #5`},
		{of: "RFC 9111 §5.2.1.1: what does not do is validated", script: `
			origin 200 | Cache-Control: max-age=100 | ETag: "a"
			GET => run #1
			+5s
			origin 304 | ETag: "a"
			GET | Cache-Control: max-age=4 => run #1 | saw If-None-Match: "a" | Cache-Status: larder; fwd=request; fwd-status=304; stored; ttl=100
			GET | Cache-Control: max-age=4 => hit #1 | Age: 0`},
		{of: "RFC 9111 §5.2.1.1: who names a max-age wants nothing stale, unless there is max-stale", policy: swr, script: `
			origin 200 | Cache-Control: max-age=10
			GET => run #1
			+11s
			GET | Cache-Control: max-age=60 => run #2
			+11s
			GET | Cache-Control: max-age=60, max-stale=60 => hit #2`},
		{of: "RFC 9111 §5.2.1.3: min-fresh", script: `
			origin 200 | Cache-Control: max-age=10
			GET => run #1
			+5s
			GET | Cache-Control: min-fresh=5 => hit #1
			GET | Cache-Control: min-fresh=6 => run #2
			GET | Cache-Control: min-fresh=6, min-fresh=11 => run #3
			GET | Cache-Control: min-fresh=x => hit #3`},
		{of: "RFC 9111 §5.2.1.2: max-stale with a bound", policy: patient, script: `
			origin 200 | Cache-Control: max-age=10
			GET => run #1
			+15s
			GET | Cache-Control: max-stale=5 => hit #1 | Age: 15
			GET | Cache-Control: max-stale=4 => run #2
			GET | Cache-Control: max-stale=4 => hit #2
			+15s
			GET => run #3`},
		{of: "RFC 9111 §5.2.1.2: max-stale without a bound, and one that is none", policy: patient, script: `
			origin 200 | Cache-Control: max-age=10
			GET => run #1
			+600s
			GET | Cache-Control: max-stale => hit #1 | Age: 600
			GET | Cache-Control: max-stale=x => run #2`},
		{of: "RFC 9111 §5.2.1.2: max-stale and max-age", policy: patient, script: `
			origin 200 | Cache-Control: max-age=10
			GET => run #1
			+15s
			GET | Cache-Control: max-stale, max-age=14 => run #2
			+15s
			GET | Cache-Control: max-stale, max-age=15 => hit #2`},
		{of: "RFC 9111 §4.2.4: max-stale never goes past must-revalidate", policy: patient, script: `
			origin 200 | Cache-Control: max-age=10, must-revalidate | ETag: "a"
			GET => run #1
			+11s
			GET | Cache-Control: max-stale => run #2`},
		{of: "RFC 9111 §4.4: nor past an invalidation", policy: patient, script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a"
			GET => run #1
			+11s
			GET | Cache-Control: max-stale => hit #1
			POST => run #2
			GET | Cache-Control: max-stale => run #3`},
		{of: "RFC 9111 §5.2.1.4: no-cache", script: `
			origin 200 | Cache-Control: max-age=10
			GET => run #1
			GET | Cache-Control: no-cache => run #2
			GET => hit #2
			GET | Pragma: no-cache => hit #2
			origin 200 | Cache-Control: max-age=10 | ETag: "a"
			GET /etag => run #3
			origin 304 | ETag: "a"
			GET /etag | Cache-Control: no-cache => run #3
			origin 500
			GET /etag | Cache-Control: no-cache => run 500 #5
			GET /etag => hit #3`},
		{of: "RFC 9111 §5.2.1.5: no-store: nothing is stored, and nothing looked up", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a"
			GET | Cache-Control: no-store => run #1
			GET => run #2
			GET | Cache-Control: no-store => run #3 | saw If-None-Match: -
			GET | Cache-Control: no-store | If-None-Match: "x" => run #4 | saw If-None-Match: "x"
			HEAD | Cache-Control: no-store => run
			GET => hit #2`},
		{of: "RFC 9111 §5.2.1.7: only-if-cached", script: `
			origin 200 | Cache-Control: max-age=10
			GET | Cache-Control: only-if-cached => hit 504 empty | Cache-Control: ~no-store | Cache-Status: larder; detail=only-if-cached
			HEAD | Cache-Control: only-if-cached => hit 504
			GET => run #1
			GET | Cache-Control: only-if-cached => hit #1
			HEAD | Cache-Control: only-if-cached => hit empty
			GET | Cache-Control: only-if-cached | Range: bytes=0-2 => hit 206 #1[0:3]
			GET | Cache-Control: only-if-cached, no-cache => hit 504
			GET /other | Cache-Control: only-if-cached => hit 504
			+10s
			GET | Cache-Control: only-if-cached => hit 504`},
		{of: "RFC 9111 §5.2.1.7: only-if-cached takes what may be served stale", policy: patient, script: `
			origin 200 | Cache-Control: max-age=10
			GET => run #1
			+15s
			GET | Cache-Control: only-if-cached => hit 504
			GET | Cache-Control: only-if-cached, max-stale => hit #1`},
		{of: "RFC 9111 §5.2: names in any case, on several lines, with unknown ones", script: `
			origin 200 | Cache-Control: max-age=10
			GET => run #1
			GET | Cache-Control: x, "; | Cache-Control: No-Cache => run #2
			GET | Cache-Control: unknown=1 => hit #2`},
		{of: "RFC 9110 §13.1.1, §13.1.4: conditions that the origin judges", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a"
			GET => run #1
			GET | If-Match: "a" => run #2 | saw If-Match: "a"
			GET | If-Unmodified-Since: {-10s} | Range: bytes=0-1 => run #3 | saw If-Unmodified-Since: {-10s} | saw Range: bytes=0-1
			origin 412
			GET | If-Match: "b" => run 412 #4
			GET => hit #1`},
		{of: "a waiting index is bound by the same wishes", script: `
			origin 200 | Cache-Control: max-age=10 | Vary: X-A
			GET | X-A: a => run #1
			GET | X-A: a | Cache-Control: no-cache => run #2
			GET | X-A: a | Cache-Control: no-store => run #3
			GET | X-A: a | Cache-Control: only-if-cached => hit #2
			GET | X-A: b | Cache-Control: only-if-cached => hit 504`},
	})
}

// A handler that greets clients by their cookie, and says nothing to caches, makes pages for one client. Neither the policy's TTL
// nor heuristic freshness makes them shared.
func TestStandardSilentAnswersToCookies(t *testing.T) {
	page := func(fields ...string) handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			for _, field := range fields {
				addField(w.Header(), field)
			}
			_, err := fmt.Fprintf(w, "for %q", r.Header["Cookie"])
			return err
		}
	}
	modified := "Last-Modified: " + time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC).Format(http.TimeFormat)
	ttl := cache.Policy{RFC9111: true, TTL: time.Minute}
	cases := []struct {
		what   string
		policy cache.Policy
		fields []string
		kept   bool // and so given to others
	}{
		{"nothing", ttl, nil, false},
		{"a tag", ttl, []string{`Etag: "a"`}, false},
		{"a date, without a TTL", cache.Policy{RFC9111: true}, []string{modified}, false},
		{"a date", ttl, []string{modified}, false},
		{"Vary for others' sake", ttl, []string{"Vary: Accept-Encoding, Origin"}, false},
		{"a directive that says nothing of it", ttl, []string{"Cache-Control: no-transform"}, false},
		{"with a stale window", cache.Policy{RFC9111: true, TTL: time.Minute, StaleWhileRevalidate: time.Hour, StaleIfError: time.Hour}, nil, false},
		{"public", ttl, []string{"Cache-Control: public"}, true},
		{"max-age", ttl, []string{"Cache-Control: max-age=60"}, true},
		{"s-maxage", ttl, []string{"Cache-Control: s-maxage=60"}, true},
		{"Expires", ttl, []string{"Expires: " + time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC).Format(http.TimeFormat)}, true},
		{"a targeted field", ttl, []string{"Cdn-Cache-Control: max-age=60"}, true},
	}
	run(t, func(t *testing.T, s *site) {
		for i, c := range cases {
			s.handle(fmt.Sprint("GET /x", i), c.policy, page(c.fields...))
		}
		for i, c := range cases {
			target, refused := fmt.Sprint("/x", i), s.count(cache.Miss, "request-cookie")
			s.miss(target, as("alice"))
			got := s.get(target, as("bob"))
			if want := `for ["who=alice"]`; (got.body == want) != c.kept {
				t.Errorf("%s: bob has %q", c.what, got.body)
			}
			if told := s.count(cache.Miss, "request-cookie") > refused; told == c.kept {
				t.Errorf("%s: the reason is told: %t", c.what, told)
			}
			if c.kept {
				continue
			}
			s.miss(target, as("")) // which is for everyone, also for those with cookies
			wantBody(t, s.hit(target, as("bob")), "for []")
		}
	}, shared...)
}

// Cookies that select are in the key: a response that was made with them is for all clients with the same cookies.
func TestStandardSilentAnswersToSelectingCookies(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /named", cache.Policy{RFC9111: true, TTL: time.Minute, Cookies: []string{"theme"}}, s.mirror)
		s.handle("GET /varies", cache.Policy{RFC9111: true, TTL: time.Minute}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Vary", "Cookie")
			return s.mirror(w, r)
		})
		theme := func(text string) option { return func(r *http.Request) { r.Header.Set("Cookie", text) } }
		s.missHit("/named", theme("theme=dark"))
		s.missHit("/named", theme("theme=light"))
		s.neverKept("/named", theme("theme=blue; sid=1"))
		s.neverKept("/named", theme("=; odd"))
		s.missHit("/varies", as("alice"))
		s.missHit("/varies", as("bob"))
	}, shared...)
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{RFC9111: true, TTL: time.Minute}, s.mirror)
		s.missHit("/x", as("alice"))
		s.miss("/x", as("bob"))
	}, cache.PerUser)
}

// Other means than cookies may identify the user.
func TestStandardSilentAnswersToUsers(t *testing.T) {
	known := func(r *http.Request) { *r = *r.WithContext(cache.WithUser(r.Context(), "alice")) }
	certified := func(r *http.Request) {
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
	}
	encrypted := func(r *http.Request) { r.TLS = &tls.ConnectionState{} }
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{RFC9111: true, TTL: time.Minute}, setting())
		s.handle("GET /public", cache.Policy{RFC9111: true, TTL: time.Minute}, setting("Cache-Control: public"))
		s.neverKept("/x", as(""), known)
		s.neverKept("/x", as(""), certified)
		if n := s.count(cache.Miss, "request-user"); n != 6 {
			t.Errorf("%d misses for the user; want 6", n)
		}
		s.missHit("/x", as(""), encrypted)
		s.hit("/x", as(""), certified)
		s.missHit("/x", as(""))
		s.hit("/x", as(""), known)
		s.missHit("/public", as(""), known)
		s.missHit("/public", as(""), certified)
	}, shared...)
}

// Only the app's own identity function may know the user, for example by an API key in its own header.
func TestStandardSilentAnswersToTheIdentity(t *testing.T) {
	keyOf := func(r *http.Request) (string, bool) { return r.Header.Get("X-Key"), true }
	run(t, func(t *testing.T, s *site) {
		s.options.User = keyOf
		s.handle("GET /x", cache.Policy{RFC9111: true, TTL: time.Minute}, func(w http.ResponseWriter, r *http.Request) error {
			_, err := fmt.Fprintf(w, "for %q", r.Header["X-Key"])
			return err
		})
		s.handle("GET /public", cache.Policy{RFC9111: true, TTL: time.Minute}, public(text("hello")))
		for _, key := range []string{"alice", "bob", "alice"} {
			wantBody(t, s.miss("/x", as(""), header("X-Key", key)), fmt.Sprintf("for [%q]", key))
		}
		if n := s.count(cache.Miss, "request-user"); n != 3 {
			t.Errorf("%d misses for the user; want 3", n)
		}
		s.missHit("/x", as(""))
		s.missHit("/public", as(""), header("X-Key", "alice"))
	}, shared...)
}

// No waiter gets the page that was made for a client with cookies.
func TestStandardWaitersOfSilentAnswersToCookies(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{RFC9111: true, TTL: time.Minute}, func(w http.ResponseWriter, r *http.Request) error {
			time.Sleep(time.Second)
			_, err := fmt.Fprintf(w, "for %q", r.Header["Cookie"])
			return err
		})
		for i, got := range s.together(9, func(i int) reply { return s.get("/x", as(fmt.Sprint("user", i))) }) {
			wantBody(t, got, fmt.Sprintf(`for ["who=user%d"]`, i))
		}
		for _, got := range s.together(9, func(int) reply { return s.get("/x?anonymous", as("")) }) {
			wantBody(t, got, "for []")
		}
		if n := s.runs.Load(); n != 10 {
			t.Errorf("the handler ran %d times; want 10", n)
		}
	}, shared...)
}

// A 304 to the request of a client with cookies does not update the stored response, so it reveals nothing about that client.
func TestStandardSilentConfirmationsForCookies(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{RFC9111: true, TTL: time.Minute, StaleIfError: -1}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Etag", `"template"`)
			w.Header().Set("X-For", r.Header.Get("Cookie"))
			if r.Header.Get("If-None-Match") != "" {
				w.WriteHeader(http.StatusNotModified)
				return nil
			}
			_, err := fmt.Fprintf(w, "for %q", r.Header["Cookie"])
			return err
		})
		s.miss("/x", as(""))
		time.Sleep(2 * time.Minute)
		wantHeader(t, s.miss("/x", as("alice")), "X-For", "who=alice")
		wantHeader(t, s.miss("/x", as("bob")), "X-For", "who=bob")
		wantHeader(t, s.miss("/x", as("")), "X-For", "")
		wantHeader(t, s.hit("/x", as("bob")), "X-For", "")
	}, shared...)
}

// A request's Cache-Control counts for responses in Redis as for those in memory, also if the stored response has no validator:
// reading it again under the lease does not make it newer.
func TestOnRedisRequestDirectivesCount(t *testing.T) {
	answers := []handler{
		setting("Cache-Control: max-age=60"),
		setting("Cache-Control: max-age=60", `Etag: "a"`),
		setting("Cache-Control: max-age=60", "Last-Modified: "+time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC).Format(http.TimeFormat)),
		setting("Cache-Control: max-age=60", "Vary: Accept-Language"),
		setting("Cache-Control: max-age=60", "Age: 10"),
	}
	wishes := []string{"no-cache", "max-age=0", "min-fresh=61"}
	runRedis(t, func(t *testing.T, s *site, _ string) {
		for i, h := range answers {
			s.handle(fmt.Sprintf("GET /%d/{wish}", i), standardPolicy, h)
		}
		for i := range answers {
			for j, wish := range wishes {
				target := fmt.Sprintf("/%d/%d", i, j)
				s.miss(target)
				s.hit(target, header("Cache-Control", "max-age=50, min-fresh=1"))
				for range 2 {
					s.miss(target, header("Cache-Control", wish))
				}
				s.hit(target)
			}
		}
	}, inRedis...)
}

// A request that accepts no response older than itself never gets one whose run had begun before, also not by waiting for it. All
// such requests share one run that begins later.
func TestStandardWaitersWhoWantNewAnswers(t *testing.T) {
	for wish, runs := range map[string]int64{"no-cache": 2, "max-age=0": 2, "min-fresh=100": 2, "max-age=5": 1, "min-fresh=1": 1} {
		run(t, func(t *testing.T, s *site) {
			s.handle("GET /x", standardPolicy, func(w http.ResponseWriter, _ *http.Request) error {
				n := s.runs.Load()
				time.Sleep(2 * time.Second)
				return answering(200, fmt.Sprint("run ", n), "Cache-Control: max-age=60")(w, nil)
			})
			var all sync.WaitGroup
			all.Go(func() { wantBody(t, s.get("/x"), "run 1") })
			time.Sleep(time.Second)
			for range 9 {
				all.Go(func() {
					wantBody(t, s.get("/x", header("Cache-Control", wish)), fmt.Sprint("run ", runs))
				})
			}
			synctest.Wait()
			all.Go(func() { wantBody(t, s.get("/x"), "run 1") })
			all.Wait()
			if n := s.runs.Load(); n != runs {
				t.Errorf("%s: the handler ran %d times; want %d", wish, n, runs)
			}
		})
	}
}

// A response that arrives with an Age is as old for waiters as for later hits.
func TestStandardWaitersOfAgedAnswers(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", standardPolicy, func(w http.ResponseWriter, _ *http.Request) error {
			n := s.runs.Load()
			time.Sleep(2 * time.Second)
			return answering(200, fmt.Sprint("run ", n), "Cache-Control: max-age=60", "Age: 30")(w, nil)
		})
		var all sync.WaitGroup
		all.Go(func() { wantBody(t, s.get("/x"), "run 1") })
		time.Sleep(time.Second)
		all.Go(func() { wantBody(t, s.get("/x", header("Cache-Control", "max-age=20")), "run 2") })
		all.Wait()
	})
}

// askingStore tells when a process has asked for a lease.
type askingStore struct {
	*redisstore.Store
	asked chan struct{}
}

func (a askingStore) Lease(ctx context.Context, key keying.Key, token store.Token, hold time.Duration) (*store.Entry, store.Lease, error) {
	e, lease, err := a.Store.Lease(ctx, key, token, hold)
	select {
	case a.asked <- struct{}{}:
	default:
	}
	return e, lease, err
}

// A request that accepts no older response does not get one from another process, either, if its run had begun before.
func TestOnRedisNoAnswerOfAnEarlierRun(t *testing.T) {
	for _, class := range inRedis {
		t.Run(class.String(), func(t *testing.T) {
			url := redistest.Real(t)
			var runs atomic.Int64
			running, release := make(chan struct{}), make(chan struct{})
			h := func(w http.ResponseWriter, _ *http.Request) error {
				n := runs.Add(1)
				if n == 1 {
					close(running)
					<-release
				}
				return answering(200, fmt.Sprint("run ", n), "Cache-Control: max-age=60")(w, nil)
			}
			asked := make(chan struct{}, 1)
			var processes []*site
			for i := range 2 {
				s := newSite(t, routers[0], class)
				s.options.Far = open(t, url)
				if i == 1 {
					s.options.Far = askingStore{open(t, url), asked}
				}
				s.handle("GET /x", standardPolicy, h)
				s.start()
				processes = append(processes, s)
			}
			var all sync.WaitGroup
			all.Go(func() { wantBody(t, processes[0].get("/x"), "run 1") })
			<-running
			all.Go(func() {
				wantBody(t, processes[1].get("/x", header("Cache-Control", "no-cache")), "run 2")
			})
			<-asked
			close(release)
			all.Wait()
		})
	}
}

// The handler runs for a HEAD, or a range, independently of runs for the whole. A slow one must not bring back what a purge, or a
// newer complete response, has replaced meanwhile.
func TestStandardSlowPartsBringNothingBack(t *testing.T) {
	const long = "Cache-Control: public, max-age=1000"
	fresh := header("Cache-Control", "no-cache")
	for name, part := range map[string]struct {
		ask    func(s *site) reply
		answer handler
	}{
		"HEAD of the same length": {func(s *site) reply { return s.do("HEAD", "/x", fresh) }, answering(200, "", long, "Content-Length: 1")},
		"HEAD of another length":  {func(s *site) reply { return s.do("HEAD", "/x", fresh) }, answering(200, "", long, "Content-Length: 2")},
		"HEAD that is not kept":   {func(s *site) reply { return s.do("HEAD", "/x", fresh) }, answering(200, "", "Cache-Control: no-store")},
		"a range of what is confirmed": {func(s *site) reply { return s.get("/x", fresh, header("Range", "bytes=0-0")) },
			answering(304, "", long, `Etag: "1"`)},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, s *site) {
				isPart := func(r *http.Request) bool { return r.Method == http.MethodHead || s.runs.Load() == 2 }
				s.handle("GET /x", standardPolicy, func(w http.ResponseWriter, r *http.Request) error {
					if isPart(r) {
						time.Sleep(2 * time.Second)
						return part.answer(w, r)
					}
					n := fmt.Sprint(s.runs.Load())
					return answering(200, n, long, `Etag: "`+n+`"`)(w, r)
				})
				wantBody(t, s.get("/x"), "1")
				done := make(chan reply)
				go func() { done <- part.ask(s) }()
				time.Sleep(time.Second)
				wantBody(t, s.get("/x", fresh), "3")
				<-done
				if got := s.hit("/x"); got.body != "3" || got.header.Get("Age") != "1" {
					t.Errorf("got %q of age %s; want what was made last", got.body, got.header.Get("Age"))
				}
			})
		})
	}
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", standardPolicy, func(w http.ResponseWriter, r *http.Request) error {
			if r.Method == http.MethodHead {
				time.Sleep(2 * time.Second)
				return answering(200, "", long, "Content-Length: 1")(w, r)
			}
			return answering(200, fmt.Sprint(s.runs.Load()), long)(w, r)
		})
		wantBody(t, s.get("/x"), "1")
		s.together(2, func(i int) reply { // the second one has found what is kept before the purge, and asks after it
			if i == 0 {
				time.AfterFunc(time.Second, func() { s.purge(cache.URL("/x")) })
			}
			return s.do("HEAD", "/x", fresh)
		})
		wantBody(t, s.miss("/x"), fmt.Sprint(s.runs.Load()))
	})
}

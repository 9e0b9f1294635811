package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/fartest"
	"github.com/larder-go/cache/store/memstore"
)

// Each user gets, and hits, only the own response.
func TestUsersGetTheirOwnAnswers(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /me", cache.Policy{}, s.mirror)
		alice, bob := s.miss("/me", as("alice")), s.miss("/me", as("bob"))
		if !strings.Contains(alice.body, "user alice") || !strings.Contains(bob.body, "user bob") {
			t.Errorf("alice has %q and bob has %q", alice.body, bob.body)
		}
		wantBody(t, s.hit("/me", as("alice")), alice.body)
		wantBody(t, s.hit("/me", as("bob")), bob.body)
		s.hit("/me", as("bob"), header("Authorization", "Bearer bob"))
	}, perUser...)
}

func TestCookiesOfASharedRouteAreInvisible(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, s.mirror)
		if got := s.miss("/x", as("alice"), cookie("sid=alice")); strings.Contains(got.body, "alice") {
			t.Errorf("a cookie is visible: %q", got.body)
		}
		s.hit("/x", as("bob"))
		s.hit("/x", as(""))
	}, shared...)
}

// On a shared route, a request with Authorization bypasses the cache.
func TestAuthorizationBypassesASharedRoute(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, s.mirror)
		for _, who := range []string{"alice", "bob", ""} {
			if got := s.neverKept("/x", header("Authorization", who)); !strings.Contains(got.body, fmt.Sprintf("Authorization: [%q]", who)) {
				t.Errorf("%s is answered %q; want the own answer", who, got.body)
			}
		}
		public := s.missHit("/x")
		for _, who := range []string{"alice", "bob"} {
			if got := s.miss("/x", header("Authorization", who)); !strings.Contains(got.body, who) {
				t.Errorf("%s is answered %q; want the own answer", who, got.body)
			}
		}
		wantBody(t, s.hit("/x"), public.body)
	}, shared...)
}

func TestAuthorizationCanBeIgnored(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{IgnoreAuthorization: true}, s.mirror)
		if got := s.miss("/x", header("Authorization", "Bearer alice")); strings.Contains(got.body, "Bearer") {
			t.Errorf("an ignored Authorization is visible: %q", got.body)
		}
		s.hit("/x", header("Authorization", "Bearer bob"))
		s.hit("/x")
	}, shared...)
}

// Concurrent requests of different users share no run.
func TestUsersAtOnceGetTheirOwnAnswers(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /me", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			time.Sleep(time.Millisecond)
			return s.mirror(w, r)
		})
		var all sync.WaitGroup
		for i := range 64 {
			all.Go(func() {
				for round := range 20 {
					who := fmt.Sprintf("user-%d.", (i+round)%4)
					want, opts := "user "+who, []option{as(who)}
					if s.class != cache.PerUser {
						want, opts = "Bearer "+who, []option{header("Authorization", "Bearer "+who)}
					}
					if got := s.get(fmt.Sprint("/me?", round), opts...); !strings.Contains(got.body, want) {
						t.Errorf("%s is answered %q", who, got.body)
					}
				}
			})
		}
		all.Wait()
		if n := s.runs.Load(); s.class == cache.PerUser && n != 4*20 {
			t.Errorf("the handler ran %d times for 4 users and 20 URLs; want 80", n)
		}
	})
}

func TestPerUserWithoutUserIsNeverKept(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /me", cache.Policy{}, s.mirror)
		s.handle("GET /public", cache.Policy{}, setting("Cache-Control: public, max-age=600"))
		s.miss("/me", as("alice"))
		for _, spoof := range []string{"X-User", "X-Forwarded-User", "Authorization", "User"} {
			got := s.neverKept("/me", as(""), header(spoof, "alice"))
			wantHeader(t, got, "Cache-Control", "private, no-store")
		}
		wantHeader(t, s.neverKept("/public", as("")), "Cache-Control", "private, no-store")
		s.hit("/me", as("alice"))
	}, perUser...)
}

// A path that looks like a static file changes nothing: the response stays per-user.
func TestDeceptivePathsStayPersonal(t *testing.T) {
	suffixes := []string{".css", ".js", ".png", ".ico", ".woff2", "/x.css", "/x.js", "/robots.txt", ";x.css", "%3Bx.css", "%2Fx.css",
		"%0Ax.css", "%0D%0Ax.css", "%3Fx.css", "%3fv=1.css", "%23x.css", "%26x.css", "%2526x.css", "%252Fx.css", "%5Cx.css", "/..%2Fstatic/x.js",
		"/%2e%2e/static/x.js", "%2e%2e%2fx.css", "%20x.css", "%09x.css", "!x.css", "~x.css", "@x.css", "/.well-known/x", "/favicon.ico"}
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /{rest...}", cache.Policy{}, s.mirror)
		for _, suffix := range suffixes {
			s.get("/account" + suffix)
			for _, other := range []string{"bob", ""} {
				if got := s.get("/account"+suffix, as(other)); strings.Contains(got.body, "alice") {
					t.Errorf("%q has alice's answer for /account%s", other, suffix)
				}
			}
		}
	}, perUser...)
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /static/{rest...}", cache.Policy{}, s.mirror)
		s.handlePlain("GET /{rest...}", s.mirror)
		for _, suffix := range suffixes {
			if strings.Contains(suffix, "/..") || strings.Contains(suffix, "/%2e") {
				continue // a router may clean the path
			}
			s.neverKept("/account" + suffix)
		}
	}, cache.SharedGlobal)
}

// Authentication runs before the lookup.
func TestRevokedUserGetsNoHit(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		revoked := false
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if revoked {
					http.Error(w, "revoked", http.StatusUnauthorized)
					return
				}
				next.ServeHTTP(w, r)
			})
		})
		s.handle("GET /me", cache.Policy{}, s.mirror)
		s.missHit("/me")
		revoked = true
		wantStatus(t, s.get("/me"), http.StatusUnauthorized)
		revoked = false
		s.hit("/me")
	})
}

// What was stored under one class is never found under another.
func TestReclassificationIsAMiss(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		near := memstore.New(memstore.Options{})
		t.Cleanup(func() { _ = near.Close() })
		s.options.Near = near
		s.handle("GET /x", cache.Policy{}, s.mirror)
		s.missHit("/x")
		for _, class := range classes {
			s.endpoints[0].policy.Class = class
			s.restart()
			if class == s.class {
				s.hit("/x")
				continue
			}
			s.miss("/x")
		}
	})
}

// A per-user response leaves as private, whatever Cache-Control the handler sets.
func TestPerUserAnswersLeaveAsPrivate(t *testing.T) {
	tests := []struct{ set, want string }{
		{"", "private"},
		{"max-age=60", "private, max-age=60"},
		{"public, max-age=60, s-maxage=600", "private, max-age=60"},
		{"PUBLIC", "private"},
		{`private, x="a,b"`, `private, x="a,b"`},
		{"no-store", "private, no-store"},
		{"max-age=1;public", "private, no-store"},
	}
	run(t, func(t *testing.T, s *site) {
		for i, test := range tests {
			target := fmt.Sprint("/x", i)
			fields := []string{"Cache-Control: " + test.set}
			switch {
			case test.set == "":
				fields = nil
			case i == 2:
				fields = append(fields, "cache-control: public")
			}
			s.handle("GET "+target, cache.Policy{}, setting(fields...))
		}
		for i, test := range tests {
			for range 2 {
				wantHeader(t, s.get(fmt.Sprint("/x", i)), "Cache-Control", test.want)
			}
			wantHeader(t, s.do("HEAD", fmt.Sprint("/x", i)), "Cache-Control", test.want)
			wantHeader(t, s.get(fmt.Sprint("/x", i), as("")), "Cache-Control", "private, no-store")
		}
	}, perUser...)
}

// The response of a handler that fails before it writes must be private, too.
func TestPerUserErrorsLeaveAsPrivate(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /fail", cache.Policy{}, func(http.ResponseWriter, *http.Request) error { return fmt.Errorf("no") })
		s.handle("GET /silent", cache.Policy{}, func(http.ResponseWriter, *http.Request) error { return nil })
		for _, target := range []string{"/fail", "/silent"} {
			if got := s.neverKept(target).header.Get("Cache-Control"); !strings.HasPrefix(got, "private") {
				t.Errorf("%s leaves with Cache-Control %q; want private", target, got)
			}
		}
	}, perUser...)
}

// Fields that belong to one response are not in hits.
func TestFieldsOfOneResponseAreNotReplayed(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		n := 0
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				n++
				w.Header().Set("X-Request-Id", fmt.Sprint("request-", n))
				w.Header().Set("X-Trace", fmt.Sprint("trace-", n))
				w.Header().Set("Set-Cookie", fmt.Sprint("csrf=", n))
				w.Header().Set("Access-Control-Allow-Origin", fmt.Sprint("https://", n, ".example"))
				next.ServeHTTP(w, r)
			})
		})
		s.handle("GET /x", cache.Policy{}, setting("X-Ratelimit-Remaining: 7", "Ratelimit: 7", "Date: Mon, 01 Jan 2001 00:00:00 GMT", "Server-Timing: db;dur=5",
			"Retry-After: 7", "Keep-Alive: 5", "Connection: X-Hop, close", "X-Hop: 1", "X-Correlation-Id: 7", "X-Own: yes"))
		s.miss("/x")
		again := s.hit("/x")
		wantHeader(t, again, "X-Request-Id", "request-2")
		wantHeader(t, again, "X-Trace", "trace-2")
		wantHeader(t, again, "Set-Cookie", "csrf=2")
		wantHeader(t, again, "Access-Control-Allow-Origin", "https://2.example")
		wantHeader(t, again, "X-Own", "yes")
		for _, name := range []string{"X-Ratelimit-Remaining", "Ratelimit", "Date", "Server-Timing", "Retry-After", "Keep-Alive", "Connection", "X-Hop", "X-Correlation-Id"} {
			wantHeader(t, again, name)
		}
	})
}

// On hits as on misses, what the handler did to the fields of outer middleware is done once.
func TestOuterHeadersAreNeitherDoubledNorLost(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Add("Vary", "Origin")
				w.Header().Add("Link", "</outer>")
				w.Header().Add("Server", "outer")
				w.Header().Add("X-Gone", "outer")
				w.Header().Add("X-Both", "outer")
				next.ServeHTTP(w, r)
			})
		})
		s.handle("GET /x", cache.Policy{Vary: []string{"Accept"}}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Add("Vary", "Accept")
			w.Header().Add("Link", "</a>")
			w.Header().Add("Link", "</b>")
			w.Header().Set("Server", "inner")
			w.Header().Del("X-Gone")
			return s.mirror(w, r)
		})
		for _, got := range []reply{s.miss("/x"), s.hit("/x"), s.hit("/x")} {
			wantHeader(t, got, "Vary", "Origin", "Accept")
			wantHeader(t, got, "Link", "</outer>", "</a>", "</b>")
			wantHeader(t, got, "Server", "inner")
			wantHeader(t, got, "X-Gone")
			wantHeader(t, got, "X-Both", "outer")
		}
	})
}

// Entries share no memory with the headers of responses.
func TestOuterMiddlewareCannotChangeWhatIsKept(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, setting("X-List: a", "X-List: b", "Link: </a>"))
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r)
				w.Header().Add("X-List", "outer")
				w.Header()["Link"] = []string{"</evil>"}
				w.Header().Del("Content-Length")
				w.Header().Add("Age", "outer")
				w.Header().Add("Cache-Status", "outer")
			})
		})
		first := s.miss("/x")
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				for range 8 {
					got := s.get("/x")
					wantBody(t, got, first.body)
					wantHeader(t, got, "X-List", "a", "b")
					wantHeader(t, got, "Link", "</a>")
					wantHeader(t, got, "Age", "0")
				}
			})
		}
		all.Wait()
		synctest.Wait()
		if n := s.runs.Load(); n != 1 {
			t.Errorf("the handler ran %d times; want 1", n)
		}
	})
}

// No event shows whose request it was, or for which URL.
func TestEventsNameNobody(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /p/{id}", cache.Policy{Tags: []string{"p:{id}"}, StaleWhileRevalidate: time.Minute}, s.mirror)
		s.get("/p/secret-path?secret=query", as("secret-user"), header("X-Secret", "secret-header"))
		s.get("/p/secret-path?secret=query", as("secret-user"))
		s.do("POST", "/p/secret-path", as("secret-user"))
		s.far.Down.Store(true)
		s.get("/p/secret-path?other", as("secret-user"), header("Authorization", "secret"))
		s.get("/p/secret-path?more", as("secret-user"))
		_ = s.cache.Purge(t.Context(), cache.User("secret-user"), cache.URL("/p/secret-path"), cache.Tag("p:secret-path"))
		if text := fmt.Sprintf("%+v", s.events); strings.Contains(text, "secret") {
			t.Errorf("events tell too much: %s", text)
		}
		if len(s.events) < 4 {
			t.Errorf("%d events; want more", len(s.events))
		}
	})
}

// A store may hold an operation's context after the operation: it stays that request's context.
func TestAContextThatAStoreHasKeptIsItsRequestsOwn(t *testing.T) {
	type number struct{}
	kept := map[int][]context.Context{}
	far := fartest.New()
	at := 0
	far.Before = func(_ string, ctx context.Context) { kept[at] = append(kept[at], ctx) }
	c, err := cache.New(cache.Options{Far: far, FarBudget: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	h := c.Middleware(cache.Policy{Class: cache.FleetShared})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("body"))
	}))
	for at = range 50 {
		r := newRequest("GET", fmt.Sprint("/", at/2)) // a miss and a hit of each
		h.ServeHTTP(&reused{header: http.Header{}}, r.WithContext(context.WithValue(r.Context(), number{}, at)))
	}
	for i, all := range kept {
		for _, ctx := range all {
			if got := ctx.Value(number{}); got != i {
				t.Errorf("a context of request %d is that of %v by now", i, got)
			}
		}
	}
	if len(kept) != 50 {
		t.Errorf("the store was asked for %d requests; want 50", len(kept))
	}
}

// A route with a slow handler, or Values with a slow load, leave room for the refreshes of others.
func TestSlowRefreshesLeaveOthersRoom(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		end, slow, loads := make(chan struct{}), false, 0
		p := cache.Policy{TTL: time.Minute, StaleWhileRevalidate: time.Hour}
		s.handle("GET /slow/{id}", p, func(w http.ResponseWriter, r *http.Request) error {
			if slow {
				<-end
			}
			return text("hello")(w, r)
		})
		s.handle("GET /quick", p, text("hello"))
		s.start()
		p.Class = s.class
		values := cache.NewValues(s.cache, "quick", p, func(context.Context, string) (int, error) { loads++; return loads, nil })
		ask := func(target string) { s.get(target, behindServer(s)) }
		all := func() {
			for i := range 100 {
				ask(fmt.Sprint("/slow/", i))
			}
			ask("/quick")
			_, _ = values.Get(cache.WithUser(t.Context(), "alice"), "1")
			synctest.Wait()
		}
		all()
		time.Sleep(2 * time.Minute)
		slow = true
		all()
		before := s.runs.Load()
		if ask("/quick"); s.runs.Load() != before || s.count(cache.Refresh, "") != 2 {
			t.Errorf("%d refreshes; want those of the quick route and value", s.count(cache.Refresh, ""))
		}
		if loads != 2 {
			t.Errorf("the value was loaded %d times; want 2", loads)
		}
		close(end)
		synctest.Wait()
	})
}

// A route whose clients all hang up leaves room for other routes' handlers to outlast their clients.
func TestSlowHandlersWithoutClientsLeaveOthersRoom(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /slow/{id}", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			<-r.Context().Done()
			return r.Context().Err()
		})
		s.handle("GET /quick", cache.Policy{TTL: time.Minute}, func(w http.ResponseWriter, r *http.Request) error {
			time.Sleep(time.Second)
			return text("hello")(w, r)
		})
		s.start()
		ctx, hangUp := context.WithCancel(t.Context())
		for i := range 100 {
			go s.get(fmt.Sprint("/slow/", i), within(ctx))
		}
		synctest.Wait()
		hangUp()
		synctest.Wait()
		ctx, hangUp = context.WithCancel(t.Context())
		go s.get("/quick", within(ctx))
		synctest.Wait()
		hangUp()
		time.Sleep(2 * time.Second)
		s.hit("/quick")
		time.Sleep(time.Minute)
	})
}

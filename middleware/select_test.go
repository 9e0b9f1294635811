package middleware_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/keying"
)

// tenant is what the site's authentication has put into the context about the user.
func tenant(r *http.Request) string {
	name, _ := r.Context().Value(tenantKey{}).(string)
	return name
}

type tenantKey struct{}

// preview reports whether the request has a header that handlers of shared classes do not see.
func preview(r *http.Request) bool { return r.Header.Get("X-Preview") != "" }

// tenants responds for the tenant that the context names, and says that its responses are public.
func (s *site) tenants(w http.ResponseWriter, r *http.Request) error {
	_, err := fmt.Fprintf(w, "answer %d for %q", nonce.Add(1), tenant(r))
	return err
}

// both plays a property in policy mode and in standard mode (RFC 9111).
func both(t *testing.T, f func(t *testing.T, s *site, p cache.Policy), only ...cache.Class) {
	t.Helper()
	for _, p := range []cache.Policy{{TTL: time.Minute}, {TTL: time.Minute, RFC9111: true}} {
		run(t, func(t *testing.T, s *site) { f(t, s, p) }, only...)
	}
}

// The result of a function selects the response, whatever the function looks at, and for every form of request.
func TestWhatAFunctionSaysSelects(t *testing.T) {
	both(t, func(t *testing.T, s *site, p cache.Policy) {
		p.VaryBy = tenant
		s.handle("GET /x", p, public(s.tenants))
		acme, beta := s.missHit("/x", as("acme/1")), s.missHit("/x", as("beta/1"))
		if !strings.Contains(acme.body, `"acme"`) || !strings.Contains(beta.body, `"beta"`) {
			t.Errorf("acme has %q and beta has %q", acme.body, beta.body)
		}
		s.missHit("/x", as("")) // which says nothing
		if s.class != cache.PerUser {
			wantBody(t, s.hit("/x", as("acme/2")), acme.body)
		}
		wantBody(t, s.hit("/x", as("acme/1")), acme.body)
		wantBody(t, s.hit("/x", as("beta/1"), header("Range", "bytes=0-5")), beta.body[:6])
		before := s.runs.Load()
		for _, who := range []string{"acme/1", "beta/1"} {
			wantStatus(t, s.do("HEAD", "/x", as(who)), 200)
			wantStatus(t, s.get("/x", as(who), header("If-None-Match", "*")), 304)
		}
		s.wantTotal(before)
		s.purge(cache.URL("/x"))
		s.miss("/x", as("acme/1"))
		s.miss("/x", as("beta/1"))
	}, shared...)
	both(t, func(t *testing.T, s *site, p cache.Policy) {
		p.VaryBy = func(r *http.Request) string { return r.Header.Get("X-Flag") }
		s.handle("GET /x", p, public(s.mirror))
		alice, bob := s.missHit("/x", as("alice"), header("X-Flag", "a")), s.missHit("/x", as("bob"), header("X-Flag", "a"))
		if alice.body == bob.body {
			t.Error("two users share an answer")
		}
		s.missHit("/x", as("alice"), header("X-Flag", "b"))
		wantBody(t, s.hit("/x", as("alice"), header("X-Flag", "a")), alice.body)
	}, perUser...)
}

// Concurrent requests with different selections do not wait for each other, also for a part of the response.
func TestWaitersShareWhatAFunctionSelects(t *testing.T) {
	both(t, func(t *testing.T, s *site, p cache.Policy) {
		p.VaryBy = tenant
		s.handle("GET /x", p, public(func(w http.ResponseWriter, r *http.Request) error {
			time.Sleep(time.Second)
			return s.tenants(w, r)
		}))
		type got struct{ who, body string }
		answers := make(chan got, 60)
		for i := range cap(answers) {
			who := []string{"acme", "beta", "c"}[i%3]
			go func() { answers <- got{who, s.get("/x", as(fmt.Sprint(who, "/", i))).body} }()
		}
		for range cap(answers) {
			if a := <-answers; !strings.Contains(a.body, fmt.Sprintf("%q", a.who)) {
				t.Errorf("%s is answered %q", a.who, a.body)
			}
		}
		s.wantTotal(3)
	}, shared...)
}

// What a standard response also varies by, besides the function, each selection learns separately.
func TestAStandardAnswerVariesBesideAFunction(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{RFC9111: true, VaryBy: tenant}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Cache-Control", "public, max-age=60")
			w.Header().Set("Vary", "Accept-Language")
			_, err := fmt.Fprint(w, tenant(r), " ", r.Header.Get("Accept-Language"))
			return err
		})
		for _, who := range []string{"acme", "beta"} {
			for _, language := range []string{"en", "de"} {
				wantBody(t, s.missHit("/x", as(who), header("Accept-Language", language)), who+" "+language)
			}
		}
		wantBody(t, s.hit("/x", as("acme"), header("Accept-Language", "en")), "acme en")
	}, shared...)
}

// Selections are variants: made-up ones fill no store, and prevent no other from being stored.
func TestMadeUpSelectionsKeepNobodyOut(t *testing.T) {
	both(t, func(t *testing.T, s *site, p cache.Policy) {
		p.VaryBy = func(r *http.Request) string { return r.Header.Get("X-Flag") }
		s.handle("GET /x", p, public(s.mirror))
		s.miss("/x", header("X-Flag", "on"))
		for n := range 100 {
			s.miss("/x", header("X-Flag", fmt.Sprint(n)))
			s.hit("/x", header("X-Flag", "on"))
		}
		if n := s.far.Len(); n > 33 {
			t.Errorf("%d entries lie in the store; want 32 of the URL", n)
		}
	}, cache.PerUser, cache.FleetShared)
}

// No header tells a proxy in front what a function selects by. So such a response is private, unless the handler or the policy
// says otherwise.
func TestAnswersByAFunctionArePrivate(t *testing.T) {
	for _, test := range []struct {
		said, client, want string
	}{
		{"", "", "private"},
		{"max-age=60", "", "private, max-age=60"},
		{"must-revalidate, max-age=60", "", "private, must-revalidate, max-age=60"},
		{"public, max-age=60", "", "public, max-age=60"},
		{"s-maxage=60", "", "s-maxage=60"},
		{"private, max-age=60", "", "private, max-age=60"},
		{"no-store", "", "no-store"},
		{"no-cache", "", "private, no-cache"},
		{"", "max-age=60", "private, max-age=60"},
		{"", "no-cache", "private, no-cache"},
		{"max-age=60", "public, max-age=30", "public, max-age=30"},
		{"", "s-maxage=30", "s-maxage=30"},
	} {
		both(t, func(t *testing.T, s *site, p cache.Policy) {
			p.VaryBy, p.Client = tenant, test.client
			h := func(status int) handler {
				return func(w http.ResponseWriter, r *http.Request) error {
					if test.said != "" {
						w.Header().Set("Cache-Control", test.said)
					}
					w.WriteHeader(status)
					return s.tenants(w, r)
				}
			}
			s.handle("/x", p, h(200))
			s.handle("/error", p, h(500))
			want := []string{test.want}
			for _, o := range []option{as(""), as(""), header("X-A", "a"), header("Range", "bytes=0-3"), header("If-None-Match", "*")} {
				wantHeader(t, s.get("/x", as(""), o), "Cache-Control", want...)
			}
			wantHeader(t, s.do("HEAD", "/x", as("")), "Cache-Control", want...)
			if test.client == "" {
				wantHeader(t, s.get("/x", header("Authorization", "x")), "Cache-Control", want...)
				wantHeader(t, s.do("POST", "/x"), "Cache-Control", want...)
				wantHeader(t, s.get("/error"), "Cache-Control", want...)
			}
		}, shared...)
	}
}

// A request that is skipped reaches its handler unchanged, and its response is neither looked up nor stored.
func TestASkippedRequestGoesAround(t *testing.T) {
	both(t, func(t *testing.T, s *site, p cache.Policy) {
		asked := 0
		p.Skip = func(r *http.Request) bool { asked++; return preview(r) }
		s.handle("/x", p, public(s.mirror))
		kept := s.missHit("/x")
		now := header("X-Preview", "draft 1")
		if got := s.neverKept("/x", now); !strings.Contains(got.body, "draft 1") {
			t.Errorf("a preview is answered %q; want the handler to see the header", got.body)
		}
		before := s.runs.Load()
		s.do("HEAD", "/x", now)
		s.get("/x", now, header("Range", "bytes=0-3"))
		s.get("/x", now, header("If-None-Match", "*"))
		s.get("/x", now, as(""), header("Authorization", "x"))
		s.wantTotal(before + 4)
		if n := s.count(cache.Bypass, "skip"); n != 7 {
			t.Errorf("%d requests bypass for being skipped; want 7", n)
		}
		wantBody(t, s.hit("/x"), kept.body)
		if got := s.get("/x", now).header.Get("Cache-Status"); !strings.Contains(got, "fwd=bypass; detail=skip") {
			t.Errorf("Cache-Status is %q", got)
		}
		asked = 0
		s.do("POST", "/x", now)
		if asked != 0 || s.count(cache.Bypass, "method") != 1 {
			t.Error("it is asked of other methods, which are never cached")
		}
		if p.RFC9111 {
			s.miss("/x") // the POST has invalidated it, skipped or not
		}
	})
}

// If a function panics, its request bypasses the cache, and an event says so; http.ErrAbortHandler reaches the server.
func TestAFunctionThatPanicsBypasses(t *testing.T) {
	faulty := func(r *http.Request) {
		switch r.Header.Get("X-Panic") {
		case "":
		case "abort":
			panic(http.ErrAbortHandler)
		default:
			panic("the flags are gone")
		}
	}
	for reason, policy := range map[cache.Reason]cache.Policy{
		"skip":    {Skip: func(r *http.Request) bool { faulty(r); return false }},
		"vary-by": {VaryBy: func(r *http.Request) string { faulty(r); return "" }},
	} {
		both(t, func(t *testing.T, s *site, p cache.Policy) {
			p.Skip, p.VaryBy = policy.Skip, policy.VaryBy
			s.handle("GET /x", p, public(s.mirror))
			s.missHit("/x")
			s.neverKept("/x", header("X-Panic", "yes"))
			if faults, bypasses := s.count(cache.Fault, reason), s.count(cache.Bypass, reason); faults == 0 || bypasses != 3 {
				t.Errorf("%d faults and %d bypasses; want some, and 3", faults, bypasses)
			}
			if !slices.ContainsFunc(s.events, func(ev cache.Event) bool {
				return ev.Outcome == cache.Fault && ev.Class == s.class && strings.Contains(fmt.Sprint(ev.Err), "panicked: the flags are gone")
			}) {
				t.Error("no event says what the panic was")
			}
			func() {
				defer func() {
					if v := recover(); v == nil || !errors.Is(v.(error), http.ErrAbortHandler) {
						t.Errorf("the panic for the server is %v outside", v)
					}
				}()
				s.get("/x", header("X-Panic", "abort"))
			}()
			s.hit("/x")
		})
	}
}

// A request with a text that is too long for a key bypasses the cache.
func TestATextThatIsTooLongBypasses(t *testing.T) {
	both(t, func(t *testing.T, s *site, p cache.Policy) {
		p.VaryBy = func(r *http.Request) string { return r.Header.Get("X-Flag") }
		s.handle("GET /x", p, public(s.mirror))
		s.missHit("/x", header("X-Flag", strings.Repeat("x", 1<<10)))
		s.neverKept("/x", header("X-Flag", strings.Repeat("x", 1<<10+1)))
		if n := s.count(cache.Bypass, "key"); n != 3 {
			t.Errorf("%d requests bypass for their key; want 3", n)
		}
	})
}

// A background refresh enters like the client's request. So outer middleware and the policy's functions come to the same result,
// and it refreshes the response that the client got.
func TestARefreshIsSelectedAsItsRequestWas(t *testing.T) {
	for _, server := range []bool{true, false} {
		both(t, func(t *testing.T, s *site, p cache.Policy) {
			p.StaleWhileRevalidate = time.Minute
			p.VaryBy = func(r *http.Request) string { return tenant(r) + r.URL.Query().Get("flag") + r.Header.Get("X-Flag") }
			p.Skip = func(r *http.Request) bool { return r.Header.Get("X-Flag") == "" }
			p.Query = keying.Only("page")
			h := s.tenants
			s.handle("GET /x", p, func(w http.ResponseWriter, r *http.Request) error {
				w.Header().Set("Cache-Control", "public, max-age=60, stale-while-revalidate=60")
				return h(w, r)
			})
			ask := func(who string) []option {
				options := []option{as(who), header("X-Flag", "f"), header("If-None-Match", `"x"`)}
				if server {
					options = append(options, behindServer(s))
				}
				return options
			}
			first := s.miss("/x?flag=a&page=1", ask("acme/1")...)
			s.miss("/x?flag=a&page=1", ask("beta/1")...)
			time.Sleep(time.Minute + time.Second)
			before := s.runs.Load()
			wantBody(t, s.get("/x?flag=a&page=1", ask("acme/1")...), first.body)
			synctest.Wait()
			s.wantTotal(before + 1)
			fresh := s.hit("/x?flag=a&page=1", ask("acme/1")...)
			if fresh.body == first.body || !strings.Contains(fresh.body, `"acme"`) {
				t.Errorf("after the refresh it is %q; it was %q", fresh.body, first.body)
			}
			if n := s.count(cache.Refresh, "refresh-not-reached"); n > 0 {
				t.Errorf("%d refreshes did not reach the route", n)
			}
		}, shared...)
	}
}

// A table names functions of the Options, because a function has no text.
func TestATableNamesFunctions(t *testing.T) {
	options := cache.Options{
		Skips: map[string]func(*http.Request) bool{"preview": preview, "never": func(*http.Request) bool { return false }},
		By:    map[string]func(*http.Request) string{"tenant": tenant, "a b": tenant},
	}
	run(t, func(t *testing.T, s *site) {
		s.options.Skips, s.options.By = options.Skips, options.By
		p, err := cache.ParsePolicy(s.class.String() + ` skip=preview by="a b"`)
		if err != nil {
			t.Fatal(err)
		}
		s.handle("GET /x", p, s.tenants)
		s.missHit("/x", as("acme"))
		s.missHit("/x", as("beta"))
		s.neverKept("/x", as("acme"), header("X-Preview", "1"))
	}, shared...)
}

func TestAFunctionWithoutANameIsRefused(t *testing.T) {
	for want, o := range map[string]cache.Options{
		`cache: Options.Skips["preview"] is nil; set a function, or leave it out`:                   {Skips: map[string]func(*http.Request) bool{"preview": nil}},
		`cache: Options.By["tenant"] is nil; set a function, or leave it out`:                       {By: map[string]func(*http.Request) string{"tenant": nil}},
		`cache: Options.By has a function without a name; name it as tables shall, or leave it out`: {By: map[string]func(*http.Request) string{"": tenant}},
	} {
		if _, err := cache.New(o); fmt.Sprint(err) != want {
			t.Errorf("New: %v\nwant %s", err, want)
		}
	}
}

// Later changes of the Options have no effect.
func TestNamedFunctionsAreCopied(t *testing.T) {
	by := map[string]func(*http.Request) string{"tenant": tenant}
	c := newCache(t, cache.Options{By: by})
	delete(by, "tenant")
	if _, err := c.Compile(cache.Policy{Class: cache.SharedGlobal, VaryByName: "tenant"}, ""); err != nil {
		t.Error(err)
	}
}

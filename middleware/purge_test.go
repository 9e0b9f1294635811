package middleware_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/user"
	"github.com/larder-go/cache/keying"
)

func TestPurgeHitsWhatItNames(t *testing.T) {
	tests := []struct {
		name  string
		label cache.Label
		gone  string // of the targets below
	}{
		{"a tag of the route", cache.Tag("p:7"), "/p/7 /p/7?a=1&b=2"},
		{"a tag of the handler", cache.Tag("added"), "/p/7 /p/7?a=1&b=2 /p/8 /q/7"},
		{"a fixed tag", cache.Tag("products"), "/p/7 /p/7?a=1&b=2 /p/8"},
		{"a tag nobody has", cache.Tag("p:9"), ""},
		{"part of a tag", cache.Tag("p:"), ""},
		{"a route", cache.Route("GET /p/{id}"), "/p/7 /p/7?a=1&b=2 /p/8"},
		{"a route as echo writes it", cache.Route("/p/:id"), "/p/7 /p/7?a=1&b=2 /p/8"},
		{"a URL", cache.URL("/p/7"), "/p/7"},
		{"a URL with its query", cache.URL("/p/7?b=2&a=1"), "/p/7?a=1&b=2"},
		{"a URL of the host", cache.URL("http://example.com/p/7"), "/p/7"},
		{"a URL of another host", cache.URL("http://example.org/p/7"), ""},
		{"a URL of another scheme", cache.URL("https://example.com/p/7"), ""},
		{"everything", cache.Everything(), "/p/7 /p/7?a=1&b=2 /p/8 /q/7"},
	}
	targets := []string{"/p/7", "/p/7?a=1&b=2", "/p/8", "/q/7"}
	run(t, func(t *testing.T, s *site) {
		tagged := func(w http.ResponseWriter, r *http.Request) error {
			cache.AddTags(r.Context(), "added", "more")
			return s.mirror(w, r)
		}
		s.handle("GET /p/{id}", cache.Policy{Tags: []string{"p:{id}", "products"}}, tagged)
		s.handle("GET /q/{id}", cache.Policy{Tags: []string{"q:{id}"}}, tagged)
		for _, test := range tests {
			for _, target := range targets {
				s.get(target)
				s.hit(target)
			}
			s.purge(test.label)
			for _, target := range targets {
				before := s.runs.Load()
				s.get(target)
				if got, want := s.runs.Load() > before, containsWord(test.gone, target); got != want {
					t.Errorf("purge of %s: gone %t for %s; want %t", test.name, got, target, want)
				}
			}
		}
	})
}

func containsWord(words, word string) bool {
	for w := range strings.FieldsSeq(words) {
		if w == word {
			return true
		}
	}
	return false
}

func TestPurgeOfAUserLeavesTheOthers(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /a", cache.Policy{}, s.mirror)
		s.handle("GET /b", cache.Policy{}, s.mirror)
		for _, who := range []string{"alice", "bob"} {
			s.miss("/a", as(who))
			s.miss("/b", as(who))
		}
		s.purge(cache.User("alice"))
		s.hit("/a", as("bob"))
		s.hit("/b", as("bob"))
		s.miss("/a", as("alice"))
		s.miss("/b", as("alice"))
		s.purge(cache.URL("/a")) // for all users
		s.miss("/a", as("alice"))
		s.miss("/a", as("bob"))
		s.hit("/b", as("bob"))
	}, perUser...)
}

// The order of events decides, not their duration: THREATS 108.
func TestPurgeDuringARunWins(t *testing.T) {
	purges := map[string]func(*site, cache.Label) error{
		"Purge":  func(s *site, l cache.Label) error { return s.cache.Purge(s.t.Context(), l) },
		"Expire": func(s *site, l cache.Label) error { return s.cache.Expire(s.t.Context(), l) },
	}
	for name, purge := range purges {
		for _, label := range []cache.Label{cache.Tag("p:7"), cache.Tag("late"), cache.URL("/p/7"), cache.Route("/p/{id}"), cache.Everything()} {
			run(t, func(t *testing.T, s *site) {
				data := "old"
				s.handle("GET /p/{id}", cache.Policy{Tags: []string{"p:{id}"}}, func(w http.ResponseWriter, r *http.Request) error {
					read := data
					time.Sleep(time.Second)
					cache.AddTags(r.Context(), "late")
					return text(read)(w, r)
				})
				s.start()
				go s.get("/p/7")
				synctest.Wait()
				data = "new"
				if err := purge(s, label); err != nil {
					t.Fatal(err)
				}
				for _, got := range s.atOnce(10, same("/p/7")) { // they came after the purge
					wantBody(t, got, "new")
				}
				wantBody(t, s.get("/p/7"), "new")
				if n := s.runs.Load(); name == "Purge" && n > 3 {
					t.Errorf("%s: the handler ran %d times; want 3 at most", name, n)
				}
			})
		}
	}
}

func TestExpireMakesStale(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		fail := false
		s.handle("GET /swr/{id}", cache.Policy{Tags: []string{"p:{id}"}, StaleWhileRevalidate: time.Minute}, s.mirror)
		s.handle("GET /sie/{id}", cache.Policy{Tags: []string{"p:{id}"}, StaleIfError: time.Minute}, s.failing(&fail, serverFailures["status"]))
		s.handle("GET /hard/{id}", cache.Policy{Tags: []string{"p:{id}"}, StaleIfError: -1}, s.mirror)
		behind := behindServer(s)
		swr, sie := s.miss("/swr/7", behind), s.miss("/sie/7")
		hard := s.miss("/hard/7")
		s.miss("/swr/8")
		if err := s.cache.Expire(t.Context(), cache.Tag("p:7")); err != nil {
			t.Fatal(err)
		}
		if s.miss("/hard/7").body == hard.body {
			t.Error("an expired answer without a stale window was served")
		}
		s.hit("/swr/8")
		wantBody(t, s.get("/swr/7", behind), swr.body)
		synctest.Wait()
		if s.hit("/swr/7", behind).body == swr.body {
			t.Error("an expired answer was not refreshed")
		}
		fail = true
		wantBody(t, s.miss("/sie/7"), sie.body)
		s.purge(cache.Tag("p:7"))
		wantStatus(t, s.miss("/sie/7"), http.StatusBadGateway)
	})
}

// Every process sees a purge, at once through Redis and within the near TTL otherwise.
func TestPurgeReachesTheOtherProcesses(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, s.mirror)
		s.miss("/x")
		one := s.served
		s.restart()
		s.hit("/x")
		s.purge(cache.URL("/x"))
		s.served = one
		s.miss("/x")
	}, inRedis...)
}

// Never silent, and this process has forgotten all the same.
func TestPurgeTellsWhenRedisWasNotTold(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, s.mirror)
		s.missHit("/x")
		s.far.Down.Store(true)
		if err := s.cache.Purge(t.Context(), cache.URL("/x")); err == nil {
			t.Error("Purge without Redis returns no error")
		}
		if n := s.count(cache.Purged, cache.ReasonPurge); n != 1 {
			t.Errorf("%d events of a failed purge; want 1", n)
		}
		s.far.Down.Store(false)
		s.miss("/x")
	})
}

func TestPurgeOfNothingIsNoError(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, s.mirror)
		s.miss("/x")
		s.purge()
		s.hit("/x")
		for _, bad := range []cache.Label{{}, cache.URL("example.com/x\x7f"), cache.URL("mailto:x"), cache.URL("//example.com/x")} {
			if err := s.cache.Purge(t.Context(), bad); err == nil {
				t.Errorf("Purge(%v) returns no error", bad)
			}
		}
		s.hit("/x")
	})
}

// Tags are filled from the path by every router, also as the client escaped them.
func TestTagsAreFilledFromThePath(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /u/{user}/p/{id}", cache.Policy{Tags: []string{"{user}/{id}"}}, s.mirror)
		s.handle("GET /files/{path...}", cache.Policy{Tags: []string{"all"}}, s.mirror)
		for _, path := range []string{"/u/a/p/b", "/u/a%20b/p/c", "/files/a/b"} {
			s.missHit(path)
		}
		s.purge(cache.Tag("b/a"), cache.Tag("{user}/{id}"), cache.Tag("a/c"))
		s.hit("/u/a/p/b")
		s.purge(cache.Tag("a/b"))
		s.miss("/u/a/p/b")
		s.hit("/u/a%20b/p/c")
		s.purge(cache.Tag("a b/c"), cache.Tag("all"))
		s.miss("/u/a%20b/p/c")
		s.miss("/files/a/b")
	})
}

func TestHandlersSteer(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		steer := func(f func(r *http.Request)) handler {
			return func(w http.ResponseWriter, r *http.Request) error {
				f(r)
				return s.mirror(w, r)
			}
		}
		s.handle("GET /nostore", cache.Policy{}, steer(func(r *http.Request) { cache.NoStore(r.Context()) }))
		s.handle("GET /zero", cache.Policy{}, steer(func(r *http.Request) { cache.SetTTL(r.Context(), 0) }))
		s.handle("GET /short", cache.Policy{StaleIfError: -1}, steer(func(r *http.Request) {
			cache.SetTTL(r.Context(), 10*time.Second)
			cache.SetTTL(r.Context(), 40*time.Second)
		}))
		s.handle("GET /long", cache.Policy{StaleIfError: -1}, steer(func(r *http.Request) { cache.SetTTL(r.Context(), time.Hour) }))
		s.handle("GET /tags", cache.Policy{}, steer(func(r *http.Request) {
			for i := range 200 {
				cache.AddTags(r.Context(), fmt.Sprint("tag-", i))
			}
		}))
		s.neverKept("/nostore")
		s.neverKept("/zero")
		s.neverKept("/tags")
		s.miss("/short")
		s.miss("/long")
		time.Sleep(9 * time.Second)
		s.hit("/short")
		time.Sleep(time.Second)
		s.miss("/short")
		time.Sleep(50 * time.Second)
		s.miss("/long")
	})
}

// Outside a run the steering functions do nothing.
func TestSteeringOutsideARunDoesNothing(t *testing.T) {
	cache.AddTags(t.Context(), "a")
	cache.SetTTL(t.Context(), time.Second)
	cache.NoStore(t.Context())
	if id, ok := user.Of(cache.WithUser(t.Context(), "")); ok {
		t.Errorf("the empty user is %q", id)
	}
}

// The URL of a purge is the client's, whatever prefix was stripped from it on the way.
func TestPurgeByURLReachesWhatIsMounted(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /p/{id}", cache.Policy{Query: keying.Only("page")}, s.mirror)
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/a/", http.StripPrefix("/a", next))
			mux.Handle("/b/", http.StripPrefix("/b", next))
			return mux
		})
		for _, label := range []string{"/a/p/7?page=1", "http://example.com/a/p/7?page=1"} {
			s.get("/a/p/7?page=1&x=2")
			s.get("/b/p/7?page=1")
			s.purge(cache.URL(label))
			s.hit("/b/p/7?page=1")
			s.miss("/a/p/7?page=1")
		}
	})
}

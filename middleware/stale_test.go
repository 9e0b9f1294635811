package middleware_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/larder-go/cache"
)

// stale is a policy whose answers are fresh for 10 s and may then be served for a minute while they are refreshed.
var stale = cache.Policy{TTL: 10 * time.Second, StaleWhileRevalidate: time.Minute}

// Behind a server, a refresh runs in the background, through the server's own handler.
func TestStaleAnswerIsServedAndRefreshedOnce(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", stale, s.slow)
		first := s.miss("/x", behindServer(s))
		time.Sleep(11 * time.Second)
		began := time.Now()
		for _, got := range s.atOnce(1000, same("/x", behindServer(s))) {
			wantBody(t, got, first.body)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("stale answers took %v; want none to wait", took)
		}
		time.Sleep(2 * time.Second)
		s.wantTotal(2)
		if got := s.hit("/x", behindServer(s)); got.body == first.body {
			t.Error("after the refresh the old answer is served")
		}
		if n := s.count(cache.Refresh, ""); n != 1 {
			t.Errorf("%d refreshes are told of; want 1", n)
		}
	})
}

// Without a server, the request's own goroutine refreshes, after the response has been flushed.
func TestStaleAnswerIsRefreshedInline(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", stale, s.slow)
		first := s.miss("/x")
		time.Sleep(11 * time.Second)
		got := s.miss("/x")
		wantBody(t, got, first.body)
		if got.status != http.StatusOK || !strings.Contains(fmt.Sprint(got.header["Cache-Status"]), "; hit; ttl=-") {
			t.Errorf("the stale answer is %d with %q", got.status, got.header["Cache-Status"])
		}
		if s.hit("/x").body == first.body {
			t.Error("after the refresh the old answer is served")
		}
	})
}

func TestStaleWindowEnds(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{TTL: 10 * time.Second, StaleWhileRevalidate: 5 * time.Second}, s.mirror)
		first := s.miss("/x", behindServer(s))
		time.Sleep(15 * time.Second)
		if got := s.miss("/x", behindServer(s)); got.body == first.body {
			t.Error("past the window the old answer is served")
		}
	})
}

func TestMustRevalidateForbidsStale(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		p := stale
		p.StaleIfError = time.Minute
		fail := false
		s.handle("GET /x", p, func(w http.ResponseWriter, r *http.Request) error {
			if fail {
				w.WriteHeader(http.StatusBadGateway)
				return nil
			}
			return setting("Cache-Control: must-revalidate")(w, r)
		})
		s.missHit("/x")
		time.Sleep(11 * time.Second)
		fail = true
		wantStatus(t, s.miss("/x"), http.StatusBadGateway)
	})
}

// The request of a refresh has only what selects the response.
func TestRefreshCarriesNoCredentials(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		p := stale
		p.Vary, p.IgnoreAuthorization = []string{"Accept-Language"}, true
		s.handle("GET /p/{id}", p, s.mirror)
		opts := []option{behindServer(s), header("Accept-Language", "fr")}
		s.miss("/p/7?a=b", opts...)
		time.Sleep(11 * time.Second)
		s.get("/p/7?a=b", append(opts, as("mallory"), header("Authorization", "mallory"), header("X-Forwarded-Host", "mallory"), header("If-None-Match", "mallory"))...)
		synctest.Wait()
		s.wantTotal(2)
		got := s.hit("/p/7?a=b", opts...)
		if strings.Contains(got.body, "mallory") || !strings.Contains(got.body, "fr") || !strings.Contains(got.body, "id 7") || !strings.Contains(got.body, "/p/7 a=b") {
			t.Errorf("the refreshed answer is %q", got.body)
		}
	}, shared...)
}

func TestRefreshIsTheUsersOwn(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /me/{id}", stale, s.mirror)
		for _, who := range []string{"alice", "bob"} {
			s.miss("/me/7", as(who), behindServer(s))
		}
		time.Sleep(11 * time.Second)
		for _, who := range []string{"alice", "bob"} {
			s.get("/me/7", as(who), behindServer(s), header("Range", "bytes=0-3"), header("X-Device", "of "+who))
		}
		for _, who := range []string{"alice", "bob"} {
			s.get("/me/7", as(who), behindServer(s))
			synctest.Wait()
			got := s.hit("/me/7", as(who), behindServer(s))
			if !strings.Contains(got.body, "user "+who) || !strings.Contains(got.body, "id 7") {
				t.Errorf("%s has %q", who, got.body)
			}
		}
		s.wantTotal(4)
	}, perUser...)
}

// A request for a part, or for the head alone, also gets the stale response. The whole may or may not be refreshed.
func TestStaleAnswersAreServedInEveryForm(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", stale, text("0123456789"))
		s.miss("/x", behindServer(s))
		time.Sleep(11 * time.Second)
		before := s.runs.Load()
		wantBody(t, s.do("HEAD", "/x", behindServer(s)), "")
		wantBody(t, s.get("/x", behindServer(s), header("Range", "bytes=2-4")), "234")
		synctest.Wait()
		if n := s.runs.Load() - before; n > 1 {
			t.Errorf("the handler ran %d times; want one refresh at most", n)
		}
	})
}

// However a refresh fails, clients get the stale response, and the process goes on.
func TestRefreshThatFailsHurtsNobody(t *testing.T) {
	failures := map[string]handler{
		"panic":       func(http.ResponseWriter, *http.Request) error { panic("a bug in the refresh") },
		"abort":       func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) },
		"error":       func(http.ResponseWriter, *http.Request) error { return errors.New("no") },
		"unavailable": func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(503); return nil },
		"Set-Cookie":  setting("Set-Cookie: a=b"),
	}
	for name, failure := range failures {
		run(t, func(t *testing.T, s *site) {
			fail := false
			s.handle("GET /x", stale, func(w http.ResponseWriter, r *http.Request) error {
				if fail {
					return failure(w, r)
				}
				return s.mirror(w, r)
			})
			for _, options := range [][]option{{behindServer(s)}, {}} {
				fail = false
				s.purge(cache.Everything())
				first := s.miss("/x", options...)
				time.Sleep(11 * time.Second)
				fail = true
				before := s.runs.Load()
				for range 50 {
					got := s.get("/x", options...)
					if got.body != first.body || got.status != http.StatusOK || got.header.Get("Set-Cookie") != "" {
						t.Fatalf("%s: the stale answer is %d %q %v", name, got.status, clip(got.body), got.header)
					}
					synctest.Wait()
				}
				if s.runs.Load() == before {
					t.Errorf("%s: there was no refresh", name)
				}
				time.Sleep(time.Minute)
				time.Sleep(time.Second)
			}
		})
	}
}

// Any number of stale hits starts one refresh.
func TestStaleHitsStartOneRefresh(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		release, fail := make(chan struct{}), false
		s.handle("GET /x", stale, func(w http.ResponseWriter, r *http.Request) error {
			if fail {
				<-release
			}
			return s.mirror(w, r)
		})
		s.miss("/x", behindServer(s))
		time.Sleep(11 * time.Second)
		fail = true
		for range 1000 {
			s.get("/x", behindServer(s))
		}
		synctest.Wait()
		s.wantTotal(2)
		close(release)
		synctest.Wait()
		s.hit("/x", behindServer(s))
	})
}

// failing succeeds until *fail is set; then it fails in the given way.
func (s *site) failing(fail *bool, failure handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if *fail {
			return failure(w, r)
		}
		return s.mirror(w, r)
	}
}

var serverFailures = map[string]handler{
	"status": func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("X-Failed", "yes")
		w.WriteHeader(http.StatusBadGateway)
		fmt.Fprint(w, "failed")
		return nil
	},
	"status, broken off": func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("X-Failed", "yes")
		w.WriteHeader(http.StatusBadGateway)
		fmt.Fprint(w, "fai")
		panic(http.ErrAbortHandler) // as ReverseProxy does where the upstream goes away
	},
	"panic": func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("X-Failed", "yes")
		panic("failed")
	},
	"error":      func(http.ResponseWriter, *http.Request) error { return errors.New("failed") },
	"echo error": func(http.ResponseWriter, *http.Request) error { return echo.NewHTTPError(503, "failed") },
	"hidden error": func(http.ResponseWriter, *http.Request) error {
		return fmt.Errorf("wrapped: %w", echo.ErrInternalServerError)
	},
}

func TestStaleAnswerStandsInForAFailure(t *testing.T) {
	for name, failure := range serverFailures {
		run(t, func(t *testing.T, s *site) {
			fail := false
			s.handle("GET /x", cache.Policy{TTL: 10 * time.Second, StaleIfError: 20 * time.Second}, s.failing(&fail, func(w http.ResponseWriter, r *http.Request) error {
				time.Sleep(time.Second)
				return failure(w, r)
			}))
			first := s.miss("/x")
			time.Sleep(11 * time.Second)
			fail = true
			for _, got := range s.atOnce(20, same("/x")) { // those who wait too
				if got.status != http.StatusOK || got.body != first.body || got.header.Get("X-Failed") != "" {
					t.Errorf("%s: answered %d %q %v; want the stale answer", name, got.status, clip(got.body), got.header)
				}
			}
			if n := s.runs.Load(); n != 2 {
				t.Errorf("%s: the handler ran %d times; want 2", name, n)
			}
			fail = false
			s.missHit("/x")
		})
	}
}

// An error never extends the life of a response.
func TestStaleIfErrorEnds(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		fail := false
		s.handle("GET /x", cache.Policy{TTL: 10 * time.Second, StaleIfError: 10 * time.Second}, s.failing(&fail, serverFailures["status"]))
		s.miss("/x")
		fail = true
		time.Sleep(10 * time.Second)
		for range 8 {
			wantStatus(t, s.miss("/x"), http.StatusOK)
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Second)
		got := s.miss("/x")
		if got.status != http.StatusBadGateway || got.body != "failed" || got.header.Get("X-Failed") != "yes" {
			t.Errorf("past the window: %d %q; want the failure itself", got.status, got.body)
		}
	})
}

func TestStaleIfErrorHasDefaults(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		fail := false
		failing := s.failing(&fail, serverFailures["status"])
		s.handle("GET /default", cache.Policy{TTL: 10 * time.Second}, failing)
		s.handle("GET /never", cache.Policy{TTL: 10 * time.Second, StaleIfError: -1}, failing)
		s.miss("/default")
		s.miss("/never")
		time.Sleep(10 * time.Second)
		fail = true
		wantStatus(t, s.miss("/never"), http.StatusBadGateway)
		want := http.StatusOK
		if s.class == cache.PerUser {
			want = http.StatusBadGateway
		}
		wantStatus(t, s.miss("/default"), want)
		time.Sleep(18 * time.Second)
		wantStatus(t, s.miss("/default"), want)
		time.Sleep(12 * time.Second)
		wantStatus(t, s.miss("/default"), http.StatusBadGateway)
	})
}

// No stale response stands in for a client error, or for an aborted response.
func TestOnlyServerFailuresAreStoodInFor(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		fail := false
		p := cache.Policy{TTL: 10 * time.Second, StaleIfError: time.Minute}
		s.handle("GET /gone", p, s.failing(&fail, func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(http.StatusNotFound)
			return nil
		}))
		s.handle("GET /abort", p, s.failing(&fail, func(http.ResponseWriter, *http.Request) error { panic(http.ErrAbortHandler) }))
		s.miss("/gone")
		s.miss("/abort")
		time.Sleep(11 * time.Second)
		fail = true
		wantStatus(t, s.miss("/gone"), http.StatusNotFound)
		defer func() {
			if got := recover(); got != http.ErrAbortHandler {
				t.Errorf("recovered %v; want http.ErrAbortHandler", got)
			}
		}()
		s.get("/abort")
	})
}

// A purge ends every stale window.
func TestPurgedAnswersStandInForNothing(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		fail := false
		s.handle("GET /x", cache.Policy{TTL: 10 * time.Second, StaleWhileRevalidate: time.Minute, StaleIfError: time.Minute}, s.failing(&fail, serverFailures["status"]))
		s.miss("/x")
		time.Sleep(11 * time.Second)
		s.purge(cache.URL("/x"))
		fail = true
		wantStatus(t, s.miss("/x"), http.StatusBadGateway)
	})
}

// Outer authentication refuses a background refresh, which has no credentials. Then a request that it lets in refreshes the response
// inline, after its client got the stale one.
func TestRefreshBehindAuthenticationIsInline(t *testing.T) {
	runLive(t, func(t *testing.T, s *site) {
		refreshes := make(chan cache.Reason, 2000)
		s.options.Observe = func(ev cache.Event) {
			if ev.Outcome == cache.Refresh {
				refreshes <- ev.Reason
			}
		}
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if _, err := r.Cookie("who"); err != nil {
					http.Error(w, "who are you?", http.StatusUnauthorized)
					return
				}
				next.ServeHTTP(w, r)
			})
		})
		answered := make(chan struct{}, 1)
		answered <- struct{}{} // the first run has nobody to wait for
		s.handle("GET /p/{id}", stale, func(w http.ResponseWriter, r *http.Request) error {
			<-answered
			return s.mirror(w, r)
		})
		server, client := s.serve(false)
		first := fetch(t, client, "GET", server.URL+"/p/7")
		if err := s.cache.Expire(t.Context(), cache.URL("/p/7")); err != nil {
			t.Fatal(err)
		}
		wantBody(t, fetch(t, client, "GET", server.URL+"/p/7"), first.body)
		if reason := <-refreshes; reason != "refresh-not-reached" {
			t.Fatalf("the refresh in the background ends with %q; want it refused", reason)
		}
		for range cap(refreshes) { // the refused one may not have been cleared away yet
			if got := fetch(t, client, "GET", server.URL+"/p/7"); got.body != first.body {
				s.wantTotal(2)
				return
			}
			select {
			case answered <- struct{}{}:
			default:
			}
		}
		t.Error("the answer is never refreshed")
	}, shared...)
}

// Shortly before a slow response expires, one of many requests starts a refresh, so that nobody ever waits.
func TestSlowAnswersAreRefreshedEarly(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /p/{id}", cache.Policy{TTL: 20 * time.Second}, func(w http.ResponseWriter, r *http.Request) error {
			time.Sleep(time.Second)
			return s.mirror(w, r)
		})
		first := s.miss("/p/7", behindServer(s))
		time.Sleep(8 * time.Second)
		for range 100 {
			wantBody(t, s.get("/p/7", behindServer(s)), first.body)
			wantBody(t, s.get("/p/7"), first.body) // without a server nothing runs in the background
		}
		s.wantTotal(1)
		for range 4000 {
			began := time.Now()
			s.get("/p/7", behindServer(s))
			if took := time.Since(began); took > 0 {
				t.Fatalf("a request waited %v", took)
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := s.runs.Load(); n < 3 || n > 5 {
			t.Errorf("the handler ran %d times in 48 s; want about every 15 s", n)
		}
	})
}

// A background refresh that comes too late, because there is a new response meanwhile, does not mean that it was refused: the next
// refresh is in the background again.
func TestRefreshThatComesTooLateIsNotRefused(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /p/{id}", cache.Policy{TTL: 10 * time.Second, StaleWhileRevalidate: time.Minute}, s.mirror)
		var requests atomic.Int64
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if requests.Add(1) == 3 { // the refresh
					time.Sleep(time.Second)
				}
				next.ServeHTTP(w, r)
			})
		})
		s.miss("/p/7")
		time.Sleep(11 * time.Second)
		s.get("/p/7", behindServer(s))
		synctest.Wait()
		s.purge(cache.Everything())
		s.miss("/p/7")
		time.Sleep(2 * time.Second)
		if requests.Load() != 4 || s.count(cache.Refresh, "refresh-not-reached") > 0 {
			t.Errorf("%d requests, %d refreshes refused; want 4 and none", requests.Load(), s.count(cache.Refresh, "refresh-not-reached"))
		}
	}, shared...)
}

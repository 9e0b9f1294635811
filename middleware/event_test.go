package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/middleware"
	"github.com/larder-go/cache/store/memstore"
)

// own are the outcomes of requests: each request has exactly one event with one of them.
var own = []cache.Outcome{cache.Hit, cache.Stale, cache.Validated, cache.Shared, cache.Miss, cache.Bypass}

// owned returns the events with those outcomes.
func (s *site) owned() (events []cache.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ev := range s.events {
		if slices.Contains(own, ev.Outcome) {
			events = append(events, ev)
		}
	}
	return events
}

// enter sends a request, and recovers if it ends with a panic.
func (s *site) enter(method, target string, options ...option) {
	defer func() { _ = recover() }()
	s.do(method, target, options...)
}

// behaves is what a handler does with a request, chosen by its path.
func (s *site) behaves(w http.ResponseWriter, r *http.Request) error {
	switch r.URL.Path {
	case "/panic":
		panic("a handler")
	case "/late-panic":
		_, _ = io.WriteString(w, "the beginning")
		_ = http.NewResponseController(w).Flush()
		panic("a handler")
	case "/abort":
		panic(http.ErrAbortHandler)
	case "/error":
		return errors.New("a handler")
	case "/itself":
		return s.asking(0, "/itself")(w, r)
	case "/silent":
		return nil
	case "/failing":
		if s.runs.Load() > 1 {
			panic("a handler, later")
		}
	}
	<-time.After(time.Second)
	w.Header().Set("Cache-Control", "max-age=60")
	_, err := io.WriteString(w, "an answer")
	return err
}

// breaking is a writer of outer middleware that panics.
type breaking struct{ http.ResponseWriter }

func (breaking) WriteHeader(int)           { panic("a writer outside") }
func (breaking) Write([]byte) (int, error) { panic("a writer outside") }

// Every request has exactly one event of its own, however it ends.
func TestEveryRequestHasOneEventOfItsOwn(t *testing.T) {
	type way struct {
		name                   string
		breaks, aborts, panics bool
		play                   func(s *site)
	}
	get := func(s *site, target string, options ...option) { s.enter("GET", target, options...) }
	together := func(s *site, target string, options ...option) {
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { get(s, target, options...) })
		}
		wg.Wait()
	}
	ways := []way{
		{name: "a miss and a hit", play: func(s *site) { get(s, "/x"); get(s, "/x") }},
		{name: "waiters", play: func(s *site) { together(s, "/x") }},
		{name: "waiters for a panic", play: func(s *site) { together(s, "/late-panic") }},
		{name: "waiters for what is not kept", play: func(s *site) { together(s, "/error") }},
		{name: "waiters for HEAD", play: func(s *site) {
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() { s.enter("HEAD", "/x") })
			}
			wg.Wait()
		}},
		{name: "HEAD", play: func(s *site) { s.enter("HEAD", "/x"); get(s, "/x"); s.enter("HEAD", "/x") }},
		{name: "ranges", play: func(s *site) {
			for range 2 {
				get(s, "/x", header("Range", "bytes=0-1"))
				get(s, "/x", header("Range", "bytes=99-"))
				get(s, "/x")
			}
			together(s, "/other", header("Range", "bytes=0-1"))
		}},
		{name: "conditions", play: func(s *site) {
			get(s, "/x")
			get(s, "/x", header("If-None-Match", "*"))
			get(s, "/x", header("If-Match", `"a"`))
		}},
		{name: "only-if-cached", play: func(s *site) {
			get(s, "/x", header("Cache-Control", "only-if-cached"))
			get(s, "/x", header("Cache-Control", "no-store"))
		}},
		{name: "no-cache", play: func(s *site) { get(s, "/x"); get(s, "/x", header("Cache-Control", "no-cache")) }},
		{name: "another method", play: func(s *site) { s.enter("POST", "/x"); s.enter("DELETE", "/panic"); s.enter("POST", "/abort") }},
		{name: "an upgrade", play: func(s *site) { get(s, "/x", header("Connection", "Upgrade"), header("Upgrade", "websocket")) }},
		{name: "nobody", play: func(s *site) { get(s, "/x", as("")); get(s, "/panic", as("")) }},
		{name: "a loop", play: func(s *site) { get(s, "/itself") }},
		{name: "panics", play: func(s *site) {
			get(s, "/panic")
			s.enter("HEAD", "/panic")
			get(s, "/panic", header("Range", "bytes=0-1"))
			get(s, "/late-panic")
		}},
		{name: "aborts", play: func(s *site) { get(s, "/abort"); s.enter("HEAD", "/abort") }},
		{name: "errors", play: func(s *site) { get(s, "/error"); get(s, "/silent") }},
		{name: "a waiter that hangs up", play: func(s *site) {
			var wg sync.WaitGroup
			wg.Go(func() { get(s, "/x") })
			synctest.Wait()
			ctx, hangUp := context.WithCancel(s.t.Context())
			wg.Go(func() { get(s, "/x", within(ctx)) })
			synctest.Wait()
			hangUp()
			wg.Wait()
		}},
		{name: "a client that hangs up", play: func(s *site) {
			ctx, hangUp := context.WithCancel(s.t.Context())
			time.AfterFunc(time.Second/2, hangUp)
			get(s, "/x", within(ctx))
		}},
		{name: "a waiter whose time is over", play: func(s *site) {
			var wg sync.WaitGroup
			wg.Go(func() { get(s, "/x") })
			synctest.Wait()
			ctx, cancel := context.WithTimeout(s.t.Context(), time.Second/2)
			defer cancel()
			get(s, "/x", within(ctx))
			wg.Wait()
		}},
		{name: "stale, refreshed inline", play: func(s *site) { get(s, "/x"); time.Sleep(80 * time.Second); get(s, "/x"); get(s, "/x") }},
		{name: "stale, refreshed in the background", play: func(s *site) {
			get(s, "/x")
			time.Sleep(80 * time.Second)
			get(s, "/x", behindServer(s))
			time.Sleep(2 * time.Second)
			synctest.Wait()
		}},
		{name: "stale, and the refresh panics", play: func(s *site) { get(s, "/failing"); time.Sleep(80 * time.Second); get(s, "/failing") }},
		{name: "stale on an error", play: func(s *site) { get(s, "/failing"); time.Sleep(130 * time.Second); get(s, "/failing") }},
		{name: "Redis away", play: func(s *site) { s.far.Down.Store(true); get(s, "/x"); get(s, "/x"); together(s, "/y") }},
		{name: "a writer that panics", breaks: true, play: func(s *site) { get(s, "/x"); get(s, "/x"); get(s, "/x", header("Range", "bytes=0-1")) }},
		{name: "an identity that panics", panics: true, play: func(s *site) { get(s, "/x"); s.enter("POST", "/x") }},
		{name: "an identity that aborts", aborts: true, play: func(s *site) { get(s, "/x"); s.enter("POST", "/x") }},
	}
	for _, way := range ways {
		for mode, p := range modes {
			t.Run(way.name+"/"+mode, func(t *testing.T) {
				run(t, func(t *testing.T, s *site) {
					switch {
					case way.panics:
						s.options.User = func(*http.Request) (string, bool) { panic("an identity function") }
					case way.aborts:
						s.options.User = func(*http.Request) (string, bool) { panic(http.ErrAbortHandler) }
					}
					p := p
					p.StaleWhileRevalidate, p.StaleIfError = 30*time.Second, time.Minute+time.Second
					s.handle("/{path}", p, s.behaves)
					var asked atomic.Int64
					s.outer = append(s.outer, func(next http.Handler) http.Handler {
						return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
							if _, client := w.(*httptest.ResponseRecorder); client { // and no refresh
								asked.Add(1)
							}
							if way.breaks && asked.Load() > 1 {
								w = breaking{w}
							}
							next.ServeHTTP(w, r)
						})
					})
					way.play(s)
					synctest.Wait()
					if events := s.owned(); int64(len(events)) != asked.Load() {
						t.Errorf("%d events for %d requests: %s", len(events), asked.Load(), spelled(events))
					}
				})
			})
		}
	}
}

func spelled(events []cache.Event) (text string) {
	for _, ev := range events {
		text += fmt.Sprintf("%s/%s %d; ", ev.Outcome, ev.Reason, ev.Status)
	}
	return text
}

// An event does not claim what the client did not get: here a handler fails and ends its goroutine, although there is a stale
// response.
func TestAnAbortedFailureIsNo304(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{TTL: time.Second, StaleIfError: time.Hour}, func(w http.ResponseWriter, r *http.Request) error {
			if s.runs.Load() == 1 {
				return text("answer")(w, r)
			}
			w.WriteHeader(http.StatusInternalServerError)
			runtime.Goexit()
			return nil
		})
		s.miss("/x")
		time.Sleep(2 * time.Second)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			s.enter("GET", "/x")
		}()
		<-ended
		events := s.owned()
		if ev := events[len(events)-1]; ev.Outcome != cache.Miss || ev.Reason != "panic" || ev.Status != http.StatusInternalServerError {
			t.Errorf("the event is %v", ev)
		}
	})
}

// misses gets the target and wants a miss with the cause, in the event and in Cache-Status.
func (s *site) misses(cause cache.Reason, fwd, target string, options ...option) {
	s.t.Helper()
	got := s.miss(target, options...)
	events := s.owned()
	var reason cache.Reason // it is kept, unless Redis is away
	if cause == middleware.CauseAway {
		reason = cache.ReasonStore
	}
	if ev := events[len(events)-1]; ev.Outcome != cache.Miss || ev.Reason != reason || ev.Cause != cause {
		s.t.Errorf("GET %s: %s, reason %q, cause %q; want a miss of cause %q", target, ev.Outcome, ev.Reason, ev.Cause, cause)
	}
	_, detail, _ := strings.Cut(got.header.Get("Cache-Status"), "detail=")
	if detail != string(cause) || fwd != "" && !strings.Contains(got.header.Get("Cache-Status"), "; fwd="+fwd+";") {
		s.t.Errorf("GET %s: Cache-Status %q; want fwd=%s and detail=%s", target, got.header.Get("Cache-Status"), fwd, cause)
	}
}

// A miss says why there was no hit, in its event and in Cache-Status.
func TestAMissSaysWhyThereWasNoHit(t *testing.T) {
	const cold, expired, purged, evicted, variant, away = middleware.CauseCold, middleware.CauseExpired, middleware.CausePurged,
		middleware.CauseEvicted, middleware.CauseVariant, middleware.CauseAway
	language := func(to string) option { return header("Accept-Language", to) }
	for name, tt := range map[string]struct {
		only []cache.Class
		play func(s *site, first string)
	}{
		"cold": {play: func(s *site, first string) {
			s.misses(cold, first, "/x")
			s.misses(cold, first, "/y")
		}},
		"expired": {play: func(s *site, first string) {
			s.misses(cold, first, "/x")
			time.Sleep(2 * time.Minute)
			s.misses(expired, "", "/x")
			time.Sleep(72 * time.Hour) // nothing of it is left anywhere
			s.misses(expired, first, "/x")
		}},
		"purged": {play: func(s *site, first string) {
			s.misses(cold, first, "/x")
			s.purge(cache.URL("/x"))
			s.misses(purged, first, "/x")
			s.hit("/x")
			s.purge(cache.Everything())
			s.misses(purged, first, "/x")
			if err := s.cache.Expire(s.t.Context(), cache.Everything()); err != nil {
				s.t.Error(err)
			}
			s.misses(purged, "", "/x")
			s.misses(cold, first, "/y")
		}},
		"evicted from memory": {only: []cache.Class{cache.SharedGlobal}, play: func(s *site, first string) {
			near := memstore.New(memstore.Options{MaxEntries: 2})
			s.t.Cleanup(func() { _ = near.Close() })
			s.options.Near = near
			s.misses(cold, first, "/x")
			for range 3 {
				s.misses(cold, first, "/"+string(rune('a'+s.runs.Load())))
			}
			s.misses(evicted, first, "/x")
		}},
		"evicted from Redis": {only: inRedis, play: func(s *site, first string) {
			s.misses(cold, first, "/x")
			s.far.Evict()
			time.Sleep(10 * time.Second) // the copy in memory has ended
			s.misses(evicted, first, "/x")
		}},
		"evicted from Redis, after another process had made it": {only: inRedis, play: func(s *site, first string) {
			s.misses(cold, first, "/x")
			s.restart()
			s.hit("/x")
			s.far.Evict()
			time.Sleep(10 * time.Second)
			s.misses(evicted, first, "/x")
		}},
		"Redis away": {only: inRedis, play: func(s *site, first string) {
			s.misses(cold, first, "/x")
			s.far.Down.Store(true)
			s.misses(away, "miss", "/y")
			time.Sleep(10 * time.Second)
			if s.class != cache.HotShared {
				s.misses(away, "miss", "/x")
			}
		}},
		"another variant": {play: func(s *site, first string) {
			s.misses(cold, first, "/varied", language("en"))
			s.misses(variant, "vary-miss", "/varied", language("de"))
			s.hit("/varied", language("en"))
			s.hit("/varied", language("de"))
			s.purge(cache.URL("/varied"))
			s.misses(purged, "", "/varied", language("de"))
		}},
	} {
		for mode, p := range modes {
			t.Run(name+"/"+mode, func(t *testing.T) {
				run(t, func(t *testing.T, s *site) {
					first := "miss"
					if p.RFC9111 {
						first = "uri-miss"
					}
					p := p
					p.StaleIfError = -1
					answer := func(w http.ResponseWriter, r *http.Request) error {
						w.Header().Set("Cache-Control", "max-age=60, public")
						if p.RFC9111 && r.URL.Path == "/varied" {
							w.Header().Set("Vary", "Accept-Language")
						}
						return text(r.URL.Path)(w, r)
					}
					s.handle("GET /{path}", p, answer)
					if p.Vary = []string{"Accept-Language"}; !p.RFC9111 {
						s.handle("GET /varied", p, answer)
					}
					tt.play(s, first)
				}, tt.only...)
			})
		}
	}
}

// An event has both the cause, why there was no hit, and the reason, why the response is not stored; the detail of Cache-Status is
// the reason. A hit has no cause, nor has a stale response, nor a miss that the client's own Cache-Control demanded.
func TestACauseIsNoReason(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /cookie", cache.Policy{}, setting("Set-Cookie: a=b"))
		s.handle("GET /x", cache.Policy{}, setting())
		s.handle("GET /standard", cache.Policy{RFC9111: true}, setting("Cache-Control: max-age=60, public"))
		got := s.miss("/cookie")
		events := s.owned()
		if ev := events[0]; ev.Reason != middleware.ReasonCookie || ev.Cause != middleware.CauseCold {
			t.Errorf("reason %q, cause %q", ev.Reason, ev.Cause)
		}
		if status := got.header.Get("Cache-Status"); !strings.HasSuffix(status, "detail=set-cookie") {
			t.Errorf("Cache-Status %q", status)
		}
		s.do(http.MethodHead, "/x")
		s.get("/x", header("Range", "bytes=0-1"))
		s.missHit("/x")
		s.missHit("/standard")
		s.get("/standard", header("Cache-Control", "no-cache"))
		events = s.owned()[1:]
		want := []cache.Event{{Outcome: cache.Bypass, Cause: "cold"}, {Outcome: cache.Bypass, Cause: "cold"}, {Outcome: cache.Miss, Cause: "cold"}, {Outcome: cache.Hit},
			{Outcome: cache.Miss, Cause: "cold"}, {Outcome: cache.Hit}, {Outcome: cache.Miss}}
		if len(events) != len(want) {
			t.Fatalf("%d events: %s", len(events), spelled(events))
		}
		for i, ev := range events {
			if ev.Outcome != want[i].Outcome || ev.Cause != want[i].Cause {
				t.Errorf("event %d: %s, reason %q, cause %q; want %s, %q", i, ev.Outcome, ev.Reason, ev.Cause, want[i].Outcome, want[i].Cause)
			}
		}
	})
}

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
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
)

// own are the outcomes of which each request has one.
var own = []cache.Outcome{cache.Hit, cache.Stale, cache.Validated, cache.Shared, cache.Miss, cache.Bypass}

// owned returns the events that are requests' own.
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

// enter sends a request, whatever it ends with.
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

// Whatever becomes of a request, exactly one event is its own.
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

// What a client has not got the event does not say either: here of a failure whose handler ends its goroutine, in spite of a stale
// answer.
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

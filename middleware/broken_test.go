package middleware_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
)

// A failing handler fails after its beginning.
type failing struct {
	fail http.HandlerFunc
	echo bool // echo's Response lets some trace of it through
}

// broken are handlers that fail after their head has said 200, with what the client gets of them without a cache.
var broken = map[string]failing{
	"http.Error": {func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<html>")
		http.Error(w, "broken", http.StatusInternalServerError)
	}, true},
	"http.Error of JSON": {func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `[{"a":1},`)
		http.Error(w, "broken", http.StatusBadGateway)
	}, true},
	"http.NotFound": {func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "<html>")
		http.NotFound(w, r)
	}, true},
	"a long page": {func(w http.ResponseWriter, _ *http.Request) {
		for range 10 {
			_, _ = io.WriteString(w, strings.Repeat("x", 3000))
		}
		http.Error(w, "broken", http.StatusInternalServerError)
	}, true},
	"a late head": {func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<html>")
		w.WriteHeader(http.StatusInternalServerError)
	}, false},
	"two heads": {func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusOK)
		w.WriteHeader(http.StatusServiceUnavailable)
	}, false},
	"a redirect": {func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<html>")
		http.Redirect(w, r, "/sorry", http.StatusFound)
	}, false},
	"a source that fails": {func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, io.MultiReader(strings.NewReader("<html>"), iotest.ErrReader(io.ErrUnexpectedEOF)))
	}, false},
	"a source that fails at once": {func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<html>")
		_, _ = io.Copy(w, iotest.ErrReader(io.ErrUnexpectedEOF))
	}, false},
}

// A response that turns into a failure after its first bytes reaches its client as it does without a cache, and nobody else.
func TestAnAnswerThatFailsAfterItsBeginningIsNotKept(t *testing.T) {
	for name, at := range broken {
		for _, standard := range []bool{false, true} {
			t.Run(fmt.Sprint(name, "/standard ", standard), func(t *testing.T) {
				run(t, func(t *testing.T, s *site) {
					if strings.HasPrefix(s.router.name, "echo") && !at.echo {
						return
					}
					serve := func(w http.ResponseWriter, r *http.Request) error {
						w.Header().Set("Etag", `"a"`)
						time.Sleep(time.Second)
						at.fail(w, r)
						return nil
					}
					s.handle("GET /x", cache.Policy{RFC9111: standard, TTL: time.Minute}, public(serve))
					s.handlePlain("GET /plain", serve)
					bare := s.get("/plain")
					for _, got := range s.atOnce(5, same("/x")) {
						if got.status != bare.status || got.body != bare.body {
							t.Errorf("the answer is %d %q; without the cache %d %q", got.status, clip(got.body), bare.status, clip(bare.body))
						}
					}
					s.wantTotal(1 + 5)
					s.neverKept("/x")
					if n := s.count(cache.Miss, "late-error"); n == 0 {
						t.Error("no event has the reason late-error")
					}
				})
			})
		}
	}
}

// A second WriteHeader that is no error, or repeats the status, does not change the response.
func TestASuperfluousHeadIsIgnored(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		for name, h := range map[string]http.HandlerFunc{
			"200": func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(200)
				w.WriteHeader(200)
				_, _ = io.WriteString(w, "page")
			},
			"created":     func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page"); w.WriteHeader(201) },
			"404 at last": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page"); w.WriteHeader(404) },
			"404 twice": func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(404)
				w.WriteHeader(404)
				_, _ = io.WriteString(w, "page")
			},
			"410 twice": func(w http.ResponseWriter, r *http.Request) {
				http.Error(w, "page", http.StatusGone)
				w.WriteHeader(410)
			},
			"fields that change nothing": func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				_, _ = io.WriteString(w, "pa")
				w.Header().Set("Content-Type", "text/plain")
				w.Header().Set("X-Late", "too")
				_, _ = io.WriteString(w, "ge")
			},
		} {
			statuses := map[int]time.Duration{404: time.Minute, 410: time.Minute}
			s.handle("GET /"+strings.ReplaceAll(name, " ", "-"), cache.Policy{StatusTTL: statuses}, func(w http.ResponseWriter, r *http.Request) error {
				h(w, r)
				return nil
			})
			defer s.missHit("/" + strings.ReplaceAll(name, " ", "-"))
		}
	})
}

// Content types that outer middleware has set are no sign of a failure.
func TestTypesOfOuterMiddlewareAreNoFailure(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				w.Header().Set("X-Content-Type-Options", "nosniff")
				next.ServeHTTP(w, r)
			})
		})
		pieces := func(change func(h http.Header)) handler {
			return func(w http.ResponseWriter, _ *http.Request) error {
				change(w.Header())
				for range 3 {
					_, _ = io.WriteString(w, "piece")
					w.Header().Set("X-Late", "too")
				}
				return nil
			}
		}
		s.handle("GET /same", cache.Policy{}, pieces(func(http.Header) {}))
		s.handle("GET /added", cache.Policy{}, pieces(func(h http.Header) { h.Add("X-Content-Type-Options", "nosniff") }))
		s.handle("GET /removed", cache.Policy{}, pieces(func(h http.Header) { h.Del("X-Content-Type-Options") }))
		s.handle("GET /set", cache.Policy{}, pieces(func(h http.Header) { h.Set("Content-Type", "text/plain") }))
		for _, target := range []string{"/same", "/added", "/removed", "/set"} {
			s.missHit(target)
		}
	})
}

// A refresh that fails after its first bytes does not change the stale response.
func TestARefreshThatFailsAfterItsBeginningReplacesNothing(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{TTL: time.Minute, StaleWhileRevalidate: time.Hour}, func(w http.ResponseWriter, _ *http.Request) error {
			_, _ = io.WriteString(w, "page")
			if s.runs.Load() > 1 {
				http.Error(w, "broken", http.StatusInternalServerError)
			}
			return nil
		})
		s.miss("/x")
		for range 3 {
			time.Sleep(2 * time.Minute)
			wantBody(t, s.get("/x"), "page")
			synctest.Wait()
		}
	})
}

// When a validation fails after its head, no client has seen any of it: a stale response stands in, or the handler runs again.
func TestAValidationThatFailsAfterItsHead(t *testing.T) {
	for allowed, want := range map[time.Duration]string{time.Hour: "page", 0: "<html>broken\n"} {
		run(t, func(t *testing.T, s *site) {
			s.handle("GET /x", cache.Policy{RFC9111: true, StaleIfError: allowed}, func(w http.ResponseWriter, r *http.Request) error {
				switch {
				case s.runs.Load() == 1:
					w.Header().Set("Etag", `"a"`)
					w.Header().Set("Cache-Control", "max-age=10")
					_, _ = io.WriteString(w, "page")
				case r.Header.Get("If-None-Match") != "":
					w.WriteHeader(http.StatusNotModified)
					if s.router.name == "echo" || s.router.name == "echo-annotated" {
						return errors.New("broken")
					}
					http.Error(w, "broken", http.StatusInternalServerError)
				default:
					_, _ = io.WriteString(w, "<html>")
					http.Error(w, "broken", http.StatusInternalServerError)
				}
				return nil
			})
			s.miss("/x")
			time.Sleep(time.Minute)
			if got := s.get("/x"); !strings.HasPrefix(s.router.name, "echo") && got.body != want {
				t.Errorf("the answer is %q; want %q", got.body, want)
			}
		})
	}
}

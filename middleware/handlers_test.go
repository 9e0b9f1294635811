package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echo"
	"github.com/larder-go/cache/internal/fartest"
	"github.com/larder-go/cache/nethttp"
)

// A choice is an app whose outer code chooses between two handlers of one pattern by role.
type choice struct {
	t        *testing.T
	cache    *cache.Cache
	app      http.Handler
	warnings int
	bypassed int
}

// named responds with its name and how often it got a GET. All handlers that it returns have the same code.
//
//go:noinline
func named(name string) http.Handler {
	n := 0
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			n++
		}
		_, _ = fmt.Fprintf(w, "%s %d", name, n)
	})
}

func newChoice(t *testing.T) *choice { return newChoiceOn(t, fartest.New()) }

// newChoiceOn returns a choice in a process of its own, on a Redis that others may share.
func newChoiceOn(t *testing.T, far *fartest.Store) *choice {
	s := &choice{t: t}
	c, err := cache.New(cache.Options{Far: far, FarBudget: time.Second, Observe: func(ev cache.Event) {
		switch {
		case ev.Outcome == cache.Warning && ev.Reason == "handlers":
			s.warnings++
		case ev.Outcome == cache.Bypass && ev.Reason == "handlers":
			s.bypassed++
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	s.cache = c
	return s
}

func byRole(admin, public http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Role") == "admin" {
			admin.ServeHTTP(w, r)
			return
		}
		public.ServeHTTP(w, r)
	})
}

func (s *choice) get(role string, method ...string) string {
	w, r := httptest.NewRecorder(), httptest.NewRequest(append(method, "GET")[0], "/x", nil)
	r.Header.Set("X-Role", role)
	s.app.ServeHTTP(w, r)
	return w.Body.String()
}

// choices are ways to choose.
var choices = map[string]func(c *cache.Cache, p cache.Policy) http.Handler{
	"one middleware": func(c *cache.Cache, p cache.Policy) http.Handler {
		mux, mw := http.NewServeMux(), c.Middleware(p)
		mux.Handle("GET /x", byRole(mw(named("dashboard")), mw(named("public"))))
		return mux
	},
	"two": func(c *cache.Cache, p cache.Policy) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("GET /x", byRole(c.Middleware(p)(named("dashboard")), c.Middleware(p)(named("public"))))
		return mux
	},
	"two muxes": func(c *cache.Cache, p cache.Policy) http.Handler {
		admin, public := http.NewServeMux(), http.NewServeMux()
		admin.Handle("GET /x", c.Middleware(p)(named("dashboard")))
		public.Handle("GET /x", c.Middleware(p)(named("public")))
		return byRole(admin, public)
	},
	"no router": func(c *cache.Cache, p cache.Policy) http.Handler {
		return byRole(c.Middleware(p)(named("dashboard")), c.Middleware(p)(named("public")))
	},
	"wrapped with each request": func(c *cache.Cache, p cache.Policy) http.Handler {
		mux, mw, admin, public := http.NewServeMux(), c.Middleware(p), named("dashboard"), named("public")
		again := func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { mw(h).ServeHTTP(w, r) })
		}
		mux.Handle("GET /x", byRole(again(admin), again(public)))
		return mux
	},
	"echo": func(c *cache.Cache, p cache.Policy) http.Handler {
		e := echo.New()
		admin, public := named("dashboard"), named("public")
		dashboard := func(ec echo.Context) error { admin.ServeHTTP(ec.Response(), ec.Request()); return nil }
		everyone := func(ec echo.Context) error { public.ServeHTTP(ec.Response(), ec.Request()); return nil }
		mw := echocache.Middleware(c, p)
		e.GET("/x", func(ec echo.Context) error {
			if ec.Request().Header.Get("X-Role") == "admin" {
				return mw(dashboard)(ec)
			}
			return mw(everyone)(ec)
		})
		return e
	},
}

// If outer code chooses between handlers of one pattern, none gets the responses of another one. In memory they are still cached.
func TestHandlersOfOnePatternDoNotShareAnswers(t *testing.T) {
	for name, build := range choices {
		for _, class := range shared {
			for _, standard := range []bool{false, true} {
				t.Run(fmt.Sprint(name, "/", class, "/", standard), func(t *testing.T) {
					s := newChoice(t)
					s.app = build(s.cache, cache.Policy{Class: class, RFC9111: standard, TTL: 1 << 40})
					for i := range 3 {
						want := "public 1"
						if class != cache.SharedGlobal {
							want = fmt.Sprint("public ", 1+i)
						}
						if admin, public := s.get("admin"), s.get(""); admin != "dashboard 1" || public != want {
							t.Fatalf("%q and %q; want %q", admin, public, want)
						}
						s.get("", "HEAD")
					}
					warnings := 1
					if name == "no router" {
						warnings = 0 // each path may have a handler of its own
					}
					if s.warnings != warnings {
						t.Errorf("%d warnings", s.warnings)
					}
					if (s.bypassed >= 3) != (class != cache.SharedGlobal) {
						t.Errorf("%d requests went without the cache", s.bypassed)
					}
				})
			}
		}
	}
}

// There is no warning for handlers whose keys differ anyway, or for one that is wrapped or registered more than once.
func TestHandlersThatAreToldApart(t *testing.T) {
	for _, class := range shared {
		p := cache.Policy{Class: class, TTL: 1 << 40}
		role := p
		role.Vary = []string{"X-Role"}
		for name, build := range map[string]func(c *cache.Cache) http.Handler{
			"by the policy": func(c *cache.Cache) http.Handler {
				mux := http.NewServeMux()
				mux.Handle("/x", byRole(c.Middleware(role)(named("dashboard")), c.Middleware(p)(named("public"))))
				return mux
			},
			"by the pattern": func(c *cache.Cache) http.Handler {
				admin, public, mw := http.NewServeMux(), http.NewServeMux(), c.Middleware(p)
				admin.Handle("GET /x", mw(named("dashboard")))
				public.Handle("/x", mw(named("public")))
				return byRole(admin, public)
			},
			"in echo, by the path": func(c *cache.Cache) http.Handler {
				e, inner := echo.New(), func(next echo.HandlerFunc) echo.HandlerFunc {
					return func(ec echo.Context) error { return next(ec) }
				}
				serve := func(h http.Handler) echo.HandlerFunc { return echo.WrapHandler(h) }
				g := e.Group("", echocache.Middleware(c, role), inner)
				h := serve(byRole(named("dashboard"), named("public")))
				g.GET("/x", h)
				g.HEAD("/x", h)
				g.GET("/y", serve(named("y")))
				return e
			},
		} {
			t.Run(fmt.Sprint(name, "/", class), func(t *testing.T) {
				s := newChoice(t)
				s.app = build(s.cache)
				for range 3 {
					if admin, public := s.get("admin"), s.get(""); admin != "dashboard 1" || public != "public 1" {
						t.Fatalf("%q and %q", admin, public)
					}
					s.get("", "HEAD")
				}
				if s.warnings+s.bypassed > 0 {
					t.Errorf("%d warnings, %d requests without the cache", s.warnings, s.bypassed)
				}
			})
		}
	}
}

// Code that makes a new handler for each request does not fill any table. Behind a router it soon bypasses the cache, with a
// warning. Without a pattern such handlers count as one.
func TestHandlersMadeForEachRequest(t *testing.T) {
	for _, class := range shared {
		for _, pattern := range []string{"GET /x", ""} {
			t.Run(fmt.Sprint(class, "/", pattern), func(t *testing.T) {
				s, runs := newChoice(t), 0
				mw := s.cache.Middleware(cache.Policy{Class: class, TTL: 1 << 40})
				s.app = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					r.Pattern = pattern
					mw(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						runs++
						_, _ = fmt.Fprint(w, r.Header.Get("X-Role"))
					})).ServeHTTP(w, r)
				})
				for range 100 {
					s.get("a")
				}
				early := runs
				for range 10 {
					s.get("a")
				}
				if pattern == "" && runs > early { // what the first requests were for is kept, too
					t.Errorf("%d of the last requests ran a handler", runs-early)
				}
				if pattern == "" && early > 10 {
					t.Errorf("%d of 100 requests ran a handler", early)
				}
				if pattern != "" && (early < 90 || s.bypassed < 90 || s.warnings == 0 || s.warnings > 10) {
					t.Errorf("%d runs, %d requests without the cache, %d warnings", runs, s.bypassed, s.warnings)
				}
			})
		}
	}
}

func dashboard(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "dashboard") }

func everyones(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "public") }

// byRoleOf is a handler for admins and one for everyone else, each behind the middleware.
func byRoleOf(mw func(http.Handler) http.Handler) http.Handler {
	return byRole(mw(http.HandlerFunc(dashboard)), mw(http.HandlerFunc(everyones)))
}

// byRouter chooses between the two behind a router, or behind none.
var byRouter = map[string]func(c *cache.Cache, p cache.Policy) http.Handler{
	"no router": func(c *cache.Cache, p cache.Policy) http.Handler { return byRoleOf(c.Middleware(p)) },
	"mux": func(c *cache.Cache, p cache.Policy) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("GET /x", byRoleOf(c.Middleware(p)))
		return mux
	},
	"types": func(c *cache.Cache, p cache.Policy) http.Handler {
		mux, mw := http.NewServeMux(), c.Middleware(p)
		mux.Handle("GET /x", byRole(mw(dashboardHandler{}), mw(&publicHandler{})))
		return mux
	},
	"echo": func(c *cache.Cache, p cache.Policy) http.Handler {
		e, mw := echo.New(), echocache.Middleware(c, p)
		e.GET("/x", func(ec echo.Context) error {
			if ec.Request().Header.Get("X-Role") == "admin" {
				return mw(func(ec echo.Context) error { return ec.String(http.StatusOK, "dashboard") })(ec)
			}
			return mw(func(ec echo.Context) error { return ec.String(http.StatusOK, "public") })(ec)
		})
		return e
	},
}

// Two processes may see the two handlers in different order.
func TestHandlersOfOnePatternDoNotShareAnswersAcrossProcesses(t *testing.T) {
	for name, build := range byRouter {
		for _, class := range []cache.Class{cache.HotShared, cache.FleetShared} {
			for _, standard := range []bool{false, true} {
				t.Run(fmt.Sprint(name, "/", class, "/", standard), func(t *testing.T) {
					p, far := cache.Policy{Class: class, RFC9111: standard, TTL: 1 << 40}, fartest.New()
					one, two, three := newChoiceOn(t, far), newChoiceOn(t, far), newChoiceOn(t, far)
					for _, s := range []*choice{one, two, three} {
						s.app = build(s.cache, p)
					}
					for range 3 {
						if got := one.get("admin"); got != "dashboard" {
							t.Errorf("an admin gets %q", got)
						}
						if got := two.get(""); got != "public" {
							t.Errorf("everyone gets %q", got)
						}
						if got := three.get(""); got != "public" {
							t.Errorf("everyone gets %q in a third process", got)
						}
					}
					if far.Len() != 2 {
						t.Errorf("%d answers in Redis; want one of each handler", far.Len())
					}
				})
			}
		}
	}
}

type dashboardHandler struct{}

func (dashboardHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) { dashboard(w, r) }

type publicHandler struct{ _ int }

func (*publicHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) { everyones(w, r) }

// throughLogger is a writer around another, as a logger's.
type throughLogger struct{ http.ResponseWriter }

func (w throughLogger) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func logging(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(throughLogger{w}, r) })
}

// twiceBehind puts middleware twice around a handler, as other routers do it.
var twiceBehind = map[string]func(mw func(http.Handler) http.Handler, h http.HandlerFunc) http.Handler{}

// A cache around a cache is a warning, once: while the outer one has a response, it serves that without the inner one.
func TestACacheAroundACacheIsAWarning(t *testing.T) {
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) })
	echoed := func(ec echo.Context) error { return ec.String(200, "hello") }
	p := cache.Policy{Class: cache.SharedGlobal}
	table := cache.Routes{"GET /x": p}
	annotated := func(t *testing.T, c *cache.Cache, h http.Handler) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("GET /x", h)
		h, err := nethttp.Annotate(c, mux, table)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	type nesting struct {
		build  func(t *testing.T, c *cache.Cache) http.Handler
		nested bool
	}
	tests := map[string]nesting{
		"once": {func(_ *testing.T, c *cache.Cache) http.Handler { return c.Middleware(p)(logging(answer)) }, false},
		"twice": {func(_ *testing.T, c *cache.Cache) http.Handler {
			return c.Middleware(p)(logging(c.Middleware(p)(answer)))
		}, true},
		"annotated and wrapped": {func(t *testing.T, c *cache.Cache) http.Handler { return annotated(t, c, c.Middleware(p)(answer)) }, true},
		"annotated twice":       {func(t *testing.T, c *cache.Cache) http.Handler { return annotated(t, c, annotated(t, c, answer)) }, true},
		"another cache": {func(t *testing.T, c *cache.Cache) http.Handler {
			return annotated(t, newCache(t, cache.Options{}), c.Middleware(p)(answer))
		}, true},
		"echo, once": {func(_ *testing.T, c *cache.Cache) http.Handler {
			e := echo.New()
			e.Use(echo.WrapMiddleware(logging))
			e.GET("/x", echoed, echocache.Middleware(c, p))
			return e
		}, false},
		"echo, annotated and wrapped": {func(t *testing.T, c *cache.Cache) http.Handler {
			e := echo.New()
			e.GET("/x", echoed, echocache.Middleware(c, p))
			if err := echocache.Annotate(c, e, table); err != nil {
				t.Fatal(err)
			}
			return e
		}, true},
		"echo, a group and its route": {func(_ *testing.T, c *cache.Cache) http.Handler {
			e := echo.New()
			e.Group("", echocache.Middleware(c, p), echo.WrapMiddleware(logging)).GET("/x", echoed, echocache.Middleware(c, p))
			return e
		}, true},
		"echo, wrapped middleware": {func(_ *testing.T, c *cache.Cache) http.Handler {
			e := echo.New()
			e.GET("/x", echoed, echo.WrapMiddleware(c.Middleware(p)), echocache.Middleware(c, p))
			return e
		}, true},
		"a handler that asks for another page": {func(_ *testing.T, c *cache.Cache) http.Handler {
			part := c.Middleware(p)(answer)
			return c.Middleware(p)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				part.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(r.Context(), "GET", "/part", nil))
				answer(w, r)
			}))
		}, false},
	}
	for name, twice := range twiceBehind {
		tests[name] = nesting{func(_ *testing.T, c *cache.Cache) http.Handler { return twice(c.Middleware(p), answer) }, true}
	}
	for name, test := range tests {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			var told []cache.Event
			c, err := cache.New(cache.Options{Observe: func(ev cache.Event) {
				if ev.Outcome == cache.Warning && ev.Reason == "nested" {
					told = append(told, ev)
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close(context.Background()) }()
			h := test.build(t, c)
			for _, target := range []string{"/x", "/x", "/x?2", "/x?3"} {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
				if w.Body.String() != "hello" {
					t.Errorf("%s is answered %q", target, w.Body)
				}
			}
			if want := map[bool]int{true: 1}[test.nested]; len(told) != want {
				t.Errorf("%d warnings %v; want %d", len(told), told, want)
			}
			for _, ev := range told {
				if !strings.Contains(ev.Err.Error(), "give the route one policy") {
					t.Errorf("the warning names no remedy: %v", ev.Err)
				}
			}
		})
	}
}

package cache_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echo"
	"github.com/larder-go/cache/internal/fartest"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/nethttp"
)

// What a user may rely on, on every router and for every class. The suites beside package middleware go into the depth of it, and
// play on chi and echo v5, too.

// An app has one route, GET /pages/{id}, behind a cache.
type app struct {
	t       *testing.T
	handler http.Handler
	cache   *cache.Cache
	far     *fartest.Store
	class   cache.Class
	runs    int
}

// appRouters put a policy on the app's route.
var appRouters = map[string]func(a *app, p cache.Policy) (http.Handler, error){
	"ServeMux": func(a *app, p cache.Policy) (http.Handler, error) {
		mux := http.NewServeMux()
		mux.Handle("GET /pages/{id}", a.cache.Middleware(p)(http.HandlerFunc(a.page)))
		return mux, nil
	},
	"ServeMux, table": func(a *app, p cache.Policy) (http.Handler, error) {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /pages/{id}", a.page)
		return nethttp.Annotate(a.cache, mux, cache.Routes{"GET /pages/{id}": p})
	},
	"echo": func(a *app, p cache.Policy) (http.Handler, error) {
		e := echo.New()
		e.GET("/pages/:id", a.echoed, echocache.Middleware(a.cache, p))
		return e, nil
	},
	"echo, table": func(a *app, p cache.Policy) (http.Handler, error) {
		e := echo.New()
		e.GET("/pages/:id", a.echoed)
		return e, echocache.Annotate(a.cache, e, cache.Routes{"GET /pages/{id}": p})
	},
}

// page writes the number of the handler's run and the user, if the handler may know the user.
func (a *app) page(w http.ResponseWriter, r *http.Request) {
	a.runs++
	id, _ := keying.FromContext()(r)
	_, _ = fmt.Fprintf(w, "run %d %s", a.runs, id)
}

func (a *app) echoed(ec echo.Context) error {
	a.page(ec.Response(), ec.Request())
	return nil
}

// get sends a request as the user, with the header lines. It returns the body and what Cache-Status says: "hit", or "fwd=…".
func (a *app) get(user string, lines ...string) (body, how string) {
	a.t.Helper()
	r := httptest.NewRequest("GET", "/pages/7", nil)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r.WithContext(cache.WithUser(r.Context(), user)))
	if w.Code != http.StatusOK {
		a.t.Errorf("status %d", w.Code)
	}
	how, _, _ = strings.Cut(strings.TrimPrefix(w.Header().Get("Cache-Status"), "larder; "), ";")
	return w.Body.String(), how
}

// want sends a request as get does, and wants a response of the given run.
func (a *app) want(run int, how, user string, lines ...string) {
	a.t.Helper()
	body, got := a.get(user, lines...)
	if number := fmt.Sprintf("run %d ", run); !strings.HasPrefix(body, number) || got != how {
		a.t.Errorf("%s gets %q, %s; want %q, %s", user, body, got, number, how)
	}
}

// everywhere plays f on every router and for every class, in a bubble of fake time.
func everywhere(t *testing.T, p cache.Policy, f func(a *app)) {
	for name, build := range appRouters {
		for _, class := range classes {
			t.Run(name+"/"+class.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a := &app{t: t, far: fartest.New(), class: class}
					c, err := cache.New(cache.Options{Far: a.far, User: keying.FromContext(), Observe: func(cache.Event) {}})
					if err != nil {
						t.Fatal(err)
					}
					defer c.Close(context.Background())
					a.cache, p.Class = c, class
					if a.handler, err = build(a, p); err != nil {
						t.Fatal(err)
					}
					f(a)
				})
			})
		}
	}
}

func TestAResponseIsKeptForItsTTL(t *testing.T) {
	everywhere(t, cache.Policy{TTL: time.Minute}, func(a *app) {
		a.want(1, "fwd=miss", "alice")
		a.want(1, "hit", "alice")
		time.Sleep(50 * time.Second) // a TTL is spread by up to a tenth
		a.want(1, "hit", "alice")
		time.Sleep(11 * time.Second)
		if body, how := a.get("alice"); !strings.HasPrefix(body, "run 2 ") || how == "hit" {
			t.Errorf("after its TTL the answer is %q, %s", body, how)
		}
	})
}

func TestUsersOfAPerUserRouteShareNothing(t *testing.T) {
	everywhere(t, cache.Policy{}, func(a *app) {
		a.want(1, "fwd=miss", "alice")
		if a.class == cache.PerUser {
			a.want(2, "fwd=miss", "bob")
			a.want(1, "hit", "alice")
			a.want(3, "fwd=bypass", "")
			return
		}
		a.want(1, "hit", "bob")
		if body, _ := a.get("bob"); body != "run 1 " {
			t.Errorf("the handler of a shared route knows who asks: %q", body)
		}
	})
}

func TestWhatThePolicyDoesNotNameNeitherSelectsNorShows(t *testing.T) {
	everywhere(t, cache.Policy{Vary: []string{"Accept-Language"}}, func(a *app) {
		a.want(1, "fwd=miss", "alice", "Accept-Language: en")
		a.want(1, "hit", "alice", "Accept-Language: en", "Cookie: a=b", "User-Agent: x")
		if body, how := a.get("alice", "Accept-Language: de"); !strings.HasPrefix(body, "run 2 ") || how == "hit" {
			t.Errorf("another language gets %q, %s", body, how)
		}
		a.want(1, "hit", "alice", "Accept-Language: en")
	})
}

func TestAPurgeIsSeenAtOnce(t *testing.T) {
	everywhere(t, cache.Policy{Tags: []string{"page:{id}"}}, func(a *app) {
		run := 1
		for _, label := range []cache.Label{cache.Tag("page:7"), cache.Route("GET /pages/{id}"), cache.URL("/pages/7"), cache.Everything()} {
			a.want(run, "fwd=miss", "alice")
			a.want(run, "hit", "alice")
			if err := a.cache.Purge(t.Context(), cache.Tag("page:8"), label); err != nil {
				t.Fatal(err)
			}
			run++
		}
		a.want(run, "fwd=miss", "alice")
	})
}

func TestAStoreThatIsDownFailsNoRequest(t *testing.T) {
	everywhere(t, cache.Policy{}, func(a *app) {
		a.far.Down.Store(true)
		a.want(1, "fwd=miss", "alice")
		how := "fwd=miss"
		run := 2
		if a.class == cache.SharedGlobal || a.class == cache.HotShared { // memory has it
			how, run = "hit", 1
		}
		a.want(run, how, "alice")
		if err := a.cache.Purge(t.Context(), cache.Tag("x")); err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("a purge that Redis is not told of returns %v", err)
		}
	})
}

func TestARouteWithoutAPolicyIsLeftAlone(t *testing.T) {
	c := newCache(t, cache.Options{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /a", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "a") })
	mux.HandleFunc("GET /b", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "b") })
	h, err := nethttp.Annotate(c, mux, cache.Routes{"GET /b": {Class: cache.SharedGlobal}})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/a", nil))
	if len(w.Header()) > 1 { // the Content-Type that net/http guesses
		t.Errorf("its header is %v", w.Header())
	}
}

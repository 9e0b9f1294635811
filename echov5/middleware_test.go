package echocache_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v5"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echov5"
	"github.com/larder-go/cache/keying"
)

// everyone is the identity where it does not matter.
func everyone(*http.Request) (string, bool) { return "everyone", true }

// What outer middleware reads of the Response is right on hits too.
func TestResponseIsRightOnMissAndHit(t *testing.T) {
	run(t, func(t *testing.T, w wiring, class cache.Class) {
		e, runs := echo.New(), 0
		var before, after int
		var seen []string
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(ec *echo.Context) error {
				own, request := response(ec), ec.Request()
				own.Before(func() { before++ })
				own.After(func() { after++ })
				err := next(ec)
				if ec.Response() != http.ResponseWriter(own) || ec.Request() != request {
					t.Error("the context has another response or request than before")
				}
				seen = append(seen, fmt.Sprint(own.Status, own.Size, own.Committed))
				return err
			}
		})
		w.wire(t, e, newCache(t, everyone), cache.Policy{Class: class, StatusTTL: map[int]time.Duration{203: time.Minute}}, func(ec *echo.Context) error {
			runs++
			if response(ec).Committed || response(ec).Status != http.StatusOK {
				t.Error("the handler's response is committed before it began")
			}
			return ec.String(203, strings.Repeat("x", 10_000))
		})
		for range 3 {
			get(e, "/p/7")
		}
		if runs != 1 || before != 3 || after != 3 {
			t.Errorf("%d runs, %d times before and %d after; want 1, 3 and 3", runs, before, after)
		}
		for i, got := range seen {
			if got != "203 10000 true" {
				t.Errorf("request %d: status, size, committed are %s", i, got)
			}
		}
	})
}

// The error goes to echo's handler, which writes it through the same response, and nothing is kept.
func TestErrorsGoToTheErrorHandler(t *testing.T) {
	fault := errors.New("a fault of the app")
	run(t, func(t *testing.T, w wiring, class cache.Class) {
		e, runs := echo.New(), 0
		var handled []error
		e.HTTPErrorHandler = func(ec *echo.Context, err error) {
			handled = append(handled, err)
			_ = ec.String(http.StatusTeapot, "handled")
		}
		w.wire(t, e, newCache(t, everyone), cache.Policy{Class: class}, func(ec *echo.Context) error {
			runs++
			switch ec.Param("id") {
			case "http":
				return echo.NewHTTPError(http.StatusConflict, "no")
			case "wrapped":
				return fmt.Errorf("more: %w", echo.ErrNotFound)
			}
			return fault
		})
		for _, id := range []string{"http", "wrapped", "plain"} {
			for range 2 {
				if got := get(e, "/p/"+id); got.Code != http.StatusTeapot || got.Body.String() != "handled" {
					t.Errorf("%s: %d %q; want the error handler's answer", id, got.Code, got.Body)
				}
			}
		}
		if runs != 6 || len(handled) != 6 {
			t.Fatalf("%d runs and %d errors; want 6 and 6", runs, len(handled))
		}
		var he *echo.HTTPError
		if !errors.As(handled[0], &he) || he.Code != http.StatusConflict || handled[0] != error(he) || !errors.Is(handled[2], echo.ErrNotFound) || handled[4] != fault {
			t.Errorf("the error handler got %v; want the handlers' own errors", handled)
		}
	})
}

func TestUserReadsTheEchoContext(t *testing.T) {
	for _, w := range wirings {
		t.Run(w.name, func(t *testing.T) {
			e, runs := echo.New(), 0
			e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
				return func(ec *echo.Context) error {
					ec.Set("user", ec.Request().Header.Get("X-Session"))
					return next(ec)
				}
			})
			user := echocache.User(func(ec *echo.Context) (string, bool) {
				id, _ := ec.Get("user").(string)
				return id, id != ""
			})
			w.wire(t, e, newCache(t, nil), cache.Policy{Class: cache.PerUser, User: user}, func(ec *echo.Context) error {
				runs++
				return ec.String(200, fmt.Sprint(ec.Get("user"), " ", runs))
			})
			for range 2 {
				for i, who := range []string{"alice", "bob"} {
					if got := get(e, "/p/7", "X-Session", who); got.Body.String() != fmt.Sprint(who, " ", i+1) {
						t.Errorf("%s has %q", who, got.Body)
					}
				}
			}
			if got := get(e, "/p/7"); got.Header().Get("Cache-Control") != "private, no-store" || runs != 3 {
				t.Errorf("nobody is answered with %v after %d runs", got.Header(), runs)
			}
		})
	}
	if id, ok := echocache.User(func(*echo.Context) (string, bool) { return "x", true })(&http.Request{}); ok {
		t.Errorf("outside of the middleware User knows %q", id)
	}
}

// Echo's own view of the query is the one that the key covers, before and after.
func TestQueryOfTheContextFollowsTheRequest(t *testing.T) {
	for _, w := range wirings {
		t.Run(w.name, func(t *testing.T) {
			e, outside := echo.New(), ""
			e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
				return func(ec *echo.Context) error {
					_ = ec.QueryParam("evil") // parsed and kept by echo
					err := next(ec)
					outside = ec.QueryParam("evil")
					return err
				}
			})
			p := cache.Policy{Class: cache.SharedGlobal, Query: keying.Only("page")}
			w.wire(t, e, newCache(t, nil), p, func(ec *echo.Context) error {
				return ec.String(200, ec.QueryParam("page")+ec.QueryParam("evil")+ec.QueryString()+ec.FormValue("evil")+ec.RealIP()+ec.Request().Referer())
			})
			for _, target := range []string{"/p/7?page=2&evil=yes", "/p/7?page=2"} {
				if got := get(e, target, "X-Real-Ip", "evil", "Referer", "evil").Body.String(); strings.Contains(got, "yes") || strings.Contains(got, "evil") || !strings.HasPrefix(got, "2page=2") {
					t.Errorf("GET %s is answered %q", target, got)
				}
				if want := map[bool]string{true: "yes"}[strings.Contains(target, "evil")]; outside != want {
					t.Errorf("outside of the cache evil is %q; want %q", outside, want)
				}
			}
		})
	}
}

// A pooled context of one request never shows in another's answer.
func TestContextsAreNotMixedUp(t *testing.T) {
	run(t, func(t *testing.T, w wiring, class cache.Class) {
		e := echo.New()
		c := newCache(t, func(r *http.Request) (string, bool) { return r.Header.Get("X-Session"), true })
		release := make(chan struct{})
		refreshed := make(chan struct{}, 10)
		n := 0
		p := cache.Policy{Class: class, StaleWhileRevalidate: time.Minute}
		w.wire(t, e, c, p, func(ec *echo.Context) error {
			if n++; n == 2 {
				<-release
				defer func() { refreshed <- struct{}{} }()
			}
			return ec.String(200, fmt.Sprint(n, " ", ec.Param("id"), " ", ec.Path(), " ", ec.Request().Header.Get("X-Session")))
		})
		server := &http.Server{Handler: e}
		ask := func(target, who string) string { return getFrom(server, target, "X-Session", who).Body.String() }
		first := ask("/p/7", "alice")
		if err := c.Expire(t.Context(), cache.Everything()); err != nil {
			t.Fatal(err)
		}
		if got := ask("/p/7", "alice"); got != first {
			t.Errorf("the stale answer is %q; want %q", got, first)
		}
		get(e, "/nothing/else", "X-Session", "bob") // takes the pooled context
		close(release)
		<-refreshed
		want := "2 7 /p/:id "
		if class == cache.PerUser {
			want += "alice"
		}
		if err := c.Close(t.Context()); err != nil { // waits for the refresh
			t.Fatal(err)
		}
		if got := ask("/p/7", "alice"); class != cache.SharedGlobal && class != cache.HotShared && got != want {
			t.Errorf("the refreshed answer is %q; want %q", got, want)
		}
	})
}

// What an error handler answers for a per-user route is that user's, whatever it says, also after a panic.
func TestErrorAnswersOfPerUserRoutesArePrivate(t *testing.T) {
	for _, w := range wirings {
		for _, user := range []keying.User{everyone, func(*http.Request) (string, bool) { return "", false }} {
			e := echo.New()
			e.HTTPErrorHandler = func(ec *echo.Context, err error) {
				ec.Response().Header().Set("Cache-Control", "public, max-age=60")
				_ = ec.String(http.StatusNotFound, err.Error())
			}
			e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
				return func(ec *echo.Context) (err error) {
					defer func() {
						if v := recover(); v != nil {
							err = fmt.Errorf("panic: %v", v)
						}
					}()
					return next(ec)
				}
			})
			w.wire(t, e, newCache(t, user), cache.Policy{Class: cache.PerUser}, func(ec *echo.Context) error {
				if ec.QueryParam("panics") != "" {
					panic("of a handler")
				}
				return errors.New("no cart for alice")
			})
			for _, target := range []string{"/p/7", "/p/7?panics=1"} {
				got := get(e, target)
				if control := got.Header().Get("Cache-Control"); got.Code != http.StatusNotFound || !strings.HasPrefix(control, "private") || strings.Contains(control, "public") {
					t.Errorf("%s: %s is answered %d with Cache-Control %q", w.name, target, got.Code, control)
				}
			}
		}
	}
}

// What outer middleware has made of echo's query it finds there afterwards, and what is registered with Before does, too. The
// handler sees what the key covers.
func TestTheQueryIsOuterMiddlewaresAgain(t *testing.T) {
	for _, w := range wirings {
		t.Run(w.name, func(t *testing.T) {
			e := echo.New()
			var seen []string
			e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
				return func(ec *echo.Context) error {
					ec.QueryParams().Set("made", "here")
					ec.Response().(*echo.Response).Before(func() { seen = append(seen, ec.QueryParams().Encode()) })
					err := next(ec)
					seen = append(seen, ec.QueryParams().Encode())
					return err
				}
			})
			w.wire(t, e, newCache(t, nil), cache.Policy{Class: cache.SharedGlobal, Query: keying.Only("page")}, func(ec *echo.Context) error {
				return ec.String(200, ec.QueryParams().Encode())
			})
			for range 2 {
				seen = nil
				if got := get(e, "/p/7?page=2&evil=yes").Body.String(); got != "page=2" {
					t.Errorf("the handler has the query %s", got)
				}
				if want := "evil=yes&made=here&page=2"; !slices.Equal(seen, []string{want, want}) {
					t.Errorf("outside it is %q; want %s", seen, want)
				}
			}
		})
	}
}

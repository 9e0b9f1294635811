package echocache_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echo"
	"github.com/larder-go/cache/keying"
)

// login is outer middleware that knows who asks and tells nobody but the echo.Context.
func login(next echo.HandlerFunc) echo.HandlerFunc {
	return func(ec echo.Context) error {
		ec.Set("tenant", ec.Request().Header.Get("X-Session"))
		return next(ec)
	}
}

func tenantOf(ec echo.Context) string { name, _ := ec.Get("tenant").(string); return name }

// tenants answers for the tenant, with a number that no other answer has.
func tenants(runs *int) echo.HandlerFunc {
	return func(ec echo.Context) error {
		*runs++
		return ec.String(200, fmt.Sprint(*runs, " ", tenantOf(ec)))
	}
}

// What the echo.Context has selects, and skips, on misses, hits and refreshes.
func TestFunctionsAskTheContext(t *testing.T) {
	run(t, func(t *testing.T, w wiring, class cache.Class) {
		synctest.Test(t, func(t *testing.T) {
			c := newCache(t, keying.User(func(*http.Request) (string, bool) { return "alice", true }))
			e, runs := echo.New(), 0
			e.Use(login)
			w.wire(t, e, c, cache.Policy{
				Class: class, TTL: time.Minute, StaleWhileRevalidate: time.Minute,
				VaryBy: echocache.VaryBy(tenantOf),
				Skip:   echocache.Skip(func(ec echo.Context) bool { return tenantOf(ec) == "" || ec.Param("id") == "draft" }),
			}, tenants(&runs))
			server := &http.Server{Handler: e}
			want := func(body, target string, fields ...string) {
				t.Helper()
				if got := getFrom(server, target, fields...); got.Body.String() != body || !strings.HasPrefix(got.Header().Get("Cache-Control"), "private") {
					t.Errorf("%s %v is answered %q with %v; want %q", target, fields, got.Body, got.Header(), body)
				}
			}
			want("1 acme", "/p/7", "X-Session", "acme")
			want("2 beta", "/p/7", "X-Session", "beta")
			want("1 acme", "/p/7", "X-Session", "acme")
			want("2 beta", "/p/7", "X-Session", "beta")
			want("3 ", "/p/7")
			want("4 ", "/p/7")
			want("5 acme", "/p/draft", "X-Session", "acme")
			want("6 acme", "/p/draft", "X-Session", "acme")
			time.Sleep(time.Minute + time.Second)
			want("1 acme", "/p/7", "X-Session", "acme")
			synctest.Wait()
			want("7 acme", "/p/7", "X-Session", "acme")
			want("2 beta", "/p/7", "X-Session", "beta")
			synctest.Wait()
			if runs != 8 {
				t.Errorf("the handler ran %d times; want 8", runs)
			}
		})
	})
}

// Where there is no echo.Context to ask nothing is kept, and nothing is served from the cache.
func TestWithoutAContextFunctionsBypass(t *testing.T) {
	var seen []cache.Event
	c, err := cache.New(cache.Options{Observe: func(ev cache.Event) { seen = append(seen, ev) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(t.Context()) })
	for reason, p := range map[cache.Reason]cache.Policy{
		"vary-by": {VaryBy: echocache.VaryBy(tenantOf)},
		"skip":    {Skip: echocache.Skip(func(echo.Context) bool { return false })},
	} {
		seen, p.Class = nil, cache.SharedGlobal
		n := 0
		h := c.Middleware(p)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { n++; fmt.Fprint(w, n) }))
		if a, b := get(h, "/x").Body.String(), get(h, "/x").Body.String(); a == b {
			t.Errorf("%s: %q twice", reason, a)
		}
		if len(seen) != 3 || seen[0].Outcome != cache.Fault || seen[0].Reason != reason || !strings.Contains(fmt.Sprint(seen[0].Err), "echocache.Middleware") || seen[1].Outcome != cache.Bypass || seen[2].Outcome != cache.Bypass {
			t.Errorf("events %v", seen)
		}
	}
}

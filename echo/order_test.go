package echocache_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echo"
)

// Echo's own middleware, outside and inside of the cache. Nobody gets what is another's without a warning.
func TestOrderOfEchosMiddleware(t *testing.T) {
	table := cache.Routes{"GET /members/report": {Class: cache.SharedGlobal}}
	basic := middleware.BasicAuth(func(user, _ string, _ echo.Context) (bool, error) { return user == "alice", nil })
	byCookie := middleware.KeyAuthWithConfig(middleware.KeyAuthConfig{KeyLookup: "cookie:sid", Validator: func(key string, _ echo.Context) (bool, error) { return key == "alice", nil }})
	bySession := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(ec echo.Context) error {
			if ec.Get("user") != "alice" {
				return echo.ErrForbidden
			}
			return next(ec)
		}
	}
	session := func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(ec echo.Context) error {
			if c, err := ec.Cookie("sid"); err == nil {
				ec.Set("user", c.Value)
			}
			return next(ec)
		}
	}
	report := func(ec echo.Context) error {
		token, _ := ec.Get("csrf").(string)
		return ec.String(http.StatusOK, "the report "+token)
	}
	asAlice := func(r *http.Request) {
		r.SetBasicAuth("alice", "")
		r.AddCookie(&http.Cookie{Name: "sid", Value: "alice"})
	}
	cookieAlone := func(r *http.Request) { r.AddCookie(&http.Cookie{Name: "sid", Value: "alice"}) }
	for _, tt := range []struct {
		name    string
		outer   []echo.MiddlewareFunc // with e.Use, before Annotate
		group   []echo.MiddlewareFunc
		alice   func(*http.Request)
		want    []int // alice, then a guest
		warning []cache.Reason
	}{
		{"basic outside", []echo.MiddlewareFunc{basic}, nil, asAlice, []int{200, 401}, nil},
		{"basic in the group: Authorization bypasses", nil, []echo.MiddlewareFunc{basic}, asAlice, []int{200, 401}, nil},
		{"a cookie outside", []echo.MiddlewareFunc{byCookie}, nil, cookieAlone, []int{200, 400}, nil},
		{"a cookie in the group: nobody gets in", nil, []echo.MiddlewareFunc{byCookie}, cookieAlone, []int{400, 400}, nil},
		{"a session outside, checked in the group: all get in", []echo.MiddlewareFunc{session}, []echo.MiddlewareFunc{bySession}, cookieAlone, []int{403, 200, 200}, []cache.Reason{"check-inside"}},
		{"checked outside", []echo.MiddlewareFunc{session, bySession}, nil, cookieAlone, []int{200, 403}, nil},
		{"CSRF outside", []echo.MiddlewareFunc{middleware.CSRF()}, nil, cookieAlone, []int{200, 200}, []cache.Reason{"outer-cookie"}},
		{"CSRF in the group: nothing is kept", nil, []echo.MiddlewareFunc{middleware.CSRF()}, cookieAlone, []int{200, 200}, []cache.Reason{"hidden-header"}},
		{"gzip, CORS, recoverer and the like outside", []echo.MiddlewareFunc{middleware.Gzip(), middleware.CORS(), middleware.Recover(), middleware.RequestID()}, nil, cookieAlone, []int{200, 200}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var reasons []cache.Reason
			c, err := cache.New(cache.Options{Observe: func(ev cache.Event) {
				if ev.Outcome == cache.Warning && !slices.Contains(reasons, ev.Reason) {
					reasons = append(reasons, ev.Reason)
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close(context.Background())
			e := echo.New()
			e.Use(tt.outer...)
			e.Group("/members", tt.group...).GET("/report", report)
			if err := echocache.Annotate(c, e, table); err != nil {
				t.Fatal(err)
			}
			get := func(who func(*http.Request)) int {
				r, w := httptest.NewRequest("GET", "/members/report", nil), httptest.NewRecorder()
				if who != nil {
					who(r)
				}
				e.ServeHTTP(w, r)
				return w.Code
			}
			var got []int
			if len(tt.want) == 3 { // a guest came first
				got = append(got, get(nil))
			}
			got = append(got, get(tt.alice), get(nil))
			if !slices.Equal(got, tt.want) {
				t.Errorf("answers %d; want %d", got, tt.want)
			}
			if fmt.Sprint(reasons) != fmt.Sprint(tt.warning) {
				t.Errorf("warned of %s; want %s", reasons, tt.warning)
			}
		})
	}
}

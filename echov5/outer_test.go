package echocache_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/labstack/echo/v5"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/keying"
)

// What outer middleware has registered with Before and After runs with its own request and response in the context, and
// what it sets reaches the client: on a miss, however the handler answers, and on a hit.
func TestOuterFunctionsHaveTheContextAsItIsOutside(t *testing.T) {
	long := strings.Repeat("x", 20_000)
	handlers := map[string]echo.HandlerFunc{
		"String":      func(ec *echo.Context) error { return ec.String(200, "hello") },
		"long":        func(ec *echo.Context) error { return ec.String(200, long) },
		"pieces":      func(ec *echo.Context) error { return ec.Stream(200, "text/plain", strings.NewReader(long)) },
		"Write":       func(ec *echo.Context) error { _, err := ec.Response().Write([]byte("hello")); return err },
		"long Write":  func(ec *echo.Context) error { _, err := ec.Response().Write([]byte(long)); return err },
		"WriteHeader": func(ec *echo.Context) error { ec.Response().WriteHeader(404); return nil },
		"flushed": func(ec *echo.Context) error {
			_, err := ec.Response().Write([]byte("hello"))
			ec.Response().(http.Flusher).Flush()
			return err
		},
		"not kept": func(ec *echo.Context) error {
			ec.Response().Header().Set("Cache-Control", "no-store")
			_, err := ec.Response().Write([]byte("hello"))
			return err
		},
		"interim":   func(ec *echo.Context) error { ec.Response().WriteHeader(103); return ec.String(200, "hello") },
		"nothing":   func(ec *echo.Context) error { return nil },
		"an error":  func(ec *echo.Context) error { return echo.NewHTTPError(418, "no") },
		"kept 404":  func(ec *echo.Context) error { return echo.ErrNotFound },
		"handled":   func(ec *echo.Context) error { handleError(ec, errors.New("fault")); return nil },
		"a Handler": echo.WrapHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })),
	}
	for name, handler := range handlers {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, w wiring, class cache.Class) {
				e := echo.New()
				e.IPExtractor = func(r *http.Request) string { return r.Header.Get("X-Real-Ip") }
				var before, after []string
				e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
					return func(ec *echo.Context) error {
						own, request := response(ec), ec.Request()
						see := func() string {
							return fmt.Sprintln(response(ec) == own, ec.Request() == request, ec.Request().Header.Get("X-Outer"), ec.QueryParam("outer"), ec.RealIP())
						}
						own.Before(func() {
							before = append(before, see())
							ec.SetCookie(&http.Cookie{Name: "session", Value: "7"})
						})
						own.After(func() { after = append(after, see()) })
						return next(ec)
					}
				})
				p := cache.Policy{Class: class, Query: keying.Only("page"), StatusTTL: map[int]time.Duration{404: time.Minute}}
				w.wire(t, e, newCache(t, everyone), p, func(ec *echo.Context) error {
					if class != cache.PerUser && (ec.Request().Header.Get("X-Outer") != "" || ec.QueryParam("outer") != "") {
						t.Error("the handler sees what is not in the key")
					}
					defer func() {
						if class != cache.PerUser && ec.QueryParam("outer") != "" {
							t.Error("the handler sees what is not in the key, once it has answered")
						}
					}()
					return handler(ec)
				})
				for i := range 3 {
					got := get(e, "/p/7?page=1&outer=yes", "X-Outer", "yes", "X-Real-Ip", "1.2.3.4")
					if name == "nothing" {
						continue // nothing is written, so nothing runs
					}
					if cookies := got.Header()["Set-Cookie"]; !slices.Equal(cookies, []string{"session=7"}) {
						t.Errorf("answer %d, %d %q, sets %q", i, got.Code, got.Header(), cookies)
					}
				}
				want := "true true yes yes 1.2.3.4\n"
				if name != "nothing" && len(before) != 3 {
					t.Errorf("Before ran %d times; want 3", len(before))
				}
				for _, got := range slices.Concat(before, after) {
					if got != want {
						t.Errorf("outside of the cache the context has %s; want %s", got, want)
					}
				}
				if name != "nothing" && name != "WriteHeader" && len(after) < 3 {
					t.Errorf("After ran %d times", len(after))
				}
			})
		})
	}
}

// A cookie that outer middleware sets for one client is not kept for others.
func TestOuterCookiesAreNotKept(t *testing.T) {
	run(t, func(t *testing.T, w wiring, class cache.Class) {
		e, n := echo.New(), 0
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(ec *echo.Context) error {
				n++
				value := fmt.Sprint(n)
				response(ec).Before(func() { ec.SetCookie(&http.Cookie{Name: "n", Value: value}) })
				return next(ec)
			}
		})
		runs := 0
		w.wire(t, e, newCache(t, everyone), cache.Policy{Class: class}, func(ec *echo.Context) error {
			runs++
			return ec.String(200, "hello")
		})
		for i := range 3 {
			if got := get(e, "/p/7").Header()["Set-Cookie"]; !slices.Equal(got, []string{fmt.Sprintf("n=%d", i+1)}) {
				t.Errorf("answer %d sets %q", i, got)
			}
		}
		if runs != 1 {
			t.Errorf("%d runs; want 1", runs)
		}
	})
}

// An error whose status the policy keeps is answered by echo's error handler within the cache, and kept; outer middleware
// sees no error, as on a hit.
func TestErrorsWhoseStatusIsKeptAreKept(t *testing.T) {
	files := fstest.MapFS{"there.txt": {Data: []byte("hello")}}
	for name, handler := range map[string]echo.HandlerFunc{
		"HTTPError": func(ec *echo.Context) error { return echo.NewHTTPError(404, "no such thing") },
		"wrapped":   func(ec *echo.Context) error { return fmt.Errorf("more: %w", echo.ErrNotFound) },
		"wrapping":  func(ec *echo.Context) error { return echo.NewHTTPError(404, "no such thing").Wrap(errors.New("fault")) },
		"Static":    echo.StaticDirectoryHandler(files, false),
		"redirect":  func(ec *echo.Context) error { return echo.NewHTTPError(301, "elsewhere") },
	} {
		for _, custom := range []bool{false, true} {
			t.Run(fmt.Sprint(name, custom), func(t *testing.T) {
				run(t, func(t *testing.T, w wiring, class cache.Class) {
					e, runs := echo.New(), 0
					var errs []error
					var statuses []int
					if custom { // one that does not look whether there is an answer already
						e.HTTPErrorHandler = func(ec *echo.Context, err error) {
							status := 404
							if name == "redirect" {
								status = 301
							}
							_ = ec.String(status, fmt.Sprint("custom ", ec.Path(), len(ec.Request().Header["X-Outer"])))
						}
					}
					e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
						return func(ec *echo.Context) error {
							err := next(ec)
							errs, statuses = append(errs, err), append(statuses, response(ec).Status)
							return err
						}
					})
					p := cache.Policy{Class: class, StatusTTL: map[int]time.Duration{404: time.Minute, 301: time.Minute}}
					w.wire(t, e, newCache(t, everyone), p, func(ec *echo.Context) error {
						runs++
						return handler(ec)
					})
					var first *httptest.ResponseRecorder
					for range 3 {
						got := get(e, "/p/missing.txt", "X-Outer", "yes")
						if first == nil {
							first = got
						}
						if got.Code != first.Code || got.Body.String() != first.Body.String() {
							t.Errorf("%d %q; the first was %d %q", got.Code, got.Body, first.Code, first.Body)
						}
					}
					bare := echo.New()
					bare.HTTPErrorHandler = e.HTTPErrorHandler
					if !custom {
						bare.HTTPErrorHandler = echo.DefaultHTTPErrorHandler(false)
					}
					bare.GET("/p/:id", handler)
					want := get(bare, "/p/missing.txt", "X-Outer", "yes")
					if custom && class != cache.PerUser {
						want = get(bare, "/p/missing.txt") // X-Outer is not for the answer
					}
					if first.Code != want.Code || first.Body.String() != want.Body.String() {
						t.Errorf("%d %q; without a cache %d %q", first.Code, first.Body, want.Code, want.Body)
					}
					if runs != 1 {
						t.Errorf("%d runs; want 1", runs)
					}
					for i, err := range errs {
						if err != nil || statuses[i] != first.Code {
							t.Errorf("outer middleware sees %v and %d", err, statuses[i])
						}
					}
				})
			})
		}
	}
}

// A problem is an error that tells its status and its body by itself.
type problem struct{ status int }

func (p problem) Error() string { return "a problem" }

func (p problem) StatusCode() int { return p.status }

func (p problem) MarshalJSON() ([]byte, error) { return []byte(`{"title":"a problem"}`), nil }

// Errors of other statuses are outer middleware's, as ever, and so is one after the handler has answered.
func TestOtherErrorsAreOuterMiddlewares(t *testing.T) {
	run(t, func(t *testing.T, w wiring, class cache.Class) {
		e, runs := echo.New(), 0
		var errs []error
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(ec *echo.Context) error {
				err := next(ec)
				errs = append(errs, err)
				return err
			}
		})
		w.wire(t, e, newCache(t, everyone), cache.Policy{Class: class, StatusTTL: map[int]time.Duration{404: time.Minute}}, func(ec *echo.Context) error {
			runs++
			switch ec.Param("id") {
			case "409":
				return echo.NewHTTPError(409, "no")
			case "plain":
				return errors.New("fault")
			}
			_ = ec.String(200, "begun")
			return echo.ErrNotFound
		})
		for _, id := range []string{"409", "plain", "late"} {
			for range 2 {
				get(e, "/p/"+id)
			}
		}
		if runs != 6 || slices.Contains(errs, nil) || len(errs) != 6 {
			t.Errorf("%d runs, errors %v", runs, errs)
		}
	})
}

// WrapMiddleware makes a handler anew with each request, so that nothing is found again. The handler's error reaches echo's
// error handler through the cache's writer, once the cache is done: its page reaches the client. What comes after an answer
// does not.
func TestErrorPagesReachTheClientThroughWrapMiddleware(t *testing.T) {
	for _, class := range []cache.Class{cache.SharedGlobal, cache.PerUser, cache.HotShared, cache.FleetShared} {
		for _, target := range []string{"/404", "/plain", "/json", "/nothing", "/late"} {
			for _, method := range []string{"GET", "HEAD", "POST"} {
				t.Run(class.String()+target+method, func(t *testing.T) {
					build := func(m ...echo.MiddlewareFunc) (*echo.Echo, *int) {
						e, runs := echo.New(), new(int)
						e.HTTPErrorHandler = func(ec *echo.Context, err error) {
							ec.Response().Header().Set("X-Error", "yes")
							if target == "/plain" {
								ec.Response().Header().Set("Cache-Control", "public, max-age=60")
								_, _ = io.WriteString(ec.Response(), strings.Repeat("x", 9000))
								return
							}
							echo.DefaultHTTPErrorHandler(false)(ec, err)
						}
						e.Any("/:id", func(ec *echo.Context) error {
							*runs++
							ec.Response().Header().Set("X-Handler", "yes")
							switch ec.Param("id") {
							case "404":
								return echo.ErrNotFound
							case "json":
								return problem{409}
							case "plain":
								return errors.New("fault")
							case "late":
								_ = ec.String(200, "hello")
								return errors.New("fault")
							}
							return nil
						}, m...)
						return e, runs
					}
					c := newCache(t, everyone)
					cached, runs := build(echo.WrapMiddleware(c.Middleware(cache.Policy{Class: class, Vary: []string{"Accept-Language"}})))
					bare, _ := build()
					const requests = 20
					for i := range requests {
						got, want := do(cached, method, target), do(bare, method, target)
						if got.Code != want.Code || got.Body.String() != want.Body.String() || got.Header().Get("X-Handler") != "yes" || got.Header().Get("X-Error") != want.Header().Get("X-Error") && target != "/late" {
							t.Errorf("answer %d: %d %q %v; without a cache %d %q %v", i, got.Code, clip(got.Body.String()), got.Header(), want.Code, clip(want.Body.String()), want.Header())
						}
						if control := got.Header().Get("Cache-Control"); class == cache.PerUser && (!strings.HasPrefix(control, "private") || strings.Contains(control, "public")) {
							t.Errorf("Cache-Control is %q", control)
						}
						if got.Header().Get("Vary") != "Accept-Language" {
							t.Errorf("Vary is %q", got.Header()["Vary"])
						}
					}
					if *runs != requests {
						t.Errorf("%d runs for %d requests", *runs, requests)
					}
				})
			}
		}
	}
}

func clip(s string) string { return s[:min(len(s), 100)] }

// Outer functions set cookies through the cache's writer there, too.
func TestOuterFunctionsSetCookiesThroughWrapMiddleware(t *testing.T) {
	c := newCache(t, everyone)
	for _, size := range []int{5, 600, 20_000} {
		e := echo.New()
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(ec *echo.Context) error {
				response(ec).Before(func() { ec.SetCookie(&http.Cookie{Name: "session", Value: "7"}) })
				return next(ec)
			}
		})
		e.GET(fmt.Sprint("/", size), func(ec *echo.Context) error { return ec.String(200, strings.Repeat("x", size)) },
			echo.WrapMiddleware(c.Middleware(cache.Policy{Class: cache.SharedGlobal})))
		for i := range 3 {
			if got := get(e, fmt.Sprint("/", size)).Result().Header["Set-Cookie"]; !slices.Equal(got, []string{"session=7"}) {
				t.Errorf("%d bytes, answer %d sets %q", size, i, got)
			}
		}
	}
}

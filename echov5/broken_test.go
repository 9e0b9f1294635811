package echocache_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/labstack/echo/v5"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echov5"
)

// TestAnAnswerThatFailsInEchosWaysIsNotKept: echo drops what comes after a head, but some of it tells of a failure.
func TestAnAnswerThatFailsInEchosWaysIsNotKept(t *testing.T) {
	begin := func(ec *echo.Context) { _, _ = io.WriteString(ec.Response(), "<html>") }
	for name, fail := range map[string]echo.HandlerFunc{
		"an error":        func(ec *echo.Context) error { begin(ec); return echo.ErrInternalServerError },
		"JSON":            func(ec *echo.Context) error { begin(ec); return ec.JSON(500, "broken") },
		"a text":          func(ec *echo.Context) error { begin(ec); return ec.String(500, "broken") },
		"a text, not 500": func(ec *echo.Context) error { begin(ec); return ec.String(404, "broken") },
		"http.Error":      func(ec *echo.Context) error { begin(ec); http.Error(ec.Response(), "broken", 500); return nil },
		"JSON in JSON": func(ec *echo.Context) error {
			_ = ec.JSON(200, "first")
			return ec.JSON(503, "broken")
		},
	} {
		run(t, func(t *testing.T, w wiring, class cache.Class) {
			e, runs := echo.New(), 0
			w.wire(t, e, newCache(t, everyone), cache.Policy{Class: class}, func(ec *echo.Context) error {
				runs++
				return fail(ec)
			})
			for range 3 {
				get(e, "/p/7")
			}
			if runs != 3 {
				t.Errorf("%s: %d runs for 3 requests; want 3", name, runs)
			}
		})
	}
}

// recovering does with a panic what echo's Recover does.
func recovering(next echo.HandlerFunc) echo.HandlerFunc {
	return func(ec *echo.Context) error {
		defer func() {
			if v := recover(); v != nil {
				handleError(ec, fmt.Errorf("%v", v))
			}
		}()
		return next(ec)
	}
}

// TestAFailureBehindEchosRecoverIsNotKept, whether or not echo writes its page: the error handler is told.
func TestAFailureBehindEchosRecoverIsNotKept(t *testing.T) {
	for name, fail := range map[string]echo.HandlerFunc{
		"a panic": func(*echo.Context) error { panic("broken") },
		"an error that was handled": func(ec *echo.Context) error {
			handleError(ec, echo.ErrInternalServerError)
			return nil
		},
	} {
		for _, begun := range []bool{true, false} {
			e, c, runs := echo.New(), newCache(t, everyone), 0
			g := e.Group("", recovering)
			g.GET("/p/:id", func(ec *echo.Context) error {
				runs++
				if begun {
					_, _ = io.WriteString(ec.Response(), "<html>")
				}
				return fail(ec)
			})
			if err := echocache.Annotate(c, e, cache.Routes{"GET /p/{id}": {Class: cache.SharedGlobal}}); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if got := get(e, "/p/7"); begun && got.Body.String() != "<html>" || !begun && got.Code != 500 {
					t.Errorf("%s: the answer is %d %q", name, got.Code, got.Body)
				}
			}
			if runs != 3 {
				t.Errorf("%s, begun %v: %d runs for 3 requests; want 3", name, begun, runs)
			}
		}
	}
}

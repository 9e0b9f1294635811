package echocache_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echov5"
	"github.com/larder-go/cache/keying"
)

// body is what a client that takes gzip reads.
func body(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	var r io.Reader = w.Body
	if w.Header().Get("Content-Encoding") == "gzip" {
		var err error
		if r, err = gzip.NewReader(r); err != nil {
			t.Fatal(err)
		}
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestOuterFunctionsWaitBehindAWrappedResponse: what wraps the Response may call them with any write, also when a long body
// is sent while the handler still uses the context.
func TestOuterFunctionsWaitBehindAWrappedResponse(t *testing.T) {
	long := strings.Repeat("0123456789", 20_000)
	handlers := map[string]echo.HandlerFunc{
		"String": func(ec *echo.Context) error { return ec.String(200, long) },
		"JSON":   func(ec *echo.Context) error { return ec.JSON(200, long) },
		"pieces": func(ec *echo.Context) error {
			for i := 0; i < len(long); i += 1000 {
				ec.SetResponse(ec.Response()) // as JSON does, in each piece of a stream
				if _, err := io.WriteString(ec.Response(), long[i:i+1000]); err != nil {
					return err
				}
			}
			return nil
		},
		"flushed": func(ec *echo.Context) error {
			_, err := io.WriteString(ec.Response(), long[:9000])
			ec.Response().(http.Flusher).Flush()
			_, _ = io.WriteString(ec.Response(), long[9000:])
			return err
		},
		"kept 404": func(*echo.Context) error { return echo.NewHTTPError(404, long) },
		"an error": func(*echo.Context) error { return echo.NewHTTPError(409, long) },
	}
	wraps := map[string]echo.MiddlewareFunc{
		"Gzip":       middleware.Gzip(),
		"GzipLong":   middleware.GzipWithConfig(middleware.GzipConfig{MinLength: 1 << 20}),
		"BodyDump":   middleware.BodyDump(func(*echo.Context, []byte, []byte, error) {}),
		"Middleware": echo.WrapMiddleware(func(next http.Handler) http.Handler { return next }),
	}
	for wrap, outer := range wraps {
		for name, handler := range handlers {
			t.Run(wrap+"/"+name, func(t *testing.T) {
				run(t, func(t *testing.T, w wiring, class cache.Class) {
					e, runs := echo.New(), 0
					e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
						return func(ec *echo.Context) error {
							own, request := response(ec), ec.Request()
							own.Before(func() {
								if response(ec) != own && wrap != "Middleware" || ec.Request() != request && wrap != "Middleware" || ec.QueryParam("outer") != "yes" {
									t.Error("outside of the cache the context is the handler's")
								}
								ec.SetCookie(&http.Cookie{Name: "session", Value: "7"})
							})
							own.After(func() { _ = ec.Response().Header() })
							return next(ec)
						}
					}, outer)
					p := cache.Policy{Class: class, Query: keying.Only("page"), StatusTTL: map[int]time.Duration{404: time.Minute}}
					w.wire(t, e, newCache(t, everyone), p, func(ec *echo.Context) error { runs++; return handler(ec) })
					first := ""
					for i := range 3 {
						got := get(e, "/p/7?outer=yes", "Accept-Encoding", "gzip")
						if cookies := got.Header()["Set-Cookie"]; !slices.Equal(cookies, []string{"session=7"}) {
							t.Errorf("answer %d sets %q", i, cookies)
						}
						text := body(t, got)
						if i == 0 {
							first = text
						}
						if len(text) < len(long) || text != first {
							t.Errorf("answer %d has %d bytes; the first had %d", i, len(text), len(first))
						}
					}
					if want := map[bool]int{true: 3, false: 1}[name == "an error" || name == "flushed"]; runs != want {
						t.Errorf("%d runs; want %d", runs, want)
					}
				})
			})
		}
	}
}

// TestACompressorInsideIsKeptAsItAnswered, with its coding as the answer's own.
func TestACompressorInsideIsKeptAsItAnswered(t *testing.T) {
	e, runs := echo.New(), 0
	c := newCache(t, everyone)
	p := cache.Policy{Class: cache.SharedGlobal, Vary: []string{"Accept-Encoding"}}
	e.GET("/p/:id", func(ec *echo.Context) error {
		runs++
		return ec.String(200, strings.Repeat("x", 5000))
	}, echocache.Middleware(c, p), middleware.Gzip())
	for range 3 {
		for _, coding := range []string{"gzip", "identity"} {
			got := get(e, "/p/7", "Accept-Encoding", coding)
			if text := body(t, got); got.Code != 200 || len(text) != 5000 || (got.Header().Get("Content-Encoding") == "gzip") != (coding == "gzip") {
				t.Errorf("%s: %d with %d bytes and %v", coding, got.Code, len(text), got.Header())
			}
		}
	}
	if runs != 2 {
		t.Errorf("%d runs; want one a coding", runs)
	}
}

// TestHandlersOfSeveralEchosAreToldApart, also where they have their code and the middleware in common.
func TestHandlersOfSeveralEchosAreToldApart(t *testing.T) {
	m := echocache.Middleware(newCache(t, nil), cache.Policy{Class: cache.SharedGlobal})
	apps := map[string]*echo.Echo{}
	for _, name := range []string{"admin", "guest"} {
		apps[name] = echo.New()
		apps[name].GET("/p/:id", func(ec *echo.Context) error { return ec.String(200, "for "+name) }, m)
	}
	for range 3 {
		for name, app := range apps {
			if got := get(app, "/p/7").Body.String(); got != "for "+name {
				t.Errorf("%s has the answer %q", name, got)
			}
		}
	}
}

// A client gets what is flushed at once, and the rest in the end.
func TestFlushedAnswersPassAWrappedResponse(t *testing.T) {
	e := echo.New()
	e.Use(middleware.Gzip())
	flushed := make(chan bool)
	e.GET("/p/:id", func(ec *echo.Context) error {
		ec.Response().Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(ec.Response(), "data: 1\n\n")
		if err := http.NewResponseController(ec.Response()).Flush(); err != nil {
			t.Error(err)
		}
		<-flushed
		fmt.Fprint(ec.Response(), "data: 2\n\n")
		return nil
	}, echocache.Middleware(newCache(t, nil), cache.Policy{Class: cache.SharedGlobal}))
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	response, err := server.Client().Get(server.URL + "/p/7") // with gzip
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	first := make([]byte, len("data: 1\n\n"))
	if _, err := io.ReadFull(response.Body, first); err != nil || string(first) != "data: 1\n\n" {
		t.Errorf("first %q, %v", first, err)
	}
	close(flushed)
	if rest, err := io.ReadAll(response.Body); err != nil || string(rest) != "data: 2\n\n" {
		t.Errorf("then %q, %v", rest, err)
	}
}

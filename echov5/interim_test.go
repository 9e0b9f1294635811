package echocache_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v5"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echov5"
	"github.com/larder-go/cache/keying"
)

// An interimForm is a way in which a handler sends 103 with a Link, and then another answer without it.
type interimForm struct {
	name   string
	handle echo.HandlerFunc
	status int
	body   string
	hints  int
	kept   bool
}

// hint sends 103 with a Link of its own.
func hint(ec *echo.Context) {
	h := ec.Response().Header()
	h.Set("Link", "</style.css>; rel=preload")
	ec.Response().WriteHeader(http.StatusEarlyHints)
	h.Del("Link")
}

func hinted(next echo.HandlerFunc) echo.HandlerFunc {
	return func(ec *echo.Context) error {
		hint(ec)
		return next(ec)
	}
}

// wrapped is a handler that keeps the writer it was given.
func wrapped(f func(w http.ResponseWriter)) echo.HandlerFunc {
	return echo.WrapHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		f(w)
	}))
}

func interimForms(t *testing.T) []interimForm {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for _, link := range []string{"</style.css>; rel=preload", "</script.js>; rel=preload"} {
			w.Header().Set("Link", link)
			w.WriteHeader(http.StatusEarlyHints)
		}
		w.Header().Del("Link")
		http.Error(w, "not here", http.StatusNotFound)
	}))
	t.Cleanup(upstream.Close)
	target, _ := url.Parse(upstream.URL)
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }, Transport: upstream.Client().Transport}

	return []interimForm{
		{"NoContent", hinted(func(ec *echo.Context) error { return ec.NoContent(404) }), 404, "", 1, true},
		{"String", hinted(func(ec *echo.Context) error { return ec.String(404, "no") }), 404, "no", 1, true},
		{"JSON", hinted(func(ec *echo.Context) error { return ec.JSON(404, "no") }), 404, "\"no\"\n", 1, true},
		{"Stream", hinted(func(ec *echo.Context) error { return ec.Stream(404, "text/plain", strings.NewReader("no")) }), 404, "no", 1, true},
		{"HTTPError", hinted(func(*echo.Context) error { return echo.NewHTTPError(404, "no") }), 404, "{\"message\":\"no\"}\n", 1, true},
		{"plain error", hinted(func(*echo.Context) error { return errors.New("no") }), 500, "{\"message\":\"Internal Server Error\"}\n", 1, false},
		{"Error", hinted(func(ec *echo.Context) error { handleError(ec, echo.NewHTTPError(404, "no")); return nil }), 404, "{\"message\":\"no\"}\n", 1, true},
		{"Write", hinted(func(ec *echo.Context) error { _, err := ec.Response().Write([]byte("yes")); return err }), 200, "yes", 1, true},
		{"twice", hinted(hinted(func(ec *echo.Context) error { return ec.NoContent(404) })), 404, "", 2, true},
		{"nothing", hinted(func(ec *echo.Context) error { return nil }), 200, "", 1, false},
		{"one pointer", func(ec *echo.Context) error {
			w := ec.Response()
			hint(ec)
			w.Header().Set("X-Final", "yes")
			w.WriteHeader(404)
			if !response(ec).Committed || response(ec).Status != 404 {
				t.Errorf("the context's response is committed: %t, %d", response(ec).Committed, response(ec).Status)
			}
			_, err := w.Write([]byte("no"))
			return err
		}, 404, "no", 1, true},
		{"two pointers", func(ec *echo.Context) error {
			w := response(ec)
			hint(ec)
			err := ec.String(404, "no")
			if !w.Committed || w.Status != 404 {
				t.Errorf("the first response is committed: %t, %d", w.Committed, w.Status)
			}
			return err
		}, 404, "no", 1, true},
		{"Before", func(ec *echo.Context) error {
			w := response(ec)
			w.Before(func() { w.Header().Set("X-Handler", "yes") })
			hint(ec)
			hint(ec)
			w.Header().Del("X-Handler")
			w.WriteHeader(404)
			return nil
		}, 404, "", 2, true},
		{"late", hinted(func(ec *echo.Context) error {
			err := ec.NoContent(404)
			response(ec).ResponseWriter.WriteHeader(http.StatusEarlyHints)
			if !response(ec).Committed {
				t.Error("a late interim head reopens the response")
			}
			return err
		}), 404, "", 1, true},
		{"handler", wrapped(func(w http.ResponseWriter) { w.Header().Del("Link"); http.Error(w, "no", 404) }), 404, "no\n", 1, true},
		{"handler twice", wrapped(func(w http.ResponseWriter) {
			w.Header().Set("Link", "</script.js>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link")
			w.WriteHeader(404)
		}), 404, "", 2, true},
		{"ReverseProxy", echo.WrapHandler(proxy), 404, "not here\n", 2, true},
		{"WrapMiddleware", echo.WrapMiddleware(func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(struct{ http.ResponseWriter }{w}, r)
			})
		})(hinted(hinted(func(ec *echo.Context) error { return ec.NoContent(404) }))), 404, "", 2, true},
	}
}

// seenOutside is what middleware outside of the cache sees of an answer.
type seenOutside struct {
	status        int
	committed     bool
	before, after int
}

// interimSite serves the form behind the wiring, with outer middleware that looks on.
func interimSite(t *testing.T, w wiring, p cache.Policy, user keying.User, form interimForm, seen chan<- seenOutside) *httptest.Server {
	e := echo.New()
	e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(ec *echo.Context) error {
			var s seenOutside
			own := response(ec)
			own.Before(func() { s.before++; own.Header().Set("X-Before", fmt.Sprint(s.before)) })
			own.After(func() { s.after++ })
			if err := next(ec); err != nil {
				handleError(ec, err)
			}
			if ec.Response() != http.ResponseWriter(own) {
				t.Error("outer middleware has another response than before")
			}
			s.status, s.committed = own.Status, own.Committed
			seen <- s
			return nil
		}
	})
	w.wire(t, e, newCache(t, user), p, form.handle)
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	return server
}

// askInterim asks the server and returns the final answer, its body, and the interim ones' heads.
func askInterim(t *testing.T, server *httptest.Server, fields ...string) (*http.Response, string, []textproto.MIMEHeader) {
	t.Helper()
	var interim []textproto.MIMEHeader
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		if code != http.StatusEarlyHints {
			t.Errorf("an interim answer is %d", code)
		}
		interim = append(interim, h)
		return nil
	}}
	r, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", server.URL+"/p/7", nil)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	response, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	return response, string(body), interim
}

func nobody(*http.Request) (string, bool) { return "", false }

// Interim answers reach the client once, with their own fields, and the final one is what it would be without them:
// when the handler runs for the cache, when its answer is replayed, and on the ways around the cache.
func TestInterimAnswersPass(t *testing.T) {
	ways := []struct {
		name   string
		class  cache.Class
		user   keying.User
		fields []string
		around bool
	}{
		{"shared", cache.SharedGlobal, nil, nil, false},
		{"per user", cache.PerUser, everyone, nil, false},
		{"around, shared", cache.SharedGlobal, nil, []string{"Authorization", "Basic eDp5"}, true},
		{"around, per user", cache.PerUser, nobody, nil, true},
		{"a range", cache.SharedGlobal, nil, []string{"Range", "bytes=0-99"}, true},
	}
	for _, w := range wirings {
		for _, way := range ways {
			for _, form := range interimForms(t) {
				t.Run(w.name+"/"+way.name+"/"+form.name, func(t *testing.T) {
					seen := make(chan seenOutside, 1)
					p := cache.Policy{Class: way.class, StatusTTL: map[int]time.Duration{404: time.Minute}}
					server := interimSite(t, w, p, way.user, form, seen)
					for i := range 3 {
						response, body, interim := askInterim(t, server, way.fields...)
						ran := i == 0 || way.around || !form.kept
						if response.StatusCode != form.status || body != form.body {
							t.Errorf("request %d: %d %q; want %d %q", i, response.StatusCode, body, form.status, form.body)
						}
						if got := response.Header["Link"]; got != nil {
							t.Errorf("request %d: the final answer has the interim one's %q", i, got)
						}
						if want := map[bool]int{true: form.hints}[ran]; len(interim) != want {
							t.Errorf("request %d: %d interim answers; want %d", i, len(interim), want)
						}
						for _, h := range interim {
							if len(h["Link"]) != 1 || h["X-Before"] != nil {
								t.Errorf("request %d: the interim answer has %v", i, h)
							}
						}
						s := <-seen
						want := seenOutside{form.status, true, 1, min(1, len(form.body))}
						if form.name == "nothing" {
							want = seenOutside{200, false, 0, 0} // net/http sends the head when all have returned
						}
						if s != want {
							t.Errorf("request %d: outside sees %+v; want %+v", i, s, want)
						}
					}
				})
			}
		}
	}
}

// A second head in a row is the final one. The echo.Response itself drops it, before anyone can see it: what is sent then is
// not kept.
func TestAnswersWithADroppedHeadAreNotKept(t *testing.T) {
	for _, own := range []bool{false, true} {
		for i, f := range []func(w http.ResponseWriter){
			func(w http.ResponseWriter) { w.WriteHeader(404) },
			func(w http.ResponseWriter) { w.WriteHeader(404); _, _ = io.WriteString(w, "no") },
			func(w http.ResponseWriter) { w.WriteHeader(404); _ = http.NewResponseController(w).Flush() },
		} {
			runs := 0
			form := interimForm{handle: func(ec *echo.Context) error {
				runs++
				w := ec.Response()
				if own {
					w = response(ec)
				}
				w.WriteHeader(http.StatusEarlyHints)
				f(w)
				return nil
			}}
			p := cache.Policy{Class: cache.SharedGlobal, StatusTTL: map[int]time.Duration{404: time.Minute}}
			server := interimSite(t, wirings[0], p, nil, form, make(chan seenOutside, 2))
			for range 2 {
				if got, _, _ := askInterim(t, server); !own && got.StatusCode != 404 {
					t.Errorf("%d: the answer is %d; want 404", i, got.StatusCode)
				}
			}
			if kept := !own && i < 2; (runs == 1) != kept {
				t.Errorf("%d, through the echo.Response %t: %d runs", i, own, runs)
			}
		}
	}
}

// Middleware that wraps the response, outside of the cache or between two, is no obstacle.
func TestInterimAnswersPassWrappedResponses(t *testing.T) {
	wrap := echo.WrapMiddleware(func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(unwrapper{w}, r) })
	})
	plain := echo.WrapMiddleware(func(next http.Handler) http.Handler { return next })
	for i, outer := range [][]echo.MiddlewareFunc{{plain}, {wrap}, {plain, wrap, plain}} {
		e, before := echo.New(), 0
		e.Use(func(next echo.HandlerFunc) echo.HandlerFunc {
			return func(ec *echo.Context) error {
				response(ec).Before(func() { before++ })
				return next(ec)
			}
		})
		e.Use(outer...)
		c := newCache(t, everyone)
		p := cache.Policy{Class: cache.SharedGlobal, StatusTTL: map[int]time.Duration{404: time.Minute}}
		m := slices.Concat([]echo.MiddlewareFunc{echocache.Middleware(c, p)}, outer, []echo.MiddlewareFunc{echocache.Middleware(c, p)}, outer)
		e.GET("/p/:id", hinted(hinted(func(ec *echo.Context) error { return ec.NoContent(404) })), m...)
		server := httptest.NewServer(e)
		t.Cleanup(server.Close)
		for run := range 2 {
			response, _, interim := askInterim(t, server)
			if want := 2 * (1 - run); response.StatusCode != 404 || len(interim) != want {
				t.Errorf("%d, request %d: %d after %d interim answers; want 404 after %d", i, run, response.StatusCode, len(interim), want)
			}
		}
		if i == 0 && before != 2 {
			t.Errorf("functions before the final head are called %d times; want 2", before)
		}
	}
}

type unwrapper struct{ http.ResponseWriter }

func (u unwrapper) Unwrap() http.ResponseWriter { return u.ResponseWriter }

// What a handler asks of its writer works with and without interim answers before.
func TestInterimAnswersLeaveTheWriterWhole(t *testing.T) {
	for _, before := range []func(echo.HandlerFunc) echo.HandlerFunc{hinted, func(next echo.HandlerFunc) echo.HandlerFunc { return next }} {
		for name, handle := range map[string]echo.HandlerFunc{
			"deadlines": func(ec *echo.Context) error {
				c := http.NewResponseController(ec.Response())
				return errors.Join(c.SetReadDeadline(time.Time{}), c.SetWriteDeadline(time.Time{}), c.EnableFullDuplex(), ec.String(200, "whole"))
			},
			"strings": func(ec *echo.Context) error {
				ec.Response().WriteHeader(200)
				_, err := io.WriteString(response(ec).ResponseWriter, "whole")
				return err
			},
			"files": func(ec *echo.Context) error {
				ec.Response().WriteHeader(200)
				_, err := response(ec).ResponseWriter.(io.ReaderFrom).ReadFrom(strings.NewReader("whole"))
				return err
			},
			"flush": func(ec *echo.Context) error {
				ec.Response().WriteHeader(200)
				ec.Response().(http.Flusher).Flush()
				response(ec).ResponseWriter.(http.Flusher).Flush()
				_, err := ec.Response().Write([]byte("whole"))
				return err
			},
			"hijack": func(ec *echo.Context) error {
				conn, _, err := response(ec).ResponseWriter.(http.Hijacker).Hijack()
				if err == nil {
					_, err = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nwhole")
					err = errors.Join(err, conn.Close())
				}
				return err
			},
		} {
			for _, fields := range [][]string{nil, {"Authorization", "Basic eDp5"}} {
				runs := 0
				e := echo.New()
				e.GET("/p/:id", before(func(ec *echo.Context) error { runs++; return handle(ec) }),
					echocache.Middleware(newCache(t, nil), cache.Policy{Class: cache.SharedGlobal}))
				server := httptest.NewServer(e)
				t.Cleanup(server.Close)
				for range 2 {
					if response, body, _ := askInterim(t, server, fields...); response.StatusCode != 200 || body != "whole" {
						t.Errorf("%s, %v: %d %q", name, fields, response.StatusCode, body)
					}
				}
				stream := name == "flush" || name == "hijack"
				if want := map[bool]int{true: 2, false: 1}[fields != nil || stream]; runs != want {
					t.Errorf("%s, %v: %d runs; want %d", name, fields, runs, want)
				}
			}
		}
	}
}

// A handler can push over HTTP/2 where it could without a cache.
func TestPushIsOffered(t *testing.T) {
	e := echo.New()
	e.GET("/p/:id", func(ec *echo.Context) error {
		_, pushes := response(ec).ResponseWriter.(http.Pusher)
		return ec.String(200, fmt.Sprint(pushes))
	}, echocache.Middleware(newCache(t, nil), cache.Policy{Class: cache.SharedGlobal, Vary: []string{"X-Proto"}}))
	for _, http2 := range []bool{true, false} {
		server := httptest.NewUnstartedServer(e)
		server.EnableHTTP2 = http2
		server.StartTLS()
		t.Cleanup(server.Close)
		for _, auth := range []string{"Authorization", "X-Nothing"} {
			_, body, _ := askInterim(t, server, auth, "Basic eDp5", "X-Proto", fmt.Sprint(http2))
			if body != fmt.Sprint(http2) {
				t.Errorf("%s, HTTP/2 %t: Pusher is offered: %s", auth, http2, body)
			}
		}
	}
}

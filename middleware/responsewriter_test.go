package middleware_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/larder-go/cache"
)

// A handler finds the same optional interfaces as without a cache.
func TestWriterHasTheInterfacesOfTheBareOne(t *testing.T) {
	writers := map[string]http.ResponseWriter{
		"all":     struct{ allOf }{allOf{httptest.NewRecorder()}},
		"flusher": struct{ flushOf }{flushOf{httptest.NewRecorder()}},
		"none":    struct{ http.ResponseWriter }{httptest.NewRecorder()},
	}
	run(t, func(t *testing.T, s *site) {
		var got [2]string
		look := func(i int) handler {
			return func(w http.ResponseWriter, r *http.Request) error {
				if ec, ok := w.(*echo.Response); ok {
					w = ec.Writer
				}
				_, flushes := w.(http.Flusher)
				_, hijacks := w.(http.Hijacker)
				_, pushes := w.(http.Pusher)
				got[i] = fmt.Sprint(flushes, hijacks, pushes)
				return s.mirror(w, r)
			}
		}
		s.handle("GET /x", cache.Policy{}, look(0))
		s.handlePlain("GET /plain", look(1))
		for name, w := range writers {
			s.ServeHTTP(w, newRequest("GET", "/x?"+name))
			s.ServeHTTP(w, newRequest("GET", "/plain"))
			if s.router.name != "echo" && s.router.name != "echo-annotated" && got[0] != got[1] {
				t.Errorf("%s: flusher, hijacker, pusher are %s; bare %s", name, got[0], got[1])
			}
		}
	})
}

type flushOf struct{ http.ResponseWriter }

func (flushOf) Flush() {}

type allOf struct{ http.ResponseWriter }

func (allOf) Flush()                                       {}
func (allOf) Push(string, *http.PushOptions) error         { return nil }
func (allOf) SetReadDeadline(time.Time) error              { return nil }
func (allOf) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errors.New("no") }

// Every method of http.ResponseController works, or is not supported, as without a cache.
func TestControllerWorksAsWithoutCache(t *testing.T) {
	methods := map[string]func(*http.ResponseController) error{
		"Flush":            (*http.ResponseController).Flush,
		"SetReadDeadline":  func(c *http.ResponseController) error { return c.SetReadDeadline(time.Time{}) },
		"SetWriteDeadline": func(c *http.ResponseController) error { return c.SetWriteDeadline(time.Time{}) },
		"EnableFullDuplex": (*http.ResponseController).EnableFullDuplex,
		"Hijack": func(c *http.ResponseController) error {
			_, _, err := c.Hijack()
			return err
		},
	}
	run(t, func(t *testing.T, s *site) {
		for name, call := range methods {
			var got [2]error
			ask := func(i int) handler {
				return func(w http.ResponseWriter, r *http.Request) error {
					got[i] = call(http.NewResponseController(w))
					return s.mirror(w, r)
				}
			}
			s.handle("GET /"+name, cache.Policy{}, ask(0))
			s.handlePlain("GET /plain/"+name, ask(1))
			defer func() {
				s.get("/" + name)
				s.get("/plain/" + name)
				if errors.Is(got[0], http.ErrNotSupported) != errors.Is(got[1], http.ErrNotSupported) || (got[0] == nil) != (got[1] == nil) {
					t.Errorf("%s: %v; bare %v", name, got[0], got[1])
				}
			}()
		}
	})
}

// Writes to an unwrapped writer are not recorded, and a flushed response is a stream.
func TestAnswersAroundTheRecorderAreNotKept(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /unwrap", cache.Policy{}, func(w http.ResponseWriter, _ *http.Request) error {
			_, _ = io.WriteString(w, "first, ")
			for {
				u, ok := w.(interface{ Unwrap() http.ResponseWriter })
				if !ok {
					break
				}
				w = u.Unwrap()
			}
			_, err := io.WriteString(w, "second")
			return err
		})
		s.handle("GET /flush", cache.Policy{}, func(w http.ResponseWriter, _ *http.Request) error {
			for range 3 {
				_, _ = io.WriteString(w, "event ")
				if err := http.NewResponseController(w).Flush(); err != nil {
					return err
				}
			}
			return nil
		})
		wantBody(t, s.neverKept("/unwrap"), "first, second")
		wantBody(t, s.neverKept("/flush"), "event event event ")
	})
}

// A file that is written with ReadFrom is recorded up to MaxBody, like any other body.
func TestFilesAreKeptExactlyOrNotAtAll(t *testing.T) {
	small, large := strings.Repeat("a", 1<<10), strings.Repeat("0123456789abcdef", 1<<14)
	dir := t.TempDir()
	for name, content := range map[string]string{"small.txt": small, "large.txt": large} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run(t, func(t *testing.T, s *site) {
		p := cache.Policy{MaxBody: 64 << 10}
		s.handle("GET /file/{id}", p, func(w http.ResponseWriter, r *http.Request) error {
			http.ServeFile(w, r, filepath.Join(dir, r.PathValue("id")))
			return nil
		})
		s.handle("GET /copy/{id}", p, func(w http.ResponseWriter, r *http.Request) error {
			f, err := os.Open(filepath.Join(dir, r.PathValue("id")))
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.Copy(w, f)
			return err
		})
		for _, route := range []string{"/file/", "/copy/"} {
			wantBody(t, s.missHit(route+"small.txt"), small)
			wantBody(t, s.neverKept(route+"large.txt"), large)
		}
		got := s.hit("/file/small.txt", header("Range", "bytes=0-9"))
		wantStatus(t, got, http.StatusPartialContent)
		wantBody(t, got, "aaaaaaaaaa")
	})
}

// Every way of writing is recorded, once.
func TestEveryWayOfWritingIsRecordedOnce(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, _ *http.Request) error {
			_, _ = w.Write([]byte("write "))
			_, _ = io.WriteString(w, "string ")
			_, _ = fmt.Fprintf(w, "%s ", "print")
			_, _ = io.Copy(w, strings.NewReader("copy "))
			if from, ok := w.(io.ReaderFrom); ok {
				_, _ = from.ReadFrom(strings.NewReader("read "))
			} else {
				_, _ = io.WriteString(w, "read ")
			}
			w.WriteHeader(http.StatusTeapot) // superfluous
			return nil
		})
		got := s.missHit("/x")
		wantBody(t, got, "write string print copy read ")
		wantStatus(t, got, http.StatusOK)
	})
}

// A Content-Type that is sniffed from the first bytes is the same on hits.
func TestContentTypeIsTheSameOnHits(t *testing.T) {
	bodies := map[string]string{"html": "<!DOCTYPE html><p>", "text": "plain", "png": "\x89PNG\r\n\x1a\n", "long": "<html>" + strings.Repeat(" ", 5000)}
	run(t, func(t *testing.T, s *site) {
		for name, body := range bodies {
			s.handle("GET /"+name, cache.Policy{}, text(body))
			s.handlePlain("GET /plain/"+name, text(body))
		}
		for name := range bodies {
			want := s.get("/plain/" + name).header.Get("Content-Type")
			for _, got := range []reply{s.miss("/" + name), s.hit("/" + name)} {
				if ct := got.header.Get("Content-Type"); ct != want {
					t.Errorf("%s: Content-Type %q; want %q", name, ct, want)
				}
			}
		}
	})
}

// The framework writes a returned error outside the cache, so it is not stored. But an error whose status the policy stores is
// written within the cache.
func TestReturnedErrorsAreNotKept(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		failures := map[string]error{"500": echo.NewHTTPError(500), "404": echo.ErrNotFound, "plain": errors.New("no")}
		for name, err := range failures {
			s.handle("GET /before/"+name, cache.Policy{StatusTTL: map[int]time.Duration{404: time.Minute}}, func(http.ResponseWriter, *http.Request) error { return err })
			s.handle("GET /after/"+name, cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
				_ = s.mirror(w, r)
				return err
			})
		}
		for name := range failures {
			ofEcho := s.router.name == "echo" || s.router.name == "echo-annotated"
			ask := s.neverKept
			if ofEcho && name == "404" {
				ask = s.missHit
			}
			if got := ask("/before/" + name); got.status < 400 {
				t.Errorf("%s: the status is %d", name, got.status)
			}
			if ofEcho { // elsewhere nobody knows of the error
				s.neverKept("/after/" + name)
			}
		}
	})
}

// The 503 of an http.TimeoutHandler, inside or outside the cache, is not stored.
func TestTimeoutsAreNotKept(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		inner := http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s.runs.Load() == 1 {
				time.Sleep(2 * time.Second)
			}
			_ = s.mirror(w, r)
		}), time.Second, "timed out")
		s.handle("GET /inside", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			inner.ServeHTTP(w, r)
			return nil
		})
		wantStatus(t, s.miss("/inside"), http.StatusServiceUnavailable)
		wantStatus(t, s.missHit("/inside"), http.StatusOK)
		time.Sleep(2 * time.Second)
	})
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /outside", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			if s.runs.Load() == 1 {
				time.Sleep(2 * time.Second)
			}
			return s.mirror(w, r)
		})
		s.outer = append(s.outer, func(next http.Handler) http.Handler { return http.TimeoutHandler(next, time.Second, "timed out") })
		wantStatus(t, s.miss("/outside"), http.StatusServiceUnavailable)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		got := s.get("/outside")
		wantStatus(t, got, http.StatusOK)
		wantBody(t, s.hit("/outside"), got.body)
	})
}

// Values that outer middleware puts into the context reach the handler.
func TestContextValuesReachTheHandler(t *testing.T) {
	type key struct{}
	run(t, func(t *testing.T, s *site) {
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, "value")))
			})
		})
		s.handle("GET /p/{id}", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			_, err := fmt.Fprint(w, r.Context().Value(key{}), r.PathValue("id"))
			return err
		})
		wantBody(t, s.miss("/p/7"), "value7")
	})
}

const streamed = 100 << 20

// streams are handlers whose bodies far exceed MaxBody.
var streams = map[string]http.HandlerFunc{
	"declared": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(streamed))
		stream(w)
	},
	"undeclared": func(w http.ResponseWriter, _ *http.Request) { stream(w) },
	"by ReadFrom": func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.Copy(w, io.LimitReader(zeroes{}, streamed))
	},
}

func stream(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/plain")
	for sent := 0; sent < streamed; sent += len(chunk) {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

var chunk = make([]byte, 32<<10)

type zeroes struct{}

func (zeroes) Read(p []byte) (int, error) { return len(p), nil }

// served returns functions that fetch the handler's body once over a connection, through a cache and without one.
func served(t testing.TB, h http.Handler) (cached, bare func()) {
	c, err := cache.New(cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) })
	through := c.Middleware(cache.Policy{Class: cache.SharedGlobal, TTL: cache.DefaultTTL})(h)
	return fetcher(t, through), fetcher(t, h)
}

func fetcher(t testing.TB, h http.Handler) func() {
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	client := server.Client()
	buf := make([]byte, 256<<10)
	return func() {
		resp, err := client.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buf)
		if err != nil || n != streamed {
			t.Fatalf("%d bytes, %v; want %d", n, err, streamed)
		}
	}
}

// TestAStreamAllocatesLittle: the buffers that recorded the beginning of a body over MaxBody are reused by the next, so there are
// no more of them than concurrent streams.
func TestAStreamAllocatesLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	const most = 64 << 10 // buffers that net/http pools
	for name, h := range streams {
		cached, bare := served(t, h)
		least := ^uint64(0)
		for range 3 {
			extra := allocated(cached)
			extra -= min(extra, allocated(bare))
			least = min(least, extra)
		}
		t.Logf("%s: %d KiB", name, least>>10)
		if least > most {
			t.Errorf("%s: a stream takes %d KiB more than without a cache; want %d at most", name, least>>10, most>>10)
		}
	}
}

func allocated(f func()) uint64 {
	f() // the connection
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// BenchmarkStream shows each stream without a cache and through one.
func BenchmarkStream(b *testing.B) {
	path := filepath.Join(b.TempDir(), "file")
	if err := os.WriteFile(path, make([]byte, streamed), 0o600); err != nil {
		b.Fatal(err)
	}
	run := func(name string, h http.Handler) {
		cached, bare := served(b, h)
		for how, fetch := range map[string]func(){"bare": bare, "cached": cached} {
			b.Run(name+"/"+how, func(b *testing.B) {
				b.SetBytes(streamed)
				b.ReportAllocs()
				for b.Loop() {
					fetch()
				}
			})
		}
	}
	for name, h := range streams {
		run(name, h)
	}
	run("file", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) }))
}

// A trailer reaches the client, and a response with a trailer is not stored.
func TestTrailersPassAndAreNotKept(t *testing.T) {
	runLive(t, func(t *testing.T, s *site) {
		s.handle("GET /declared", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Trailer", "X-Sum")
			err := s.mirror(w, r)
			w.Header().Set("X-Sum", "7")
			return err
		})
		s.handle("GET /late", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			_, _ = io.WriteString(w, strings.Repeat("x", 10_000))
			err := s.mirror(w, r)
			w.Header().Set(http.TrailerPrefix+"X-Sum", "7")
			return err
		})
		server, client := s.serve(false)
		for i := range 3 {
			for _, path := range []string{"/declared", "/late"} {
				r, _ := http.NewRequestWithContext(t.Context(), "GET", server.URL+path, nil)
				r.Header.Set("Cookie", "who=alice")
				response, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
				if got := response.Trailer.Get("X-Sum"); got != "7" {
					t.Errorf("GET %s, request %d: the trailer is %q", path, i, got)
				}
			}
		}
		s.wantTotal(6)
	})
}

// When a client disconnects in the middle of a body, the complete response is stored, or nothing.
func TestDisconnectsLeaveAWholeEntryOrNone(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 32<<10)
	runLive(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, _ *http.Request) error {
			_, err := io.Copy(w, strings.NewReader(body))
			return err
		})
		server, client := s.serve(false)
		for i, read := range []int{0, 1, 1024, 100_000} {
			path := fmt.Sprint("/x?", i)
			ctx, cancel := context.WithCancel(t.Context())
			r, _ := http.NewRequestWithContext(ctx, "GET", server.URL+path, nil)
			r.Header.Set("Cookie", "who=alice")
			response, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.ReadFull(response.Body, make([]byte, read))
			cancel()
			_ = response.Body.Close()
			for range 2 {
				if got := fetch(t, client, "GET", server.URL+path); got.status != 200 || got.body != body {
					t.Errorf("after a client left at %d bytes another has %d with %d bytes", read, got.status, len(got.body))
				}
			}
		}
	})
}

package middleware_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store/memstore"
)

// behind serves the handler over a real connection, behind a policy, with the middleware outside the cache.
func behind(t *testing.T, p cache.Policy, outer func(http.Handler) http.Handler, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	c, err := cache.New(cache.Options{Far: memstore.New(memstore.Options{}), FarBudget: time.Second, User: keying.FromContext()})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(outer(c.Middleware(p)(handler)))
	t.Cleanup(func() {
		server.Close()
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return server
}

func ask(t *testing.T, server *httptest.Server, method string, header ...string) (http.Header, string) {
	t.Helper()
	r, err := http.NewRequest(method, server.URL+"/x", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range header {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body) // a body that is cut short is what some tests want
	return resp.Header, string(body)
}

// wordy sets headers whenever it is written to, as compressors do.
type wordy struct{ http.ResponseWriter }

func (w wordy) Write(p []byte) (int, error) {
	for i := range 10 {
		w.Header().Set(fmt.Sprint("Y-", i), "1")
	}
	return w.ResponseWriter.Write(p)
}

// A body that is long enough to be sent while its handler runs is written by another goroutine. An outer writer that changes the
// header must not race with the handler.
func TestOuterWritersDoNotMeetTheHandlerInTheHeader(t *testing.T) {
	outer := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(wordy{w}, r) })
	}
	server := behind(t, cache.Policy{Class: cache.SharedGlobal, TTL: time.Nanosecond, StaleIfError: -1}, outer, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		_, _ = io.WriteString(w, strings.Repeat("x", 5000))
		for range 500 {
			h.Get("Y-1")
			w.Header().Set("X-Late", "1")
		}
	})
	for range 30 {
		if h, body := ask(t, server, "GET"); len(body) != 5000 || h.Get("X-Late") != "" {
			t.Fatalf("%d bytes, X-Late %q; want 5000 and none", len(body), h.Get("X-Late"))
		}
	}
}

// A per-user response leaves as private, whatever it passes through.
func TestPerUserAnswersLeaveAsPrivateByEveryWay(t *testing.T) {
	public := "public, max-age=60"
	asUser := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if say := r.Header.Get("X-Outer"); say != "" {
				w.Header().Set("Cache-Control", say)
			}
			next.ServeHTTP(w, r.WithContext(cache.WithUser(r.Context(), r.Header.Get("X-User"))))
		})
	}
	copied := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", public)
		_, _ = io.Copy(w, struct{ io.Reader }{strings.NewReader("hello")})
	}
	silent := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }
	around := func(w http.ResponseWriter, _ *http.Request) {
		inner := w.(interface{ Unwrap() http.ResponseWriter }).Unwrap()
		_, _ = io.WriteString(inner, "hello")
	}
	for _, test := range []struct {
		name    string
		handler http.HandlerFunc
		method  string
		header  []string
		first   []string // of a request before
	}{
		{"copied", copied, "GET", []string{"X-User: a"}, nil},
		{"copied, nobody known", copied, "GET", nil, nil},
		{"copied, a range", copied, "GET", []string{"X-User: a", "Range: bytes=0-"}, nil},
		{"copied, POST", copied, "POST", []string{"X-User: a"}, nil},
		{"an upgrade nobody takes up", copied, "GET", []string{"X-User: a", "Connection: Upgrade", "Upgrade: h2c"}, nil},
		{"around the recorder", around, "GET", []string{"X-User: a"}, nil},
		{"outer middleware says otherwise on the hit", silent, "GET", []string{"X-User: a", "X-Outer: " + public}, []string{"X-User: a", "X-Outer: private"}},
		{"a range that is not there", silent, "GET", []string{"X-User: a", "Range: bytes=99-"}, []string{"X-User: a"}},
	} {
		server := behind(t, cache.Policy{Class: cache.PerUser}, asUser, test.handler)
		if test.first != nil {
			ask(t, server, "GET", test.first...)
		}
		h, _ := ask(t, server, test.method, test.header...)
		if got := h.Get("Cache-Control"); !strings.Contains(got, "private") || strings.Contains(got, "public") {
			t.Errorf("%s: Cache-Control is %q; want private", test.name, got)
		}
	}
}

// A lifetime that outer middleware sets counts. So does its nonce, because the body has it.
func TestOuterHeadersThatBindAreHeeded(t *testing.T) {
	for _, test := range []struct {
		name         string
		outer, inner string // what they add to the header
		kept         bool
	}{
		{"nothing", "", "", true},
		{"a short life from outside", "Cache-Control: max-age=0", "", false},
		{"a short life added to what outer middleware said", "Cache-Control: public", "Cache-Control: max-age=0", false},
		{"a nonce from outside", "Content-Security-Policy: script-src 'nonce-abc'", "", false},
		{"a policy from outside", "Content-Security-Policy: default-src 'self'", "", true},
	} {
		runs := 0
		add := func(w http.ResponseWriter, line string) {
			if name, value, ok := strings.Cut(line, ": "); ok {
				w.Header().Add(name, value)
			}
		}
		outer := func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				add(w, test.outer)
				next.ServeHTTP(w, r)
			})
		}
		server := behind(t, cache.Policy{Class: cache.SharedGlobal}, outer, func(w http.ResponseWriter, _ *http.Request) {
			runs++
			add(w, test.inner)
			_, _ = io.WriteString(w, "hello")
		})
		ask(t, server, "GET")
		ask(t, server, "GET")
		if kept := runs == 1; kept != test.kept {
			t.Errorf("%s: kept is %v; want %v", test.name, kept, test.kept)
		}
	}
}

// A write beyond Content-Length is refused, as are all later ones, as by net/http: the body has no gap.
func TestOverlongBodiesHaveNoHole(t *testing.T) {
	none := func(next http.Handler) http.Handler { return next }
	server := behind(t, cache.Policy{Class: cache.SharedGlobal}, none, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		for _, part := range []string{"AAAAA", "BBBBBBBBBB", "CCCCC"} {
			_, _ = io.WriteString(w, part)
		}
	})
	if _, body := ask(t, server, "GET"); body != "AAAAA" {
		t.Errorf("the client got %q; want what fits, and the connection closed", body)
	}
}

// HEAD from a stored response has the Content-Type that GET has.
func TestHeadTellsTheTypeThatGetWould(t *testing.T) {
	none := func(next http.Handler) http.Handler { return next }
	server := behind(t, cache.Policy{Class: cache.SharedGlobal}, none, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<html>")
	})
	get, _ := ask(t, server, "GET")
	head, _ := ask(t, server, "HEAD")
	if head.Get("Content-Type") != get.Get("Content-Type") || head.Get("Content-Length") != "6" {
		t.Errorf("HEAD tells %q, %s bytes; GET %q", head.Get("Content-Type"), head.Get("Content-Length"), get.Get("Content-Type"))
	}
}

// A goroutine that still writes after its handler has returned gets an error, and takes up no memory.
func TestWritesAfterTheEndAreRefused(t *testing.T) {
	c, err := cache.New(cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	var kept http.ResponseWriter
	h := c.Middleware(cache.Policy{Class: cache.SharedGlobal})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		kept = w
		_, _ = io.WriteString(w, "hello")
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if n, err := kept.Write([]byte("more")); n != 0 || err == nil {
		t.Errorf("a late write: %d, %v; want an error", n, err)
	}
}

// transforming is a writer outside the cache that changes bodies. Like some compressors it corrects Content-Length in
// WriteHeader, and only there.
type transforming struct {
	http.ResponseWriter
	t     *testing.T
	heads int
	after bool // the head is out
}

func (w *transforming) WriteHeader(status int) {
	if w.heads++; w.heads > 1 || w.after {
		w.t.Errorf("head %d, with %d, after the body: %v", w.heads, status, w.after)
	}
	w.Header().Del("Content-Length")
	w.ResponseWriter.WriteHeader(status)
}

func (w *transforming) Write(p []byte) (int, error) {
	if w.heads == 0 {
		w.t.Error("a body without a head")
	}
	w.after = true
	if _, err := io.WriteString(w.ResponseWriter, strings.ToUpper(string(p))+"!"); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Writers outside the cache get WriteHeader before the body of every response from the cache, and can change its Content-Length.
func TestAWriterOutsideSeesTheHeadOfEveryHit(t *testing.T) {
	requests := map[string]struct {
		method string
		option option
		status int
		body   string
	}{
		"whole":       {"GET", header("X-None", "1"), 200, "PAGE!"},
		"HEAD":        {"HEAD", header("X-None", "1"), 200, "!"},
		"not changed": {"GET", header("If-None-Match", `"a"`), 304, ""},
		"a part":      {"GET", header("Range", "bytes=0-1"), 206, "PA!"},
		"beyond":      {"GET", header("Range", "bytes=9-"), 416, "INVALID RANGE: FAILED TO OVERLAP\n!"},
	}
	outside := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-First") == "" {
				w = &transforming{ResponseWriter: w, t: t}
			}
			next.ServeHTTP(w, r)
		})
	}
	for name, at := range requests {
		for _, standard := range []bool{false, true} {
			run(t, func(t *testing.T, s *site) {
				s.outer = append(s.outer, outside)
				s.handle("GET /x", cache.Policy{RFC9111: standard, TTL: time.Minute, StaleWhileRevalidate: time.Hour}, func(w http.ResponseWriter, _ *http.Request) error {
					w.Header().Set("Cache-Control", "public")
					w.Header().Set("Etag", `"a"`)
					_, err := io.WriteString(w, "page")
					return err
				})
				s.miss("/x", header("X-First", "1"))
				for range 2 { // fresh, and stale
					got := s.do(at.method, "/x", at.option)
					if wantStatus(t, got, at.status); got.body != at.body && !(at.method == "HEAD" && got.body == "") {
						t.Errorf("%s: the body is %q; want %q", name, got.body, at.body)
					}
					if at.status == 200 && at.method == "GET" {
						wantHeader(t, got, "Content-Length")
					}
					time.Sleep(70 * time.Second)
				}
			})
		}
	}
}

// The same holds for responses to waiters; and over a connection no body is cut short.
func TestAWriterOutsideSeesTheHeadOfSharedAnswers(t *testing.T) {
	c, err := cache.New(cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close(context.Background()) }()
	begun, end := make(chan struct{}, 9), make(chan struct{})
	cached := c.Middleware(cache.Policy{Class: cache.SharedGlobal})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		begun <- struct{}{}
		<-end
		w.WriteHeader(200)
		_, _ = io.WriteString(w, "page")
	}))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cached.ServeHTTP(&transforming{ResponseWriter: w, t: t}, r)
	}))
	defer server.Close()
	bodies := make(chan string, 5)
	for range cap(bodies) {
		go func() {
			resp, err := server.Client().Get(server.URL)
			if err != nil {
				bodies <- err.Error()
				return
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				bodies <- err.Error()
				return
			}
			bodies <- string(body)
		}()
	}
	<-begun
	close(end)
	for range cap(bodies) {
		if got := <-bodies; got != "PAGE!" {
			t.Errorf("a client has %q", got)
		}
	}
}

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

// behind serves the handler behind a policy and, outside of that, the middleware, over a real connection.
func behind(t *testing.T, p cache.Policy, outer func(http.Handler) http.Handler, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	c, err := cache.New(cache.Options{Far: memstore.New(memstore.Options{}), User: keying.FromContext()})
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

// A body that is long enough to be sent while its handler runs is written by another goroutine. A writer outside that
// touches the header must not meet the handler there.
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

// THREATS 43: whatever a per-user answer goes through, it leaves as private.
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

// A lifetime counts whoever states it: THREATS 78. So does a nonce, which is in the body: THREATS 45.
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

// THREATS 136: what goes beyond Content-Length is refused with all that follows, as net/http does: no hole is left.
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

// HEAD from a kept answer tells the type that GET would.
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

// A goroutine that writes on after its handler has returned gets an error, and takes up no room.
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

package middleware_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// transforming is a writer around the cache that changes bodies. Like some compressors it sees to the length when it is
// told of the head, and only then.
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

// Writers around the cache see the head of every answer from it before its body, and can change its length.
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

// So do those who wait for another's run; and on a connection nothing is cut short.
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

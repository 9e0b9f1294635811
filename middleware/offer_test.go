package middleware_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// unended is a request as servers of HTTP/3 hand it on: nobody knows whether a body follows, and to read waits for the client.
func unended(method, target string, body io.Reader, options ...option) *http.Request {
	r := newRequest(method, target, options...)
	r.ContentLength, r.Body = -1, io.NopCloser(body)
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/3.0", 3, 0
	return r
}

// silent is a client that does not say whether more comes.
type silent struct{ t *testing.T }

func (s silent) Read([]byte) (int, error) {
	s.t.Error("the body is waited for")
	return 0, io.EOF
}

// A request whose length is unknown and that announces no body has none, for the cache and for the handler. One that sends a
// body all the same poisons nothing by it.
func TestARequestOfUnknownLengthIsCachedWithoutABody(t *testing.T) {
	for _, standard := range []bool{false, true} {
		run(t, func(t *testing.T, s *site) {
			s.handle("GET /x", cache.Policy{RFC9111: standard, TTL: time.Minute}, public(func(w http.ResponseWriter, r *http.Request) error {
				body, err := io.ReadAll(r.Body)
				_, _ = fmt.Fprintf(w, "body %q of %d, %d trailers, %v", body, r.ContentLength, len(r.Trailer), err)
				return err
			}))
			const none = `body "" of 0, 0 trailers, <nil>`
			for _, method := range []string{"GET", "HEAD", "GET"} {
				got := s.send(unended(method, "/x", silent{t}))
				if method == "GET" {
					wantBody(t, got, none)
				}
			}
			wantBody(t, s.send(unended("GET", "/x?2", strings.NewReader("evil"))), none)
			wantBody(t, s.send(unended("GET", "/x?2", silent{t}, header("Range", "bytes=0-3"))), "body")
			before := s.runs.Load()
			wantBody(t, s.send(unended("GET", "/x", silent{t})), none)
			s.wantTotal(before)
			got := s.send(unended("GET", "/x", strings.NewReader("said"), header("Content-Length", "4")))
			wantBody(t, got, `body "said" of -1, 0 trailers, <nil>`)
			s.wantTotal(before + 1)
		})
	}
}

// An upgrade that is the server's matter changes nothing, and the handler cannot answer by it. One that the handler could take
// is the handler's.
func TestOfferedUpgradesDoNotSwitchTheCacheOff(t *testing.T) {
	offers := map[string][]option{
		"h2c, as Java's client": {header("Connection", "Upgrade, HTTP2-Settings"), header("Upgrade", "h2c"), header("HTTP2-Settings", "AAEAAEAAAAIAAAAB")},
		"TLS":                   {header("Connection", "upgrade"), header("Upgrade", "TLS/1.3, TLS/1.0")},
		"versions of HTTP":      {header("Connection", "keep-alive"), header("Connection", "Upgrade"), header("Upgrade", "HTTP/2.0"), header("Upgrade", "H2C")},
	}
	for name, offer := range offers {
		for _, standard := range []bool{false, true} {
			run(t, func(t *testing.T, s *site) {
				s.handle("GET /x", cache.Policy{RFC9111: standard, TTL: time.Minute}, public(func(w http.ResponseWriter, r *http.Request) error {
					_, err := fmt.Fprintf(w, "%v %v", r.Header["Upgrade"], r.Header["Http2-Settings"])
					return err
				}))
				got := s.missHit("/x", offer...)
				wantBody(t, got, "[] []")
				wantBody(t, s.hit("/x"), "[] []")
				if n := s.count(cache.Bypass, "upgrade"); n > 0 {
					t.Errorf("%s: %d requests bypassed", name, n)
				}
				s.neverKept("/x", header("Connection", "Upgrade"), header("Upgrade", "h2c, websocket"))
				wantBody(t, s.miss("/x", header("Connection", "Upgrade"), header("Upgrade", "mine/1")), "[mine/1] []")
			})
		}
	}
}

package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A proxy says on both ways that a message has passed it, and once on what it keeps (RFC 9110 §7.6.3).
func TestViaIsSaidOnBothWays(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=5")
		w.Header().Set("Etag", `"1"`)
		if r.URL.Path == "/far" {
			w.Header()["Via"] = []string{"1.0 fred", "1.1 p.example.net"}
		}
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		fmt.Fprint(w, r.Header["Via"])
	}
	behind(t, handler, func(t *testing.T, s *site) {
		for path, want := range map[string]string{"/": "1.1 larder-proxy", "/far": "1.0 fred, 1.1 p.example.net, 1.1 larder-proxy"} {
			for range 4 { // a miss, a hit, a 304 of the origin's, and a hit of that
				got := s.get(path, "Via", "1.0 ricky, 1.1 ethel")
				if got.body != "[1.0 ricky, 1.1 ethel, 1.1 larder-proxy]" || strings.Join(got.Header["Via"], "|") != want {
					t.Errorf("%s: the origin saw %s, the client %q", path, got.body, got.Header["Via"])
				}
				time.Sleep(3 * time.Second)
			}
		}
	})
}

// Max-Forwards counts how far OPTIONS and TRACE go (RFC 9110 §7.6.2), and nothing else.
func TestMaxForwardsCounts(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "origin ", r.Header["Max-Forwards"])
	}
	behind(t, handler, func(t *testing.T, s *site) {
		for _, c := range []struct{ method, value, want string }{
			{"OPTIONS", "0", ""},
			{"OPTIONS", "00", ""},
			{"OPTIONS", "1", "origin [0]"},
			{"OPTIONS", "10", "origin [9]"},
			{"OPTIONS", "99999999999999999999", "origin [254]"},
			{"OPTIONS", "-1", "origin [-1]"},
			{"OPTIONS", "1.5", "origin [1.5]"},
			{"TRACE", "2", "origin [1]"},
			{"TRACE", "0", "TRACE /x HTTP/1.1\r\nHost: proxy.test\r\nMax-Forwards: 0\r\nX-A: 1\r\n\r\n"},
			{"GET", "0", "origin [0]"},
			{"POST", "0", "origin [0]"},
		} {
			got := s.ask(s.request(t.Context(), c.method, "/x", "Max-Forwards", c.value,
				"X-A", "1", "Authorization", "Basic c2VjcmV0", "Cookie", "secret=1", "User-Agent", ""))
			if got.StatusCode != 200 || got.body != c.want {
				t.Errorf("%s with %q: %s %q, want %q", c.method, c.value, got.Status, got.body, c.want)
			}
			if c.want != "" && strings.HasPrefix(c.want, "TRACE") && got.Header.Get("Content-Type") != "message/http" {
				t.Errorf("TRACE: %v", got.Header)
			}
		}
	})
}

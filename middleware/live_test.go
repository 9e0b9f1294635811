package middleware_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// serve starts a server for the site; with h2 it speaks HTTP/2.
func (s *site) serve(h2 bool) (*httptest.Server, *http.Client) {
	s.start()
	server := httptest.NewUnstartedServer(s)
	server.Config.ErrorLog = nullLog
	server.EnableHTTP2 = h2
	if h2 {
		server.StartTLS()
	} else {
		server.Start()
	}
	s.t.Cleanup(server.Close)
	return server, server.Client()
}

// runProtocols plays it on a real server, over HTTP/1.1 and HTTP/2.
func runProtocols(t *testing.T, f func(t *testing.T, s *site, fetch func(method, path string) reply), setUp func(*site), only ...cache.Class) {
	t.Helper()
	runLive(t, func(t *testing.T, s *site) {
		for _, h2 := range []bool{false, true} {
			s := newSite(t, s.router, s.class)
			setUp(s)
			server, client := s.serve(h2)
			f(t, s, func(method, path string) reply {
				t.Helper()
				return fetch(t, client, method, server.URL+path)
			})
		}
	}, only...)
}

func fetch(t *testing.T, client *http.Client, method, url string) reply {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", "who=alice")
	response, err := client.Do(r)
	if err != nil {
		return reply{}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return reply{status: -1, body: string(body)}
	}
	return reply{response.StatusCode, response.Header, string(body)}
}

func TestAnswersOnTheWire(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 10_000)
	runProtocols(t, func(t *testing.T, s *site, get func(method, path string) reply) {
		for path, want := range map[string]string{"/small": "small", "/large": large, "/empty": ""} {
			bare := get("GET", "/plain"+path)
			for i, got := range []reply{get("GET", path), get("GET", path), get("GET", path)} {
				if got.status != 200 || got.body != want || got.header.Get("Content-Type") != bare.header.Get("Content-Type") || len(got.header["Date"]) != 1 {
					t.Errorf("%s, request %d: %d with %d bytes, %v; bare %v", path, i, got.status, len(got.body), got.header, bare.header)
				}
				if i > 0 && got.header.Get("Content-Length") != fmt.Sprint(len(want)) {
					t.Errorf("%s: Content-Length of a hit is %q", path, got.header.Get("Content-Length"))
				}
			}
			head := get("HEAD", path)
			if head.status != 200 || head.body != "" || head.header.Get("Content-Length") != fmt.Sprint(len(want)) {
				t.Errorf("HEAD %s: %d %q %v", path, head.status, clip(head.body), head.header)
			}
		}
		if n := s.runs.Load(); n != 6 {
			t.Errorf("the handlers ran %d times; want 6", n)
		}
	}, func(s *site) {
		for path, body := range map[string]string{"/small": "small", "/large": large, "/empty": ""} {
			s.handle("GET "+path, cache.Policy{}, text(body))
			s.handlePlain("GET /plain"+path, text(body))
		}
	})
}

// A hit is framed for its own connection and version of HTTP, not as the stored response was.
func TestReplaysAreFramedForTheirConnection(t *testing.T) {
	body := strings.Repeat("x", 10_000)
	runLive(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, _ *http.Request) error {
			for range 10 {
				_, _ = io.WriteString(w, body[:1000])
			}
			return nil
		})
		server, _ := s.serve(false)
		for _, version := range []string{"1.1", "1.1", "1.0", "1.1"} {
			raw := exchange(t, server, "GET /x HTTP/"+version+"\r\nHost: example.com\r\nCookie: who=alice\r\nConnection: close\r\n\r\n")
			head, rest, _ := strings.Cut(raw, "\r\n\r\n")
			chunked := strings.Contains(head, "Transfer-Encoding: chunked")
			if !strings.HasPrefix(head, "HTTP/"+version+" 200") || chunked && version == "1.0" || !chunked && rest != body || chunked && !strings.HasSuffix(rest, "0\r\n\r\n") {
				t.Errorf("HTTP/%s is answered %q with %d bytes of body", version, head, len(rest))
			}
		}
		s.wantTotal(1)
	})
}

// exchange sends bytes and reads until the server closes.
func exchange(t *testing.T, server *httptest.Server, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, request)
	got, _ := io.ReadAll(conn)
	return string(got)
}

// A GET with a body, chunked or not, bypasses the cache and poisons nothing.
func TestOddFramingBypasses(t *testing.T) {
	runLive(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, s.mirror)
		server, _ := s.serve(false)
		const end = "Host: example.com\r\nCookie: who=alice\r\nConnection: close\r\n"
		for range 2 {
			exchange(t, server, "GET /x HTTP/1.1\r\n"+end+"Transfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n")
			exchange(t, server, "GET /x HTTP/1.1\r\n"+end+"Content-Length: 4\r\n\r\nevil")
		}
		s.wantTotal(4)
		if got := exchange(t, server, "GET /x HTTP/1.1\r\n"+end+"\r\n"); strings.Contains(got, "evil") {
			t.Errorf("a clean request is answered %q", got)
		}
		s.wantTotal(5)
	})
}

// An event of a stream arrives while the handler still runs.
func TestStreamsReachTheClientAtOnce(t *testing.T) {
	runLive(t, func(t *testing.T, s *site) {
		release := make(chan struct{})
		s.handle("GET /events", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprintf(w, "data: %d\n\n", s.runs.Load())
			w.(http.Flusher).Flush()
			select {
			case <-release:
			case <-r.Context().Done():
			}
			return nil
		})
		server, client := s.serve(false)
		for want := range 2 {
			ctx, cancel := context.WithCancel(t.Context())
			r, _ := http.NewRequestWithContext(ctx, "GET", server.URL+"/events", nil)
			r.Header.Set("Cookie", "who=alice")
			response, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(response.Body).ReadString('\n')
			if err != nil || line != fmt.Sprintf("data: %d\n", want+1) {
				t.Errorf("the event is %q, %v; want the run's own", line, err)
			}
			cancel()
			_ = response.Body.Close()
		}
		close(release)
	})
}

func TestHijackedConnectionsAreTheHandlers(t *testing.T) {
	runLive(t, func(t *testing.T, s *site) {
		s.handle("GET /hijack", cache.Policy{}, func(w http.ResponseWriter, _ *http.Request) error {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = io.WriteString(conn, "raw bytes")
			return err
		})
		s.handle("GET /socket", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			if r.Header.Get("Upgrade") != "echo" {
				t.Errorf("the handler does not see Upgrade: %v", r.Header)
			}
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return err
			}
			defer conn.Close()
			_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\nhello")
			return err
		})
		server, _ := s.serve(false)
		for range 2 {
			if got := exchange(t, server, "GET /hijack HTTP/1.1\r\nHost: x\r\nCookie: who=alice\r\n\r\n"); got != "raw bytes" {
				t.Errorf("the client has %q", got)
			}
			if got := exchange(t, server, "GET /socket HTTP/1.1\r\nHost: x\r\nCookie: who=alice\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\n"); !strings.HasSuffix(got, "hello") {
				t.Errorf("the client has %q", got)
			}
		}
		s.wantTotal(4)
	})
}

// Interim responses pass and are not stored (RFC 8297).
func TestInterimAnswersPass(t *testing.T) {
	runLive(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link") // which also tells echo that there is more to come
			return s.mirror(w, r)
		})
		server, client := s.serve(false)
		for run := range 2 {
			var hints int
			trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
				hints++
				return nil
			}}
			r, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", server.URL+"/x", nil)
			r.Header.Set("Cookie", "who=alice")
			response, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			if want := 1 - run; hints != want || response.StatusCode != 200 {
				t.Errorf("request %d: %d with %d interim answers; want 200 with %d", run, response.StatusCode, hints, want)
			}
		}
		s.wantTotal(1)
	})
}

// A panic aborts the connection, and the next request works.
func TestPanicsAbortTheConnection(t *testing.T) {
	runProtocols(t, func(t *testing.T, s *site, get func(method, path string) reply) {
		for range 2 {
			if got := get("GET", "/x"); got.status == 200 {
				t.Errorf("a panic is answered %d %q", got.status, clip(got.body))
			}
		}
		if got := get("GET", "/x"); got.status != 200 || !strings.HasPrefix(got.body, "answer") {
			t.Errorf("after the panics: %d %q", got.status, clip(got.body))
		}
	}, func(s *site) {
		s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			switch s.runs.Load() {
			case 1:
				_, _ = io.WriteString(w, strings.Repeat("x", 50_000))
				panic(http.ErrAbortHandler)
			case 2:
				_, _ = io.WriteString(w, "x")
				panic(http.ErrAbortHandler)
			}
			return s.mirror(w, r)
		})
	})
}

// A body after a 204 gets http.ErrBodyNotAllowed, as without a cache.
func TestBodilessStatusesRefuseBodies(t *testing.T) {
	runProtocols(t, func(t *testing.T, s *site, get func(method, path string) reply) {
		for _, path := range []string{"/plain", "/x", "/x"} {
			if got := get("GET", path); got.status != 204 || got.body != "" || got.header.Get("Content-Length") != "" {
				t.Errorf("%s: %d %q %v", path, got.status, got.body, got.header)
			}
		}
	}, func(s *site) {
		h := func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(http.StatusNoContent)
			if _, err := io.WriteString(w, "body"); !errors.Is(err, http.ErrBodyNotAllowed) {
				s.t.Errorf("Write after 204: %v; want http.ErrBodyNotAllowed", err)
			}
			return nil
		}
		s.handle("GET /x", cache.Policy{StatusTTL: map[int]time.Duration{204: time.Minute}}, h)
		s.handlePlain("GET /plain", h)
	})
}

// A refresh calls the server's own handler, and so passes outer middleware again.
func TestRefreshEntersThroughTheServer(t *testing.T) {
	runLive(t, func(t *testing.T, s *site) {
		refreshed := make(chan struct{}, 100)
		var entered atomic.Int64
		s.options.Observe = func(ev cache.Event) {
			if ev.Outcome == cache.Refresh {
				refreshed <- struct{}{}
			}
		}
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				entered.Add(1)
				next.ServeHTTP(w, r)
			})
		})
		s.handle("GET /p/{id}", stale, s.mirror)
		server, client := s.serve(false)
		first := fetch(t, client, "GET", server.URL+"/p/7?a=b")
		if err := s.cache.Expire(t.Context(), cache.URL("/p/7?a=b")); err != nil {
			t.Fatal(err)
		}
		wantBody(t, fetch(t, client, "GET", server.URL+"/p/7?a=b"), first.body)
		<-refreshed
		got := fetch(t, client, "GET", server.URL+"/p/7?a=b")
		if got.body == first.body || !strings.Contains(got.body, "id 7") || s.class == cache.PerUser && !strings.Contains(got.body, "user alice") {
			t.Errorf("the refreshed answer is %q", got.body)
		}
		s.wantTotal(2)
		if n := entered.Load(); n != 4 {
			t.Errorf("the server's handler was entered %d times; want 4", n)
		}
	})
}

var nullLog = log.New(io.Discard, "", 0)

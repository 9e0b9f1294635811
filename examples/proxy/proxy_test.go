package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"
)

func TestStaleAnswersStandInForAnOriginThatIsGone(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=2, stale-if-error=60")
		io.WriteString(w, "kept")
	}
	behind(t, handler, func(t *testing.T, s *site) {
		s.get("/x")
		s.stop()
		time.Sleep(3 * time.Second)
		if got := s.get("/x"); got.StatusCode != 200 || got.body != "kept" {
			t.Errorf("%d %q, want what was kept", got.StatusCode, got.body)
		}
		if got := s.get("/y"); got.StatusCode != 502 || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("nothing was kept: %d, %v", got.StatusCode, got.Header)
		}
	})
}

func TestEarlyHintsPass(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "page")
	}
	behind(t, handler, func(t *testing.T, s *site) {
		for i, want := range []string{"103 </style.css>; rel=preload", ""} { // a hit has nothing to hint at
			var hints []string
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				Got1xxResponse: func(status int, header textproto.MIMEHeader) error {
					hints = append(hints, fmt.Sprint(status, " ", header.Get("Link")))
					return nil
				},
			})
			got := s.ask(s.request(ctx, "GET", "/x"))
			if strings.Join(hints, "; ") != want || got.body != "page" || got.Header.Get("Link") != "" || got.hit() != (i == 1) {
				t.Errorf("hints %q before %q with %v; want %q", hints, got.body, got.Header, want)
			}
		}
	})
}

func TestNoContentTypeIsInvented(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "<html>")
	}
	behind(t, handler, func(t *testing.T, s *site) {
		for _, r := range []*http.Request{
			s.request(t.Context(), "GET", "/x"),
			s.request(t.Context(), "GET", "/x"),
			s.request(t.Context(), "HEAD", "/x"),
			s.request(t.Context(), "GET", "/x", "Range", "bytes=1-4"),
			s.request(t.Context(), "GET", "/x", "Cache-Control", "no-cache"),
		} {
			if got := s.ask(r); got.StatusCode >= 300 || got.Header["Content-Type"] != nil {
				t.Errorf("%s %v: %d, %v", r.Method, r.Header, got.StatusCode, got.Header)
			}
		}
	})
}

// A 304 without a Content-Type says nothing about that of the answer that it refreshes.
func TestARefreshKeepsTheContentType(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=1")
		w.Header().Set("Etag", `"1"`)
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Content-Type", "text/own")
		io.WriteString(w, "page")
	}
	behind(t, handler, func(t *testing.T, s *site) {
		for range 3 {
			if got := s.get("/x"); got.Header.Get("Content-Type") != "text/own" || got.body != "page" {
				t.Errorf("%v %q", got.Header, got.body)
			}
			time.Sleep(2 * time.Second)
		}
	})
}

func TestChunkedAnswersAreKept(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		for range 3 {
			io.WriteString(w, "chunk ")
			w.(http.Flusher).Flush()
		}
	}
	behind(t, handler, func(t *testing.T, s *site) {
		for i := range 2 {
			if got := s.get("/x"); got.body != "chunk chunk chunk " || got.hit() != (i == 1) {
				t.Errorf("%q, %v", got.body, got.Header)
			}
		}
	})
}

func TestEventsDoNotWait(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "data: first\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	behind(t, handler, func(t *testing.T, s *site) {
		for range 2 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			response, err := s.via.RoundTrip(s.request(ctx, "GET", "/events"))
			if err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(response.Body).ReadString('\n')
			if line != "data: first\n" || (reply{Response: response}).hit() {
				t.Errorf("%q, %v, %v", line, err, response.Header)
			}
			cancel()
			response.Body.Close()
		}
	})
}

// An origin that dies in the middle of an answer leaves the client with a broken one, and the cache with none.
func TestBrokenAnswersStayBroken(t *testing.T) {
	whole := false
	handler := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		if !whole {
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, " and half")
	}
	behind(t, handler, func(t *testing.T, s *site) {
		response, err := s.via.RoundTrip(s.request(t.Context(), "GET", "/x"))
		if err == nil {
			_, err = io.ReadAll(response.Body)
			response.Body.Close()
		}
		if err == nil {
			t.Error("the broken answer looks whole")
		}
		whole = true
		if got := s.get("/x"); got.body != "half and half" || got.hit() {
			t.Errorf("%q, %v", got.body, got.Header)
		}
	})
}

// A connection may change over to another protocol.
func TestUpgradesPass(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		conn, buffer, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		line, _ := buffer.ReadString('\n')
		io.WriteString(conn, line)
	}
	behind(t, handler, func(t *testing.T, s *site) {
		response, err := s.via.RoundTrip(s.request(t.Context(), "GET", "/x", "Connection", "Upgrade", "Upgrade", "echo"))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		both, ok := response.Body.(io.ReadWriter)
		if !ok {
			t.Fatalf("%s, %v", response.Status, response.Header)
		}
		io.WriteString(both, "hello\n")
		if line, err := bufio.NewReader(both).ReadString('\n'); line != "hello\n" {
			t.Errorf("%q, %v", line, err)
		}
	})
}

// The origin sees the client's Host, and the query as the client has written it.
func TestTheOriginSeesTheRequest(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Method, " ", r.Host, r.RequestURI)
	}
	behind(t, handler, func(t *testing.T, s *site) {
		got := s.ask(s.request(t.Context(), "REPORT", "/a%2Fb?x=%zz;y"))
		if want := "REPORT proxy.test/a%2Fb?x=%zz;y"; got.body != want {
			t.Errorf("%q, want %q", got.body, want)
		}
	})
}

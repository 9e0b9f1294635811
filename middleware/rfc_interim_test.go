package middleware_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// An interim answer passes, and its fields are in no other (RFC 8297): neither in one that is made, nor in one that a
// handler confirms, fails to confirm or asks to be made anew, nor in what is kept.
func TestStandardInterimFieldsStayInterim(t *testing.T) {
	answers := []func(http.ResponseWriter, *http.Request) error{
		answering(200, "one", `Etag: "a"`, "Cache-Control: no-cache, stale-if-error=1000"),
		answering(304, "", `Etag: "a"`),
		answering(304, "", `Etag: "b"`), // anew
		answering(200, "two", `Etag: "a"`, "Cache-Control: max-age=0, stale-if-error=1000"),
		answering(500, "oops"),
	}
	runLive(t, func(t *testing.T, s *site) {
		if strings.HasPrefix(s.router.name, "echo") && t.Failed() {
			return
		}
		s.handle("GET /x", cache.Policy{RFC9111: true}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Link", "</style.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.Header().Del("Link")
			return answers[min(int(s.runs.Load()), len(answers))-1](w, r)
		})
		server, client := s.serve(false)
		for i, want := range []struct {
			hints int
			body  string
		}{{1, "one"}, {1, "one"}, {2, "two"}, {1, "two"}} {
			hints := 0
			trace := &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error {
				hints++
				return nil
			}}
			r, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", server.URL+"/x", nil)
			r.Header.Set("Cookie", "who=alice")
			response, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(response.Body)
			_ = response.Body.Close()
			if response.StatusCode != 200 || string(body) != want.body || response.Header["Link"] != nil || hints != want.hints {
				t.Errorf("request %d: %d %q with %d interim answers, %v; want %q with %d", i, response.StatusCode, body, hints, response.Header, want.body, want.hints)
			}
		}
	})
}

// What outer middleware does to the header is done by itself each time, and neither twice nor to what is kept: also when
// an answer is confirmed in a refresh, where there is no outer middleware, and the other way round.
func TestStandardOuterFieldsAreNeitherKeptNorDoubled(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h := w.Header()
				h.Set("Vary", "Origin")
				h.Set("Link", "<outer>")
				h.Set("Content-Type", "text/outer")
				h.Set("X-Outer", fmt.Sprint(s.runs.Load()))
				h.Set("X-Removed", "yes")
				next.ServeHTTP(w, r)
			})
		})
		s.handle("GET /x", cache.Policy{RFC9111: true, StaleWhileRevalidate: 5 * time.Second}, func(w http.ResponseWriter, r *http.Request) error {
			h := w.Header()
			h.Add("Vary", "X-A")
			h.Add("Link", "<inner>")
			h.Del("X-Removed")
			h.Set("Cache-Control", "max-age=10")
			h.Set("Etag", `"a"`)
			if r.Header.Get("If-None-Match") != "" {
				h.Del("Content-Type") // as http.ServeContent does
				w.WriteHeader(http.StatusNotModified)
				return nil
			}
			h.Set("Content-Type", "text/inner")
			_, err := io.WriteString(w, "body")
			return err
		})
		for i := range 8 {
			got := s.get("/x", header("X-A", "a"), header("Origin", "o"))
			wantHeader(t, got, "Vary", "Origin", "X-A")
			wantHeader(t, got, "Link", "<outer>", "<inner>")
			wantHeader(t, got, "Content-Type", "text/inner")
			wantHeader(t, got, "X-Removed")
			if got.header.Get("X-Outer") == "" || got.body != "body" {
				t.Errorf("request %d: %q %v", i, got.body, got.header)
			}
			time.Sleep([]time.Duration{0, 12 * time.Second, 3 * time.Second, 20 * time.Second}[i%4])
		}
	})
}

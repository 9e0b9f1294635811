package middleware_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/larder-go/cache"
)

// A trailer reaches the client, and an answer with one is not kept.
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

// A client that leaves in the middle leaves a whole entry or none: THREATS 138.
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

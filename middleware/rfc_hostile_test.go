package middleware_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
)

func lines(name string, values ...string) option {
	return func(r *http.Request) { r.Header[name] = values }
}

// validatable responds with 304 to If-None-Match, and with "one" otherwise, after a while.
func validatable(after time.Duration) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Etag", `"a"`)
		w.Header().Set("Cache-Control", "max-age=10")
		if r.Header.Get("If-None-Match") != "" {
			time.Sleep(after)
			w.WriteHeader(304)
			return nil
		}
		_, err := io.WriteString(w, "one")
		return err
	}
}

// A handler that reads only the first line of a field, or all lines as one text, cannot be made to poison another selection.
func TestStandardSelectionsCannotBePoisoned(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{RFC9111: true}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Vary", "Accept-Language, X-Device")
			w.Header().Set("Cache-Control", "max-age=1000")
			_, err := fmt.Fprintf(w, "%q %v", r.Header.Get("Accept-Language"), r.Header.Get("X-Device") == "mobile")
			return err
		})
		s.get("/x", lines("Accept-Language", "", "fr"))
		wantBody(t, s.get("/x", lines("Accept-Language", "fr")), `"fr" false`)
		s.get("/x", lines("X-Device", "mobile,"))
		wantBody(t, s.get("/x", lines("X-Device", "mobile")), `"" true`)
		s.get("/x", lines("X-Device", "mobile", "x"))
		wantBody(t, s.get("/x", lines("X-Device", "mobile,x")), `"" false`)
	})
}

// Without TrustProxy, a URL that a client claims in forwarding headers is in no shared response.
func TestStandardForwardedURLIsHidden(t *testing.T) {
	names := []string{"X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Forwarded-Protocol", "X-Forwarded-Scheme",
		"X-Forwarded-Ssl", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Url-Scheme", "X-Host", "X-Original-Host", "X-Original-Url",
		"X-Rewrite-Url", "Front-End-Https"}
	run(t, func(t *testing.T, s *site) {
		said := func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Cache-Control", "public, max-age=10")
			_, err := fmt.Fprint(w, r.Header[r.URL.RawQuery])
			return err
		}
		s.handle("GET /x", cache.Policy{RFC9111: true}, said)
		s.handle("GET /selected", cache.Policy{RFC9111: true, Vary: names[:8]}, said)
		for i, name := range names {
			s.get("/x?"+name, header(name, "evil"))
			wantBody(t, s.get("/x?"+name), "[]")
			if i < 8 {
				wantBody(t, s.get("/selected?"+name, header(name, "good")), "[good]")
				wantBody(t, s.get("/selected?"+name), "[]")
			}
		}
	}, shared...)
}

func TestStandardHeadWithoutAValidatorRevivesNothing(t *testing.T) {
	obey(t, []rule{
		{of: "RFC 9111 §4.3.5: a HEAD without a validator says nothing about the stored body", policy: cache.Policy{RFC9111: true, StaleIfError: time.Minute}, script: `
			origin 200 | Cache-Control: max-age=10
			GET => run #1
			+11s
			HEAD => run
			GET => run #3`},
		{of: "RFC 9111 §4.3.5: nor does one without ETag about one with", script: `
			origin 200 | Cache-Control: max-age=10 | ETag: "a"
			GET => run #1
			+11s
			origin 200 | Cache-Control: max-age=10
			HEAD => run
			GET => run #3`},
	})
}

func TestStandardDeadlineDuringAValidation(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{RFC9111: true}, validatable(2*time.Second))
		s.miss("/x")
		time.Sleep(11 * time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if got := s.get("/x", within(ctx)); got.status != 200 || got.body != "one" {
			t.Errorf("got %d %q %v", got.status, got.body, got.header)
		}
	})
}

func TestStandardValidationsDoNotPileUpLabels(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{RFC9111: true}, validatable(0))
		s.miss("/x")
		for i := range 120 {
			time.Sleep(11 * time.Second)
			before := s.runs.Load()
			s.get("/x")
			s.get("/x")
			if n := s.runs.Load() - before; n != 1 {
				t.Fatalf("after %d validations: %d runs, want 1", i, n)
			}
		}
	})
}

// Age counts from the head, however long the body takes (RFC 9111 §4.2.3).
func TestStandardAgeCountsFromTheHead(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{RFC9111: true, StaleIfError: -1}, func(w http.ResponseWriter, _ *http.Request) error {
			n := s.runs.Load()
			w.Header().Set("Cache-Control", "max-age=10")
			w.WriteHeader(200)
			time.Sleep(20 * time.Second)
			_, err := fmt.Fprint(w, n)
			return err
		})
		s.get("/x")
		if got := s.get("/x"); got.body != "2" {
			t.Errorf("made 20 s ago with max-age=10: %q, Age %q", got.body, got.header["Age"])
		}
	})
}

type countingWriter struct {
	http.ResponseWriter
	n *atomic.Int64
}

func (c countingWriter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return c.ResponseWriter.Write(p)
}

func TestStandardRestOfTooMuchIsNotAskedFor(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		big := bytes.Repeat([]byte("0123456789abcdef"), 1<<10)
		var written atomic.Int64
		s.handle("GET /x", cache.Policy{RFC9111: true, MaxBody: 1 << 10}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Etag", `"a"`)
			w.Header().Set("Cache-Control", "max-age=1000")
			w.Header().Set("Content-Type", "text/plain")
			http.ServeContent(countingWriter{w, &written}, r, "", time.Time{}, bytes.NewReader(big))
			return nil
		})
		s.get("/x", header("Range", "bytes=0-0"))
		written.Store(0)
		wantBody(t, s.miss("/x"), string(big))
		if n := written.Load(); n > int64(len(big)) {
			t.Errorf("%d bytes were made for %d", n, len(big))
		}
	})
}

// A context may end although the client is still there.
func TestStandardCanceledWaitersGetNoEmptyAnswer(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{RFC9111: true}, func(w http.ResponseWriter, _ *http.Request) error {
			time.Sleep(5 * time.Second)
			w.Header().Set("Cache-Control", "max-age=10")
			_, err := io.WriteString(w, "one")
			return err
		})
		ctx, cancel := context.WithCancel(context.Background()) // as a server's BaseContext
		time.AfterFunc(time.Second, cancel)
		for i, got := range s.together(3, func(int) reply { return s.get("/x", within(ctx)) }) {
			if got.status == 200 && got.body == "" {
				t.Errorf("%d: an empty 200", i)
			}
		}
	})
}

func TestStandardVariantsAreNotShutOutForLong(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{RFC9111: true}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Vary", "Accept-Language")
			w.Header().Set("Cache-Control", "max-age=31536000")
			_, err := io.WriteString(w, r.Header.Get("Accept-Language"))
			return err
		})
		for i := range 32 {
			s.miss("/x", header("Accept-Language", fmt.Sprintf("x-a%d", i)))
		}
		s.purge(cache.Everything())
		time.Sleep(2 * time.Hour)
		s.missHit("/x", header("Accept-Language", "fr"))
	})
}

func TestStandardAuthorizationHeedsOuterControl(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Cdn-Cache-Control", "max-age=100")
				next.ServeHTTP(w, r)
			})
		})
		s.handle("GET /x", cache.Policy{RFC9111: true}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Cache-Control", "public, max-age=100")
			_, err := fmt.Fprint(w, r.Header.Get("Authorization"))
			return err
		})
		s.get("/x")
		wantBody(t, s.get("/x", header("Authorization", "alice")), "alice")
	}, cache.SharedGlobal, cache.FleetShared)
}

func TestStandardClearSiteDataOnAValidation(t *testing.T) {
	obey(t, []rule{{of: "Clear-Site-Data on a validation", only: []cache.Class{cache.PerUser}, script: `
		origin 200 | Cache-Control: max-age=1000
		GET /other => run #1
		origin 200 | Cache-Control: max-age=10 | ETag: "a"
		GET => run #2
		+11s
		origin 304 | ETag: "a" | Clear-Site-Data: "cache"
		GET => run #2 | Clear-Site-Data: "cache"
		origin 200 | Cache-Control: max-age=10
		GET /other => run #4`}})
}

func TestStandardRefreshThatComesTooLateHasReached(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{RFC9111: true, StaleWhileRevalidate: time.Minute}, func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Cache-Control", "max-age=10")
			_, err := fmt.Fprint(w, s.runs.Load())
			return err
		})
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Second)
				next.ServeHTTP(w, r)
			})
		})
		server := behindServer(s)
		s.get("/x", server)
		time.Sleep(11 * time.Second)
		s.get("/x", server)                                      // stale; its refresh enters in a second
		s.get("/x", server, header("Cache-Control", "no-cache")) // meanwhile another makes it anew
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if n := s.count(cache.Refresh, "refresh-not-reached"); n != 0 {
			t.Errorf("%d refreshes did not reach the route", n)
		}
	})
}

func TestStandardForwardStatusIsAStatus(t *testing.T) {
	obey(t, []rule{{of: "RFC 9211 §2.3: fwd-status is a status", policy: cache.Policy{RFC9111: true, StaleIfError: time.Minute}, script: `
		origin 200 | Cache-Control: max-age=10
		GET => run #1
		+11s
		origin panic
		GET => run #1 | Cache-Status: !fwd-status=0`}})
}

func TestStandardStoredIsNotClaimedWithoutCause(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{RFC9111: true, StaleIfError: -1}, func(w http.ResponseWriter, r *http.Request) error {
			cache.NoStore(r.Context())
			w.Header().Set("Cache-Control", "max-age=100")
			_, err := io.WriteString(w, "one")
			return err
		})
		s.handle("GET /y", cache.Policy{RFC9111: true, StaleIfError: -1}, text("one"))
		for _, path := range []string{"/x", "/y"} {
			if got := s.miss(path); strings.Contains(got.header.Get("Cache-Status"), "stored") {
				t.Errorf("%s: %q", path, got.header.Get("Cache-Status"))
			}
			s.miss(path)
		}
	})
}

func TestStandardMaxStaleBringsNothingBackThatExpired(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{RFC9111: true, Tags: []string{"a"}}, func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Cache-Control", "max-age=10")
			w.Header().Set("Etag", fmt.Sprintf(`"%d"`, s.runs.Load()))
			_, err := fmt.Fprint(w, s.runs.Load())
			return err
		})
		s.get("/x")
		if err := s.cache.Expire(context.Background(), cache.Tag("a")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Second)
		wantBody(t, s.get("/x", header("Cache-Control", "max-stale=100")), "2")
	})
}

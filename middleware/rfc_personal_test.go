package middleware_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// A handler that greets whoever has a cookie, and says nothing to caches, makes pages that are for one client: neither the
// policy's TTL nor a guess makes them everyone's.
func TestStandardSilentAnswersToCookies(t *testing.T) {
	page := func(fields ...string) handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			for _, field := range fields {
				addField(w.Header(), field)
			}
			_, err := fmt.Fprintf(w, "for %q", r.Header["Cookie"])
			return err
		}
	}
	modified := "Last-Modified: " + time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC).Format(http.TimeFormat)
	ttl := cache.Policy{RFC9111: true, TTL: time.Minute}
	cases := []struct {
		what   string
		policy cache.Policy
		fields []string
		kept   bool // and so given to others
	}{
		{"nothing", ttl, nil, false},
		{"a tag", ttl, []string{`Etag: "a"`}, false},
		{"a date, without a TTL", cache.Policy{RFC9111: true}, []string{modified}, false},
		{"a date", ttl, []string{modified}, false},
		{"Vary for others' sake", ttl, []string{"Vary: Accept-Encoding, Origin"}, false},
		{"a directive that says nothing of it", ttl, []string{"Cache-Control: no-transform"}, false},
		{"with a stale window", cache.Policy{RFC9111: true, TTL: time.Minute, StaleWhileRevalidate: time.Hour, StaleIfError: time.Hour}, nil, false},
		{"public", ttl, []string{"Cache-Control: public"}, true},
		{"max-age", ttl, []string{"Cache-Control: max-age=60"}, true},
		{"s-maxage", ttl, []string{"Cache-Control: s-maxage=60"}, true},
		{"Expires", ttl, []string{"Expires: " + time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC).Format(http.TimeFormat)}, true},
		{"a targeted field", ttl, []string{"Cdn-Cache-Control: max-age=60"}, true},
	}
	run(t, func(t *testing.T, s *site) {
		for i, c := range cases {
			s.handle(fmt.Sprint("GET /x", i), c.policy, page(c.fields...))
		}
		for i, c := range cases {
			target, refused := fmt.Sprint("/x", i), s.count(cache.Miss, "request-cookie")
			s.miss(target, as("alice"))
			got := s.get(target, as("bob"))
			if want := `for ["who=alice"]`; (got.body == want) != c.kept {
				t.Errorf("%s: bob has %q", c.what, got.body)
			}
			if told := s.count(cache.Miss, "request-cookie") > refused; told == c.kept {
				t.Errorf("%s: the reason is told: %t", c.what, told)
			}
			if c.kept {
				continue
			}
			s.miss(target, as("")) // which is for everyone, also for those with cookies
			wantBody(t, s.hit(target, as("bob")), "for []")
		}
	}, shared...)
}

// Cookies that select are in the key: what was made with them is for whoever has the same.
func TestStandardSilentAnswersToSelectingCookies(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /named", cache.Policy{RFC9111: true, TTL: time.Minute, Cookies: []string{"theme"}}, s.mirror)
		s.handle("GET /varies", cache.Policy{RFC9111: true, TTL: time.Minute}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Vary", "Cookie")
			return s.mirror(w, r)
		})
		theme := func(text string) option { return func(r *http.Request) { r.Header.Set("Cookie", text) } }
		s.missHit("/named", theme("theme=dark"))
		s.missHit("/named", theme("theme=light"))
		s.neverKept("/named", theme("theme=blue; sid=1"))
		s.neverKept("/named", theme("=; odd"))
		s.missHit("/varies", as("alice"))
		s.missHit("/varies", as("bob"))
	}, shared...)
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{RFC9111: true, TTL: time.Minute}, s.mirror)
		s.missHit("/x", as("alice"))
		s.miss("/x", as("bob"))
	}, cache.PerUser)
}

// Who asks may be told by other means than cookies.
func TestStandardSilentAnswersToUsers(t *testing.T) {
	known := func(r *http.Request) { *r = *r.WithContext(cache.WithUser(r.Context(), "alice")) }
	certified := func(r *http.Request) {
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
	}
	encrypted := func(r *http.Request) { r.TLS = &tls.ConnectionState{} }
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{RFC9111: true, TTL: time.Minute}, setting())
		s.handle("GET /public", cache.Policy{RFC9111: true, TTL: time.Minute}, setting("Cache-Control: public"))
		s.neverKept("/x", as(""), known)
		s.neverKept("/x", as(""), certified)
		if n := s.count(cache.Miss, "request-user"); n != 6 {
			t.Errorf("%d misses for the user; want 6", n)
		}
		s.missHit("/x", as(""), encrypted)
		s.hit("/x", as(""), certified)
		s.missHit("/x", as(""))
		s.hit("/x", as(""), known)
		s.missHit("/public", as(""), known)
		s.missHit("/public", as(""), certified)
	}, shared...)
}

// Who asks may be known to the app's own identity alone, as by a key in a header of its own.
func TestStandardSilentAnswersToTheIdentity(t *testing.T) {
	keyOf := func(r *http.Request) (string, bool) { return r.Header.Get("X-Key"), true }
	run(t, func(t *testing.T, s *site) {
		s.options.User = keyOf
		s.handle("GET /x", cache.Policy{RFC9111: true, TTL: time.Minute}, func(w http.ResponseWriter, r *http.Request) error {
			_, err := fmt.Fprintf(w, "for %q", r.Header["X-Key"])
			return err
		})
		s.handle("GET /public", cache.Policy{RFC9111: true, TTL: time.Minute}, public(text("hello")))
		for _, key := range []string{"alice", "bob", "alice"} {
			wantBody(t, s.miss("/x", as(""), header("X-Key", key)), fmt.Sprintf("for [%q]", key))
		}
		if n := s.count(cache.Miss, "request-user"); n != 3 {
			t.Errorf("%d misses for the user; want 3", n)
		}
		s.missHit("/x", as(""))
		s.missHit("/public", as(""), header("X-Key", "alice"))
	}, shared...)
}

// Nobody who waits gets the page of somebody with cookies.
func TestStandardWaitersOfSilentAnswersToCookies(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{RFC9111: true, TTL: time.Minute}, func(w http.ResponseWriter, r *http.Request) error {
			time.Sleep(time.Second)
			_, err := fmt.Fprintf(w, "for %q", r.Header["Cookie"])
			return err
		})
		for i, got := range s.together(9, func(i int) reply { return s.get("/x", as(fmt.Sprint("user", i))) }) {
			wantBody(t, got, fmt.Sprintf(`for ["who=user%d"]`, i))
		}
		for _, got := range s.together(9, func(int) reply { return s.get("/x?anonymous", as("")) }) {
			wantBody(t, got, "for []")
		}
		if n := s.runs.Load(); n != 10 {
			t.Errorf("the handler ran %d times; want 10", n)
		}
	}, shared...)
}

// A confirmation that comes for one with cookies makes nothing new, and gives away nothing.
func TestStandardSilentConfirmationsForCookies(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{RFC9111: true, TTL: time.Minute, StaleIfError: -1}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Etag", `"template"`)
			w.Header().Set("X-For", r.Header.Get("Cookie"))
			if r.Header.Get("If-None-Match") != "" {
				w.WriteHeader(http.StatusNotModified)
				return nil
			}
			_, err := fmt.Fprintf(w, "for %q", r.Header["Cookie"])
			return err
		})
		s.miss("/x", as(""))
		time.Sleep(2 * time.Minute)
		wantHeader(t, s.miss("/x", as("alice")), "X-For", "who=alice")
		wantHeader(t, s.miss("/x", as("bob")), "X-For", "who=bob")
		wantHeader(t, s.miss("/x", as("")), "X-For", "")
		wantHeader(t, s.hit("/x", as("bob")), "X-For", "")
	}, shared...)
}

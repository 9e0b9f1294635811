package middleware_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// Responses that are never stored, whatever the class.
func TestAnswersThatAreNeverKept(t *testing.T) {
	tests := map[string][]string{
		"Set-Cookie":             {"Set-Cookie: sid=1"},
		"set-cookie, raw":        {"set-cookie: sid=1"},
		"Set-Cookie2":            {"Set-Cookie2: sid=1"},
		"no-store":               {"Cache-Control: no-store"},
		"no-store in capitals":   {"Cache-Control: max-age=60, No-Store"},
		"no-store on a 2nd line": {"Cache-Control: max-age=60", "Cache-Control: no-store"},
		"no-store, raw":          {"cache-control: no-store"},
		"no-cache":               {"Cache-Control: no-cache"},
		"no-cache of a field":    {`Cache-Control: no-cache="x"`},
		"max-age=0":              {"Cache-Control: max-age=0"},
		"unparsable":             {`Cache-Control: max-age=60, private="x`},
		"unparsable age":         {"Cache-Control: max-age=1h"},
		"two words":              {"Cache-Control: public no-store"},
		"expired":                {"Expires: Thu, 01 Jan 1970 00:00:00 GMT"},
		"no date":                {"Expires: 0"},
		"Vary *":                 {"Vary: *"},
		"Vary in a list":         {"Vary: Accept, *"},
		"Vary on a 2nd line":     {"Vary: Accept", "Vary: *"},
		"Vary undeclared":        {"Vary: X-Undeclared"},
		"too many Vary names":    {"Vary: Accept, Accept, Accept, Accept, Accept, Accept, Accept, Accept, Accept"},
		"Trailer":                {"Trailer: X-Sum"},
		"a trailer without word": {"Trailer:X-Sum: 1"},
		"Content-Range":          {"Content-Range: bytes 0-1/2"},
		"CSP nonce":              {"Content-Security-Policy: script-src 'nonce-abc'"},
		"CSP nonce, report only": {"Content-Security-Policy-Report-Only: script-src 'Nonce-abc'"},
		"allowed origin":         {"Access-Control-Allow-Origin: https://one.example"},
		"WWW-Authenticate":       {"Www-Authenticate: Basic"},
		"Clear-Site-Data":        {`Clear-Site-Data: "cache"`},
		"gzip":                   {"Content-Encoding: gzip"},
		"gzip, varying":          {"Content-Encoding: gzip", "Vary: Accept-Encoding"},
		"a split header":         {"X-Evil: a\r\nSet-Cookie: sid=1"},
		"a NUL":                  {"X-Evil: a\x00b"},
		"a bad name":             {"X Evil: a"},
	}
	run(t, func(t *testing.T, s *site) {
		i := 0
		for name, fields := range tests {
			i++
			target := fmt.Sprint("/x", i)
			s.handle("GET "+target, cache.Policy{Vary: []string{"Accept"}}, setting(fields...))
			defer func() {
				before := s.runs.Load()
				s.get(target)
				time.Sleep(2 * time.Second) // also when the refusal is forgotten
				s.get(target)
				s.get(target)
				if n := s.runs.Load() - before; n != 3 {
					t.Errorf("%s: the handler ran %d times for 3 requests", name, n)
				}
				if s.far.Len() != 0 {
					t.Errorf("%s: Redis holds %d entries", name, s.far.Len())
					s.far.Evict()
				}
			}()
		}
	})
}

// A private response is stored only for its user, not on shared classes, and so is one that varies by identity.
func TestPersonalAnswersAreKeptForTheirUserOnly(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		for i, field := range []string{"Cache-Control: private", `Cache-Control: max-age=60, PRIVATE="x"`, "Vary: Cookie", "Vary: Authorization", "Vary: accept, cookie"} {
			target := fmt.Sprint("/x", i)
			s.handle("GET "+target, cache.Policy{Vary: []string{"Accept"}}, setting(field))
			defer func() {
				if s.class == cache.PerUser {
					s.missHit(target)
					return
				}
				s.neverKept(target)
			}()
		}
	})
}

func TestHarmlessHeadersAreKept(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		for i, field := range []string{"Content-Security-Policy: script-src 'self'", "Access-Control-Allow-Origin: *", "Vary: accept", "Content-Encoding: identity",
			"X-Souin-Storer: none", "X-Accel-Expires: 0", "Surrogate-Control: no-store", "Surrogate-Key: a b", "X-Cache: MISS", "X-Forwarded-Host: x", "Edge-Control: no-store"} {
			target := fmt.Sprint("/x", i)
			s.handle("GET "+target, cache.Policy{Vary: []string{"Accept"}}, setting(field))
			defer func() {
				name, value, _ := strings.Cut(field, ": ")
				wantHeader(t, s.missHit(target), name, value)
			}()
		}
	})
}

// A response without Content-Encoding may say Vary: Accept-Encoding: every client can read it.
func TestVaryByEncodingWithoutEncodingIsKept(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, setting("Vary: Accept-Encoding"))
		wantHeader(t, s.missHit("/x", header("Accept-Encoding", "gzip")), "Vary", "Accept-Encoding")
		s.hit("/x")
	}, shared...)
}

// Responses that vary by language and encoding reach only requests that select them.
func TestVariantsNeverMix(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{Vary: []string{"accept-encoding", "Accept-Language"}}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set("Vary", "Accept-Language, Accept-Encoding")
			if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") && !strings.Contains(r.Header.Get("Accept-Encoding"), "q=0") {
				w.Header().Set("Content-Encoding", "gzip")
			}
			_, err := io.WriteString(w, r.Header.Get("Accept-Language")+w.Header().Get("Content-Encoding"))
			return err
		})
		variants := [][2]string{{"fr", "gzip"}, {"en", "gzip"}, {"fr", "identity"}, {"fr", "gzip;q=0"}, {"", ""}, {"en", ""}, {"", "gzip"}}
		for _, get := range []func(string, ...option) reply{s.miss, s.hit} {
			for _, v := range variants {
				got := get("/x", header("Accept-Language", v[0]), header("Accept-Encoding", v[1]))
				encoding := ""
				if v[1] == "gzip" {
					encoding = "gzip"
				}
				if got.header.Get("Content-Encoding") != encoding || got.body != v[0]+encoding {
					t.Errorf("%q is answered %q with Content-Encoding %q", v, got.body, got.header.Get("Content-Encoding"))
				}
			}
		}
	})
}

// A handler that copies the client's Vary into its response fills nothing.
func TestReflectedVaryFillsNothing(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{Pass: []string{"Vary"}}, func(w http.ResponseWriter, r *http.Request) error {
			w.Header()["Vary"] = r.Header["Vary"]
			return s.mirror(w, r)
		})
		for i := range 50 {
			s.neverKept("/x", header("Vary", fmt.Sprint("X-", i)))
		}
		if s.far.Len() != 0 {
			t.Errorf("Redis holds %d entries", s.far.Len())
		}
	})
}

// Only 200 is stored by default.
func TestOtherStatusesAreNotKept(t *testing.T) {
	statuses := []int{201, 202, 203, 204, 205, 206, 300, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 410, 413, 414, 429, 431, 451, 500, 501, 502, 503, 504, 599}
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /status/{id}", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			if s.runs.Load()%2 == 1 {
				status, _ := strconv.Atoi(r.PathValue("id"))
				w.WriteHeader(status)
				return nil
			}
			return s.mirror(w, r)
		})
		for _, status := range statuses {
			target := fmt.Sprint("/status/", status)
			wantStatus(t, s.miss(target), status)
			wantStatus(t, s.miss(target), http.StatusOK)
			wantStatus(t, s.hit(target), http.StatusOK)
		}
	})
}

// Responses with a status that the policy allows are hits like any other.
func TestChosenStatusesAreKeptForTheirOwnTime(t *testing.T) {
	keepable := []int{203, 204, 300, 301, 302, 307, 308, 404, 410}
	ttls := map[int]time.Duration{}
	for _, status := range keepable {
		ttls[status] = 10 * time.Second
	}
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /status/{id}", cache.Policy{StatusTTL: ttls}, func(w http.ResponseWriter, r *http.Request) error {
			status, _ := strconv.Atoi(r.PathValue("id"))
			w.Header().Set("Location", "/here")
			w.WriteHeader(status)
			if status != 204 {
				fmt.Fprint(w, "answer ", nonce.Add(1))
			}
			return nil
		})
		for _, status := range keepable {
			target := fmt.Sprint("/status/", status)
			got := s.missHit(target)
			wantStatus(t, got, status)
			wantHeader(t, got, "Location", "/here")
			wantStatus(t, s.do("HEAD", target), status)
			if status == 204 {
				wantHeader(t, got, "Content-Length")
			}
		}
		time.Sleep(10 * time.Second)
		for _, status := range keepable {
			s.miss(fmt.Sprint("/status/", status))
		}
	})
}

// A redirect cannot be poisoned by what does not select it.
func TestRedirectsShowOnlyWhatSelects(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{StatusTTL: map[int]time.Duration{301: time.Minute}}, func(w http.ResponseWriter, r *http.Request) error {
			host := r.Header.Get("X-Forwarded-Host")
			if host == "" {
				host = r.Host
			}
			http.Redirect(w, r, "https://"+host+"/x", http.StatusMovedPermanently)
			return nil
		})
		wantHeader(t, s.miss("/x", header("X-Forwarded-Host", "evil")), "Location", "https://example.com/x")
		wantHeader(t, s.hit("/x"), "Location", "https://example.com/x")
	}, shared...)
}

func TestTrustedProxyHeadersSelect(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.options.TrustProxy = true
		s.handle("GET /x", cache.Policy{}, s.mirror)
		for _, host := range []string{"one", "two"} {
			if got := s.missHit("/x", header("X-Forwarded-Host", host)); !strings.Contains(got.body, fmt.Sprintf("X-Forwarded-Host: [%q]", host)) {
				t.Errorf("the handler saw %q", got.body)
			}
		}
		s.missHit("/x", header("X-Forwarded-Proto", "https"))
		s.missHit("/x")
	})
}

// An empty response is stored if the handler has written it, and not if the handler has written nothing.
func TestEmptyAnswersAreKeptIfWritten(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /header", cache.Policy{}, func(w http.ResponseWriter, _ *http.Request) error {
			w.WriteHeader(http.StatusOK)
			return nil
		})
		s.handle("GET /write", cache.Policy{}, func(w http.ResponseWriter, _ *http.Request) error {
			_, err := w.Write(nil)
			return err
		})
		s.handle("GET /silent", cache.Policy{}, func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("X-Set", "yes")
			return nil
		})
		for _, target := range []string{"/header", "/write"} {
			got := s.missHit(target)
			wantHeader(t, got, "Content-Length", "0")
			wantStatus(t, got, http.StatusOK)
		}
		s.neverKept("/silent")
	})
}

// A response may shorten its life, not lengthen it.
func TestAnswersOnlyShortenTheirLife(t *testing.T) {
	tests := []struct {
		field   string
		kept    time.Duration
		private time.Duration
	}{
		{"Cache-Control: max-age=1000000000", 53 * time.Second, 53 * time.Second},
		{"Cache-Control: max-age=99999999999999999999999999", 53 * time.Second, 53 * time.Second},
		{"Cache-Control: public, immutable", 53 * time.Second, 53 * time.Second},
		{"Expires: Fri, 31 Dec 2100 23:59:59 GMT", 53 * time.Second, 53 * time.Second},
		{"Cache-Control: max-age=10", 9 * time.Second, 9 * time.Second},
		{"Cache-Control: max-age=20, max-age=10", 9 * time.Second, 9 * time.Second},
		{"Cache-Control: max-age=20, s-maxage=10", 9 * time.Second, 19 * time.Second},
		{"Cache-Control: max-age=10, s-maxage=20", 19 * time.Second, 9 * time.Second},
		{"Expires: " + start().Add(10*time.Second).Format(http.TimeFormat), 9 * time.Second, 9 * time.Second},
	}
	for _, test := range tests {
		run(t, func(t *testing.T, s *site) {
			kept, gone := test.kept, test.kept+time.Second
			if s.class == cache.PerUser {
				kept, gone = test.private, test.private+time.Second
			}
			if kept > 50*time.Second {
				gone = time.Minute
			}
			s.handle("GET /x", cache.Policy{}, setting(test.field))
			s.miss("/x")
			time.Sleep(kept)
			s.hit("/x")
			time.Sleep(gone - kept)
			s.miss("/x")
		})
	}
}

// In policy mode the client's Cache-Control has no effect.
func TestClientDirectivesAreIgnored(t *testing.T) {
	directives := []option{header("Cache-Control", "no-cache"), header("Cache-Control", "no-store"), header("Cache-Control", "max-age=0"),
		header("Pragma", "no-cache"), header("Cache-Control", "only-if-cached"), header("Cache-Control", "max-stale=9999999"), header("Cache-Control", "min-fresh=9999999")}
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, s.mirror)
		s.miss("/x", header("Cache-Control", "only-if-cached"))
		for range 100 {
			for _, directive := range directives {
				s.hit("/x", directive)
			}
		}
		time.Sleep(time.Minute)
		s.miss("/x", header("Cache-Control", "max-stale=9999999"))
	})
}

// A response with too many header lines, or too long ones, is not stored.
func TestLimitsOfAnAnswersHeader(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /fields/{id}", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			n, _ := strconv.Atoi(r.PathValue("id"))
			for i := range n {
				w.Header().Set(fmt.Sprint("X-Field-", i), "x")
			}
			return text("x")(w, r)
		})
		s.handle("GET /bytes/{id}", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			n, _ := strconv.Atoi(r.PathValue("id"))
			w.Header().Set("X-Field", strings.Repeat("x", n))
			return text("x")(w, r)
		})
		wantLargest(s, "/fields/", 50, 70, 60, 64)
		wantLargest(s, "/bytes/", 15<<10, 17<<10, 16<<10-256, 16<<10)
	})
}

// wantLargest finds the largest response of the route that is stored: it must be between low and high, and the next one is not
// stored.
func wantLargest(s *site, route string, from, to, low, high int) {
	s.t.Helper()
	kept := func(n int) bool {
		s.get(fmt.Sprint(route, n))
		before := s.runs.Load()
		wantHeader(s.t, s.get(fmt.Sprint(route, n)), "X-Cut")
		return s.runs.Load() == before
	}
	for from+1 < to {
		if middle := (from + to) / 2; kept(middle) {
			from = middle
		} else {
			to = middle
		}
	}
	if from < low || from > high {
		s.t.Errorf("the largest answer kept of %s is %d; want %d to %d", route, from, low, high)
	}
}

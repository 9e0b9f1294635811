package middleware_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// A shared answer that varies by a header which the policy hides is warned of, once a header, whoever says so and whether the
// request had it or not; the warning names the route, the header and what to set.
func TestAnswersThatVaryByAHiddenHeaderAreWarnedOf(t *testing.T) {
	for field, remedy := range map[string]string{
		"HX-Request": "vary=Hx-Request", "Accept": "vary=Accept", "User-Agent": "vary=User-Agent", "accept-language": "vary=Accept-Language",
		"X-Forwarded-Proto": "TrustProxy", "X-Forwarded-Host": "TrustProxy", "X-Forwarded-For": "vary=X-Forwarded-For", "Authorization": "per-user",
	} {
		for who, inside := range map[string]bool{"the handler": true, "outer middleware": false} {
			t.Run(field+" by "+who, func(t *testing.T) {
				run(t, func(t *testing.T, s *site) {
					h := text("x")
					if inside {
						if h = setting("Vary: " + field); s.class != cache.PerUser {
							h = setting("Vary: Accept-Encoding, " + field)
						}
					} else {
						s.outer = append(s.outer, outerHeader("Vary", field))
					}
					s.handle("GET /x/{id}", cache.Policy{}, h)
					s.get("/x/1", header(field, "1"))
					s.get("/x/2")
					got := s.warnings("hidden-header")
					if field == "Authorization" && s.class == cache.PerUser {
						if len(got) != 0 {
							t.Errorf("warnings: %q; want none, for it tells the user", got)
						}
						return
					}
					if len(got) != 1 || !strings.Contains(got[0], http.CanonicalHeaderKey(field)) || !strings.Contains(got[0], remedy) || !strings.Contains(got[0], "/x/") {
						t.Errorf("warnings: %q; want one that names %s, %s and the route", got, field, remedy)
					}
				})
			})
		}
	}
}

// What selects, what compressors and CORS say outside, and what standard routes heed by themselves, is as it should be.
func TestAnswersThatVaryByWhatSelectsAreNotWarnedOf(t *testing.T) {
	for name, outer := range map[string]string{"nothing": "", "a compressor": "Accept-Encoding", "CORS": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"} {
		for _, standard := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				run(t, func(t *testing.T, s *site) {
					s.outer = append(s.outer, outerHeader("Vary", outer))
					fields := "Vary: Accept-Language, Accept-Encoding"
					switch {
					case standard:
						fields = "Vary: Accept, HX-Request, User-Agent"
					case s.class == cache.PerUser: // whose handler sees what the client accepts
						fields = "Vary: Accept-Language"
					}
					s.handle("GET /x", cache.Policy{Vary: []string{"Accept-Language"}, RFC9111: standard}, public(setting(fields)))
					s.get("/x")
					if got := s.count(cache.Warning, "hidden-header"); got != 0 {
						t.Errorf("%d warnings", got)
					}
				})
			})
		}
	}
}

// Standard routes hide from shared handlers what tells of another URL: an answer that varies by that is warned of, too.
func TestStandardAnswersThatVaryByAHiddenHeaderAreWarnedOf(t *testing.T) {
	for _, trust := range []bool{false, true} {
		run(t, func(t *testing.T, s *site) {
			s.options.TrustProxy = trust
			s.handle("GET /x", cache.Policy{RFC9111: true}, public(setting("Vary: X-Forwarded-Proto, Accept")))
			s.get("/x")
			want := 0
			if !trust && s.class != cache.PerUser {
				want = 1
			}
			if got := s.warnings("hidden-header"); len(got) != want {
				t.Errorf("warnings: %q; want %d", got, want)
			}
		})
	}
}

// One user's answers that are chosen by what the client accepts, which does not select them, are warned of: where the
// handler refuses a type, compresses, or answers the same otherwise when it is asked anew.
func TestPerUserRoutesThatNegotiateAreWarnedOf(t *testing.T) {
	byLanguage := func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Content-Language", r.Header.Get("Accept-Language"))
		_, err := io.WriteString(w, "x")
		return err
	}
	byType := func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Content-Type", r.Header.Get("Accept")+"; charset=utf-8")
		_, err := io.WriteString(w, "x")
		return err
	}
	changing := func(name, first, then string) handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			w.Header().Set(name, map[bool]string{true: then, false: first}[r.Header.Get("X-Again") != ""])
			_, err := io.WriteString(w, "x")
			return err
		}
	}
	again := func(s *site, name, one, two string) {
		s.get("/x", header(name, one))
		time.Sleep(61 * time.Second)
		s.get("/x", header(name, two), header("X-Again", "1"))
	}
	for name, tt := range map[string]struct {
		serve  handler
		ask    func(s *site)
		policy cache.Policy
		want   string
	}{
		"406":              {func(w http.ResponseWriter, _ *http.Request) error { w.WriteHeader(406); return nil }, func(s *site) { s.get("/x", header("Accept", "a/b")) }, cache.Policy{}, "vary=Accept "},
		"compressed":       {setting("Content-Encoding: gzip"), func(s *site) { s.get("/x", header("Accept-Encoding", "gzip")) }, cache.Policy{}, "vary=Accept-Encoding "},
		"another language": {byLanguage, func(s *site) { again(s, "Accept-Language", "de", "en") }, cache.Policy{}, "vary=Accept-Language "},
		"another type":     {byType, func(s *site) { again(s, "Accept", "text/html", "application/json") }, cache.Policy{}, "vary=Accept "},
		"the same type":    {byType, func(s *site) { again(s, "Accept", "text/html", "text/html") }, cache.Policy{}, ""},
		"a type that is as welcome": {changing("Content-Type", "image/png", "image/jpeg"), func(s *site) {
			again(s, "Accept", "image/avif,image/webp,image/*,*/*;q=0.8", "image/avif,image/webp,image/*,*/*;q=0.8")
		},
			cache.Policy{}, ""},
		"a type for anybody": {byType, func(s *site) { again(s, "Accept", "text/html", "*/*") }, cache.Policy{}, ""},
		"a language that the user has set": {changing("Content-Language", "de", "en"), func(s *site) { again(s, "Accept-Language", "de-DE,de;q=0.9", "de-DE,de;q=0.9") },
			cache.Policy{}, ""},
		"a language of a browser": {changing("Content-Language", "en", "de"), func(s *site) { again(s, "Accept-Language", "en-GB,en;q=0.9", "de-DE,de;q=0.9,en;q=0.8") },
			cache.Policy{}, "vary=Accept-Language "},
		"it selects": {byType, func(s *site) { again(s, "Accept", "text/html", "application/json") }, cache.Policy{Vary: []string{"Accept"}}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, s *site) {
				tt.policy.StaleIfError = time.Hour
				s.handle("GET /x", tt.policy, tt.serve)
				tt.ask(s)
				got := s.warnings("negotiated")
				if tt.want == "" && len(got) != 0 || tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)) {
					t.Errorf("warnings: %q; want one with %q", got, tt.want)
				}
			}, perUser...)
		})
	}
}

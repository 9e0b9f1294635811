package middleware_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echo"
	"github.com/larder-go/cache/internal/user"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/nethttp"
)

// warnings are the texts of the site's warnings for the reason.
func (s *site) warnings(reason cache.Reason) (texts []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ev := range s.events {
		if ev.Outcome == cache.Warning && ev.Reason == reason {
			texts = append(texts, fmt.Sprint(ev.Err))
		}
	}
	return texts
}

// whoami answers with who is asking.
func whoami(w http.ResponseWriter, r *http.Request) error {
	who, ok := user.Of(r.Context())
	if id, known := keying.FromContext()(r); id != who || known != ok {
		return fmt.Errorf("two users: %q and %q", who, id)
	}
	_, err := fmt.Fprintf(w, "hello %s", who)
	return err
}

// The handler of a shared response sees no user. If it looks for one, there is one warning.
func TestNobodyIsKnownToSharedHandlers(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x/{id}", cache.Policy{TTL: time.Minute, StaleWhileRevalidate: time.Minute}, whoami)
		for _, target := range []string{"/x/1", "/x/2"} {
			wantBody(t, s.missHit(target), "hello ")
			wantBody(t, s.hit(target, as("bob")), "hello ")
		}
		time.Sleep(90 * time.Second)
		wantBody(t, s.get("/x/1", as("bob")), "hello ") // and refreshed
		wantBody(t, s.get("/x/1", as("bob")), "hello ")
		if got := s.warnings("user-in-shared"); len(got) != 1 {
			t.Errorf("warnings: %q; want one", got)
		}
	}, shared...)
}

// The handler sees the user if the request bypasses the cache, on per-user routes, and on standard routes, where the response
// itself says for whom it is.
func TestTheUserIsKnownWhereAnswersAreNotForEveryone(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		class := s.class
		s.handle("/around", cache.Policy{Class: class}, whoami)
		s.handle("GET /own", cache.Policy{Class: cache.PerUser}, whoami)
		s.handle("GET /standard", cache.Policy{Class: class, RFC9111: true}, whoami)
		wantBody(t, s.do("POST", "/around"), "hello alice")
		wantBody(t, s.missHit("/own"), "hello alice")
		wantBody(t, s.missHit("/own", as("bob")), "hello bob")
		wantBody(t, s.get("/standard"), "hello alice")
		if got := s.warnings("user-in-shared"); len(got) != 0 {
			t.Errorf("warnings: %q; want none", got)
		}
	}, shared...)
}

// If code inside the cache sets the user, as the check of an echo group does, the handler of a shared response still sees none.
func TestNobodyIsMadeKnownInsideOfASharedAnswer(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			return whoami(w, r.WithContext(cache.WithUser(r.Context(), "root")))
		})
		wantBody(t, s.missHit("/x"), "hello ")
		if got := s.warnings("user-in-shared"); len(got) != 1 {
			t.Errorf("warnings: %q; want one", got)
		}
	}, shared...)
}

// If the handler of a shared response requests a per-user page or value for a part of it, that sees no user either.
func TestPartsOfASharedAnswerAreNobodys(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		var values *cache.Values[string]
		class := s.class
		s.handle("GET /own", cache.Policy{Class: cache.PerUser}, whoami)
		s.handle("GET /x", cache.Policy{Class: class}, func(w http.ResponseWriter, r *http.Request) error {
			part := newCapture()
			s.served.ServeHTTP(part, newRequest("GET", "/own", within(r.Context()), as("")))
			value, err := values.Get(r.Context(), "v")
			fmt.Fprintf(w, "%s, %s", part.body.String(), value)
			return err
		})
		s.start()
		values = cache.NewValues(s.cache, "v", cache.Policy{Class: cache.PerUser}, func(ctx context.Context, _ string) (string, error) {
			who, _ := user.Of(ctx)
			return "value of " + who, nil
		})
		wantBody(t, s.get("/x"), "hello , value of ")
		wantBody(t, s.get("/x"), "hello , value of ")
	}, shared...)
}

type capture struct {
	header http.Header
	body   bodyBuffer
}

type bodyBuffer struct{ text string }

func (b *bodyBuffer) String() string { return b.text }

func newCapture() *capture                     { return &capture{header: http.Header{}} }
func (c *capture) Header() http.Header         { return c.header }
func (c *capture) WriteHeader(int)             {}
func (c *capture) Write(p []byte) (int, error) { c.body.text += string(p); return len(p), nil }

// Other values of the context are seen: what tracing, routers and loggers put there.
func TestOtherContextValuesAreSeen(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.outer = append(s.outer, renewing)
		s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			_, err := fmt.Fprint(w, r.Context().Value(requestKey{}))
			return err
		})
		wantBody(t, s.missHit("/x"), "1")
	})
}

// lateCookie sets its cookie with the head, as sessions do that are saved then.
type lateCookie struct {
	http.ResponseWriter
	header string
}

func (w *lateCookie) WriteHeader(status int) {
	w.Header().Add(w.header, "Cookie")
	w.ResponseWriter.WriteHeader(status)
}

func (w *lateCookie) Write(p []byte) (int, error) {
	w.Header().Set(w.header, "Cookie")
	return w.ResponseWriter.Write(p)
}

func outerHeader(name, value string) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Add(name, value)
			next.ServeHTTP(w, r)
		})
	}
}

// There is one warning if outer middleware adds a cookie, or Vary: Cookie, to a shared response, before or with the head.
func TestOuterCookiesOnSharedAnswersAreWarnedOf(t *testing.T) {
	for name, outer := range map[string]func(http.Handler) http.Handler{
		"a cookie": outerHeader("Set-Cookie", "csrf=1"),
		"vary":     outerHeader("Vary", "Accept-Encoding, cookie"),
		"a late cookie": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(&lateCookie{w, "Set-Cookie"}, r) })
		},
		"vary told late": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(&lateCookie{w, "Vary"}, r) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, s *site) {
				s.outer = append(s.outer, outer)
				s.handle("GET /x/{id}", cache.Policy{}, text("x"))
				s.handle("GET /refused", cache.Policy{}, setting("Cache-Control: no-store"))
				s.get("/refused")
				if got := s.warnings("outer-cookie"); len(got) != 0 {
					t.Errorf("of an answer that is not kept: %q", got)
				}
				s.missHit("/x/1")
				s.missHit("/x/2")
				want := 1
				if s.class == cache.PerUser {
					want = 0
				}
				if got := s.warnings("outer-cookie"); len(got) != want {
					t.Errorf("warnings: %q; want %d", got, want)
				}
			})
		})
	}
}

// The Vary: Cookie that a policy adds is not taken for outer middleware's.
func TestThePolicysCookiesAreNotWarnedOf(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.outer = append(s.outer, outerHeader("Vary", "Accept-Encoding"), outerHeader("Vary", "Origin"))
		s.handle("GET /x", cache.Policy{Cookies: []string{"theme"}}, setting("Vary: Cookie"))
		s.missHit("/x", cookie("theme=dark"))
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, ev := range s.events {
			if ev.Outcome == cache.Warning {
				t.Errorf("warned of %s: %v", ev.Reason, ev.Err)
			}
		}
	}, shared...)
}

// refusals are ways in which a check refuses a request whose context has no session.
var refusals = map[string]handler{
	"401": func(w http.ResponseWriter, _ *http.Request) error {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return nil
	},
	"403": func(w http.ResponseWriter, _ *http.Request) error {
		http.Error(w, "no", http.StatusForbidden)
		return nil
	},
	"an error of echo's": func(_ http.ResponseWriter, _ *http.Request) error { return echo.NewHTTPError(http.StatusUnauthorized) },
	"login": func(w http.ResponseWriter, r *http.Request) error {
		http.Redirect(w, r, "/login?next=/report", http.StatusFound)
		return nil
	},
	"login elsewhere": func(w http.ResponseWriter, r *http.Request) error {
		http.Redirect(w, r, "https://sso.example.org/?app=1", http.StatusSeeOther)
		return nil
	},
	"login by query": func(w http.ResponseWriter, r *http.Request) error {
		http.Redirect(w, r, "/?action=sign-in", http.StatusFound)
		return nil
	},
}

// There is a warning for a check inside the cache on a shared route, whether it first refuses or first lets a response be stored.
func TestChecksInsideAreWarnedOf(t *testing.T) {
	for name, refuse := range refusals {
		for _, order := range [][]string{{"guest", "member"}, {"member", "guest"}} {
			t.Run(fmt.Sprint(name, order), func(t *testing.T) {
				run(t, func(t *testing.T, s *site) {
					if name == "an error of echo's" && s.router.name != "echo" && s.router.name != "echo-annotated" {
						t.Skip("another router")
					}
					s.outer = append(s.outer, func(next http.Handler) http.Handler {
						return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
							next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, r.Header.Get("X-Session"))))
						})
					})
					s.handle("GET /report/{id}", cache.Policy{StatusTTL: map[int]time.Duration{302: time.Minute}}, func(w http.ResponseWriter, r *http.Request) error {
						if r.Context().Value(requestKey{}) != "member" {
							return refuse(w, r)
						}
						_, err := io.WriteString(w, "the report")
						return err
					})
					for i, who := range order {
						if name == "403" { // one that is forbidden may be so to all
							i = 0
						}
						s.get(fmt.Sprint("/report/", i), header("X-Session", who))
						time.Sleep(65 * time.Second)
					}
					want := 1
					if s.class == cache.PerUser {
						want = 0 // each user has his own
					}
					got := slices.DeleteFunc(s.warnings("check-inside"), func(text string) bool { return !strings.Contains(text, "one visit opens") })
					if len(got) != want {
						t.Errorf("warnings: %q; want %d", got, want)
					}
				})
			})
		}
	}
}

// The check of a group, or of a route with a policy from a table, is inside the cache.
func TestChecksOfGroupsAreWarnedOf(t *testing.T) {
	table := cache.Routes{"GET /members/report": {Class: cache.SharedGlobal}}
	members := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Context().Value(requestKey{}) == nil {
				http.Error(w, "no", http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	for name, build := range map[string]func(c *cache.Cache) (http.Handler, error){
		"echo": func(c *cache.Cache) (http.Handler, error) {
			e := echo.New()
			e.Group("/members", echo.WrapMiddleware(members)).GET("/report", func(ec echo.Context) error { return ec.String(200, "the report") })
			return e, echocache.Annotate(c, e, table)
		},
		"net/http": func(c *cache.Cache) (http.Handler, error) {
			mux := http.NewServeMux()
			mux.Handle("GET /members/report", members(http.HandlerFunc(answer)))
			return nethttp.Annotate(c, mux, table)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newWarned(t, cache.Options{})
			app, err := build(c.Cache)
			if err != nil {
				t.Fatal(err)
			}
			app.ServeHTTP(newCapture(), newRequest("GET", "/members/report"))
			c.want(t)
			renewing(app).ServeHTTP(newCapture(), newRequest("GET", "/members/report"))
			c.wantText(t, "check-inside", "around the cache", "/members/report")
		})
	}
}

// Ordinary redirects, errors and the login page itself are not taken for a check.
func TestOrdinaryAnswersAreNoCheck(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x/{id}", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			switch id := r.PathValue("id"); id {
			case "404", "429", "500":
				http.Error(w, "no", map[string]int{"404": 404, "429": 429, "500": 500}[id])
			case "kept":
				return text("x")(w, r)
			default:
				http.Redirect(w, r, map[string]string{"a": "/authors/7", "b": "/x/kept?from=/login", "c": "https://author.example/", "d": "/blog/log", "e": "/x/signing",
					"f": "//authority.example/x", "g": "/de?next=%2Fauth%2Fx"}[id], http.StatusFound)
			}
			return nil
		})
		s.handle("GET /login/{step}", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			if r.PathValue("step") == "1" {
				http.Redirect(w, r, "/login/2", http.StatusSeeOther)
				return nil
			}
			return text("x")(w, r)
		})
		for _, target := range []string{"/x/kept", "/x/404", "/x/429", "/x/500", "/x/a", "/x/b", "/x/c", "/x/d", "/x/e", "/x/f", "/x/g", "/login/1", "/login/2"} {
			s.get(target)
		}
		if got := s.warnings("check-inside"); len(got) != 0 {
			t.Errorf("warnings: %q; want none", got)
		}
	})
}

// A refusal that depends only on what selects the response is no check that a hit would skip: a signature in the URL, a page that
// nobody may see, a role that the policy selects by, a cookie that a standard route's response varies by.
func TestRefusalsThatAreSelectedAreNoCheck(t *testing.T) {
	refuse := func(allowed func(r *http.Request) bool, status int, fields ...string) handler {
		return func(w http.ResponseWriter, r *http.Request) error {
			if !allowed(r) {
				http.Error(w, "no", status)
				return nil
			}
			return setting(fields...)(w, r)
		}
	}
	signed := func(r *http.Request) bool { return r.URL.Query().Get("sig") == "good" }
	for name, tt := range map[string]struct {
		policy cache.Policy
		serve  handler
		ask    func(s *site)
	}{
		"a signature": {cache.Policy{}, refuse(signed, 403), func(s *site) { s.get("/x?sig=bad"); s.get("/x?sig=good"); s.get("/x?sig=worse") }},
		"a page": {cache.Policy{}, refuse(func(r *http.Request) bool { return r.PathValue("id") != "2" }, 403),
			func(s *site) { s.get("/x/1"); s.get("/x/2"); s.get("/x/3") }},
		"a role": {cache.Policy{VaryBy: func(r *http.Request) string { return r.Header.Get("X-Role") }}, func(w http.ResponseWriter, r *http.Request) error {
			return refuse(func(r *http.Request) bool { return r.Context().Value(requestKey{}) == "admin" }, 401)(w, r)
		}, func(s *site) { s.get("/x", header("X-Role", "guest")); s.get("/x", header("X-Role", "admin")) }},
		"a cookie": {cache.Policy{Cookies: []string{"plan"}}, refuse(func(r *http.Request) bool { _, err := r.Cookie("plan"); return err == nil }, 401),
			func(s *site) { s.get("/x"); s.get("/x", cookie("plan=gold")) }},
		"a standard answer's cookie": {cache.Policy{RFC9111: true}, refuse(func(r *http.Request) bool { _, err := r.Cookie("sid"); return err == nil }, 401, "Vary: Cookie", "Cache-Control: max-age=60"),
			func(s *site) { s.get("/x"); s.get("/x", cookie("sid=alice")); s.get("/x", cookie("sid=bob")) }},
		"a page that has moved": {cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			if r.PathValue("id") == "account" {
				http.Redirect(w, r, "/login", http.StatusMovedPermanently)
				return nil
			}
			return text("x")(w, r)
		}, func(s *site) { s.get("/x/account", cookie("_ga=1")); s.get("/x/1") }},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, s *site) {
				s.outer = append(s.outer, func(next http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, r.Header.Get("X-Role"))))
					})
				})
				s.handle("GET /x", tt.policy, tt.serve)
				s.handle("GET /x/{id}", tt.policy, tt.serve)
				tt.ask(s)
				if got := s.warnings("check-inside"); len(got) != 0 {
					t.Errorf("warnings: %q; want none", got)
				}
			}, shared...)
		})
	}
}

// A check inside the cache that needs an API key does not see the key, lets nobody in, and is a warning.
func TestChecksInsideByHiddenCredentialsAreWarnedOf(t *testing.T) {
	for field, policy := range map[string]cache.Policy{
		"X-Api-Key":     {},
		"X-Auth-Token":  {},
		"Authorization": {IgnoreAuthorization: true},
	} {
		t.Run(field, func(t *testing.T) {
			run(t, func(t *testing.T, s *site) {
				s.handle("GET /x", policy, func(w http.ResponseWriter, r *http.Request) error {
					if r.Header.Get(field) == "" {
						http.Error(w, "who are you?", http.StatusUnauthorized)
						return nil
					}
					return text("x")(w, r)
				})
				wantStatus(t, s.get("/x", as("")), http.StatusUnauthorized)
				s.wantReasons()
				wantStatus(t, s.get("/x", as(""), header(field, "key")), http.StatusUnauthorized)
				s.wantReasons("check-inside")
			}, shared...)
		})
	}
}

package middleware_test

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// What docs/middleware-order.md says of each piece of middleware, outside and inside of the cache, on every router.

type wrapper = func(http.Handler) http.Handler

// inside puts middleware between the cache and the handler. The handler's error is lost if the handler outlives the middleware.
func inside(mw wrapper, h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		failed := make(chan error, 1)
		mw(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { failed <- h(w, r) })).ServeHTTP(w, r)
		select {
		case err := <-failed:
			return err
		default:
			return nil
		}
	}
}

// sessions finds a session by its cookie, loads it into the context and saves it with the head, as scs does.
func sessions(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Cookie")
		who := "nobody"
		if c, err := r.Cookie("sid"); err == nil {
			who = c.Value
		}
		next.ServeHTTP(&lateCookie{w, "Set-Cookie"}, r.WithContext(context.WithValue(r.Context(), requestKey{}, who)))
	})
}

// csrf hands a token of the visitor's to the handler and sets it as a cookie, as gorilla/csrf and nosurf do.
func csrf(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := fmt.Sprint("token", nonce.Add(1))
		http.SetCookie(w, &http.Cookie{Name: "csrf", Value: token})
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, token)))
	})
}

// byCookie lets in only requests with the right cookie.
func byCookie(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("sid"); err != nil || c.Value != "alice" {
			http.Error(w, "log in", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// bySession lets in users that the session in the context knows.
func bySession(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Context().Value(requestKey{}) != "alice" {
			http.Redirect(w, r, "/login?next=/x", http.StatusSeeOther)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// compressing compresses for those who accept it.
func compressing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept-Encoding")
		if !strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			next.ServeHTTP(w, r)
			return
		}
		z := &zipped{ResponseWriter: w, to: gzip.NewWriter(w)}
		next.ServeHTTP(z, r)
		_ = z.to.Close()
	})
}

type zipped struct {
	http.ResponseWriter
	to    *gzip.Writer
	wrote bool
}

func (z *zipped) WriteHeader(status int) {
	z.wrote = true
	z.Header().Del("Content-Length")
	z.Header().Set("Content-Encoding", "gzip")
	z.ResponseWriter.WriteHeader(status)
}

func (z *zipped) Write(p []byte) (int, error) {
	if !z.wrote {
		z.WriteHeader(http.StatusOK)
	}
	return z.to.Write(p)
}

func cors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		if origin := r.Header.Get("Origin"); origin != "" {
			w.Header().Set("Access-Control-Allow-Origin", origin)
		}
		next.ServeHTTP(w, r)
	})
}

// recovering answers 500 for a handler that panics.
func recovering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if recover() != nil {
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// watching records what a logger, or a rate limit, sees: the clients of the requests that pass it.
func watching(seen *[]string) wrapper {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			*seen = append(*seen, r.RemoteAddr)
			next.ServeHTTP(w, r)
		})
	}
}

func timing(next http.Handler) http.Handler {
	return http.TimeoutHandler(next, time.Second, "too slow")
}

// order plays middleware outside and inside of the cache.
func order(t *testing.T, mw wrapper, h func(s *site) handler, play func(t *testing.T, s *site, outside bool), only ...cache.Class) {
	t.Helper()
	for _, outside := range []bool{true, false} {
		t.Run(map[bool]string{true: "outside", false: "inside"}[outside], func(t *testing.T) {
			run(t, func(t *testing.T, s *site) {
				if serve := h(s); outside {
					s.outer = append(s.outer, mw)
					s.handle("GET /x", cache.Policy{}, serve)
				} else {
					s.handle("GET /x", cache.Policy{}, inside(mw, serve))
				}
				play(t, s, outside)
			}, only...)
		})
	}
}

func plainText(*site) handler { return text("x") }

// fromContext answers with what middleware has put into the context.
func fromContext(*site) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		_, err := fmt.Fprint(w, "hello ", r.Context().Value(requestKey{}))
		return err
	}
}

// reasons are those of the warnings so far.
func (s *site) reasons() (all []cache.Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ev := range s.events {
		if ev.Outcome == cache.Warning && !slices.Contains(all, ev.Reason) {
			all = append(all, ev.Reason)
		}
	}
	return all
}

func (s *site) wantReasons(reasons ...cache.Reason) {
	s.t.Helper()
	if got := s.reasons(); !slices.Equal(got, reasons) {
		s.t.Errorf("warned of %s; want %s", got, reasons)
	}
}

// A check outside the cache runs on hits, too. One inside that reads a cookie does not see it, so nobody gets in.
func TestOrderOfChecksByCookie(t *testing.T) {
	order(t, byCookie, plainText, func(t *testing.T, s *site, outside bool) {
		alice, bob := cookie("sid=alice"), cookie("sid=bob")
		want := http.StatusUnauthorized
		if outside {
			want = http.StatusOK
		}
		wantStatus(t, s.get("/x", alice), want)
		wantStatus(t, s.get("/x", alice), want)
		wantStatus(t, s.get("/x", bob), http.StatusUnauthorized)
		if outside {
			s.wantReasons()
		} else {
			s.wantReasons("check-inside")
		}
	}, shared...)
}

// A check inside that reads the context lets everybody in after the first user, and is a warning.
func TestOrderOfChecksBySession(t *testing.T) {
	for _, outside := range []bool{true, false} {
		run(t, func(t *testing.T, s *site) {
			h := text("x")
			if outside {
				s.outer = append(s.outer, bySession)
			} else {
				h = inside(bySession, h)
			}
			s.outer = append(s.outer, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestKey{}, r.Header.Get("X-Session"))))
				})
			})
			s.handle("GET /x", cache.Policy{}, h)
			wantStatus(t, s.get("/x"), http.StatusSeeOther)
			wantStatus(t, s.get("/x", header("X-Session", "alice")), http.StatusOK)
			if outside {
				wantStatus(t, s.get("/x"), http.StatusSeeOther)
				s.wantReasons()
			} else {
				wantStatus(t, s.get("/x"), http.StatusOK)
				s.wantReasons("check-inside")
			}
		}, shared...)
	}
}

// With sessions outside the cache, what they put into the context is stored for everyone, which is a warning. Inside it, they see
// no cookie, and the cookie that they set keeps the response from being stored.
func TestOrderOfSessions(t *testing.T) {
	order(t, sessions, fromContext, func(t *testing.T, s *site, outside bool) {
		first, second := s.get("/x", cookie("sid=alice")), s.get("/x", cookie("sid=bob"))
		if outside {
			wantBody(t, first, "hello alice")
			wantBody(t, second, "hello alice") // as it should not be
			s.wantReasons("outer-cookie")
			return
		}
		wantBody(t, first, "hello nobody")
		wantBody(t, second, "hello nobody")
		if len(s.reasons()) == 0 && s.runs.Load() != 2 {
			t.Error("an answer with an inner session is kept, and nobody is told")
		}
	}, shared...)
}

// On per-user routes, the session belongs to the user.
func TestOrderOfSessionsPerUser(t *testing.T) {
	order(t, sessions, fromContext, func(t *testing.T, s *site, _ bool) {
		for _, who := range []string{"alice", "bob", "alice", "bob"} {
			wantBody(t, s.get("/x", as(who), cookie("sid="+who)), "hello "+who)
		}
		s.wantReasons()
	}, perUser...)
}

func TestOrderOfCSRF(t *testing.T) {
	order(t, csrf, fromContext, func(t *testing.T, s *site, outside bool) {
		first, second := s.get("/x"), s.get("/x")
		if same := first.body == second.body; same != outside {
			t.Errorf("two visitors have one token: %v", same)
		}
		if outside {
			s.wantReasons("outer-cookie")
		} else if n := s.count(cache.Miss, "set-cookie"); n != 2 {
			t.Errorf("%d answers are refused for their cookie; want both", n)
		}
	}, shared...)
}

// A compressor outside the cache compresses hits and misses. Inside, on shared routes, it sees no Accept-Encoding.
func TestOrderOfCompression(t *testing.T) {
	order(t, compressing, plainText, func(t *testing.T, s *site, outside bool) {
		accept, coding := header("Accept-Encoding", "gzip"), []string(nil)
		if outside {
			coding = []string{"gzip"}
		}
		wantHeader(t, s.miss("/x", accept), "Content-Encoding", coding...)
		wantHeader(t, s.hit("/x", accept), "Content-Encoding", coding...)
		wantBody(t, s.hit("/x"), "x")
		s.wantReasons()
	}, shared...)
	order(t, compressing, plainText, func(t *testing.T, s *site, outside bool) {
		accept := header("Accept-Encoding", "gzip")
		if wantHeader(t, s.miss("/x", accept), "Content-Encoding", "gzip"); outside {
			wantHeader(t, s.hit("/x", accept), "Content-Encoding", "gzip")
			wantBody(t, s.hit("/x"), "x")
			s.wantReasons()
			return
		}
		s.miss("/x", accept)
		if s.count(cache.Warning, "hidden-header")+s.count(cache.Warning, "negotiated") == 0 {
			t.Error("one that compresses inside is not warned of")
		}
	}, perUser...)
}

func TestOrderOfCORS(t *testing.T) {
	order(t, cors, plainText, func(t *testing.T, s *site, outside bool) {
		for _, origin := range []string{"https://a.example", "https://b.example"} {
			got := s.get("/x", header("Origin", origin)).header.Get("Access-Control-Allow-Origin")
			if want := map[bool]string{true: origin}[outside]; got != want {
				t.Errorf("%s is allowed to %q; want %q", origin, got, want)
			}
		}
		if outside {
			s.wantReasons()
		} else {
			s.wantReasons("hidden-header")
		}
	}, shared...)
}

// Loggers and limits outside the cache see every request and its client. Inside they see only misses, on shared routes without
// the client.
func TestOrderOfLoggersAndLimits(t *testing.T) {
	var seen []string
	order(t, watching(&seen), plainText, func(t *testing.T, s *site, outside bool) {
		seen = nil
		s.miss("/x")
		s.hit("/x")
		want := []string{""}
		if outside {
			want = []string{"192.0.2.1:1234", "192.0.2.1:1234"}
		}
		if !slices.Equal(seen, want) {
			t.Errorf("seen: %q; want %q", seen, want)
		}
	}, shared...)
}

func TestOrderOfRecoverers(t *testing.T) {
	panics := func(s *site) handler {
		return func(http.ResponseWriter, *http.Request) error { panic("a handler") }
	}
	order(t, recovering, panics, func(t *testing.T, s *site, _ bool) {
		for range 2 {
			wantStatus(t, s.miss("/x"), http.StatusInternalServerError)
		}
	})
}

// A timeout outside the cache also covers the wait for another request's run. A response that comes too late is stored by
// nobody if the timeout is inside.
func TestOrderOfTimeouts(t *testing.T) {
	slow := func(s *site) handler {
		return func(w http.ResponseWriter, _ *http.Request) error {
			if s.runs.Load() == 1 {
				time.Sleep(5 * time.Second)
			}
			_, err := io.WriteString(w, "x")
			return err
		}
	}
	order(t, timing, slow, func(t *testing.T, s *site, _ bool) {
		wantStatus(t, s.get("/x"), http.StatusServiceUnavailable)
		time.Sleep(10 * time.Second)
		wantBody(t, s.get("/x"), "x")
		wantBody(t, s.hit("/x"), "x")
	})
}

package middleware_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache"
)

// Sequences that go wrong where two mechanisms meet.

// A purge while a refresh runs wins over the refresh.
func TestPurgeDuringARefreshWins(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		data := "first"
		s.handle("GET /x", stale, func(w http.ResponseWriter, r *http.Request) error {
			read := data
			time.Sleep(time.Second)
			return text(read)(w, r)
		})
		behind := behindServer(s)
		s.miss("/x", behind)
		time.Sleep(11 * time.Second)
		wantBody(t, s.get("/x", behind), "first") // a refresh begins
		synctest.Wait()
		data = "second"
		s.purge(cache.URL("/x"))
		wantBody(t, s.get("/x", behind), "second")
		time.Sleep(2 * time.Second)
		wantBody(t, s.get("/x", behind), "second")
	})
}

// Waiters with conditions or for a variant of the form get their own form of the shared answer.
func TestSharedAnswersTakeEachClientsForm(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		s.handle("GET /x", cache.Policy{}, func(w http.ResponseWriter, r *http.Request) error {
			time.Sleep(time.Second)
			w.Header().Set("Etag", `"v1"`)
			return text("0123456789")(w, r)
		})
		forms := [][]option{{}, {header("If-None-Match", `"v1"`)}, {header("If-None-Match", `"v2"`)}}
		for i, got := range s.atOnce(30, func(i int) *http.Request { return newRequest("GET", "/x", forms[i%3]...) }) {
			want, body := 200, "0123456789"
			if i%3 == 1 {
				want, body = 304, ""
			}
			if got.status != want || got.body != body {
				t.Errorf("form %d: %d %q; want %d %q", i%3, got.status, got.body, want, body)
			}
		}
		s.wantTotal(1)
		wantBody(t, s.hit("/x"), "0123456789") // also when a 304 led
	})
}

// A failure that is held back for a stale answer leaves no trace of itself, nor of its length or type.
func TestFailureHeldBackLeavesNoTrace(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		fail := false
		s.outer = append(s.outer, func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Outer", "yes")
				next.ServeHTTP(w, r)
			})
		})
		s.handle("GET /x", cache.Policy{TTL: 10 * time.Second, StaleIfError: time.Minute}, s.failing(&fail, func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Content-Type", "application/problem+json")
			w.Header().Set("Content-Length", "20000")
			w.Header().Set("Set-Cookie", "a=b")
			w.Header().Del("X-Outer")
			w.WriteHeader(http.StatusServiceUnavailable)
			_ = http.NewResponseController(w).Flush()
			_, err := w.Write(bytes.Repeat([]byte("x"), 20_000))
			return err
		}))
		first := s.miss("/x")
		time.Sleep(11 * time.Second)
		fail = true
		got := s.miss("/x")
		wantStatus(t, got, http.StatusOK)
		wantBody(t, got, first.body)
		wantHeader(t, got, "Content-Type", first.header.Values("Content-Type")...)
		wantHeader(t, got, "Content-Length", fmt.Sprint(len(first.body)))
		wantHeader(t, got, "Set-Cookie")
		wantHeader(t, got, "X-Outer", "yes")
	})
}

// A failure after the answer has begun cannot be held back, and spoils nothing.
func TestLateFailureSpoilsNothing(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		fail := false
		s.handle("GET /x", cache.Policy{TTL: 10 * time.Second, StaleIfError: time.Minute}, s.failing(&fail, func(w http.ResponseWriter, _ *http.Request) error {
			_, _ = io.WriteString(w, strings.Repeat("half ", 2000))
			panic(errors.New("late"))
		}))
		first := s.miss("/x")
		time.Sleep(11 * time.Second)
		fail = true
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed although the answer had begun")
				}
			}()
			s.get("/x")
		}()
		fail = false
		if got := s.miss("/x"); strings.Contains(got.body, "half") || got.body == first.body {
			t.Errorf("the next answer is %q", clip(got.body))
		}
	})
}

// The last good answer stays while new ones cannot be kept, and is not served past its windows.
func TestUnstorableAnswerDoesNotReviveTheOldOne(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		private := false
		s.handle("GET /x", cache.Policy{TTL: 10 * time.Second, StaleIfError: time.Minute}, func(w http.ResponseWriter, r *http.Request) error {
			if private {
				w.Header().Set("Cache-Control", "no-store")
			}
			return s.mirror(w, r)
		})
		first := s.miss("/x")
		time.Sleep(11 * time.Second)
		private = true
		for range 3 {
			if got := s.miss("/x"); got.body == first.body {
				t.Error("the old answer is served although the handler answers well")
			}
		}
	})
}

// Many keys, many requests, purges and failures at once: every answer is right for its request.
func TestEveryAnswerIsRightUnderChaos(t *testing.T) {
	run(t, func(t *testing.T, s *site) {
		p := cache.Policy{TTL: 50 * time.Millisecond, StaleWhileRevalidate: 20 * time.Millisecond, StaleIfError: 20 * time.Millisecond,
			Vary: []string{"Accept-Language"}, Tags: []string{"p:{id}"}}
		s.handle("GET /p/{id}", p, func(w http.ResponseWriter, r *http.Request) error {
			n := s.runs.Load()
			time.Sleep(time.Duration(n%7) * time.Millisecond)
			switch {
			case n%11 == 0:
				return errors.New("failed")
			case n%13 == 0:
				w.Header().Set("Set-Cookie", "sid=1")
			case n%17 == 0:
				panic(http.ErrAbortHandler)
			}
			_, err := fmt.Fprintf(w, "%s|%s|%s|end", r.PathValue("id"), r.Header.Get("Accept-Language"), strings.Repeat("x", int(n%5)*3000))
			return err
		})
		s.start()
		var all sync.WaitGroup
		for g := range 16 {
			all.Go(func() {
				for i := range 40 {
					id, lang := fmt.Sprint((g+i)%5), fmt.Sprint("lang-", i%3)
					s.checkOne(id, lang, []option{header("Accept-Language", lang), behindServer(s)})
					if i%10 == g%10 {
						_ = s.cache.Purge(t.Context(), cache.Tag("p:"+id))
					}
					if i%9 == 0 {
						s.far.Down.Store(g%4 == 0)
					}
					time.Sleep(time.Duration(i%5) * time.Millisecond)
				}
			})
		}
		all.Wait()
		time.Sleep(time.Second)
	})
}

func (s *site) checkOne(id, lang string, options []option) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			panic(p)
		}
	}()
	got := s.get("/p/"+id, options...)
	good := strings.HasPrefix(got.body, id+"|"+lang+"|") && strings.HasSuffix(got.body, "|end")
	if got.status == 200 && !good || got.status != 200 && got.status != 500 {
		s.t.Errorf("%s in %s is answered %d %q", id, lang, got.status, clip(got.body))
	}
	if good && got.header.Get("Content-Length") != "" && got.header.Get("Content-Length") != fmt.Sprint(len(got.body)) {
		s.t.Errorf("%s: Content-Length %s for %d bytes", id, got.header.Get("Content-Length"), len(got.body))
	}
}

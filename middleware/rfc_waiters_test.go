package middleware_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/larder-go/cache"
)

// Those who wait while an answer is validated get the answer that it is or another's own, whatever the handler says.
func TestStandardWaitersOfAValidation(t *testing.T) {
	cases := []struct {
		name   string
		status int
		fields []string
		body   string
		want   reply
		runs   int64 // of nine requests at once
	}{
		{"confirmed", 304, []string{`Etag: "a"`, "Cache-Control: max-age=10"}, "", reply{status: 200, body: "one"}, 1},
		{"replaced", 200, []string{`Etag: "b"`, "Cache-Control: max-age=10"}, "two", reply{status: 200, body: "two"}, 1},
		{"with a cookie", 304, []string{`Etag: "a"`, "Cache-Control: max-age=10", "Set-Cookie: a=b"}, "", reply{status: 200, body: "one"}, 9},
		{"not to be kept", 200, []string{"Cache-Control: no-store"}, "two", reply{status: 200, body: "two"}, 9},
		{"failed", 500, nil, "oops", reply{status: 200, body: "one"}, 1},
	}
	run(t, func(t *testing.T, s *site) {
		for i, c := range cases {
			n := 0
			var mu sync.Mutex
			s.handle(fmt.Sprint("GET /", i), cache.Policy{RFC9111: true, StaleIfError: time.Hour}, func(w http.ResponseWriter, r *http.Request) error {
				mu.Lock()
				n++
				first := n == 1
				mu.Unlock()
				if first {
					w.Header().Set("Cache-Control", "max-age=10")
					w.Header().Set("Etag", `"a"`)
					_, err := w.Write([]byte("one"))
					return err
				}
				time.Sleep(time.Second)
				return answering(c.status, c.body, c.fields...)(w, r)
			})
		}
		for i, c := range cases {
			target := fmt.Sprint("/", i)
			s.miss(target)
			time.Sleep(11 * time.Second)
			before := s.runs.Load()
			for _, got := range s.together(9, func(int) reply { return s.get(target) }) {
				if got.status != c.want.status || got.body != c.want.body {
					t.Errorf("%s: a client has %d %q; want %d %q", c.name, got.status, got.body, c.want.status, c.want.body)
				}
			}
			if n := s.runs.Load() - before; n != c.runs {
				t.Errorf("%s: the handler ran %d times; want %d", c.name, n, c.runs)
			}
		}
	})
}

// together sends requests at the same time.
func (s *site) together(n int, send func(i int) reply) []reply {
	replies := make([]reply, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { replies[i] = send(i) })
	}
	wg.Wait()
	return replies
}

// answering answers with a status, fields and a body.
func answering(status int, body string, fields ...string) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		for _, field := range fields {
			addField(w.Header(), field)
		}
		w.WriteHeader(status)
		if body == "" {
			return nil
		}
		_, err := w.Write([]byte(body))
		return err
	}
}

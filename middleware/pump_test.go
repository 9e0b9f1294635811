package middleware_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/internal/steering"
	"github.com/larder-go/cache/middleware"
)

// client is a writer whose Write can be replaced.
type client struct {
	*httptest.ResponseRecorder
	write func(p []byte) (int, error)
}

func (c client) Write(p []byte) (int, error) { return c.write(p) }

var long = strings.Repeat("0123456789abcdef", 4<<10) // 64 KiB

// chunks writes the long body in pieces, as handlers do.
func chunks(w http.ResponseWriter, _ *http.Request) {
	for body := long; body != ""; body = body[1<<10:] {
		if _, err := w.Write([]byte(body[:1<<10])); err != nil {
			panic(err)
		}
	}
}

// TestASlowClientHoldsUpNobody but itself: the handler ends and its response is stored before the client reads a byte.
func TestASlowClientHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := newRoute(t, nil)
		reads, ended := make(chan struct{}), false
		slow := httptest.NewRecorder()
		w := client{slow, func(p []byte) (int, error) { <-reads; return slow.Write(p) }}
		done := make(chan struct{})
		go func() {
			defer close(done)
			serve(rt, w, httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, r *http.Request) { chunks(w, r); ended = true })
		}()
		if synctest.Wait(); !ended {
			t.Error("the handler waits for its client")
		}
		quick := httptest.NewRecorder()
		serve(rt, quick, httptest.NewRequest("GET", "/", nil), func(http.ResponseWriter, *http.Request) { t.Error("the handler runs again") })
		if quick.Body.String() != long {
			t.Errorf("the second client has %d bytes of %d", quick.Body.Len(), len(long))
		}
		close(reads)
		if <-done; slow.Body.String() != long {
			t.Errorf("the slow client has %d bytes of %d", slow.Body.Len(), len(long))
		}
	})
}

// stays is a writer that only the handler's own goroutine may use.
type stays struct{ client }

func (stays) Aside() http.ResponseWriter { return nil }

// TestAWriterMayBeForTheHandlersGoroutineAlone: the cache writes to it during the handler's own calls, or after them.
func TestAWriterMayBeForTheHandlersGoroutineAlone(t *testing.T) {
	for name, end := range map[string]http.HandlerFunc{
		"kept":    func(http.ResponseWriter, *http.Request) {},
		"flushed": func(w http.ResponseWriter, _ *http.Request) { _ = http.NewResponseController(w).Flush() },
		"gone on": func(w http.ResponseWriter, r *http.Request) { _ = http.NewResponseController(w).Flush(); chunks(w, r) },
	} {
		rt, busy := newRoute(t, nil), 0
		first := httptest.NewRecorder()
		w := stays{client{first, func(p []byte) (int, error) { busy++; return first.Write(p) }}} // -race finds another goroutine
		serve(rt, w, httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, r *http.Request) {
			for body := long; body != ""; body = body[1<<10:] {
				_, _ = w.Write([]byte(body[:1<<10]))
				if busy++; busy != len(long)/1024-len(body)/1024+1 {
					t.Errorf("%s: it is written to meanwhile", name)
				}
			}
			end(w, r)
		})
		want := long
		if name == "gone on" {
			want += long
		}
		if first.Body.String() != want {
			t.Errorf("%s: the client has %d bytes of %d", name, first.Body.Len(), len(want))
		}
		if name != "kept" {
			continue
		}
		next := httptest.NewRecorder()
		serve(rt, next, httptest.NewRequest("GET", "/", nil), func(http.ResponseWriter, *http.Request) { t.Error("the handler runs again") })
		if next.Body.String() != long {
			t.Errorf("the next client has %d bytes", next.Body.Len())
		}
	}
}

// TestAClientThatIsGoneCostsNoAnswer: the handler gets no error, and its complete response is stored.
func TestAClientThatIsGoneCostsNoAnswer(t *testing.T) {
	for _, after := range []int{0, 1, 3000, 40000} {
		rt := newRoute(t, nil)
		sent := 0
		w := client{httptest.NewRecorder(), func(p []byte) (int, error) {
			if sent += len(p); sent > after {
				return 0, errors.New("broken pipe")
			}
			return len(p), nil
		}}
		serve(rt, w, httptest.NewRequest("GET", "/", nil), chunks)
		next := httptest.NewRecorder()
		serve(rt, next, httptest.NewRequest("GET", "/", nil), func(http.ResponseWriter, *http.Request) { t.Error("the handler runs again") })
		if next.Body.String() != long {
			t.Errorf("after %d bytes: the next client has %d bytes of %d", after, next.Body.Len(), len(long))
		}
	}
}

// TestWhatAFailedWriterHoldsStaysAsItIs: an HTTP/2 writer may still be sending the bytes after the stream was reset.
func TestWhatAFailedWriterHoldsStaysAsItIs(t *testing.T) {
	rt := newRoute(t, nil)
	write := func(fill byte, size int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for piece := bytes.Repeat([]byte{fill}, 32<<10); size > 0; size -= len(piece) {
				_, _ = w.Write(piece)
			}
		}
	}
	for n, size := range []int{256 << 10, 2 << 20} { // kept, and not
		var held [][]byte
		w := client{httptest.NewRecorder(), func(p []byte) (int, error) { held = append(held, p); return 0, errors.New("reset") }}
		serve(rt, w, httptest.NewRequest("GET", fmt.Sprint("/reset/", n), nil), write('a', size))
		for i := range 10 {
			r := httptest.NewRequest("GET", fmt.Sprint("/others/", n, "/", i), nil)
			serve(rt, httptest.NewRecorder(), r, write('b', size))
		}
		for _, p := range held {
			if bytes.IndexByte(p, 'b') >= 0 {
				t.Fatalf("of %d bytes: others' bytes are where one's were", size)
			}
		}
	}
}

// TestAPanicOutsideStaysInTheRequest: if a writer outside the cache panics, that happens in the request's own goroutine, as
// without a cache.
func TestAPanicOutsideStaysInTheRequest(t *testing.T) {
	for name, body := range map[string]http.HandlerFunc{
		"long":  chunks,
		"short": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) },
		"short, with a head": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(200)
			_, _ = w.Write([]byte("hello"))
		},
		"long, streamed at the end": func(w http.ResponseWriter, r *http.Request) { chunks(w, r); w.(http.Flusher).Flush() },
	} {
		t.Run(name, func(t *testing.T) {
			rt := newRoute(t, nil)
			w := client{httptest.NewRecorder(), func([]byte) (int, error) { panic(http.ErrAbortHandler) }}
			func() {
				defer func() {
					if v := recover(); v != http.ErrAbortHandler {
						t.Errorf("recovered %v", v)
					}
				}()
				serve(rt, w, httptest.NewRequest("GET", "/", nil), body)
				t.Error("no panic")
			}()
			if n := rt.Common().Recording(); n != 0 {
				t.Errorf("%d bytes are still accounted for", n)
			}
			next := httptest.NewRecorder()
			serve(rt, next, httptest.NewRequest("GET", "/", nil), body)
			if n := next.Body.Len(); n != len(long) && n != len("hello") {
				t.Errorf("the next client has %d bytes", n)
			}
		})
	}
}

// TestARefreshLeavesNothingBehind: no goroutine and no reserved memory.
func TestARefreshLeavesNothingBehind(t *testing.T) {
	for name, body := range map[string]http.HandlerFunc{
		"kept":             chunks,
		"refused":          func(w http.ResponseWriter, r *http.Request) { steering.NoStore(r.Context()); chunks(w, r) },
		"refused at once":  func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Set-Cookie", "a=b"); chunks(w, r) },
		"failed":           func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(500); chunks(w, r) },
		"panicked":         func(w http.ResponseWriter, r *http.Request) { chunks(w, r); panic("x") },
		"nothing":          func(http.ResponseWriter, *http.Request) {},
		"short":            func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) },
		"streamed":         func(w http.ResponseWriter, r *http.Request) { chunks(w, r); _ = http.NewResponseController(w).Flush() },
		"longer than kept": func(w http.ResponseWriter, r *http.Request) { chunks(w, r); chunks(w, r); chunks(w, r) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := newRoute(t, func(c *middleware.Config) { c.WhileRevalidate, c.MaxBody = time.Hour, 128<<10 })
				handler := http.HandlerFunc(chunks)
				serve(rt, httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), handler)
				time.Sleep(2 * time.Minute)
				runs := 0
				w := httptest.NewRecorder()
				serve(rt, w, httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, r *http.Request) { runs++; body(w, r) })
				if w.Body.String() != long || runs != 1 {
					t.Errorf("the client has %d bytes, the refresh ran %d times", w.Body.Len(), runs)
				}
				if n := rt.Common().Recording(); n != 0 {
					t.Errorf("%d bytes are still accounted for", n)
				}
			})
		})
	}
}

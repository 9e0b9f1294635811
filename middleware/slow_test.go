package middleware_test

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/larder-go/cache/internal/steering"
	"github.com/larder-go/cache/middleware"
)

var seed = maphash.MakeSeed()

// stalled starts clients that send requests, each for another response, and read nothing: a few at a time, because handlers that
// run at once share the memory for recording. It returns a function that lets them read, and returns the hash of what each gets.
func stalled(rt *middleware.Route, n int, h http.HandlerFunc) (read func() []maphash.Hash) {
	reads, clients := make(chan struct{}), make([]maphash.Hash, n)
	var done sync.WaitGroup
	for i := range n {
		clients[i].SetSeed(seed)
		w := client{httptest.NewRecorder(), func(p []byte) (int, error) { <-reads; return clients[i].Write(p) }}
		done.Go(func() { serve(rt, w, httptest.NewRequest("GET", fmt.Sprint("/slow/", i), nil), h) })
		if i%16 == 15 {
			synctest.Wait()
		}
	}
	synctest.Wait()
	return func() []maphash.Hash {
		close(reads)
		done.Wait()
		return clients
	}
}

// TestStalledClientsHoldNoRoomForRecording: once their responses are complete, whether stored or not, others are recorded as if
// no client stalled. The stalled clients get complete responses in the end.
func TestStalledClientsHoldNoRoomForRecording(t *testing.T) {
	const size, clients = 300 << 10, 230 // together far above the room of 64 MiB
	fill := func(r *http.Request) []byte {
		return bytes.Repeat([]byte(r.URL.Path), size/len(r.URL.Path))
	}
	write := func(w http.ResponseWriter, body []byte, step int) {
		for len(body) > 0 {
			n := min(step, len(body))
			_, _ = w.Write(body[:n])
			body = body[n:]
		}
	}
	for name, h := range map[string]http.HandlerFunc{
		"in chunks": func(w http.ResponseWriter, r *http.Request) { write(w, fill(r), 10_000) },
		"at once":   func(w http.ResponseWriter, r *http.Request) { write(w, fill(r), size) },
		"with its length": func(w http.ResponseWriter, r *http.Request) {
			body := fill(r)
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			write(w, body, 10_000)
		},
		"refused at last": func(w http.ResponseWriter, r *http.Request) {
			write(w, fill(r), 10_000)
			steering.NoStore(r.Context())
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := newRoute(t, nil)
				read := stalled(rt, clients, h)
				if n := rt.Common().Recording(); n != 0 {
					t.Errorf("%d bytes are accounted for although every handler has returned", n)
				}
				for i := range 20 {
					target := fmt.Sprint("/other/", i)
					serve(rt, httptest.NewRecorder(), httptest.NewRequest("GET", target, nil), chunks)
					serve(rt, httptest.NewRecorder(), httptest.NewRequest("GET", target, nil), func(http.ResponseWriter, *http.Request) {
						t.Errorf("%s was not kept", target)
					})
				}
				got := read()
				for i := range got {
					if want := fill(httptest.NewRequest("GET", fmt.Sprint("/slow/", i), nil)); got[i].Sum64() != maphash.Bytes(seed, want) {
						t.Fatalf("what stalled client %d has is not its answer of %d bytes", i, len(want))
					}
				}
			})
		})
	}
}

// TestThoseWhoWaitAreLetGoBeforeASlowClient: if they cannot share the leader's response, waiters go on before the leader's slow
// client has read it, however that response ends.
func TestThoseWhoWaitAreLetGoBeforeASlowClient(t *testing.T) {
	for name, end := range map[string]http.HandlerFunc{
		"a panic":           func(http.ResponseWriter, *http.Request) { panic("broken") },
		"an abort":          func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"an error page":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken", 500) },
		"a flush":           func(w http.ResponseWriter, _ *http.Request) { w.(http.Flusher).Flush() },
		"too long":          func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2<<20)) },
		"refused":           func(_ http.ResponseWriter, r *http.Request) { steering.NoStore(r.Context()) },
		"not what was said": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(http.TrailerPrefix+"X", "y") },
		"unwrapped": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.(interface{ Unwrap() http.ResponseWriter }).Unwrap().Write([]byte("x"))
		},
		"kept": func(http.ResponseWriter, *http.Request) {},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := newRoute(t, nil)
				finish, reads, first := make(chan struct{}), make(chan struct{}), true
				slow := client{httptest.NewRecorder(), func(p []byte) (int, error) { <-reads; return len(p), nil }}
				h := func(w http.ResponseWriter, r *http.Request) {
					mine := first
					first = false
					chunks(w, r)
					if mine {
						<-finish
						end(w, r)
					}
				}
				go func() {
					defer func() { _ = recover() }()
					serve(rt, slow, httptest.NewRequest("GET", "/", nil), h)
				}()
				synctest.Wait()
				answered := make(chan int, 1)
				go func() {
					w := httptest.NewRecorder()
					serve(rt, w, httptest.NewRequest("GET", "/", nil), h)
					answered <- w.Body.Len()
				}()
				synctest.Wait()
				close(finish)
				synctest.Wait()
				select {
				case n := <-answered:
					if n != len(long) {
						t.Errorf("who waited has %d bytes; want %d", n, len(long))
					}
				default:
					t.Error("who waits waits for the slow client")
				}
				close(reads)
			})
		})
	}
}

package middleware_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

type flushes struct{ flushed *int }

func (f flushes) Flush() { *f.flushed++ }

type hijacks struct{}

var errHijacked = errors.New("hijacked")

func (hijacks) Hijack() (net.Conn, *bufio.ReadWriter, error) { return nil, nil, errHijacked }

type pushes struct{}

var errPushed = errors.New("pushed")

func (pushes) Push(string, *http.PushOptions) error { return errPushed }

// bare are writers with every set of optional interfaces.
func bare() (writers []http.ResponseWriter, flushed *int) {
	type plain struct{ http.ResponseWriter } // hides what a recorder can
	w := plain{httptest.NewRecorder()}
	f, h, p := flushes{new(int)}, hijacks{}, pushes{}
	return []http.ResponseWriter{
		w,
		struct {
			plain
			flushes
		}{w, f},
		struct {
			plain
			hijacks
		}{w, h},
		struct {
			plain
			pushes
		}{w, p},
		struct {
			plain
			flushes
			hijacks
		}{w, f, h},
		struct {
			plain
			flushes
			pushes
		}{w, f, p},
		struct {
			plain
			hijacks
			pushes
		}{w, h, p},
		struct {
			plain
			flushes
			hijacks
			pushes
		}{w, f, h, p},
	}, f.flushed
}

// abilities lists the optional interfaces that a handler finds, and what their methods return.
func abilities(w http.ResponseWriter) string {
	_, f := w.(http.Flusher)
	hj, h := w.(http.Hijacker)
	ps, p := w.(http.Pusher)
	text := fmt.Sprintf("Flusher %v, Hijacker %v, Pusher %v", f, h, p)
	if p {
		text += fmt.Sprint(", Push: ", ps.Push("/x", nil))
	}
	if h {
		_, _, err := hj.Hijack()
		text += fmt.Sprint(", Hijack: ", err)
	}
	rc := http.NewResponseController(w)
	_, _, err := rc.Hijack()
	return text + fmt.Sprint("; controller: ", err, ", ", rc.Flush(), ", ", rc.EnableFullDuplex())
}

// TestAHandlerFindsTheInterfacesOfTheBareWriter, and gets the same results from http.ResponseController, in all combinations.
func TestAHandlerFindsTheInterfacesOfTheBareWriter(t *testing.T) {
	rt := newRoute(t, nil)
	writers, _ := bare()
	others, _ := bare()
	for i, w := range writers {
		if got, want := abilities(rt.Writer(w)), abilities(others[i]); got != want {
			t.Errorf("with the cache:    %s\nwithout the cache: %s", got, want)
		}
	}
}

// TestFlushReachesTheClient through the interface and the controller.
func TestFlushReachesTheClient(t *testing.T) {
	rt := newRoute(t, nil)
	writers, flushed := bare()
	for _, w := range writers {
		f, ok := rt.Writer(w).(http.Flusher)
		if !ok {
			continue
		}
		*flushed = 0
		f.Flush()
		_ = http.NewResponseController(rt.Writer(w)).Flush()
		if *flushed != 2 {
			t.Errorf("%T: flushed %d times, want 2", w, *flushed)
		}
	}
}

// TestEveryWayToWriteIsRecorded, whichever method the handler writes with.
func TestEveryWayToWriteIsRecorded(t *testing.T) {
	for name, write := range map[string]func(w http.ResponseWriter){
		"Write":       func(w http.ResponseWriter) { _, _ = w.Write([]byte("hello")) },
		"WriteString": func(w http.ResponseWriter) { _, _ = io.WriteString(w, "hello") },
		"ReadFrom":    func(w http.ResponseWriter) { _, _ = w.(io.ReaderFrom).ReadFrom(&io.LimitedReader{R: hellos{}, N: 5}) },
		"in pieces":   func(w http.ResponseWriter) { _, _ = w.Write([]byte("hel")); _, _ = io.WriteString(w, "lo") },
		"reused":      func(w http.ResponseWriter) { b := []byte("hello"); _, _ = w.Write(b); clear(b) },
	} {
		rt := newRoute(t, nil)
		for range 2 {
			w := httptest.NewRecorder()
			serve(rt, w, httptest.NewRequest("GET", "/", nil), func(w http.ResponseWriter, _ *http.Request) { write(w) })
			write = func(http.ResponseWriter) { t.Errorf("%s: not kept", name) }
			if w.Body.String() != "hello" {
				t.Errorf("%s: %q", name, w.Body)
			}
		}
	}
}

type hellos struct{}

func (hellos) Read(p []byte) (int, error) { return copy(p, "hello"), nil }

// TestAWriterThatWasKeptDisturbsNobody: a handler that uses its writer later affects only its own response, which is over, although
// the cache reuses memory for the next one.
func TestAWriterThatWasKeptDisturbsNobody(t *testing.T) {
	late := map[string]func(http.ResponseWriter){
		"Write":       func(w http.ResponseWriter) { _, _ = w.Write(make([]byte, 2<<20)) },
		"WriteHeader": func(w http.ResponseWriter) { w.WriteHeader(http.StatusTeapot) },
		"Header":      func(w http.ResponseWriter) { w.Header().Set("Set-Cookie", "a=b") },
		"Flush":       func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() },
		"Hijack":      func(w http.ResponseWriter) { _, _, _ = http.NewResponseController(w).Hijack() },
		"Unwrap":      func(w http.ResponseWriter) { w.(interface{ Unwrap() http.ResponseWriter }).Unwrap() },
		"ReadFrom":    func(w http.ResponseWriter) { _, _ = io.Copy(w, strings.NewReader("late")) },
	}
	for name, use := range late {
		for answer, write := range map[string]func(http.ResponseWriter){
			"an answer": func(w http.ResponseWriter) { _, _ = w.Write([]byte("one")) },
			"nothing":   func(http.ResponseWriter) {},
		} {
			t.Run(name+" after "+answer, func(t *testing.T) {
				rt, runs := newRoute(t, nil), 0
				var kept http.ResponseWriter
				serve(rt, httptest.NewRecorder(), httptest.NewRequest("GET", "/one", nil), func(w http.ResponseWriter, _ *http.Request) {
					kept = w
					write(w)
				})
				for range 2 {
					w := httptest.NewRecorder()
					serve(rt, w, httptest.NewRequest("GET", "/two", nil), func(w http.ResponseWriter, _ *http.Request) {
						runs++
						use(kept)
						_, _ = w.Write([]byte("two"))
						use(kept)
					})
					if w.Code != http.StatusOK || w.Body.String() != "two" || w.Header()["Set-Cookie"] != nil {
						t.Errorf("the next answer is %d %q %v", w.Code, w.Body, w.Header())
					}
				}
				if runs != 1 {
					t.Errorf("the next answer was not kept: its handler ran %d times", runs)
				}
			})
		}
	}
}

package middleware_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
)

// keeping is a store that does something else while an answer is kept.
type keeping struct {
	*memstore.Store
	meanwhile func()
}

func (k keeping) Set(ctx context.Context, key keying.Key, e *store.Entry, keep time.Duration) error {
	err := k.Store.Set(ctx, key, e, keep)
	k.meanwhile()
	return err
}

// TestWhatAHandlerDoesTooLateHarmsNoAnswer: a handler uses its writer after it has returned, while its response is being stored.
func TestWhatAHandlerDoesTooLateHarmsNoAnswer(t *testing.T) {
	for name, late := range map[string]func(w http.ResponseWriter){
		"flush":  func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
		"unwrap": func(w http.ResponseWriter) { w.(interface{ Unwrap() http.ResponseWriter }).Unwrap() },
		"write":  func(w http.ResponseWriter) { _, _ = w.Write(bytes.Repeat([]byte("x"), 2<<20)) },
		"little": func(w http.ResponseWriter) { _, _ = w.Write(bytes.Repeat([]byte("x"), 5000)) },
	} {
		for _, size := range []int{4 << 10, 64 << 10, 128 << 10} {
			t.Run(fmt.Sprint(name, " after ", size), func(t *testing.T) {
				memory, kept := memstore.New(memstore.Options{}), http.ResponseWriter(nil)
				t.Cleanup(func() { _ = memory.Close() })
				rt := newRoute(t, func(c *middleware.Config) {
					c.Cache = readthrough.New(readthrough.Resolve(keeping{memory, func() {
						if w := kept; w != nil {
							kept = nil
							late(w)
						}
					}}, nil), readthrough.Options{})
				})
				write := func(fill byte) http.HandlerFunc {
					return func(w http.ResponseWriter, r *http.Request) {
						if fill == 'a' {
							kept = w
						}
						for n := 0; n < size; n += 1 << 10 {
							_, _ = w.Write(bytes.Repeat([]byte{fill}, 1<<10))
						}
					}
				}
				serve(rt, httptest.NewRecorder(), httptest.NewRequest("GET", "/a", nil), write('a'))
				for i := range 10 {
					serve(rt, httptest.NewRecorder(), httptest.NewRequest("GET", fmt.Sprint("/b/", i), nil), write('b'))
				}
				w := httptest.NewRecorder()
				serve(rt, w, httptest.NewRequest("GET", "/a", nil), write('a'))
				if n := bytes.Count(w.Body.Bytes(), []byte("a")); n != size || w.Body.Len() != size {
					t.Errorf("the next client has %d bytes, of which %d are the handler's", w.Body.Len(), n)
				}
			})
		}
	}
}

// TestAnAnswerInPlaceOfNoneIsPassedOnAndNotKept: a framework writes its error page through the handler's writer, after the
// handler has returned and written nothing.
func TestAnAnswerInPlaceOfNoneIsPassedOnAndNotKept(t *testing.T) {
	for name, page := range map[string]func(w http.ResponseWriter){
		"a page": func(w http.ResponseWriter) { http.Error(w, "no", http.StatusNotFound) },
		"a copy": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.Copy(w, struct{ io.Reader }{strings.NewReader("no\n")})
		},
		"a flush": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusNotFound)
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, "no\n")
		},
		"unwrapped": func(w http.ResponseWriter) {
			http.Error(w.(interface{ Unwrap() http.ResponseWriter }).Unwrap(), "no", http.StatusNotFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			rt, runs := newRoute(t, func(c *middleware.Config) { c.StatusTTL = map[int]time.Duration{404: time.Minute} }), 0
			for range 3 {
				var kept http.ResponseWriter
				w := httptest.NewRecorder()
				serve(rt, w, httptest.NewRequest("GET", "/a", nil), func(w http.ResponseWriter, _ *http.Request) {
					runs++
					kept = w
					w.Header().Set("X-Handler", "yes")
				})
				page(kept)
				if w.Code != 404 || w.Body.String() != "no\n" || w.Header().Get("X-Handler") != "yes" {
					t.Errorf("the client has %d %q %v", w.Code, w.Body, w.Header())
				}
			}
			if runs != 3 {
				t.Errorf("the handler ran %d times; want 3", runs)
			}
		})
	}
}

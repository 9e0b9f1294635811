package middleware_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

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

// TestWhatAHandlerDoesTooLateHarmsNoAnswer: one that goes on with its writer after it has returned, while what it wrote
// is kept.
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
				rt := newRoute(t, func(rt *middleware.Route) {
					rt.Through = store.NewThrough(keeping{memory, func() {
						if w := kept; w != nil {
							kept = nil
							late(w)
						}
					}}, store.NewLog(), 0, nil)
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

package middleware_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/storetest"
)

// planted are entries that nobody here could have kept, each a change of one that somebody could.
var planted = map[string]func(*store.Entry){
	"no status":        func(e *store.Entry) { e.Status = 0 },
	"not modified":     func(e *store.Entry) { e.Status = http.StatusNotModified },
	"early hints":      func(e *store.Entry) { e.Status = http.StatusEarlyHints },
	"no HTTP":          func(e *store.Entry) { e.Status = 1000 },
	"a part":           func(e *store.Entry) { e.Status = http.StatusPartialContent },
	"an error":         func(e *store.Entry) { e.Status = http.StatusInternalServerError },
	"no content":       func(e *store.Entry) { e.Status = http.StatusNoContent },
	"shorter":          setField("Content-Length", "3"),
	"longer":           setField("Content-Length", "4000"),
	"no length":        setField("content-length", "x"),
	"two lengths":      setField("Content-Length", "7", "8"),
	"its own framing":  setField("Transfer-Encoding", "chunked"),
	"ends connections": setField("connection", "close"),
	"two lines":        setField("X-A", "a\r\nSet-Cookie: b"),
}

func setField(name string, lines ...string) func(*store.Entry) {
	return func(e *store.Entry) { e.Header = store.MakeHeader(store.Field{Name: name, Values: lines}) }
}

// What was planted and could not have been kept is a miss, on every class and router, for GET, HEAD and ranges: nothing
// panics and nothing of it is served.
func TestPlantedEntriesAreMisses(t *testing.T) {
	for name, change := range planted {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T, s *site) {
				s.handle("GET /x", cache.Policy{}, s.mirror)
				s.options.Debug = true
				key := keyOf(t, s.get("/x").header.Get("Cache-Status"))
				s.far.Plant(t, key, change)
				time.Sleep(6 * time.Second) // the near copy has ended
				for _, method := range []option{func(*http.Request) {}, func(r *http.Request) { r.Method = "HEAD" }, header("Range", "bytes=0-2")} {
					got := s.get("/x", method)
					if got.status >= 300 || strings.Contains(got.body, "pla") {
						t.Errorf("%d %q; want the handler's answer", got.status, got.body)
					}
				}
			}, inRedis...)
		})
	}
}

// What comes from Redis is never served where nothing but memory keeps answers, though its key is that of such a route: a
// ranking that somebody has written there cannot bring it in.
func TestPlantedEntriesDoNotReachMemoryOnlyRoutes(t *testing.T) {
	far := newRanked(t)
	c := newCache(t, cache.Options{Far: far, Debug: true})
	serve := func(class cache.Class, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		c.Middleware(cache.Policy{Class: class, TTL: time.Minute})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "own") })).
			ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		return w
	}
	serve(cache.HotShared, "/hot")
	key := keyOf(t, serve(cache.SharedGlobal, "/x").Header().Get("Cache-Status"))
	if err := c.Purge(t.Context(), cache.Everything()); err != nil {
		t.Fatal(err)
	}
	e := storetest.Entry(key, "planted")
	e.Stored, e.Fresh, e.Status = time.Now(), time.Hour, http.StatusOK
	e.At = far.Ledger().Head()
	if err := far.Set(t.Context(), key, e, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := far.Rank(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Preload(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if got := serve(cache.SharedGlobal, "/x").Body.String(); got != "own" {
		t.Errorf("the answer is %q", got)
	}
}

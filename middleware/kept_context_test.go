package middleware_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/internal/fartest"
)

// A store may know of an operation's context after the operation: it goes on being that request's.
func TestAContextThatAStoreHasKeptIsItsRequestsOwn(t *testing.T) {
	type number struct{}
	kept := map[int][]context.Context{}
	far := fartest.New()
	at := 0
	far.Before = func(_ string, ctx context.Context) { kept[at] = append(kept[at], ctx) }
	c, err := cache.New(cache.Options{Far: far})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	h := c.Middleware(cache.Policy{Class: cache.FleetShared})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("body"))
	}))
	for at = range 50 {
		r := newRequest("GET", fmt.Sprint("/", at/2)) // a miss and a hit of each
		h.ServeHTTP(&reused{header: http.Header{}}, r.WithContext(context.WithValue(r.Context(), number{}, at)))
	}
	for i, all := range kept {
		for _, ctx := range all {
			if got := ctx.Value(number{}); got != i {
				t.Errorf("a context of request %d is that of %v by now", i, got)
			}
		}
	}
	if len(kept) != 50 {
		t.Errorf("the store was asked for %d requests; want 50", len(kept))
	}
}

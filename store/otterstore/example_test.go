package otterstore_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/store/otterstore"
)

// The memory of a cache, in place of the default.
func ExampleNew() {
	near := otterstore.New(otterstore.Options{MaxBytes: 256 << 20, MaxEntries: 100_000})
	defer near.Close()
	c, err := cache.New(cache.Options{Near: near})
	if err != nil {
		panic(err)
	}
	defer c.Close(context.Background())

	runs := 0
	h := c.Middleware(cache.Policy{Class: cache.SharedGlobal})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		runs++
		fmt.Fprintf(w, "run %d", runs)
	}))
	for range 2 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/countries", nil))
		fmt.Println(w.Body)
	}
	fmt.Println("entries:", near.Len())
	// Output:
	// run 1
	// run 1
	// entries: 1
}

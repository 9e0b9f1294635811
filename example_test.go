package cache_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store/redisstore"
)

func ExampleCache_Middleware() {
	c, err := cache.New(cache.Options{})
	if err != nil {
		panic(err)
	}
	defer c.Close(context.Background())

	runs := 0
	countries := func(w http.ResponseWriter, r *http.Request) {
		runs++
		fmt.Fprintf(w, "run %d", runs)
	}
	cached := c.Middleware(cache.Policy{Class: cache.SharedGlobal, TTL: 10 * time.Minute})

	mux := http.NewServeMux()
	mux.Handle("GET /countries", cached(http.HandlerFunc(countries)))

	for range 2 {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", "/countries", nil))
		how, _, _ := strings.Cut(w.Header().Get("Cache-Status"), "; ttl")
		fmt.Println(w.Body, "-", how)
	}
	// Output:
	// run 1 - larder; fwd=miss; stored; detail=cold
	// run 1 - larder; hit
}

func ExampleClassify() {
	fmt.Println(cache.Classify(false, false)) // every process may have its own
	fmt.Println(cache.Classify(true, false))  // all must agree
	fmt.Println(cache.Classify(true, true))   // all must agree, and it is read all the time
	// Output:
	// shared-global
	// fleet-shared
	// hot-shared
}

func ExampleParsePolicy() {
	p, err := cache.ParsePolicy("shared-global ttl=10m vary=Accept-Language")
	fmt.Println(p.Class, p.TTL, p.Vary, err)

	_, err = cache.ParsePolicy("shared-global ttl=10")
	fmt.Println(err)
	// Output:
	// shared-global 10m0s [Accept-Language] <nil>
	// cache: policy "shared-global ttl=10": column 15: ttl="10" is not a duration above zero; write for example ttl=60s, or leave it out
}

// A function can select a response by what no request header says.
func ExamplePolicy_varyByName() {
	c, err := cache.New(cache.Options{
		By: map[string]func(*http.Request) string{
			"host": func(r *http.Request) string { return strings.ToLower(r.Host) },
		},
		Skips: map[string]func(*http.Request) bool{
			"preview": func(r *http.Request) bool { return r.URL.Query().Has("preview") },
		},
	})
	if err != nil {
		panic(err)
	}
	defer c.Close(context.Background())

	p, err := cache.ParsePolicy("shared-global ttl=10m by=host skip=preview")
	if err != nil {
		panic(err)
	}
	h := c.Middleware(p)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("the page is made")
		fmt.Fprint(w, "hello")
	}))
	for _, target := range []string{"/", "/", "/?preview"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", target, nil))
	}
	// Output:
	// the page is made
	// the page is made
}

func ExampleParseRoutes() {
	routes, err := cache.ParseRoutes(strings.NewReader(`
		GET /countries       shared-global ttl=10m vary=Accept-Language
		GET /products/{id}   hot-shared ttl=60s swr=30s tags=product:{id}
		GET /cart            per-user ttl=30s   # read by one user alone
	`))
	if err != nil {
		panic(err)
	}
	fmt.Println(routes["GET /products/{id}"])
	// Output:
	// hot-shared ttl=1m0s swr=30s tags=product:{id}
}

func ExampleNewValues() {
	c, err := cache.New(cache.Options{})
	if err != nil {
		panic(err)
	}
	defer c.Close(context.Background())

	type Product struct{ Name string }
	products := cache.NewValues(c, "product", cache.Policy{Class: cache.SharedGlobal, TTL: time.Minute},
		func(ctx context.Context, id string) (Product, error) {
			fmt.Println("loading", id)
			return Product{Name: "Lamp"}, nil
		})

	ctx := context.Background()
	for range 2 {
		p, err := products.Get(ctx, "7")
		fmt.Println(p.Name, err)
	}
	// Output:
	// loading 7
	// Lamp <nil>
	// Lamp <nil>
}

func ExampleCache_Purge() {
	c, err := cache.New(cache.Options{})
	if err != nil {
		panic(err)
	}
	defer c.Close(context.Background())

	price := 5
	cached := c.Middleware(cache.Policy{Class: cache.SharedGlobal, Tags: []string{"product:{id}"}})
	mux := http.NewServeMux()
	mux.Handle("GET /products/{id}", cached(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "product %s costs %d", r.PathValue("id"), price)
	})))
	get := func() {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest("GET", "/products/7", nil))
		fmt.Println(w.Body)
	}

	get()
	price = 4
	get()
	if err := c.Purge(context.Background(), cache.Tag("product:7")); err != nil {
		panic(err)
	}
	get()
	// Output:
	// product 7 costs 5
	// product 7 costs 5
	// product 7 costs 4
}

var product, me http.HandlerFunc

func logIn(next http.Handler) http.Handler { return next }

// With Redis and users. It is compiled, not run: it would serve for ever.
func ExampleNew() {
	far, err := redisstore.Open("redis://127.0.0.1:6379", redisstore.Options{Prefix: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	c, err := cache.New(cache.Options{Far: far, User: keying.FromContext()})
	if err != nil {
		log.Fatal(err)
	}
	hot := c.Middleware(cache.Policy{Class: cache.HotShared, TTL: time.Minute, Tags: []string{"product:{id}"}})
	own := c.Middleware(cache.Policy{Class: cache.PerUser})

	mux := http.NewServeMux()
	mux.Handle("GET /products/{id}", hot(product))
	mux.Handle("GET /me", own(me))
	log.Fatal(http.ListenAndServe(":8080", logIn(mux))) // which calls cache.WithUser
}

func ExampleCache_Expire() {
	c, ctx := cache.Default(), context.Background()

	// First the change, then the purge.
	if err := c.Purge(ctx, cache.Tag("product:7"), cache.User("alice")); err != nil {
		log.Print(err) // other processes may not know of it
	}
	if err := c.Expire(ctx, cache.Route("GET /products/{id}")); err != nil {
		log.Print(err)
	}
}

// When a process starts. It is compiled, not run: there may be no Redis.
func ExampleCache_Preload() {
	c, ctx := cache.Default(), context.Background()

	// Once the routes are registered, last before readiness is reported. To fail is no reason not to serve.
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := c.Preload(ctx, 0); err != nil {
		log.Print(err)
	}
}

package cache_test

import (
	"context"
	"log"
	"net/http"
	"time"

	"github.com/larder-go/cache"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store/redisstore"
)

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
	err := c.Purge(ctx, cache.Tag("product:7"), cache.User("alice"))
	err = c.Expire(ctx, cache.Route("GET /products/{id}"))

	_ = err
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

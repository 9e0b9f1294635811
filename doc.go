// Package cache caches HTTP responses inside a web app. A route declares a [Class]: who may receive its responses, and whether
// processes must agree on them. The class decides where the responses are stored: in the process, in Redis, or in both. A route
// without a policy is never cached, and its headers are never changed. A fault of the cache never fails a request: the handler runs.
//
// One route, in memory:
//
//	c, err := cache.New(cache.Options{})
//	countries := c.Middleware(cache.Policy{Class: cache.SharedGlobal, TTL: 10 * time.Minute})
//	mux.Handle("GET /countries", countries(http.HandlerFunc(listCountries)))
//
// With Redis (package store/redisstore), for routes that several processes must agree on:
//
//	far, err := redisstore.Open("redis://127.0.0.1:6379", redisstore.Options{Prefix: "shop"})
//	c, err := cache.New(cache.Options{Far: far, User: keying.FromContext()})
//
// A table of all routes, applied by an adapter: nethttp.Annotate, echocache.Annotate (package echo), and those of the modules
// chi and echov5:
//
//	routes, err := cache.ParseRoutes(strings.NewReader(`
//		GET /countries      shared-global ttl=10m vary=Accept-Language
//		GET /products/{id}  hot-shared ttl=5m swr=30s tags=product:{id}
//		GET /me             per-user ttl=5m
//	`))
//	handler, err := nethttp.Annotate(c, mux, routes)
//
// A purge, which cannot lose a race. First change the data, then purge:
//
//	err = c.Purge(ctx, cache.Tag("product:7"), cache.User("alice"))
//
// Data other than HTTP responses, in the same tiers and with the same purges:
//
//	products := cache.NewValues(c, "product", policy, loadProduct)
//	product, err := products.Get(ctx, "7")
//
// [Options.Observe] gets one [Event] for each request, with a stable [Reason] code. Each response says in Cache-Status (RFC 9211)
// what the cache did.
package cache

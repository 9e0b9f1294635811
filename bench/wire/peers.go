package main

import (
	"errors"
	"maps"
	"net/http"

	echohttpcache "github.com/SporkHubr/echo-http-cache"
	"github.com/SporkHubr/echo-http-cache/adapter/memory"
	gincache "github.com/chenyahui/gin-cache"
	"github.com/chenyahui/gin-cache/persist"
	"github.com/gin-gonic/gin"
	rediscache "github.com/go-redis/cache/v9"
	redisv8 "github.com/go-redis/redis/v8"
	"github.com/gofiber/fiber/v3"
	fibercache "github.com/gofiber/fiber/v3/middleware/cache"
)

// Peers are set up as their own documentation does, with a lifetime that outlasts the run and a key of the whole URL.

func ginCache(a *app) (http.Handler, error) { return a.gin(persist.NewMemoryStore(lifetime)), nil }

func ginCacheRedis(a *app) (http.Handler, error) {
	o, err := redisv8.ParseURL(a.redis)
	if err != nil {
		return nil, err
	}
	o.PoolSize = poolSize
	return a.gin(persist.NewRedisStore(redisv8.NewClient(o))), nil
}

func (a *app) gin(s persist.CacheStore) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	g := gin.New()
	g.GET(path, gincache.CacheByRequestURI(s, lifetime), gin.WrapH(a))
	return g
}

// echoHTTPCache has an adapter for Redis, too, which does not compile with the msgpack that we need ourselves.
func echoHTTPCache(a *app) (http.Handler, error) {
	kept, err := memory.NewAdapter(memory.AdapterWithAlgorithm(memory.LRU), memory.AdapterWithCapacity(5000))
	if err != nil {
		return nil, err
	}
	c, err := echohttpcache.NewClient(echohttpcache.ClientWithAdapter(kept), echohttpcache.ClientWithTTL(lifetime))
	if err != nil {
		return nil, err
	}
	return a.echo(c.Middleware()), nil
}

// go-redis/cache is not for HTTP: the handler keeps head and body with it, as its users do.

// goRedisCacheGet reads, and where there is nothing makes and keeps.
func goRedisCacheGet(a *app) (http.Handler, error) {
	return a.goRedisCache(func(c *rediscache.Cache, i *rediscache.Item) error {
		err := c.Get(i.Ctx, i.Key, i.Value)
		if errors.Is(err, rediscache.ErrCacheMiss) {
			a.make(i.Value.(*kept))
			return c.Set(i)
		}
		return err
	})
}

// goRedisCacheOnce leaves that to Once, by which all who ask at the same time share one read.
func goRedisCacheOnce(a *app) (http.Handler, error) {
	return a.goRedisCache(func(c *rediscache.Cache, i *rediscache.Item) error {
		i.Do = func(*rediscache.Item) (any, error) {
			var k kept
			a.make(&k)
			return &k, nil
		}
		return c.Once(i)
	})
}

func (a *app) goRedisCache(get func(*rediscache.Cache, *rediscache.Item) error) (http.Handler, error) {
	client, err := a.client()
	if err != nil {
		return nil, err
	}
	c := rediscache.New(&rediscache.Options{Redis: client})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var got kept
		item := &rediscache.Item{Ctx: r.Context(), Key: r.URL.RequestURI(), Value: &got, TTL: lifetime}
		if err := get(c, item); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		maps.Copy(w.Header(), got.Header)
		_, _ = w.Write(got.Body)
	}), nil
}

type kept struct {
	Header http.Header
	Body   []byte
}

func (a *app) make(k *kept) {
	a.runs.Add(1)
	k.Header, k.Body = http.Header{}, body
	head(k.Header)
}

// fiberCache has a server of its own, fasthttp: it shows what net/http costs, too.
func fiberCache(a *app) (server, error) {
	f := fiber.New()
	f.Get(path, fibercache.New(fibercache.Config{
		Expiration: lifetime, StoreResponseHeaders: true,
		KeyGenerator: func(c fiber.Ctx) string { return string(c.Request().RequestURI()) },
	}), func(c fiber.Ctx) error {
		a.runs.Add(1)
		for _, s := range says {
			c.Set(s[0], s[1])
		}
		return c.Send(body)
	})
	return fasthttp{f}, nil
}

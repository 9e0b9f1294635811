package main

import (
	"context"
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
	"github.com/labstack/echo/v4"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echo"
	"github.com/larder-go/cache/store/redisstore"
)

// Larder is measured with its defaults, except that nothing expires during a run.

func larderMemory(a *app) (http.Handler, error) { return a.larder(cache.SharedGlobal, a) }

func larderFleet(a *app) (http.Handler, error) { return a.larder(cache.FleetShared, a) }

func larderHot(a *app) (http.Handler, error) { return a.larder(cache.HotShared, a) }

func larderStreamed(declared bool) func(*app) (http.Handler, error) {
	return func(a *app) (http.Handler, error) {
		h, err := streamed(declared)(a)
		if err != nil {
			return nil, err
		}
		return a.larder(cache.SharedGlobal, h)
	}
}

// larder wraps the handler with the cache.
func (a *app) larder(class cache.Class, next http.Handler) (http.Handler, error) {
	p := cache.Policy{Class: class, TTL: lifetime}
	if class == cache.HotShared {
		p.NearTTL = lifetime
	}
	var o cache.Options
	if a.redis != "" {
		far, err := redisstore.Open(a.redis, redisstore.Options{Prefix: "larder"})
		if err != nil {
			return nil, err
		}
		o.Far = far
	}
	c, err := cache.New(o)
	if err != nil {
		return nil, err
	}
	return c.Middleware(p)(next), nil
}

func larderEcho(a *app) (http.Handler, error) {
	c, err := cache.New(cache.Options{})
	if err != nil {
		return nil, err
	}
	return a.echo(echocache.Middleware(c, cache.Policy{Class: cache.SharedGlobal, TTL: lifetime})), nil
}

// echo returns an app with one route.
func (a *app) echo(m ...echo.MiddlewareFunc) *echo.Echo {
	e := echo.New()
	e.GET(path, func(ec echo.Context) error {
		a.ServeHTTP(ec.Response(), ec.Request())
		return nil
	}, m...)
	return e
}

// The limits do, without a cache, the best that a cache could do: write the response, or get its body from Redis and write it.

func bare(a *app) (http.Handler, error) { return a, nil }

func bareEcho(a *app) (http.Handler, error) { return a.echo(), nil }

// getter writes the response with a body that get reads from Redis. The key is the query.
func (a *app) getter(get func(context.Context, string) ([]byte, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.runs.Add(1)
		body, err := get(r.Context(), r.URL.RawQuery)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		write(w, body)
	})
}

// client is go-redis with its defaults, but more connections: with its default of ten per core, clients would wait for one
// another. It first writes every page, so that all reads find something.
func (a *app) client() (*redis.Client, error) {
	o, err := redis.ParseURL(a.redis)
	if err != nil {
		return nil, err
	}
	o.PoolSize = poolSize
	c := redis.NewClient(o)
	_, err = c.Pipelined(context.Background(), func(p redis.Pipeliner) error {
		for page := range mostPages {
			p.Set(context.Background(), query(page), body, 0)
		}
		return nil
	})
	return c, err
}

const poolSize = 128

func plainGet(a *app) (http.Handler, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	return a.getter(func(ctx context.Context, key string) ([]byte, error) { return c.Get(ctx, key).Bytes() }), nil
}

func autoPipeline(a *app) (http.Handler, error) { return a.pipelined(nil) }

// autoPipelineUnordered sends several batches at the same time, which go-redis does for callers that need no order.
func autoPipelineUnordered(a *app) (http.Handler, error) {
	o := redis.DefaultBlockingAutoPipelineOptions()
	o.Unordered, o.MaxConcurrentBatches = true, 4
	return a.pipelined(o)
}

// pipelined uses AutoPipeline; nil means go-redis' default options.
func (a *app) pipelined(o *redis.AutoPipelineOptions) (http.Handler, error) {
	c, err := a.client()
	if err != nil {
		return nil, err
	}
	p, err := c.AutoPipelineWithOptions(o)
	if err != nil {
		return nil, err
	}
	return a.getter(func(ctx context.Context, key string) ([]byte, error) { return p.Get(ctx, key).Bytes() }), nil
}

// rueidisGet uses rueidis without its client-side cache. Its Do pipelines concurrent commands.
func rueidisGet(a *app) (http.Handler, error) {
	if _, err := a.client(); err != nil {
		return nil, err
	}
	o, err := rueidis.ParseURL(a.redis)
	if err != nil {
		return nil, err
	}
	c, err := rueidis.NewClient(o)
	if err != nil {
		return nil, err
	}
	return a.getter(func(ctx context.Context, key string) ([]byte, error) {
		return c.Do(ctx, c.B().Get().Key(key).Build()).AsBytes()
	}), nil
}

// Other libraries are set up as their own documentation does, with a lifetime that outlasts the run and the whole URL as key.

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

// echoHTTPCache also has an adapter for Redis, but that does not compile with the version of msgpack that we need.
func echoHTTPCache(a *app) (http.Handler, error) {
	adapter, err := memory.NewAdapter(memory.AdapterWithAlgorithm(memory.LRU), memory.AdapterWithCapacity(5000))
	if err != nil {
		return nil, err
	}
	c, err := echohttpcache.NewClient(echohttpcache.ClientWithAdapter(adapter), echohttpcache.ClientWithTTL(lifetime))
	if err != nil {
		return nil, err
	}
	return a.echo(c.Middleware()), nil
}

// go-redis/cache is not made for HTTP. Here the handler stores response headers and body in it, as its users do.

// goRedisCacheGet reads the response; on a miss it makes and stores it.
func goRedisCacheGet(a *app) (http.Handler, error) {
	return a.goRedisCache(func(c *rediscache.Cache, i *rediscache.Item) error {
		err := c.Get(i.Ctx, i.Key, i.Value)
		if errors.Is(err, rediscache.ErrCacheMiss) {
			a.make(i.Value.(*stored))
			return c.Set(i)
		}
		return err
	})
}

// goRedisCacheOnce leaves that to Once, which shares one read among concurrent requests.
func goRedisCacheOnce(a *app) (http.Handler, error) {
	return a.goRedisCache(func(c *rediscache.Cache, i *rediscache.Item) error {
		i.Do = func(*rediscache.Item) (any, error) {
			var k stored
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
		var got stored
		item := &rediscache.Item{Ctx: r.Context(), Key: r.URL.RequestURI(), Value: &got, TTL: lifetime}
		if err := get(c, item); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		maps.Copy(w.Header(), got.Header)
		_, _ = w.Write(got.Body)
	}), nil
}

type stored struct {
	Header http.Header
	Body   []byte
}

func (a *app) make(k *stored) {
	a.runs.Add(1)
	k.Header, k.Body = http.Header{}, body
	head(k.Header)
}

// fiberCache runs on fasthttp, not on net/http: the difference shows what net/http costs.
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

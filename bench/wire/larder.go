package main

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echo"
	"github.com/larder-go/cache/store/redisstore"
)

// What is measured of this library has its defaults, except that nothing expires during a run.

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

// larder puts the cache in front of the handler.
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

// echo is an app of one route.
func (a *app) echo(m ...echo.MiddlewareFunc) *echo.Echo {
	e := echo.New()
	e.GET(path, func(ec echo.Context) error {
		a.ServeHTTP(ec.Response(), ec.Request())
		return nil
	}, m...)
	return e
}

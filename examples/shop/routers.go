package main

import (
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echo"
	"github.com/larder-go/cache/nethttp"
)

//go:embed routes.cache
var policies string

// router returns the framework's router with the shop's routes and their policies.
func (s *shop) router(framework string) (http.Handler, error) {
	policies, err := cache.ParseRoutes(strings.NewReader(policies))
	if err != nil {
		return nil, err
	}
	switch framework {
	case "nethttp":
		return s.mux(policies)
	case "echo":
		return s.echo(policies)
	}
	return nil, fmt.Errorf("unknown framework %q; use -framework nethttp or -framework echo", framework)
}

func (s *shop) mux(policies cache.Routes) (http.Handler, error) {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.Handle(r.pattern, r.action)
	}
	return nethttp.Annotate(s.cache, mux, policies)
}

func (s *shop) echo(policies cache.Routes) (http.Handler, error) {
	e := echo.New()
	e.HTTPErrorHandler = func(err error, c echo.Context) {
		if !c.Response().Committed {
			fail(c.Response(), asFault(err))
		}
	}
	for _, r := range s.routes() {
		method, path, _ := strings.Cut(r.pattern, " ")
		e.Add(method, echoPath(path), forEcho(r.action))
	}
	return e, echocache.Annotate(s.cache, e, policies)
}

// echoPath converts a net/http path to echo's syntax: "/products/{id}" to "/products/:id".
func echoPath(path string) string {
	return strings.NewReplacer("{$}", "", "{", ":", "}", "").Replace(path)
}

// forEcho makes the action a handler of echo. It passes path parameters in the way that actions read them.
func forEcho(a action) echo.HandlerFunc {
	return func(c echo.Context) error {
		for i, name := range c.ParamNames() {
			c.Request().SetPathValue(name, c.ParamValues()[i])
		}
		return a(c.Response(), c.Request())
	}
}

// asFault converts echo's own errors, such as 404, to faults.
func asFault(err error) error {
	if he, ok := errors.AsType[*echo.HTTPError](err); ok {
		return faultf(he.Code, "%v", he.Message)
	}
	return err
}

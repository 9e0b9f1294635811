package middleware_test

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"
	echo4 "github.com/labstack/echo/v4"
	"github.com/labstack/echo/v5"

	"github.com/larder-go/cache"
	chicache "github.com/larder-go/cache/chi"
	echocache "github.com/larder-go/cache/echov5"
)

// The edges in modules of their own, on which this module must not depend, in the place of its own ones.
func init() {
	routers = []router{
		{"echo", buildEcho5},
		{"echo-annotated", buildAnnotatedEcho5},
		{"chi-annotated", buildAnnotatedChi},
	}
}

// echo5 is the handler for echo, with path values where net/http's handlers look for them.
func (h handler) echo5(ec *echo.Context) error {
	r := ec.Request()
	for _, v := range ec.PathValues() {
		r.SetPathValue(v.Name, v.Value)
	}
	err := h(ec.Response(), r)
	var of4 *echo4.HTTPError
	if errors.As(err, &of4) {
		return echo.NewHTTPError(of4.Code, fmt.Sprint(of4.Message))
	}
	return err
}

func buildEcho5(c *cache.Cache, endpoints []endpoint) (http.Handler, error) {
	e := echo.New()
	for _, at := range endpoints {
		var m []echo.MiddlewareFunc
		if at.policy != nil {
			m = append(m, echocache.Middleware(c, *at.policy))
		}
		methods, path := at.place()
		e.Match(methods, echoPath(path), at.serve.echo5, m...)
	}
	return e, nil
}

func buildAnnotatedEcho5(c *cache.Cache, endpoints []endpoint) (http.Handler, error) {
	e := echo.New()
	for _, at := range endpoints {
		methods, path := at.place()
		e.Match(methods, echoPath(path), at.serve.echo5)
	}
	return e, echocache.Annotate(c, e, table(endpoints))
}

func buildAnnotatedChi(c *cache.Cache, endpoints []endpoint) (http.Handler, error) {
	r := chi.NewRouter()
	for _, e := range endpoints {
		methods, path := e.place()
		for _, method := range methods {
			r.Method(method, chiPath(path), e.serve.plain())
		}
	}
	return r, chicache.Annotate(c, r, table(endpoints))
}

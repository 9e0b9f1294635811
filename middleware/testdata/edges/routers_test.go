package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5/middleware"

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
		{"chi", buildChi},
		{"chi-inline", buildInlineChi},
		{"chi-annotated", buildAnnotatedChi},
	}
	for _, method := range rareMethods {
		chi.RegisterMethod(method)
	}
	withoutRouter = func(ctx context.Context) context.Context { return context.WithValue(ctx, chi.RouteCtxKey, nil) }
	broken["a panic that is recovered"] = failing{middleware.Recoverer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<html>")
		panic("broken")
	})).ServeHTTP, false}
	broken["behind a writer that drops late heads"] = failing{func(w http.ResponseWriter, r *http.Request) {
		w = middleware.NewWrapResponseWriter(w, 1)
		_, _ = io.WriteString(w, "<html>")
		http.Error(w, "broken", http.StatusInternalServerError)
	}, true}
	compressors["chi"] = middleware.Compress(5)
	byRouter["chi"] = func(c *cache.Cache, p cache.Policy) http.Handler {
		router := chi.NewRouter()
		router.Method("GET", "/x", byRoleOf(c.Middleware(p)))
		return router
	}
	twiceBehind["chi"] = func(mw func(http.Handler) http.Handler, h http.HandlerFunc) http.Handler {
		r := chi.NewRouter()
		r.With(mw, mw).Get("/x", h)
		return r
	}
	subrouters["chi Route"] = func(mw func(http.Handler) http.Handler, _ *cache.Cache, _ cache.Policy, h http.HandlerFunc) http.Handler {
		r := chi.NewRouter()
		r.Route("/v2", func(r chi.Router) {
			r.Use(mw)
			r.Get("/a/{id}", h)
			r.Get("/b", h)
		})
		return r
	}
	subrouters["chi Route, other middleware within"] = func(mw func(http.Handler) http.Handler, _ *cache.Cache, _ cache.Policy, h http.HandlerFunc) http.Handler {
		r := chi.NewRouter()
		r.Route("/v2", func(r chi.Router) {
			r.Use(mw, renewing)
			r.Get("/a/{id}", h)
			r.Get("/b", h)
		})
		return r
	}
	subrouters["chi Use at the top"] = func(mw func(http.Handler) http.Handler, _ *cache.Cache, _ cache.Policy, h http.HandlerFunc) http.Handler {
		r := chi.NewRouter()
		r.Use(mw, renewing)
		r.Get("/v2/a/{id}", h)
		r.Get("/v2/b", h)
		return r
	}
	subrouters["chi Mount in Mount"] = func(mw func(http.Handler) http.Handler, _ *cache.Cache, _ cache.Policy, h http.HandlerFunc) http.Handler {
		inner, middle, r := chi.NewRouter(), chi.NewRouter(), chi.NewRouter()
		inner.Get("/{id}", h)
		middle.Use(mw)
		middle.Mount("/a", inner)
		middle.Get("/b", h)
		r.Mount("/v2", middle)
		return r
	}
	subrouters["chi With"] = func(mw func(http.Handler) http.Handler, _ *cache.Cache, _ cache.Policy, h http.HandlerFunc) http.Handler {
		r := chi.NewRouter()
		r.Route("/v2", func(r chi.Router) {
			r.With(mw).Get("/a/{id}", h)
			r.With(renewing, mw).Get("/b", h)
		})
		return r
	}
	inner := innerRouters
	innerRouters = func() map[string]http.Handler {
		all := inner()
		router := chi.NewRouter()
		router.Get("/shops/{shop}/items/{id}", ok)
		sub := chi.NewRouter()
		sub.Route("/shops/{shop}", func(r chi.Router) { r.Get("/items/{id}", ok) })
		all["chi"], all["chi sub-router"] = router, sub
		return all
	}
	belowMounts = func(cached func(tags ...string) func(http.Handler) http.Handler, count http.HandlerFunc) (http.Handler, []mounted) {
		router := chi.NewRouter()
		router.Route("/chi/{id}", func(r chi.Router) {
			r.With(cached("id:{id}", "item:{item}")).Get("/{item}-{n:[0-9]+}.html", count)
			r.With(cached("rest:{*}")).Get("/rest/*", count)
		})
		router.Route("/used/{id}", func(r chi.Router) {
			r.Use(cached("used:{id}:{item}"))
			r.Get("/{item}", count)
		})
		router.Mount("/mounted/{id}", http.StripPrefix("/mounted", cached("mounted:{id}")(count)))
		return router, []mounted{
			{"/chi/1%40/a%40-7.html", "id:1@", "id:1%40"},
			{"/chi/1%40/a%2540-7.html", "item:a%40", "item:a@"},
			{"/chi/1%40/rest/a%2540/%2F", "rest:a%40//", "rest:a@//"},
			{"/used/1%40/%2540", "used:1@:%40", "used:1@:@"},
			{"/mounted/a%40/%2540", "mounted:a@", "mounted:a%40"},
		}
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

func buildChi(c *cache.Cache, endpoints []endpoint) (http.Handler, error) {
	r := chi.NewRouter()
	for _, e := range endpoints {
		methods, path := e.place()
		h := e.wrapped(c)
		for _, method := range methods {
			r.Method(method, chiPath(path), h)
		}
	}
	return r, nil
}

func buildInlineChi(c *cache.Cache, endpoints []endpoint) (http.Handler, error) {
	r := chi.NewRouter()
	for _, e := range endpoints {
		methods, path := e.place()
		inline := chi.Router(r)
		if e.policy != nil {
			inline = r.With(c.Middleware(*e.policy))
		}
		for _, method := range methods {
			inline.Method(method, chiPath(path), e.serve.plain())
		}
	}
	return r, nil
}

func chiPath(path string) string {
	if i := strings.Index(path, "{"); i >= 0 && strings.HasSuffix(path, "...}") {
		return path[:i] + "*"
	}
	return path
}

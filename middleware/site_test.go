package middleware_test

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echo"
	"github.com/larder-go/cache/nethttp"
)

// A router puts endpoints behind a cache in one of the ways that the library offers.
type router struct {
	name  string
	build func(c *cache.Cache, endpoints []endpoint) (http.Handler, error)
}

var routers = []router{
	{"servemux", buildMux},
	{"servemux-annotated", buildAnnotatedMux},
	{"echo", buildEcho},
	{"echo-annotated", buildAnnotatedEcho},
}

// plain is the handler for routers whose handlers return no error.
func (h handler) plain() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
}

// echo is the handler for echo, with path values where net/http's handlers look for them.
func (h handler) echo(ec echo.Context) error {
	r := ec.Request()
	for i, name := range ec.ParamNames() {
		r.SetPathValue(name, ec.ParamValues()[i])
	}
	return h(ec.Response(), r)
}

func (e endpoint) wrapped(c *cache.Cache) http.Handler {
	if e.policy == nil {
		return e.serve.plain()
	}
	return c.Middleware(*e.policy)(e.serve.plain())
}

func buildMux(c *cache.Cache, endpoints []endpoint) (http.Handler, error) {
	mux := http.NewServeMux()
	for _, e := range endpoints {
		mux.Handle(e.pattern, e.wrapped(c))
	}
	return mux, nil
}

func buildAnnotatedMux(c *cache.Cache, endpoints []endpoint) (http.Handler, error) {
	mux := http.NewServeMux()
	for _, e := range endpoints {
		mux.Handle(e.pattern, e.serve.plain())
	}
	return nethttp.Annotate(c, mux, table(endpoints))
}

func table(endpoints []endpoint) cache.Routes {
	routes := cache.Routes{}
	for _, e := range endpoints {
		if e.policy != nil {
			routes[e.pattern] = *e.policy
		}
	}
	return routes
}

// rareMethods are methods that routers do not know of themselves, or not all of them.
var rareMethods = []string{"QUERY", "PROPFIND", "REPORT", "SEARCH", "PRI", "PROPPATCH", "MKCOL", "LOCK", "MOVE", "LINK", "FROBNICATE"}

// place is the pattern's methods and path.
func (e endpoint) place() (methods []string, path string) {
	method, path, one := strings.Cut(e.pattern, " ")
	switch {
	case !one:
		return append([]string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}, rareMethods...), e.pattern
	case method == http.MethodGet:
		return []string{"GET", "HEAD"}, path
	}
	return []string{method}, path
}

// echoPath writes {id} as :id and {rest...} as *.
func echoPath(path string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if strings.HasSuffix(s, "...}") {
			segments[i] = "*"
		} else if name, ok := strings.CutPrefix(s, "{"); ok {
			segments[i] = ":" + strings.TrimSuffix(name, "}")
		}
	}
	return strings.Join(segments, "/")
}

func buildEcho(c *cache.Cache, endpoints []endpoint) (http.Handler, error) {
	e := echo.New()
	for _, at := range endpoints {
		var m []echo.MiddlewareFunc
		if at.policy != nil {
			m = append(m, echocache.Middleware(c, *at.policy))
		}
		methods, path := at.place()
		e.Match(methods, echoPath(path), at.serve.echo, m...)
	}
	return e, nil
}

func buildAnnotatedEcho(c *cache.Cache, endpoints []endpoint) (http.Handler, error) {
	e := echo.New()
	for _, at := range endpoints {
		methods, path := at.place()
		e.Match(methods, echoPath(path), at.serve.echo)
	}
	return e, echocache.Annotate(c, e, table(endpoints))
}

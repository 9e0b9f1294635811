package middleware_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/larder-go/cache"
	echocache "github.com/larder-go/cache/echo"
	"github.com/larder-go/cache/internal/fartest"
	"github.com/larder-go/cache/internal/user"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/nethttp"
	"github.com/larder-go/cache/store"
)

var (
	classes = []cache.Class{cache.SharedGlobal, cache.PerUser, cache.HotShared, cache.FleetShared}
	shared  = []cache.Class{cache.SharedGlobal, cache.HotShared, cache.FleetShared}
	inRedis = []cache.Class{cache.PerUser, cache.HotShared, cache.FleetShared}
	perUser = []cache.Class{cache.PerUser}
)

// run plays a property on every router and for every class, or for those named, in a bubble of fake time.
func run(t *testing.T, f func(t *testing.T, s *site), only ...cache.Class) {
	t.Helper()
	each(t, func(t *testing.T, rt router, class cache.Class) {
		synctest.Test(t, func(t *testing.T) { f(t, newSite(t, rt, class)) })
	}, only...)
}

// runLive plays a property in real time, for what only a real connection shows. The store gets a second, because a busy machine
// may pause for longer than the default of 50 ms.
func runLive(t *testing.T, f func(t *testing.T, s *site), only ...cache.Class) {
	t.Helper()
	each(t, func(t *testing.T, rt router, class cache.Class) {
		s := newSite(t, rt, class)
		s.options.FarBudget = time.Second
		f(t, s)
	}, only...)
}

func each(t *testing.T, f func(t *testing.T, rt router, class cache.Class), only ...cache.Class) {
	t.Helper()
	if len(only) == 0 {
		only = classes
	}
	for _, rt := range routers {
		for _, class := range only {
			t.Run(rt.name+"/"+class.String(), func(t *testing.T) { f(t, rt, class) })
		}
	}
}

// handler is a form of handlers that works with every router.
type handler func(w http.ResponseWriter, r *http.Request) error

// public makes a handler's responses public. Otherwise standard routes of shared classes would not store them, because the tests'
// requests have cookies.
func public(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("Cache-Control", "public")
		return h(w, r)
	}
}

// endpoint is a route of a site. Its pattern is net/http's; one without a method serves all methods.
type endpoint struct {
	pattern string
	policy  *cache.Policy // nil: not cached
	serve   handler
}

// A site is an app with a cache, on one of the routers and for one of the classes. Routes are added with handle before
// the first request. The cookie "who" names the user of a request: alice, unless an option says otherwise.
type site struct {
	t       *testing.T
	router  router
	class   cache.Class
	far     *fartest.Store
	options cache.Options
	outer   []func(http.Handler) http.Handler // around the router, the outermost last

	endpoints []endpoint
	runs      atomic.Int64 // of all handlers
	once      sync.Once
	cache     *cache.Cache
	served    http.Handler

	mu     sync.Mutex
	events []cache.Event
}

func newSite(t *testing.T, rt router, class cache.Class) *site {
	s := &site{t: t, router: rt, class: class, far: fartest.New()}
	s.options = cache.Options{Far: s.far, User: keying.FromContext(), Observe: s.observe}
	return s
}

func (s *site) observe(ev cache.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, ev)
}

// count returns how many events had the outcome and the reason.
func (s *site) count(outcome cache.Outcome, reason cache.Reason) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ev := range s.events {
		if ev.Outcome == outcome && ev.Reason == reason {
			n++
		}
	}
	return n
}

// sum returns the total Count of the events with the outcome and the reason.
func (s *site) sum(outcome cache.Outcome, reason cache.Reason) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ev := range s.events {
		if ev.Outcome == outcome && ev.Reason == reason {
			n += max(1, ev.Count)
		}
	}
	return n
}

// handle adds a route with the policy, whose class becomes the site's. The handler's runs are counted.
func (s *site) handle(pattern string, p cache.Policy, h handler) {
	p.Class = cmp.Or(p.Class, s.class)
	s.endpoints = append(s.endpoints, endpoint{pattern, &p, s.counted(h)})
}

// handlePlain adds a route without a policy.
func (s *site) handlePlain(pattern string, h handler) {
	s.endpoints = append(s.endpoints, endpoint{pattern, nil, s.counted(h)})
}

func (s *site) counted(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		s.runs.Add(1)
		return h(w, r)
	}
}

func (s *site) start() {
	s.once.Do(func() {
		c, err := cache.New(s.options)
		if err != nil {
			s.t.Fatalf("New: %v", err)
		}
		s.t.Cleanup(func() { _ = c.Close(context.Background()) })
		s.cache = c
		if s.served, err = s.router.build(c, s.endpoints); err != nil {
			s.t.Fatalf("the %s router: %v", s.router.name, err)
		}
		s.served = authenticated(s.served)
		for _, outer := range s.outer {
			s.served = outer(s.served)
		}
	})
}

// restart makes a new process of the app: a new cache and router, on the same Redis.
func (s *site) restart() {
	s.once = sync.Once{}
	s.start()
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.start()
	s.served.ServeHTTP(w, r)
}

// authenticated is the site's authentication.
func authenticated(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("who"); err == nil {
			name, _, _ := strings.Cut(c.Value, "/")
			r = r.WithContext(context.WithValue(cache.WithUser(r.Context(), c.Value), tenantKey{}, name))
		}
		next.ServeHTTP(w, r)
	})
}

// reply is a response as the client receives it.
type reply struct {
	status int
	header http.Header
	body   string
}

// option changes a request.
type option func(*http.Request)

func header(name, value string) option {
	return func(r *http.Request) { r.Header.Add(name, value) }
}

// as sets the user; "" is none.
func as(user string) option {
	return func(r *http.Request) {
		r.Header.Del("Cookie")
		if user != "" {
			r.Header.Set("Cookie", "who="+user)
		}
	}
}

func cookie(text string) option {
	return func(r *http.Request) { r.Header.Set("Cookie", r.Header.Get("Cookie")+"; "+text) }
}

func within(ctx context.Context) option {
	return func(r *http.Request) { *r = *r.WithContext(ctx) }
}

// behindServer makes the request look as if a server with the site as its handler had received it.
func behindServer(s *site) option {
	server := &http.Server{Handler: s}
	return func(r *http.Request) {
		*r = *r.WithContext(context.WithValue(r.Context(), http.ServerContextKey, server))
	}
}

func newRequest(method, target string, options ...option) *http.Request {
	r := httptest.NewRequest(method, target, nil)
	r.Header.Set("Cookie", "who=alice")
	for _, o := range options {
		o(r)
	}
	return r
}

func (s *site) send(r *http.Request) reply {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	result := w.Result()
	body, _ := io.ReadAll(result.Body)
	return reply{result.StatusCode, result.Header, string(body)}
}

func (s *site) do(method, target string, options ...option) reply {
	return s.send(newRequest(method, target, options...))
}

func (s *site) get(target string, options ...option) reply {
	return s.do(http.MethodGet, target, options...)
}

// hit gets the target and wants no run of the handler.
func (s *site) hit(target string, options ...option) reply {
	s.t.Helper()
	return s.wantRuns(0, target, options...)
}

// miss gets the target and wants one run of the handler.
func (s *site) miss(target string, options ...option) reply {
	s.t.Helper()
	return s.wantRuns(1, target, options...)
}

// missHit gets the target twice, and wants a miss and then a hit with the same response.
func (s *site) missHit(target string, options ...option) reply {
	s.t.Helper()
	first := s.miss(target, options...)
	again := s.hit(target, options...)
	if again.status != first.status || again.body != first.body {
		s.t.Errorf("GET %s: the kept answer is %d %q; want %d %q", clip(target), again.status, clip(again.body), first.status, clip(first.body))
	}
	return again
}

// neverKept wants every request for the target to run the handler.
func (s *site) neverKept(target string, options ...option) reply {
	s.t.Helper()
	s.miss(target, options...)
	s.miss(target, options...)
	return s.miss(target, options...)
}

func (s *site) wantRuns(want int64, target string, options ...option) reply {
	s.t.Helper()
	before := s.runs.Load()
	got := s.get(target, options...)
	if n := s.runs.Load() - before; n != want {
		s.t.Errorf("GET %s: the handler ran %d times; want %d", clip(target), n, want)
	}
	return got
}

func (s *site) purge(labels ...cache.Label) {
	s.t.Helper()
	s.start()
	if err := s.cache.Purge(s.t.Context(), labels...); err != nil {
		s.t.Errorf("Purge: %v", err)
	}
}

func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

func wantBody(t *testing.T, got reply, want string) {
	t.Helper()
	if got.body != want {
		t.Errorf("the body is %q; want %q", clip(got.body), clip(want))
	}
}

func wantStatus(t *testing.T, got reply, want int) {
	t.Helper()
	if got.status != want {
		t.Errorf("the status is %d; want %d", got.status, want)
	}
}

func wantHeader(t *testing.T, got reply, name string, want ...string) {
	t.Helper()
	if values := got.header.Values(name); !slices.Equal(values, want) {
		t.Errorf("%s is %q; want %q", name, values, want)
	}
}

// mirror is a handler whose response has every input that it can see, on per-user routes also the user, and a unique number.
func (s *site) mirror(w http.ResponseWriter, r *http.Request) error {
	var b strings.Builder
	fmt.Fprintf(&b, "answer %d\n%s %s %s %s\n", nonce.Add(1), r.Method, r.Host, r.URL.EscapedPath(), r.URL.RawQuery)
	fmt.Fprintf(&b, "uri %s url %s remote %s proto %s tls %t\n", r.RequestURI, r.URL, r.RemoteAddr, r.Proto, r.TLS != nil)
	if s.class == cache.PerUser {
		user, _ := user.Of(r.Context())
		fmt.Fprintf(&b, "user %s\n", user)
	}
	_ = r.ParseForm()
	fmt.Fprintf(&b, "form %s id %s\n", r.Form.Encode(), r.PathValue("id"))
	names := make([]string, 0, len(r.Header))
	for name := range r.Header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(&b, "%s: %q\n", name, r.Header[name])
	}
	if body, err := io.ReadAll(r.Body); err == nil {
		fmt.Fprintf(&b, "body %s\n", body)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

var nonce atomic.Int64

// text responds with a fixed body.
func text(body string) handler {
	return func(w http.ResponseWriter, _ *http.Request) error {
		_, err := io.WriteString(w, body)
		return err
	}
}

// setting sets header fields, "Name: value", before it responds.
func setting(fields ...string) handler {
	return func(w http.ResponseWriter, _ *http.Request) error {
		for _, field := range fields {
			name, value, _ := strings.Cut(field, ": ")
			w.Header()[name] = append(w.Header()[name], value)
		}
		_, err := fmt.Fprintf(w, "answer %d", nonce.Add(1))
		return err
	}
}

var _ store.Log = (*fartest.Store)(nil)

// newCache returns a cache that is closed when the test ends.
func newCache(t testing.TB, o cache.Options) *cache.Cache {
	t.Helper()
	c, err := cache.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	return c
}

func alice(t *testing.T) context.Context { return cache.WithUser(t.Context(), "alice") }

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

// plain converts the handler for routers whose handlers return no error.
func (h handler) plain() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
}

// echo converts the handler for echo. It sets path values where net/http's handlers look for them.
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

// rareMethods are methods that not all routers know by themselves.
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

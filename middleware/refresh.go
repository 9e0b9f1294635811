package middleware

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// refresh runs the handler for the cache alone, and tells of it when the answer is kept.
func (rt *Route) refresh(l *leading) {
	l.refresh = true
	fate := l.call.Refresh(l.p.key, l)
	if l.rec != nil {
		l.rec.became(fate)
		l.rec.finish()
		ev := Event{Route: l.p.pattern, Outcome: Refresh, Reason: l.rec.reason, Status: l.rec.status, Err: l.err}
		if l.err != nil { // nobody else will hear of it
			rt.tell(ev)
		} else {
			rt.observe(ev)
		}
	}
	l.end()
}

// refreshFor bounds a refresh in the background.
const refreshFor = 30 * time.Second

// mark says of a request that it is a refresh, and of which key.
type mark struct {
	key     keying.Key
	reached atomic.Bool
}

type markContext struct{}

// markOf returns the request's mark, if it has one that has not reached its route yet: what a refresh's handler asks for has
// the same context.
func markOf(ctx context.Context) *mark {
	if m, ok := ctx.Value(markContext{}).(*mark); ok && !m.reached.Load() {
		return m
	}
	return nil
}

// refreshLater refreshes the passage's key in the background, unless that is under way. Where nothing lets the refresh in it
// returns false: the passage is then to be refreshed inline, by Finish, which begins it itself: until then nothing is held.
// A HEAD is not: its handler may be another than GET's, which alone makes what is kept.
func (rt *Route) refreshLater(p *Passage, r *http.Request) (done bool) {
	if server := rt.entrance(r); server != nil {
		rt.refreshThrough(server, p, r)
		return true
	}
	if r.Method != http.MethodHead && rt.Common.mayRefresh(&rt.share, p.key) {
		p.way = refresh
	}
	return p.way != refresh
}

// entrance is the server that a refresh in the background enters through, or nil. A router's context is pooled and must not
// outlive its request, so the refresh enters anew, through the server's own handler, and every router makes its own. After
// a refresh that did not reach the route, because outer middleware let in only who asked, there is none for once: who asks
// is the one who can. So whoever acts upon the answer must ask no second time.
func (rt *Route) entrance(r *http.Request) *http.Server {
	if rt.inline.Load() {
		return nil
	}
	server, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	return server
}

// refreshThrough refreshes the passage's key in the background, unless that is under way.
func (rt *Route) refreshThrough(server *http.Server, p *Passage, r *http.Request) {
	again, m := rt.again(r, p.key)
	pattern := p.pattern
	rt.Common.Background(&rt.share, p.key, func(timeout context.Context) { rt.enter(timeout, server, again, m, pattern) })
}

// again builds the request of a refresh: of a shared answer just what the key covers, of one user's what that user sent,
// without conditions and ranges. Functions of the policy, and what stands outside for them, are to say of it what they said
// of the client's request: where there are some it is what the client sent, too. Its path is the request line's, which prefixes may have been stripped from since.
func (rt *Route) again(r *http.Request, key keying.Key) (*http.Request, *mark) {
	m := &mark{key: key}
	ctx := context.WithValue(context.Background(), markContext{}, m)
	for _, k := range [...]any{http.ServerContextKey, http.LocalAddrContextKey} {
		ctx = context.WithValue(ctx, k, r.Context().Value(k))
	}
	scheme := rt.Scheme
	if rt.Skip != nil || rt.VaryBy != nil {
		scheme = asSent
	}
	view := scheme.View(r)
	if rt.Standard { // what the client wanted of its own answer
		delete(view.Header, "Cache-Control")
	}
	again := (&http.Request{
		Method: http.MethodGet, Host: r.Host, Header: view.Header, RequestURI: view.RequestURI,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: http.NoBody, RemoteAddr: r.RemoteAddr, TLS: r.TLS,
	}).WithContext(ctx)
	if u, err := url.ParseRequestURI(view.RequestURI); err == nil {
		again.URL = u
	} else {
		again.URL = view.URL
	}
	return again, m
}

// asSent hides nothing but what a cache answers itself.
var asSent = &keys.Scheme{Private: true}

// enter sends a refresh through the server's handler.
func (rt *Route) enter(timeout context.Context, server *http.Server, r *http.Request, m *mark, pattern string) {
	defer func() {
		if v := recover(); v != nil {
			rt.tell(Event{Route: pattern, Outcome: Refresh, Reason: ReasonPanic, Err: fmt.Errorf("the handler panicked: %v", v)})
		}
	}()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(timeout, cancel)()
	handler := server.Handler
	if handler == nil {
		handler = http.DefaultServeMux
	}
	handler.ServeHTTP(&nobody{header: http.Header{}}, r.WithContext(ctx))
	if !m.reached.Load() && !rt.renewed(m.key) {
		rt.inline.Store(true)
		rt.observe(Event{Route: pattern, Outcome: Refresh, Reason: ReasonNotReached})
	}
}

// refreshInline runs the handler again in the request's own goroutine, after its client has the stale answer. A client that
// is slow to take it holds up nothing else: while it does, another one's request may begin the refresh.
func (rt *Route) refreshInline(p Passage, w http.ResponseWriter, r *http.Request, next Next, param Param) error {
	if flush(w); !rt.Common.beginRefresh(&rt.share, p.key) {
		return nil
	}
	defer rt.Common.endRefresh(&rt.share, p.key)
	rt.inline.Store(false) // the middleware may have changed its mind
	defer func() {
		if v := recover(); v != nil { // the client has its answer; nobody must pay for the next one
			rt.tell(Event{Route: p.pattern, Outcome: Refresh, Reason: ReasonPanic, Err: fmt.Errorf("the handler panicked: %v", v)})
		}
	}()
	p.reason = ""             // the whole is refreshed, whatever part was asked for
	header := p.outer.Clone() // outer middleware is not entered again
	if header == nil {
		header = http.Header{}
	}
	r = r.WithContext(context.WithoutCancel(r.Context()))
	rt.refresh(rt.leads(&p, &nobody{header: header}, r, next, param))
	return nil // the client has its answer: what became of the refresh is an event
}

// flush sends what the client is owed. A writer that cannot, and says so by an error or a panic, sends it when its
// handler returns.
func flush(w http.ResponseWriter) {
	defer func() { _ = recover() }()
	_ = http.NewResponseController(w).Flush()
}

// nobody is the client of a refresh.
type nobody struct{ header http.Header }

func (n *nobody) Header() http.Header { return n.header }

func (n *nobody) WriteHeader(int) {}

func (n *nobody) Write(p []byte) (int, error) { return len(p), nil }

// early refreshes a fresh answer that was served and nears its end, where that holds up nobody: in the background.
func (rt *Route) early(p *Passage, r *http.Request, e *store.Entry, now time.Time) {
	if !rt.Through.Early(e, now) || markOf(r.Context()) != nil {
		return
	}
	if server := rt.entrance(r); server != nil {
		rt.refreshThrough(server, p, r)
	}
}

// renewed reports whether the memory has an answer that needs no refresh: it was served to one that came too late.
func (rt *Route) renewed(key keying.Key) bool {
	now := time.Now()
	e, use := rt.Through.Peek(key, now)
	return use == readthrough.Fresh && !e.Nearing(now)
}

package middleware

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/keying"
)

// A refresh runs the handler for the cache alone, while clients get the stored response. There are two reasons for one: the
// response is past its freshness (stale-while-revalidate, RFC 5861 §3), or it is fresh but near its end (early refresh).
// And there are two ways to run it.
//
// In the background, if the server is known. A router's context is pooled and must not outlive its request, so the refresh
// does not use it. The refresh is a new request, which enters through the server's own handler, and each layer makes its
// own context:
//
//	request                                   refresh, in a goroutine
//	1. Begin finds a stale response
//	2. replays it
//	3. again: makes a request with a mark     4. enter: server.Handler.ServeHTTP
//	   returns: the client waits for nothing  5. outer middleware, as for a client
//	                                          6. Begin: markOf, so memory does not serve it
//	                                          7. Finish: the mark has this key. The mark is reached; the handler runs
//	                                          8. the response is stored
//
// Inline, in the request's own goroutine after the client has the stale response: if no server is known, as in a test or
// under another kind of server, and if step 7 was not reached. Authentication outside may let in only users who have just
// logged in, so the refresh got its response at step 5. The next stale response is then refreshed inline, once, by a client
// who did get in; after that the background is tried again.
//
// Common.beginRefresh makes sure that one goroutine at a time refreshes a key, and that no route takes all the room.

// refreshFor bounds a refresh in the background.
const refreshFor = 30 * time.Second

// refreshEarly refreshes a response that was served and is near its end, in the background or not at all: nobody waits for
// the refresh of a fresh one.
func (rt *Route) refreshEarly(p *Passage, r *http.Request) {
	if markOf(r.Context()) != nil {
		return
	}
	if server := rt.entrance(r); server != nil {
		rt.refreshThrough(server, p, r)
	}
}

// refreshLater refreshes the passage's key in the background, unless that is under way. If there is no server to enter, it
// returns false: then Finish is to refresh the passage inline. Nothing is reserved until then: Finish begins the refresh
// itself. A HEAD does not refresh inline: its handler may be another one than GET's, which alone makes what is stored.
func (rt *Route) refreshLater(p *Passage, r *http.Request) (done bool) {
	if server := rt.entrance(r); server != nil {
		rt.refreshThrough(server, p, r)
		return true
	}
	if r.Method != http.MethodHead && rt.common.mayRefresh(&rt.share, p.key) {
		p.plan = planRefresh
	}
	return p.plan != planRefresh
}

// entrance is the server that a background refresh enters, or nil.
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
	rt.common.Background(&rt.share, p.key, func(timeout context.Context) { rt.enter(timeout, server, again, m, pattern) })
}

// again builds the request of a refresh, without conditions and ranges. For a shared response it has just what the key
// covers, for one user's what that user sent. Functions of the policy, and middleware that works for them, must decide the
// same as for the client's request: with such functions, it also has what the client sent. Its path is the request line's:
// prefixes may have been stripped since.
func (rt *Route) again(r *http.Request, key keying.Key) (*http.Request, *mark) {
	m := &mark{key: key}
	ctx := context.WithValue(context.Background(), markContext{}, m)
	for _, k := range [...]any{http.ServerContextKey, http.LocalAddrContextKey} {
		ctx = context.WithValue(ctx, k, r.Context().Value(k))
	}
	scheme := rt.scheme
	if rt.skip != nil || rt.varyBy != nil {
		scheme = asSent
	}
	view := scheme.View(r)
	if rt.scheme.Open { // that was for the client's own response
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

// asSent hides nothing but what the cache handles itself.
var asSent = &keys.Scheme{Private: true}

// enter sends a refresh through the server's handler.
func (rt *Route) enter(timeout context.Context, server *http.Server, r *http.Request, m *mark, pattern string) {
	defer func() {
		if v := recover(); v != nil {
			rt.alert(Event{Route: pattern, Outcome: Refresh, Reason: ReasonPanic, Err: fmt.Errorf("the handler panicked: %v", v)})
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

// renewed reports whether memory has a response that needs no refresh: another run has made it meanwhile, and a cache
// outside of this route served the refresh with it.
func (rt *Route) renewed(key keying.Key) bool {
	now := time.Now()
	e, use := rt.cache.Peek(key, now)
	return use == readthrough.Fresh && !e.Nearing(now)
}

// refreshInline runs the handler again in the request's own goroutine, after its client has the stale response. A slow
// client holds up nothing else: until it has the response, another request may begin the refresh.
func (rt *Route) refreshInline(p Passage, w http.ResponseWriter, r *http.Request, next Next, param Param) error {
	if flush(w); !rt.common.beginRefresh(&rt.share, p.key) {
		return nil
	}
	defer rt.common.endRefresh(&rt.share, p.key)
	rt.inline.Store(false) // middleware outside may let the next one through
	defer func() {
		if v := recover(); v != nil { // the client has its response; nobody must pay for the next one
			rt.alert(Event{Route: p.pattern, Outcome: Refresh, Reason: ReasonPanic, Err: fmt.Errorf("the handler panicked: %v", v)})
		}
	}()
	p.reason = ""             // the whole is refreshed, whatever part the client wanted
	header := p.outer.Clone() // outer middleware is not entered again
	if header == nil {
		header = http.Header{}
	}
	r = r.WithContext(context.WithoutCancel(r.Context()))
	rt.newFetch(&p, &nobody{header: header}, r, next, param).refresh()
	return nil // the client has its response: what became of the refresh is an event
}

// refresh runs the handler for the cache alone, and reports what became of it.
func (f *fetch) refresh() {
	f.noClient = true
	fate := f.call.Refresh(f.p.key, f)
	if f.rec != nil {
		f.rec.became(fate)
		f.rec.finish()
		ev := Event{Route: f.p.pattern, Outcome: Refresh, Reason: f.rec.reason, Status: f.rec.status, Err: f.err}
		if f.err != nil { // nobody else will hear of it
			f.rt.alert(ev)
		} else {
			f.rt.observe(ev)
		}
	}
	f.end()
}

// flush sends what is still buffered for the client. A writer that cannot, and says so by an error or a panic, sends it
// when its handler returns.
func flush(w http.ResponseWriter) {
	defer func() { _ = recover() }()
	_ = http.NewResponseController(w).Flush()
}

// nobody is the client of a refresh.
type nobody struct{ header http.Header }

func (n *nobody) Header() http.Header         { return n.header }
func (n *nobody) WriteHeader(int)             {}
func (n *nobody) Write(p []byte) (int, error) { return len(p), nil }

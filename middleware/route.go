package middleware

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// A Route is a compiled policy: it serves the requests of one route. Make it with cache.Cache.Compile. It is safe for concurrent use.
//
// A request passes it in two steps, so that a hit needs no closure:
//
//	passage, done := route.Begin(w, r, pattern)
//	if !done {
//		err = route.Finish(passage, w, r, next, param)
//	}
type Route struct {
	settings

	rules rules      // what may be served and stored: policyRules, or httpRules
	http  *httpRules // the same in RFC 9111 mode, else nil: Begin calls it without an interface, or hits would allocate

	lastLabel atomic.Pointer[patternLabel] // of the pattern of the last request that needed one
	share     Share                        // of the bounds that routes have in common
	warnings  warnings
	patterns  patterns
	seen      seen

	onHTTP, onHTTPS atomic.Bool // Names knows that responses of the scheme are stored

	inline atomic.Bool // a background refresh did not reach the route: the next one is inline
}

// New returns the route that the config describes. It keeps the config's maps and slices, which must not change afterwards.
func New(c Config) *Route {
	rt := &Route{settings: c.settings()}
	if c.RFC9111 {
		rt.http = &httpRules{rt}
		rt.rules = rt.http
	} else {
		rt.rules = &policyRules{rt: rt}
	}
	return rt
}

// A Passage is one request between [Route.Begin] and [Route.Finish].
type Passage struct {
	plan plan
	// Why the cache cannot serve the request, or not with a whole response; "": it can.
	reason  Reason
	key     keying.Key
	pattern string
	// What stands for the pattern in the key.
	keyed string
	user  string
	// The header of outer middleware: for a refresh, and in RFC 9111 mode.
	outer http.Header

	selected // RFC 9111 mode
}

// plan is what Finish is to do.
type plan uint8

const (
	planBypass  plan = iota // run the handler: the request is not for a cache
	planFetch               // look in the store, and run the handler if need be
	planRefresh             // run the handler for the cache alone: the client has a stale response
)

// A Standing tells a handler from the others that serve the same pattern. It is immutable, and looked up once per handler.
type Standing struct {
	pattern string
	keyed   string    // stands for the pattern in keys
	refused bool      // it bypasses the cache
	claims  bool      // keys are claimed one by one: there is no pattern, and nothing in a key tells handlers apart
	n       int       // how many handlers came before it
	first   int       // the same for the first handler of the same code: n itself, once there are too many to tell apart
	next    *Standing // those for other patterns
}

// Of returns the standing for the pattern, or nil. A nil Standing has none.
func (s *Standing) Of(pattern string) *Standing {
	for ; s != nil; s = s.next {
		if s.pattern == pattern {
			return s
		}
	}
	return nil
}

// And returns a list of the standing, which must be new, and others.
func (s *Standing) And(others *Standing) *Standing {
	s.next = others
	return s
}

// Begin serves the request from memory if it can, without I/O or allocation, and then returns true. Otherwise the passage
// goes to Finish. The pattern is the router's, or "" if it gives none.
func (rt *Route) Begin(w http.ResponseWriter, r *http.Request, pattern string) (p Passage, done bool) {
	return rt.BeginFor(w, r, pattern, nil)
}

// BeginFor is Begin where several handlers may serve the pattern: by is the one that would serve this request.
func (rt *Route) BeginFor(w http.ResponseWriter, r *http.Request, pattern string, by *Standing) (p Passage, done bool) {
	if rt.pattern != "" {
		pattern = rt.pattern
	}
	p.pattern, p.keyed = pattern, pattern
	if by != nil {
		p.keyed = by.keyed
	}
	chosen, reason := rt.eligible(&p, r, by)
	if p.reason = reason; reason != "" {
		return p, false
	}
	now := rt.common.Now()
	var found readthrough.Found
	if !rt.recall(&p, w, r, chosen, now, &found) {
		p.reason = ReasonKey
		return p, false
	}
	if by != nil && by.claims && !rt.claims(&p, by, found.Entry) {
		p.reason = ReasonHandlers
		return p, false
	}
	return p, rt.fromMemory(&p, w, r, now, &found)
}

// eligible says why the request must bypass the cache, or "". It notes who the user is, and returns the text of VaryBy.
func (rt *Route) eligible(p *Passage, r *http.Request, by *Standing) (chosen string, reason Reason) {
	if reason = rt.ineligible(r, p.pattern); reason != "" {
		return "", reason
	}
	if by != nil && by.refused {
		return "", ReasonHandlers
	}
	if rt.scheme.Private {
		user, ok := rt.identify(r, p.pattern)
		if !ok || user == "" {
			return "", ReasonIdentity
		}
		p.user = user
	}
	if rt.varyBy != nil {
		var ok bool
		if chosen, ok = rt.selector(r, p.pattern); !ok {
			return "", ReasonVaryBy
		}
	}
	return chosen, ""
}

// recall looks in memory for the response that the request selects. If there is none, or in RFC 9111 mode, it sets the
// passage's key, which a plain hit does not need. It returns false for a request that has no key.
func (rt *Route) recall(p *Passage, w http.ResponseWriter, r *http.Request, chosen string, now time.Time, found *readthrough.Found) bool {
	text, err := rt.scheme.Text(r, p.keyed, p.user, chosen)
	if err != nil {
		return false
	}
	err = rt.cache.Find(text, now, found)
	text.Free()
	if found.Entry == nil {
		p.key = found.Key
	}
	if rt.http != nil {
		p.outer = w.Header()
		rt.http.choose(p, r, found, now)
	}
	return err == nil
}

// claims reports whether the handler may use the key that was looked up.
func (rt *Route) claims(p *Passage, by *Standing, found *store.Entry) bool {
	key := &p.key
	if rt.http != nil {
		key = &p.resource
	} else if found != nil {
		key = &found.Key
	}
	return rt.common.handlers.claim(key, by)
}

// fromMemory serves the request with what memory has, if that is allowed, and starts its refresh if one is due. It returns
// true if nothing is left to do.
func (rt *Route) fromMemory(p *Passage, w http.ResponseWriter, r *http.Request, now time.Time, found *readthrough.Found) (done bool) {
	e, use := found.Entry, found.Use
	nearing := use == readthrough.Fresh && e.NearingAt(found.Left)
	if use == readthrough.Fresh && !nearing {
		rt.replay(w, r, e, e.Fresh-found.Left, found.Left, &source{outcome: Hit, tier: near, pattern: p.pattern})
		return true
	}
	if p.plan = planFetch; e != nil {
		p.key = e.Key
	}
	switch {
	case markOf(r.Context()) != nil: // a refresh is not served with what it is to replace
		return false
	case nearing:
		rt.replayNow(w, r, e, now, &source{outcome: Hit, tier: near, pattern: p.pattern})
		if rt.cache.Early(e, now) {
			rt.refreshEarly(p, r)
		}
		return true
	case use == readthrough.WhileRefreshed:
		p.outer = w.Header().Clone()
		rt.replayNow(w, r, e, now, &source{outcome: Stale, tier: near, pattern: p.pattern})
		return rt.refreshLater(p, r)
	}
	return false
}

// Next runs the handler behind the cache. For frameworks whose handlers return an error, it returns that.
type Next func(w http.ResponseWriter, r *http.Request) error

// Param returns the value of a path parameter of the request, "" if it has none of that name. It is called before the
// handler runs, and once more afterwards for a parameter that the route's pattern does not have.
type Param func(r *http.Request, name string) string

// Finish serves what Begin could not: from the store, from another request's run of the handler, or by running it. An error
// is the handler's; with an error, the caller may still have to write the response.
func (rt *Route) Finish(p Passage, w http.ResponseWriter, r *http.Request, next Next, param Param) error {
	switch p.plan {
	case planBypass:
		return rt.bypass(p, w, r, next)
	case planRefresh:
		return rt.refreshInline(p, w, r, next, param)
	}
	f := rt.newFetch(&p, w, r, next, param)
	if m := markOf(r.Context()); m != nil {
		rt.rules.locate(f)
		if m.key == f.p.key {
			m.reached.Store(true)
			f.refresh()
			return nil
		}
	}
	defer f.close()
	return rt.rules.answer(f)
}

// ineligible says why the request itself must bypass the cache, or "".
func (rt *Route) ineligible(r *http.Request, pattern string) Reason {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return ReasonMethod
	case r.ContentLength != 0 && hasBody(r) || len(r.TransferEncoding) > 0:
		return ReasonBody
	case rt.skip != nil && rt.skips(r, pattern):
		return ReasonSkip
	case rt.bypassAuth && r.Header["Authorization"] != nil:
		return ReasonAuth
	}
	if overridden(r.Header) {
		return ReasonOverride
	}
	if options := r.Header["Connection"]; options != nil {
		return rt.connected(r.Header, options)
	}
	return ""
}

// connected says why a request with these connection options must bypass the cache, or "".
//
// Fields that the options name are for this hop alone (RFC 9110 §7.6.1). A proxy behind the cache removes them, while a
// layer in front of it may have read them. So a key is wrong with them, and wrong without them. Three sorts do no harm:
// fields that every hop removes, fields that the handler does not see, and offers to upgrade that no handler takes.
func (rt *Route) connected(h http.Header, options []string) Reason {
	if h["Upgrade"] != nil && rfc9111.Upgrades(options) && rfc9111.Takeable(h["Upgrade"]) {
		return ReasonUpgrade
	}
	for _, name := range rfc9111.Connection(options) {
		if h[name] != nil && !rfc9111.Hop(name) && rt.scheme.Sees(name) {
			return ReasonConnection
		}
	}
	return ""
}

// overridden reports whether a field may turn the request's method into another one behind the cache.
func overridden(h http.Header) bool {
	return h["X-Http-Method-Override"] != nil || h["X-Http-Method"] != nil || h["X-Method-Override"] != nil
}

// hasBody reports whether a request whose length is not 0 says that it has a body.
//
// HTTP/3 servers leave the length of a GET unknown, and so do HTTP/2 servers if the stream does not end with the header;
// most such requests have no body. Waiting for one would let a client hold up the others that wait for the same response.
// So an unknown length counts as no body, and the handler sees none (RFC 9110 §9.3.1).
func hasBody(r *http.Request) bool {
	return r.ContentLength > 0 || r.Header["Content-Length"] != nil || r.Header["Transfer-Encoding"] != nil ||
		r.Header["Expect"] != nil || r.Trailer != nil
}

// bypass runs the handler with the request as it is. On a per-user route the response is still marked private, and a
// success of an unsafe method invalidates.
func (rt *Route) bypass(p Passage, w http.ResponseWriter, r *http.Request, next Next) error {
	changes := rfc9111.Unsafe(r.Method)
	if changes && rt.user != nil && p.user == "" {
		p.user, _ = rt.identify(r, p.pattern)
	}
	rt.observe(Event{Route: p.pattern, Outcome: Bypass, Reason: p.reason})
	if !rt.scheme.Private && p.reason == ReasonUpgrade && rt.vary == nil {
		return next(w, r)
	}
	if !rt.scheme.Private && !changes && !rt.scheme.Open && !rt.speaks() {
		rt.common.addStatus(w.Header(), rt.common.forwarded(fwd(p.reason), keying.Key{}, p.reason, false))
		return next(w, r)
	}
	rec := new(recorder)
	rec.begin(rt, w, r, nil)
	if changes {
		// What is invalidated is what the client requested, even if the handler rewrites the URL in place.
		asked, u := *r, *r.URL
		asked.URL = &u
		rec.r, rec.level = &asked, keys.Literal(p.pattern)
	}
	rec.reason, rec.changes, rec.user = p.reason, changes, p.user
	err := next(rec.writer(), r)
	rec.changes = rec.changes && err == nil // for an error the caller sends a response, with a status of its own
	rec.finish()
	return err
}

// A mark in a request's context says that it is a background refresh, and of which key.
type mark struct {
	key     keying.Key
	reached atomic.Bool // the request has come to the route that started it
}

type markContext struct{}

// markOf returns the request's mark, or nil. A mark that has reached its route no longer counts: requests that the handler
// of the refresh makes in turn have the same context.
func markOf(ctx context.Context) *mark {
	if m, ok := ctx.Value(markContext{}).(*mark); ok && !m.reached.Load() {
		return m
	}
	return nil
}

// The functions of the app are called here and nowhere else. If one panics, the user, or what selects the response, is not
// known. So the request bypasses the cache, and a Fault reports the panic.

// identify asks the app who the user is, for a request that has had no event yet: if the function's panic ends the request,
// identify makes the event.
func (rt *Route) identify(r *http.Request, pattern string) (user string, known bool) {
	returned := false
	defer func() {
		if !returned {
			rt.observe(Event{Route: pattern, Outcome: Bypass, Reason: ReasonIdentity})
		}
	}()
	user, known = rt.userOf(r, pattern)
	returned = true
	return user, known
}

// userOf returns the user that the app's identity function names. If that panics, nobody is known.
func (rt *Route) userOf(r *http.Request, pattern string) (user string, known bool) {
	defer func() { rt.survive(recover(), pattern, ReasonIdentity, "the identity function") }()
	return rt.user(r)
}

// skips reports whether Skip lets the request bypass the cache. If Skip panics, the request does.
func (rt *Route) skips(r *http.Request, pattern string) (skips bool) {
	defer func() { rt.survive(recover(), pattern, ReasonSkip, "Policy.Skip") }()
	skips = true
	return rt.skip(r)
}

// selector is the text of VaryBy. It is not ok if VaryBy panics.
func (rt *Route) selector(r *http.Request, pattern string) (text string, ok bool) {
	defer func() { rt.survive(recover(), pattern, ReasonVaryBy, "Policy.VaryBy") }()
	return rt.varyBy(r), true
}

// survive turns a panic of one of the app's functions into an event. http.ErrAbortHandler is meant for the server, which
// ends the request.
func (rt *Route) survive(panicked any, pattern string, reason Reason, what string) {
	switch panicked {
	case nil:
	case http.ErrAbortHandler:
		panic(panicked)
	default:
		rt.alert(Event{Route: pattern, Outcome: Fault, Reason: reason, Err: fmt.Errorf("cache: %s panicked: %v", what, panicked)})
	}
}

// Package middleware says how one request passes a cache: it is served from the store, or its handler runs and is
// recorded while the client is answered; what was recorded is judged, and kept or not. It knows no router, no backend and
// no class: a [Route] is compiled elsewhere and only read here.
package middleware

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// A Route is a policy in the form that requests are served by. It is read-only after its first use and safe for
// concurrent use.
type Route struct {
	Pattern  string // what stands for the router's pattern; "": what the adapter tells with each request
	Common   *Common
	Scheme   *keying.Scheme
	Labeler  keying.Labeler
	Through  *store.Through
	User     keying.User // who is asking; required where Scheme.Private
	Tags     []Tag
	Observe  func(Event) // nil: nobody listens
	HideAuth bool        // shared routes: Authorization is hidden from the handler instead of bypassing the cache

	TTL             time.Duration // at most; the handler may shorten it
	WhileRevalidate time.Duration
	IfError         time.Duration
	StatusTTL       map[int]time.Duration
	MaxBody         int64 // bytes

	inline atomic.Bool // a refresh in the background did not reach the route: the next one is inline
}

// Next runs the handler behind the cache. For frameworks whose handlers return an error it returns that.
type Next func(w http.ResponseWriter, r *http.Request) error

// Param returns the value of a path parameter of the request that the handler saw, "" if it has none of that name.
type Param func(r *http.Request, name string) string

// A Passage is one request on its way, between [Route.Begin] and [Route.Finish].
type Passage struct {
	key     keying.Key
	pattern string
	user    string
	way     way
	reason  Reason
}

// way is how a request goes on that the memory did not answer.
type way uint8

const (
	around  way = iota // the cache has nothing to do with it: untouched
	through            // look it up, run the handler if need be
	refresh            // it is answered; its handler is to run once more, for the cache
)

// Begin answers the request from memory if it can, without I/O or allocation, and then returns true. Otherwise the
// passage goes to Finish. The pattern is the router's, where it tells one.
func (rt *Route) Begin(w http.ResponseWriter, r *http.Request, pattern string) (p Passage, done bool) {
	if rt.Pattern != "" {
		pattern = rt.Pattern
	}
	p.pattern = pattern
	if p.reason = rt.bypass(r); p.reason != "" {
		return p, false
	}
	if rt.Scheme.Private {
		user, ok := rt.User(r)
		if !ok || user == "" {
			p.reason = IdentityReason
			return p, false
		}
		p.user = user
	}
	key, err := rt.Scheme.Key(r, pattern, p.user)
	if err != nil {
		p.reason = KeyReason
		return p, false
	}
	p.key, p.way = key, through
	now := time.Now()
	e, use := rt.Through.Peek(key, now)
	switch {
	case use == store.Fresh:
		rt.replay(w, r, e, now, source{Hit, near, pattern})
		return p, true
	case use == store.WhileRefreshed && markOf(r.Context()) == nil:
		rt.replay(w, r, e, now, source{Stale, near, pattern})
		done = rt.refreshLater(&p, r) // which changes p
		return p, done
	}
	return p, false
}

// Finish serves what Begin could not answer. An error is the handler's; where there is one, the handler's answer may be
// yet to be written by the caller.
func (rt *Route) Finish(p Passage, w http.ResponseWriter, r *http.Request, next Next, param Param) error {
	switch {
	case p.way == refresh:
		return rt.refreshInline(p, w, r, next, param)
	case p.way == around:
		return rt.around(p, w, r, next)
	}
	if m := markOf(r.Context()); m != nil && m.key == p.key {
		m.reached.Store(true)
		rt.refresh(&leading{p: p, w: w, r: r, next: next, param: param, refresh: true})
		return nil
	}
	if r.Method == http.MethodHead || r.Header["Range"] != nil {
		return rt.lookOnly(p, w, r, next)
	}
	return rt.run(p, w, r, next, param)
}

// run answers a GET from the store, from another request's run of the handler, or by running it.
func (rt *Route) run(p Passage, w http.ResponseWriter, r *http.Request, next Next, param Param) error {
	l := &leading{p: p, w: w, r: r, next: next, param: param}
	result := rt.Through.Get(r.Context(), p.key, rt.load(l))
	if result.Source == store.HungUp {
		return nil // nobody is there to be answered
	}
	if result.Entry == nil {
		l.rec.finish()
		rt.observe(Event{Route: p.pattern, Outcome: Miss, Reason: l.rec.reason, Status: l.rec.status, Err: l.err})
		return l.err
	}
	return rt.serve(&p, w, r, result, next, param)
}

// serve replays what Get found, and refreshes it where it is stale.
func (rt *Route) serve(p *Passage, w http.ResponseWriter, r *http.Request, found store.Result, next Next, param Param) error {
	outcome := Hit
	switch {
	case found.Source == store.Shared:
		outcome = Shared
	case found.Use < store.Fresh:
		outcome = Stale
	}
	rt.replay(w, r, found.Entry, time.Now(), source{outcome, rt.tier(), p.pattern})
	if found.Use == store.WhileRefreshed && !rt.refreshLater(p, r) {
		return rt.refreshInline(*p, w, r, next, param)
	}
	return nil
}

// lookOnly serves HEAD and ranges: from the store, or by the handler, whose answer is not whole and is not kept.
func (rt *Route) lookOnly(p Passage, w http.ResponseWriter, r *http.Request, next Next) error {
	if e, use := rt.Through.Look(r.Context(), p.key); e != nil {
		outcome := Hit
		if use < store.Fresh {
			outcome = Stale
		}
		rt.replay(w, r, e, time.Now(), source{outcome, rt.tier(), p.pattern})
		return nil
	}
	p.reason = RangeReason
	if r.Method == http.MethodHead {
		p.reason = HeadReason
	}
	return rt.around(p, w, r, next)
}

// around runs the handler with the request as it is. What leaves a per-user route says that it is private.
func (rt *Route) around(p Passage, w http.ResponseWriter, r *http.Request, next Next) error {
	rt.observe(Event{Route: p.pattern, Outcome: Bypass, Reason: p.reason})
	if !rt.Scheme.Private && p.reason == UpgradeReason {
		return next(w, r)
	}
	if !rt.Scheme.Private {
		rt.Common.addStatus(w.Header(), rt.Common.forwarded(fwd(p.reason), p.reason, false))
		return next(w, r)
	}
	rec := rt.newRecorder(w, r, nil)
	rec.keeping, rec.reason = false, p.reason
	err := next(rec.writer(), r)
	rec.finish()
	return err
}

// fwd is why a request went to the handler, in RFC 9211's words.
func fwd(reason Reason) string {
	switch reason {
	case MethodReason:
		return "method"
	case HeadReason, RangeReason:
		return "miss"
	}
	return "bypass"
}

// Tiers, as events and Cache-Status name them.
const (
	near = "near"
	far  = "far"
)

func (rt *Route) tier() string {
	if rt.Through.Remote() {
		return far
	}
	return near
}

func (rt *Route) observe(ev Event) {
	if rt.Observe != nil {
		rt.Observe(ev)
	}
}

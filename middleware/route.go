// Package middleware says how one request passes a cache: it is served from the store, or its handler runs and is
// recorded while the client is answered; what was recorded is judged, and kept or not. It knows no router, no backend and
// no class: a [Route] is compiled elsewhere and only read here.
package middleware

import (
	"context"
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
	Observe  func(Event)                               // nil: nobody listens
	Purge    func(context.Context, store.Record) error // appends to the purge log; nil: nothing is ever invalidated by answers
	HideAuth bool                                      // shared routes: Authorization is hidden from the handler instead of bypassing the cache

	TTL             time.Duration // at most; the handler may shorten it
	WhileRevalidate time.Duration
	IfError         time.Duration
	StatusTTL       map[int]time.Duration
	MaxBody         int64 // bytes

	Standard     bool     // the answers' own headers rule (RFC 9111); TTL is a bound and a default then, or 0
	NoVarySearch []string // what the answers say of the query, or nil

	labelled atomic.Pointer[patternLabel] // the pattern that was last asked for
	said     atomic.Pointer[controlLine]  // what an answer last said

	inline atomic.Bool // a refresh in the background did not reach the route: the next one is inline
}

// Next runs the handler behind the cache. For frameworks whose handlers return an error it returns that.
type Next func(w http.ResponseWriter, r *http.Request) error

// Param returns the value of a path parameter of the request that the handler saw, "" if it has none of that name.
type Param func(r *http.Request, name string) string

// A Passage is one request on its way, between [Route.Begin] and [Route.Finish].
type Passage struct {
	key      keying.Key
	resource keying.Key   // standard routes: what all answers of the URL are under
	index    *store.Entry // standard routes: what leads from there to the answer, or nil
	fresh    bool         // standard routes: what is stored is fresh, but not enough for the request
	fwd      string       // standard routes: why the handler must answer
	pattern  string
	user     string
	way      way
	reason   Reason
	outer    http.Header // what outer middleware has set: in a refresh, and on standard routes that memory did not answer
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
	if rt.Standard {
		p.outer = w.Header()
	}
	now := rt.Common.Now()
	f, ok := rt.recall(&p, r, now)
	if !ok {
		p.reason = KeyReason
		return p, false
	}
	e, use := f.Entry, f.Use
	nearing := use == store.Fresh && e.NearingAt(f.Left)
	if use == store.Fresh && !nearing {
		rt.replay(w, r, e, e.Fresh-f.Left, f.Left, &source{outcome: Hit, tier: near, pattern: pattern})
		return p, true
	}
	if p.way = through; e != nil {
		p.key = e.Key
	}
	switch {
	case markOf(r.Context()) != nil: // to a refresh it is no answer
		return p, false
	case nearing:
		rt.replayNow(w, r, e, now, &source{outcome: Hit, tier: near, pattern: pattern})
		rt.early(&p, r, e, now)
		return p, true
	case use == store.WhileRefreshed:
		p.outer = w.Header().Clone()
		rt.replayNow(w, r, e, now, &source{outcome: Stale, tier: near, pattern: pattern})
		done = rt.refreshLater(&p, r) // which changes p
		return p, done
	}
	return p, false
}

// recall looks for what memory holds for the request. If there is nothing, or it is to be chosen from, it makes the key of
// the request the passage's: a plain hit does not even look at it. It is false for a request that cannot be keyed.
func (rt *Route) recall(p *Passage, r *http.Request, now time.Time) (f store.Found, ok bool) {
	text, err := rt.Scheme.Text(r, p.pattern, p.user)
	if err != nil {
		return f, false
	}
	f, err = rt.Through.Find(text, now)
	text.Free()
	p.key = f.Key
	if rt.Standard {
		rt.choose(p, r, &f, now)
	}
	return f, err == nil
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
	if m := markOf(r.Context()); m != nil {
		if rt.Standard { // the key of a variant is not known before its index is
			call := rt.Through.Call(r.Context())
			rt.find(&call, &p, r, nil)
		}
		if m.key == p.key {
			m.reached.Store(true)
			rt.refresh(rt.leads(&p, w, r, next, param))
			return nil
		}
	}
	if rt.Standard {
		return rt.standard(p, w, r, next, param)
	}
	if r.Method == http.MethodHead || r.Header["Range"] != nil {
		return rt.lookOnly(p, w, r, next)
	}
	return rt.run(p, w, r, next, param)
}

// run answers a GET from the store, from another request's run of the handler, or by running it.
func (rt *Route) run(p Passage, w http.ResponseWriter, r *http.Request, next Next, param Param) error {
	l := rt.leads(&p, w, r, next, param)
	return rt.conclude(l, l.call.Get(l.p.key, l, nil))
}

// conclude ends a request with what Get has brought: the handler's own answer, most of which the client has already, or an
// entry to serve.
func (rt *Route) conclude(l *leading, found store.Result) error {
	switch {
	case found.Source == store.HungUp:
		l.w.Header()["Cache-Control"] = []string{"no-store"} // the client is gone, or the app is ending
		l.w.WriteHeader(http.StatusServiceUnavailable)
		return nil
	case found.Entry == nil:
		l.rec.finish()
		rt.observe(Event{Route: l.p.pattern, Outcome: Miss, Reason: l.rec.reason, Status: l.rec.status, Err: l.err})
		return l.err
	}
	return rt.serve(l, found)
}

// serve replays what was found, and refreshes it where it is stale.
func (rt *Route) serve(l *leading, found store.Result) error {
	from := source{outcome: Hit, tier: rt.tier(), pattern: l.p.pattern}
	switch {
	case found.Source == store.Shared:
		from.outcome, from.fwd = Shared, l.p.fwd
	case found.Source == store.Renewed:
		from.outcome = Validated
	case found.Use < store.Fresh:
		from.outcome = Stale
	}
	if l.rec != nil { // the handler has run
		from.fwd, from.status, from.stored = "stale", l.rec.status, l.rec.keeping && l.rec.reason == ""
		if l.p.fwd != "" {
			from.fwd = l.p.fwd
		}
		l.rec.release()
		l.rec.forget()
	} else if found.Use == store.WhileRefreshed {
		l.p.outer = l.w.Header().Clone()
	}
	rt.replayNow(l.w, l.r, found.Entry, time.Now(), &from)
	if found.Use == store.Fresh && found.Source == store.Stored {
		rt.early(&l.p, l.r, found.Entry, time.Now())
	}
	if found.Use == store.WhileRefreshed && l.rec == nil && !rt.refreshLater(&l.p, l.r) {
		return rt.refreshInline(l.p, l.w, l.r, l.next, l.param)
	}
	return nil
}

// lookOnly serves HEAD and ranges: from the store, or by the handler, whose answer is not whole and is not kept.
func (rt *Route) lookOnly(p Passage, w http.ResponseWriter, r *http.Request, next Next) error {
	call := rt.Through.Call(r.Context())
	if e, use := call.Look(p.key, nil); use >= store.WhileRefreshed {
		outcome := Hit
		if use < store.Fresh {
			outcome = Stale
		}
		rt.replayNow(w, r, e, time.Now(), &source{outcome: outcome, tier: rt.tier(), pattern: p.pattern})
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
	changes := unsafe(r.Method)
	if !rt.Scheme.Private && !changes && !rt.Standard { // there the handler may be a proxy, whose member comes before ours
		rt.Common.addStatus(w.Header(), rt.Common.forwarded(fwd(p.reason), keying.Key{}, p.reason, false))
		return next(w, r)
	}
	rec := new(recorder)
	rec.begin(rt, w, r, nil)
	rec.keeping, rec.reason, rec.changes, rec.user = false, p.reason, changes, p.user
	if changes && rt.User != nil && p.user == "" {
		rec.user, _ = rt.User(r)
	}
	err := next(rec.writer(), r)
	rec.changes = rec.changes && err == nil // else the caller answers, with an error
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
	case RequestReason:
		return "request"
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

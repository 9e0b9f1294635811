package middleware

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// A Route is a policy in the form that requests are served by. It is read-only after its first use and safe for
// concurrent use.
type Route struct {
	Pattern  string // what stands for the router's pattern; "": what the adapter tells with each request
	Common   *Common
	Scheme   *keys.Scheme
	Labeler  keys.Labeler
	Through  *readthrough.Cache
	User     keying.User                                // who is asking; required where Scheme.Private
	Skip     func(*http.Request) bool                   // such requests go around the cache; nil: none do
	VaryBy   func(*http.Request) (text string, ok bool) // what selects, beside the scheme; nil: nothing; not ok: around the cache
	Tags     []Tag
	Observe  func(Event)                               // told how requests were answered, and how refreshes went; nil: nobody listens
	Tell     func(Event)                               // told of what somebody should know of: faults, warnings, refreshes that fail; nil: nobody is
	Purge    func(context.Context, store.Record) error // appends to the purge log; nil: nothing is ever invalidated by answers
	HideAuth bool                                      // shared routes: Authorization is hidden from the handler instead of bypassing the cache

	TTL             time.Duration // at most; the handler may shorten it
	WhileRevalidate time.Duration
	IfError         time.Duration
	StatusTTL       map[int]time.Duration
	MaxBody         int64 // bytes

	Standard     bool     // the answers' own headers rule (RFC 9111); TTL is a bound and a default then, or 0
	NoVarySearch []string // what the answers say of the query, or nil
	Vary         []string // one line: the request fields that select the answer, as it says; nil: none do
	Client       []string // one line: the Cache-Control of answers that are kept, as they leave; nil: their own

	labelled atomic.Pointer[patternLabel] // the pattern that was last asked for
	said     atomic.Pointer[controlLine]  // what an answer last said

	share    Share // of what routes have in common
	warnings warnings
	wholes   wholes
	seen     seen

	inline atomic.Bool // a refresh in the background did not reach the route: the next one is inline
}

// Next runs the handler behind the cache. For frameworks whose handlers return an error it returns that.
type Next func(w http.ResponseWriter, r *http.Request) error

// Param returns the value of a path parameter of the request, "" if it has none of that name. It is asked before the handler
// runs, and once more afterwards for one that the route's pattern does not have.
type Param func(r *http.Request, name string) string

// A Passage is one request on its way, between [Route.Begin] and [Route.Finish].
type Passage struct {
	key      keying.Key
	resource keying.Key   // standard routes: what all answers of the URL are under
	index    *store.Entry // standard routes: what leads from there to the answer, or nil
	fresh    bool         // standard routes: what is stored is fresh, but not enough for the request
	whole    *store.Entry // standard routes: a stored whole that others may be served with, but not this request
	fwd      string       // standard routes: why the handler must answer
	pattern  string
	keyed    string // what stands for the pattern in the key
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

func (rt *Route) tell(ev Event) {
	if rt.Tell != nil {
		rt.Tell(ev)
	}
}

// Begin answers the request from memory if it can, without I/O or allocation, and then returns true. Otherwise the
// passage goes to Finish. The pattern is the router's, where it tells one.
func (rt *Route) Begin(w http.ResponseWriter, r *http.Request, pattern string) (p Passage, done bool) {
	return rt.BeginFor(w, r, pattern, nil)
}

// BeginFor is Begin where several handlers may serve the pattern: by is the standing for it of the one that does.
func (rt *Route) BeginFor(w http.ResponseWriter, r *http.Request, pattern string, by *Standing) (p Passage, done bool) {
	if rt.Pattern != "" {
		pattern = rt.Pattern
	}
	p.pattern, p.keyed = pattern, pattern
	if by != nil {
		p.keyed = by.keyed
	}
	if p.reason = rt.bypass(r); p.reason != "" {
		return p, false
	}
	if by != nil && by.refused {
		p.reason = ReasonHandlers
		return p, false
	}
	if rt.Scheme.Private {
		user, ok := rt.asker(r, pattern)
		if !ok || user == "" {
			p.reason = ReasonIdentity
			return p, false
		}
		p.user = user
	}
	if rt.Standard {
		p.outer = w.Header()
	}
	chosen := ""
	if rt.VaryBy != nil {
		var ok bool
		if chosen, ok = rt.VaryBy(r); !ok {
			p.reason = ReasonVaryBy
			return p, false
		}
	}
	now := rt.Common.Now()
	var f readthrough.Found
	if !rt.recall(&p, r, chosen, now, &f) {
		p.reason = ReasonKey
		return p, false
	}
	if by != nil && by.claims && !rt.claims(&p, by, f.Entry) {
		p.reason = ReasonHandlers
		return p, false
	}
	e, use := f.Entry, f.Use
	nearing := use == readthrough.Fresh && e.NearingAt(f.Left)
	if use == readthrough.Fresh && !nearing {
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
	case use == readthrough.WhileRefreshed:
		p.outer = w.Header().Clone()
		rt.replayNow(w, r, e, now, &source{outcome: Stale, tier: near, pattern: pattern})
		done = rt.refreshLater(&p, r) // which changes p
		return p, done
	}
	return p, false
}

// recall looks for what memory holds for the request. If there is nothing, or it is to be chosen from, it makes the key of
// the request the passage's: a plain hit does not even look at it. It is false for a request that cannot be keyed.
func (rt *Route) recall(p *Passage, r *http.Request, chosen string, now time.Time, f *readthrough.Found) bool {
	text, err := rt.Scheme.Text(r, p.keyed, p.user, chosen)
	if err != nil {
		return false
	}
	err = rt.Through.Find(text, now, f)
	text.Free()
	if f.Entry == nil {
		p.key = f.Key
	}
	if rt.Standard {
		rt.choose(p, r, f, now)
	}
	return err == nil
}

// claims reports whether the handler may serve what was looked for.
func (rt *Route) claims(p *Passage, by *Standing, found *store.Entry) bool {
	key := &p.key
	if rt.Standard {
		key = &p.resource
	} else if found != nil {
		key = &found.Key
	}
	return rt.Common.handlers.claim(key, by)
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
			call := rt.Through.Call(r.Context(), p.pattern)
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
	return rt.run(p, w, r, next, param)
}

// run answers from the store, from another request's run of the handler, or by running it.
func (rt *Route) run(p Passage, w http.ResponseWriter, r *http.Request, next Next, param Param) error {
	l := rt.leads(&p, w, r, next, param)
	defer l.close()
	if l.part = isPart(r); l.part {
		l.p.reason = partReason(r)
		return rt.conclude(l, l.call.GetPart(l.p.key, partKey(l.p.key, r), l, nil))
	}
	return rt.conclude(l, l.call.Get(l.p.key, l, nil))
}

// bypass says why the request is not for a cache, or "".
func (rt *Route) bypass(r *http.Request) Reason {
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return ReasonMethod
	case r.ContentLength != 0 && hasBody(r) || len(r.TransferEncoding) > 0:
		return ReasonBody
	case rt.Skip != nil && rt.Skip(r):
		return ReasonSkip
	case !rt.Scheme.Private && !rt.HideAuth && !rt.Standard && r.Header["Authorization"] != nil:
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

// connected says why a request with these connection options is not for a cache, or "". Fields that the options name are
// for this hop alone (RFC 9110 §7.6.1): a proxy behind the cache takes them away, while a layer in front of it may have
// read them. Neither with them nor without would a key say what the handler's answer is for. Fields that are connection
// fields in any case are taken away in any case, and those that the handler does not get to see do nothing.
func (rt *Route) connected(h http.Header, options []string) Reason {
	if h["Upgrade"] != nil && upgrades(options) && mayTake(h["Upgrade"]) {
		return ReasonUpgrade
	}
	for _, name := range rfc9111.Connection(options) {
		if h[name] != nil && !rfc9111.Hop(name) && rt.Scheme.Sees(name) {
			return ReasonConnection
		}
	}
	return ""
}

// overridden reports whether a field may turn the request's method into another behind a cache's back.
func overridden(h http.Header) bool {
	return h["X-Http-Method-Override"] != nil || h["X-Http-Method"] != nil || h["X-Method-Override"] != nil
}

// hasBody reports whether a request whose length is not 0 says that it has a body. HTTP/3 servers, and HTTP/2 where the
// stream is not ended with the header, leave the length of a GET unknown, which mostly has none. To wait and see would give
// the client the time of those who wait; so it counts as none, and the handler sees none (RFC 9110 §9.3.1).
func hasBody(r *http.Request) bool {
	return r.ContentLength > 0 || r.Header["Content-Length"] != nil || r.Header["Transfer-Encoding"] != nil ||
		r.Header["Expect"] != nil || r.Trailer != nil
}

// mayTake reports whether an upgrade is offered that a handler could take. Other versions of HTTP, and TLS, are the server's
// matter, and one that has passed the request on has not taken them; clients offer them with any request (RFC 9110 §7.8).
func mayTake(upgrade []string) bool {
	return slices.ContainsFunc(upgrade, func(line string) bool {
		for protocol := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(strings.TrimSpace(protocol), "/")
			switch strings.ToLower(name) {
			case "", "http", "h2", "h2c", "h3", "tls":
			default:
				return true
			}
		}
		return false
	})
}

func upgrades(connection []string) bool {
	return slices.ContainsFunc(connection, func(line string) bool {
		for option := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(option), "upgrade") {
				return true
			}
		}
		return false
	})
}

// around runs the handler with the request as it is. What leaves a per-user route says that it is private.
func (rt *Route) around(p Passage, w http.ResponseWriter, r *http.Request, next Next) error {
	changes := unsafe(r.Method)
	if changes && rt.User != nil && p.user == "" {
		p.user, _ = rt.asker(r, p.pattern)
	}
	rt.observe(Event{Route: p.pattern, Outcome: Bypass, Reason: p.reason})
	if !rt.Scheme.Private && p.reason == ReasonUpgrade && rt.Vary == nil {
		return next(w, r)
	}
	if !rt.Scheme.Private && !changes && !rt.Standard && !rt.speaks() { // there the handler may be a proxy, whose member comes before ours
		rt.Common.addStatus(w.Header(), rt.Common.forwarded(fwd(p.reason), keying.Key{}, p.reason, false))
		return next(w, r)
	}
	rec := new(recorder)
	rec.begin(rt, w, r, nil)
	if changes && rt.Standard { // what it invalidates is what was asked for, whatever the handler makes of the URL
		asked, u := *r, *r.URL
		asked.URL = &u
		rec.r = &asked
	}
	rec.keeping, rec.reason, rec.changes, rec.user = false, p.reason, changes, p.user
	if changes {
		rec.level = keys.Literal(p.pattern)
	}
	err := next(rec.writer(), r)
	rec.changes = rec.changes && err == nil // else the caller answers, with an error
	rec.finish()
	return err
}

// fwd is why a request went to the handler, in RFC 9211's words.
func fwd(reason Reason) string {
	switch reason {
	case ReasonMethod:
		return "method"
	case ReasonHead, ReasonRange:
		return "miss"
	case ReasonRequest:
		return "request"
	}
	return "bypass"
}

// asks says who asks, by the app's identity function. One that panics knows nobody, and its panic is told.
func (rt *Route) asks(r *http.Request, pattern string) (user string, known bool) {
	defer func() {
		switch v := recover(); v {
		case nil:
		case http.ErrAbortHandler: // meant for the server
			panic(v)
		default:
			rt.tell(Event{Route: pattern, Outcome: Fault, Reason: ReasonIdentity, Err: fmt.Errorf("the identity function panicked: %v", v)})
		}
	}()
	return rt.User(r)
}

// asker is asks for a request that has no event yet: if the function ends it, that is one.
func (rt *Route) asker(r *http.Request, pattern string) (user string, known bool) {
	returned := false
	defer func() {
		if !returned {
			rt.observe(Event{Route: pattern, Outcome: Bypass, Reason: ReasonIdentity})
		}
	}()
	user, known = rt.asks(r, pattern)
	returned = true
	return user, known
}

// Package middleware says how one request passes a cache: it is served from the store, or its handler runs and is
// recorded while the client is answered; what was recorded is judged, and kept or not. It knows no router, no backend and
// no class: a [Route] is compiled elsewhere and only read here.
package middleware

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/internal/readthrough"
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

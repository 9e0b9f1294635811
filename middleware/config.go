package middleware

import (
	"context"
	"net/http"
	"time"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/surrogate"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// A Config is what [New] makes a [Route] of. The root package fills it from a policy that it has checked: New checks
// nothing. Functions must be safe for concurrent use.
type Config struct {
	Pattern string // what stands for the router's pattern; "": the adapter gives one with each request
	Common  *Common
	Scheme  *keys.Scheme // compiled; its Open is RFC9111
	Labeler keys.Labeler
	Cache   *readthrough.Cache

	User   keying.User                                // who the user is; required where Scheme.Private
	Skip   func(*http.Request) bool                   // such requests bypass the cache; nil: none do
	VaryBy func(*http.Request) (text string, ok bool) // selects the response, beside the scheme; not ok: bypass; nil: nothing
	Tags   []surrogate.Tag

	Observe func(Event)                               // gets how requests were answered, and how refreshes went; nil: nobody listens
	Alert   func(Event)                               // gets what somebody should know of: faults, warnings, refreshes that fail; nil: nobody listens
	Purge   func(context.Context, store.Record) error // appends to the purge log; nil: no response invalidates anything

	RFC9111    bool // the responses' own headers decide (RFC 9111); TTL is then an upper bound and a default, or 0
	IgnoreAuth bool // shared routes: Authorization is hidden from the handler, and does not bypass the cache

	TTL             time.Duration // at most; the handler may shorten it
	WhileRevalidate time.Duration // how long past its TTL a response is served while it is refreshed
	IfError         time.Duration // how long past its TTL a response is served if the handler fails
	StatusTTL       map[int]time.Duration
	MaxBody         int64 // bytes; longer responses are not stored

	NoVarySearch []string // the No-Vary-Search of responses, or nil
	Vary         []string // one line: the request fields that select the response; nil: none do
	Client       []string // one line: the Cache-Control of stored responses, as clients get it; nil: the handler's own
}

// settings is a Config as a Route reads it, with what follows from it.
type settings struct {
	pattern string
	common  *Common
	scheme  *keys.Scheme
	labeler keys.Labeler
	cache   *readthrough.Cache

	user   keying.User
	skip   func(*http.Request) bool
	varyBy func(*http.Request) (text string, ok bool)
	tags   []surrogate.Tag

	observe func(Event) // never nil, see observed
	alert   func(Event) // never nil
	purge   func(context.Context, store.Record) error

	ttl             time.Duration
	whileRevalidate time.Duration
	ifError         time.Duration
	statusTTL       map[int]time.Duration
	maxBody         int64

	noVarySearch []string
	vary         []string
	client       []string

	observed   bool // somebody listens: a hit saves making an event otherwise
	bypassAuth bool // requests with Authorization bypass the cache
	variants   bool // one URL may have several responses, by request fields
	makesTags  bool // a response without a validator gets an ETag of ours
	keepsDate  bool // the handler's Date is stored
}

// settings works out what follows from the configuration once, so that no request has to.
func (c Config) settings() settings {
	return settings{
		pattern: c.Pattern, common: c.Common, scheme: c.Scheme, labeler: c.Labeler, cache: c.Cache,
		user: c.User, skip: c.Skip, varyBy: c.VaryBy, tags: c.Tags,
		observe: ignoreIfNil(c.Observe), alert: ignoreIfNil(c.Alert), purge: c.Purge,
		ttl: c.TTL, whileRevalidate: c.WhileRevalidate, ifError: c.IfError, statusTTL: c.StatusTTL, maxBody: c.MaxBody,
		noVarySearch: c.NoVarySearch, vary: c.Vary, client: c.Client,

		observed:   c.Observe != nil,
		bypassAuth: !c.Scheme.Private && !c.IgnoreAuth && !c.RFC9111,
		variants:   c.RFC9111 || c.Scheme.Varies(),
		makesTags:  !c.RFC9111,
		keepsDate:  c.RFC9111,
	}
}

// ignoreIfNil returns f, or a function that does nothing.
func ignoreIfNil(f func(Event)) func(Event) {
	if f == nil {
		return func(Event) {}
	}
	return f
}

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

// A Config is what [New] makes a [Route] from. The root package fills it from a policy that it has checked: New checks
// nothing. Functions must be safe for concurrent use.
type Config struct {
	// Pattern stands for the router's pattern. With "" the adapter gives one with each request.
	Pattern string
	// Common is what all routes of a cache share.
	Common *Common
	// Scheme says what selects a response. It is compiled; its Open is RFC9111.
	Scheme *keys.Scheme
	// Labeler makes the labels of responses, under the cache's secret.
	Labeler keys.Labeler
	// Cache is the engine: memory, store, one load per key.
	Cache *readthrough.Cache

	// User, Skip and VaryBy are functions of the app. If one panics, the request bypasses the cache, and a Fault
	// reports it.

	// User tells who the user is. It is required if Scheme.Private.
	User keying.User
	// Skip names requests that bypass the cache. nil: none do.
	Skip func(*http.Request) bool
	// VaryBy selects the response, beside the scheme. nil selects nothing.
	VaryBy func(*http.Request) string
	// Tags are the surrogate keys of the policy.
	Tags []surrogate.Tag

	// Observe gets how requests were served, and how refreshes went. nil: nobody listens, and a hit makes no event.
	Observe func(Event)
	// Alert gets what somebody should know about: faults, warnings, refreshes that fail. nil: nobody listens.
	Alert func(Event)
	// Purge appends to the purge log. nil: no response invalidates anything.
	Purge func(context.Context, store.Record) error

	// RFC9111 lets the responses' own headers decide (RFC 9111). TTL is then an upper bound and a default, or 0.
	RFC9111 bool
	// IgnoreAuth hides Authorization from the handler of a shared route, instead of bypassing the cache.
	IgnoreAuth bool

	// TTL is how long a response is fresh at most. The response and the handler may shorten it.
	TTL time.Duration
	// WhileRevalidate is how long past its TTL a response is served while it is refreshed (RFC 5861 §3).
	WhileRevalidate time.Duration
	// IfError is how long past its TTL a response is served if the handler fails (RFC 5861 §4).
	IfError time.Duration
	// StatusTTL has the statuses besides 200 that are stored in policy mode, and for how long.
	StatusTTL map[int]time.Duration
	// MaxBody is in bytes. Longer responses are not stored.
	MaxBody int64

	// NoVarySearch is the No-Vary-Search of responses, or nil.
	NoVarySearch []string
	// Vary is one line: the request fields that select the response. nil: none do.
	Vary []string
	// Client is one line: the Cache-Control of stored responses as clients get it. nil: the handler's own.
	Client []string
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
	varyBy func(*http.Request) string
	tags   []surrogate.Tag

	// Never nil, see observed.
	observe func(Event)
	// Never nil.
	alert func(Event)
	purge func(context.Context, store.Record) error

	ttl             time.Duration
	whileRevalidate time.Duration
	ifError         time.Duration
	statusTTL       map[int]time.Duration
	maxBody         int64

	noVarySearch []string
	vary         []string
	client       []string

	// Somebody listens; otherwise a hit makes no event.
	observed bool
	// Requests with Authorization bypass the cache.
	bypassAuth bool
	// One URL may have several responses, by request fields.
	variants bool
	// A response without a validator gets an ETag of ours.
	makesTags bool
	// The handler's Date is stored.
	keepsDate bool
}

// settings works out once what follows from the configuration, so that no request has to.
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

// Pattern is the pattern that the route was made for, or "" if the adapter gives one with each request.
func (rt *Route) Pattern() string { return rt.pattern }

// Private reports whether each response is for one user.
func (rt *Route) Private() bool { return rt.scheme.Private }

// AsksApp reports whether functions of the app see each request before the cache looks for a response: who the user is,
// Skip or VaryBy. They may need what a framework has put into the request's context.
func (rt *Route) AsksApp() bool { return rt.scheme.Private || rt.skip != nil || rt.varyBy != nil }

// AsksUser reports whether the app may be asked who the user is, before or after the handler runs.
func (rt *Route) AsksUser() bool { return rt.user != nil }

// StoresStatus reports whether responses of the status, other than 200, may be stored.
func (rt *Route) StoresStatus(status int) bool { return rt.statusTTL[status] > 0 }

package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/memstore"
)

// A Cache stores responses, as the policies of their routes say. Make it with [New]; it is safe for concurrent use.
type Cache struct {
	tiers      readthrough.Tiers
	own        *memstore.Store // tiers.Near, to be closed by us; nil if the caller gave one
	number     uint64          // which of this process' Caches it is
	following  *following      // nil: nobody else purges
	batches    purgeBatches
	widened    atomic.Int64         // purges that the ledger widened and events have reported
	widenedAt  atomic.Int64         // the time of that event, in Unix nanoseconds
	ranking    *readthrough.Ranking // nil: Far ranks nothing
	shortest   atomic.Int64         // the shortest near TTL of the HotShared routes, in nanoseconds; 0: there is none
	labeler    keys.Labeler
	common     *middleware.Common
	user       keying.User
	skips      map[string]func(*http.Request) bool
	by         map[string]func(*http.Request) string
	observe    func(Event) // nil: nobody listens to how requests are answered
	listen     func(Event) // gets all other events; never nil
	limiter    eventLimiter
	traces     readthrough.Traces // of what is stored elsewhere than in memory
	deaf       sync.Once          // the listener panics at every event
	secret     []byte
	trustProxy bool
	farBudget  time.Duration
	unwatch    func() // ends the events of what the far store meets in the background
}

// numbers counts the Caches of this process.
var numbers atomic.Uint64

// New returns a cache. It starts no goroutine and dials nothing: a Redis that cannot be reached shows as events when it is
// first needed. An error names the option, the fault and the remedy.
func New(o Options) (*Cache, error) {
	name, err := memberName(o.Name)
	if err != nil {
		return nil, err
	}
	c := &Cache{
		common:     middleware.NewCommon(name, o.Debug),
		user:       o.User,
		skips:      maps.Clone(o.Skips),
		by:         maps.Clone(o.By),
		observe:    o.Observe,
		listen:     o.Observe,
		secret:     append([]byte(nil), o.Secret...),
		labeler:    keys.NewLabeler(o.Secret),
		trustProxy: o.TrustProxy,
		farBudget:  cmp.Or(o.FarBudget, DefaultFarBudget),
		number:     numbers.Add(1),
	}
	if c.listen == nil {
		c.listen = logs
	}
	c.limiter.emit = c.emit
	if c.farBudget < 0 || c.farBudget > maxFarBudget {
		return nil, fmt.Errorf("cache: Options.FarBudget is %v; set one above zero and at most %v, or leave it at 0 for %v", o.FarBudget, maxFarBudget, DefaultFarBudget)
	}
	if err := errors.Join(checkNamed("Skips", o.Skips), checkNamed("By", o.By)); err != nil {
		return nil, err
	}
	if err := c.resolve(o.Near, o.Far); err != nil {
		return nil, err
	}
	c.common.Fault = c.panicked
	c.warn()
	return c, nil
}

// minSecret is how short a secret may be.
const minSecret = 16

// resolve finds out what the stores can do, for good.
func (c *Cache) resolve(near, far store.Store) error {
	far, err := c.seal(far)
	if err != nil {
		return err
	}
	if near == nil {
		c.own = memstore.New(memstore.Options{})
		near = c.own
	}
	c.tiers = readthrough.Resolve(near, far)
	c.batches.needed = c.tiers.Shared
	c.follow()
	c.unwatch = c.watchStore()
	if c.tiers.Ranker != nil {
		c.ranking = readthrough.NewRanking(c.tiers.Ranker, c.panicked)
	}
	return nil
}

// seal makes the far store authenticate what it stores, if there is a secret.
func (c *Cache) seal(far store.Store) (store.Store, error) {
	if len(c.secret) > 0 && len(c.secret) < minSecret {
		return nil, fmt.Errorf("cache: Options.Secret has %d bytes; use at least %d, better 32 random ones", len(c.secret), minSecret)
	}
	if len(c.secret) == 0 || far == nil {
		return far, nil
	}
	sealed, past, ok := readthrough.Seal(far, c.secret)
	if past {
		c.warning(ReasonOptions, "Options.Secret is set, and the method Sealed of Options.Far, a %T, is that of the %T inside it: the cache uses that one, "+
			"and goes past the wrapper; give the wrapper a method Sealed of its own, or wrap the store that Sealed returns", far, sealed)
	}
	if !ok {
		return nil, fmt.Errorf("cache: Options.Secret is set and the Far store (%T) cannot authenticate entries; leave Secret out, or use one that implements store.Sealer", far)
	}
	return sealed, nil
}

// Close waits for refreshes in the background and for the end of following other processes' purges, as long as the context
// allows, and lets go of what New made. Requests may still come: after Close the built-in memory always misses. Stores that
// were given in Options are not closed. Within [Options.Observe] Close waits for nothing, since what it would wait for may be
// waiting for the listener. It may be called more than once.
func (c *Cache) Close(ctx context.Context) error {
	c.unwatch()
	if observing() {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		_ = c.close(ended) // that it did not wait is no failure
		return nil
	}
	return c.close(ctx)
}

func (c *Cache) close(ctx context.Context) error {
	err := c.common.Close(ctx)
	if c.following != nil {
		err = errors.Join(err, c.following.end(ctx))
	}
	if c.ranking != nil {
		err = errors.Join(err, c.ranking.Close(ctx))
	}
	if c.own != nil {
		err = errors.Join(err, c.own.Close())
	}
	c.limiter.close()
	if err != nil {
		return fmt.Errorf("cache: close: %w", err)
	}
	return nil
}

// Middleware caches the responses of the handler that it wraps, as the policy says. If the policy cannot work it panics at once, and says
// what to do.
//
// It belongs directly around the handler, inside authentication, rate limits, CORS and compression: those then do their part on every
// request, hit or miss. A check inside is skipped on hits. The handler of a shared class sees what outer middleware has put into the
// context, except the user, and must not let it into the response.
//
// With net/http's ServeMux and with chi, wrap the handlers of single routes: there the route's pattern and path parameters are known. Around a
// router, or a part of one (chi's r.Use in a sub-router), they are known only after the handler has run. Labels, tags and events have them
// even then, except events of requests that bypass the cache.
//
// Where outer code chooses among handlers, by role for example, each of them is wrapped by itself. If several serve one pattern under
// equal policies, each has responses of its own in memory; from the second one on they go without the cache in Redis, and an event says
// so. Policies with another Vary, other Cookies or another VaryBy are not equal. Redis knows a handler by the name of its function or type.
// So where processes share responses, never choose among handlers of one name, such as closures that one function returns.
//
// A handler that requests a page of the site itself must pass its request's context on. Then a response that would wait for itself is
// noticed: its handler runs once more, and beyond that the response is 508 (Loop Detected). A handler must not write into the elements of
// the header slices that were set for it.
func (c *Cache) Middleware(p Policy) func(http.Handler) http.Handler {
	route, err := c.Compile(p, "")
	if err != nil {
		panic(err.Error())
	}
	return func(next http.Handler) http.Handler { return wrap(route, next) }
}

// wrapped is a handler behind a route.
type wrapped struct {
	route   *middleware.Route
	next    middleware.Next
	handler middleware.Handler
	stands  atomic.Pointer[middleware.Standing] // by the patterns of the requests so far
}

func wrap(route *middleware.Route, next http.Handler) *wrapped {
	return &wrapped{route: route, next: nextOf(next), handler: identify(next)}
}

// standing returns the handler's place among the handlers that serve the request's pattern. It is looked up once.
func (h *wrapped) standing(r *http.Request) *middleware.Standing {
	known := h.stands.Load()
	s := known.Of(r.Pattern)
	if s != nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return s
	}
	s = h.route.Stand(r.Method, "", r.Pattern, h.handler)
	if r.Method == http.MethodGet {
		h.stands.CompareAndSwap(known, s.And(known)) // lost to another's: it is looked up once more
	}
	return s
}

func nextOf(h http.Handler) middleware.Next {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

func (h *wrapped) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	passage, done := h.route.BeginFor(w, r, r.Pattern, h.standing(r))
	if !done {
		_ = h.route.Finish(passage, w, r, h.next, (*http.Request).PathValue) // an http.Handler returns no error
	}
}

// identify says which handler it is, so that a handler that is wrapped again, perhaps with each request, is the same one. Values are
// compared. Functions cannot be compared in Go, so a function is identified by its closure.
func identify(h http.Handler) middleware.Handler {
	v := reflect.ValueOf(h)
	switch {
	case !v.IsValid():
		return middleware.Handler{}
	case v.Kind() == reflect.Func:
		return middleware.Handler{ID: closure{v.Type(), closureOf(h)}, Code: v.Pointer(), Func: v.Pointer()}
	case v.Comparable():
		return middleware.Handler{ID: h, Code: h, Name: v.Type().String()}
	}
	return middleware.Handler{ID: new(byte), Code: v.Type(), Name: v.Type().String()} // of a type of its own
}

// A closure identifies a function value. It holds the function, so no other one can get its place in memory.
type closure struct {
	is reflect.Type
	at unsafe.Pointer
}

// closureOf returns the second word of an interface that holds a function: where its closure lies.
func closureOf(h http.Handler) unsafe.Pointer { return (*[2]unsafe.Pointer)(unsafe.Pointer(&h))[1] }

var standard atomic.Pointer[Cache]

// Default returns the cache that [Middleware] uses. Until SetDefault sets another, that is one in memory alone, made by the first call.
func Default() *Cache {
	if c := standard.Load(); c != nil {
		return c
	}
	made, err := New(Options{})
	if err != nil {
		panic(err) // the zero Options are valid
	}
	for !standard.CompareAndSwap(nil, made) {
		if c := standard.Load(); c != nil { // not if SetDefault took it away meanwhile
			_ = made.Close(context.Background()) // nobody has seen it
			return c
		}
	}
	return made
}

// SetDefault makes c the cache that [Middleware] uses from now on. nil lets Default make a new one. Routes that were wrapped before keep
// their cache.
func SetDefault(c *Cache) { standard.Store(c) }

// Middleware caches the responses of the handler that it wraps in the [Default] cache; see [Cache.Middleware].
func Middleware(p Policy) func(http.Handler) http.Handler { return Default().Middleware(p) }

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

// A Cache stores responses as the policies of their routes say. Make it with [New]; it is safe for concurrent use.
type Cache struct {
	tiers      readthrough.Tiers
	own        *memstore.Store // tiers.Near, if New made it: Close closes it; otherwise nil
	number     uint64          // tells the Caches of this process apart
	following  *following      // nil: no other process purges
	batches    purgeBatches
	widened    atomic.Int64         // how many widened purges events have reported
	widenedAt  atomic.Int64         // when the last of these events was emitted, in Unix nanoseconds
	ranking    *readthrough.Ranking // nil: Far is no Ranker
	shortest   atomic.Int64         // the shortest near TTL of the HotShared routes, in nanoseconds; 0: there are none
	labeler    keys.Labeler
	common     *middleware.Common
	user       keying.User
	skips      map[string]func(*http.Request) bool
	by         map[string]func(*http.Request) string
	observe    func(Event) // gets how requests are served; nil: nobody listens
	listen     func(Event) // gets all other events; never nil
	limiter    eventLimiter
	traces     readthrough.Traces // of entries outside memory: why they are gone
	deaf       sync.Once          // logs once that the listener panics at every event
	secret     []byte
	trustProxy bool
	farBudget  time.Duration
	unwatch    func() // stops what watchStore began
}

// numbers counts the Caches of this process.
var numbers atomic.Uint64

// New returns a cache. It starts no goroutine and dials nothing: if Redis is unreachable, events say so once it is first needed. An error
// names the option, the fault and the remedy.
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
		c.listen = logProblems
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
	c.warnAboutFar()
	return c, nil
}

// minSecret is the minimum length of a secret, in bytes.
const minSecret = 16

// resolve finds out what the stores can do, once and for all.
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

// seal makes the far store authenticate its entries, if there is a secret.
func (c *Cache) seal(far store.Store) (store.Store, error) {
	if len(c.secret) > 0 && len(c.secret) < minSecret {
		return nil, fmt.Errorf("cache: Options.Secret has %d bytes; use at least %d, better 32 random ones", len(c.secret), minSecret)
	}
	if len(c.secret) == 0 || far == nil {
		return far, nil
	}
	sealed, past, ok := readthrough.Seal(far, c.secret)
	if past {
		c.warn(ReasonOptions, "Options.Secret is set, and the method Sealed of Options.Far, a %T, is that of the %T inside it: the cache uses that one, "+
			"and goes past the wrapper; give the wrapper a method Sealed of its own, or wrap the store that Sealed returns", far, sealed)
	}
	if !ok {
		return nil, fmt.Errorf("cache: Options.Secret is set and the Far store (%T) cannot authenticate entries; leave Secret out, or use one that implements store.Sealer", far)
	}
	return sealed, nil
}

// Close waits for background refreshes and for the goroutine that follows the purge log to end, as long as the context allows, and
// releases what New made. The cache may still get requests: after Close the built-in memory always misses. Stores that were given in
// Options are not closed. Within [Options.Observe] Close does not wait, because what it would wait for may be waiting for the listener.
// It may be called more than once.
func (c *Cache) Close(ctx context.Context) error {
	c.unwatch()
	if inListener() {
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

// Middleware returns middleware that caches the responses of the handler that it wraps, as the policy says. If the policy cannot work,
// Middleware panics at once, and the panic says what to do.
//
// It belongs directly around the handler, inside authentication, rate limits, CORS and compression: those then run for every request, hit
// or miss. A check inside the cache is skipped on hits. The handler of a shared class sees what outer middleware has put into the
// context, except the user, and must not let it into the response.
//
// With net/http's ServeMux and with chi, wrap the handlers of single routes: there the route's pattern and path parameters are known.
// Around a router, or a part of one (chi's r.Use in a sub-router), they are known only after the handler has run. Labels, tags and events
// have them even then, except events of requests that bypass the cache.
//
// If outer code chooses between handlers, by role for example, wrap each of them separately. If several handlers serve one pattern under
// equal policies, each has its own responses in memory. In Redis only the first one has responses; the others bypass the cache, and an
// event reports that. Policies with different Vary, Cookies or VaryBy are not equal. Redis knows a handler by the name of its function or
// type. So if processes share responses, never choose between handlers of one name, such as closures that one function returns.
//
// A handler that requests a page of its own site must pass on its request's context. Then the cache notices a request that would wait for
// itself: its handler runs once more, and one level deeper the response is 508 (Loop Detected). A handler must not modify the elements of
// header slices that were set for it.
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
	stands  atomic.Pointer[middleware.Standing] // for the patterns of the requests so far
}

func wrap(route *middleware.Route, next http.Handler) *wrapped {
	return &wrapped{route: route, next: nextOf(next), handler: identify(next)}
}

// standing returns the handler's place among the handlers that serve the request's pattern. It is looked up once per pattern.
func (h *wrapped) standing(r *http.Request) *middleware.Standing {
	known := h.stands.Load()
	s := known.Of(r.Pattern)
	if s != nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
		return s
	}
	s = h.route.Stand(r.Method, "", r.Pattern, h.handler)
	if r.Method == http.MethodGet {
		h.stands.CompareAndSwap(known, s.And(known)) // if another goroutine was faster, the next request looks it up again
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

// identify identifies the handler, so that a handler which is wrapped again, perhaps for each request, counts as the same one. Values are
// compared. Go cannot compare functions, so a function is identified by its closure.
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
	return middleware.Handler{ID: new(byte), Code: v.Type(), Name: v.Type().String()} // not comparable: never the same as another
}

// A closure identifies a function value. It references the function, so no other one can get its address.
type closure struct {
	is reflect.Type
	at unsafe.Pointer
}

// closureOf returns the second word of an interface that holds a function: the address of its closure.
func closureOf(h http.Handler) unsafe.Pointer { return (*[2]unsafe.Pointer)(unsafe.Pointer(&h))[1] }

var standard atomic.Pointer[Cache]

// Default returns the cache that [Middleware] uses. Until SetDefault sets another one, that is a cache in memory only, which the first
// call makes.
func Default() *Cache {
	if c := standard.Load(); c != nil {
		return c
	}
	made, err := New(Options{})
	if err != nil {
		panic(err) // the zero Options are valid
	}
	for !standard.CompareAndSwap(nil, made) {
		if c := standard.Load(); c != nil { // nil if SetDefault(nil) has removed it meanwhile
			_ = made.Close(context.Background()) // nobody else has it
			return c
		}
	}
	return made
}

// SetDefault makes c the cache that [Middleware] uses from now on. With nil, Default makes a new one. Routes that were wrapped before
// keep their cache.
func SetDefault(c *Cache) { standard.Store(c) }

// Middleware is [Cache.Middleware] of the [Default] cache.
func Middleware(p Policy) func(http.Handler) http.Handler { return Default().Middleware(p) }

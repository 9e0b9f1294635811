package cache

import (
	"fmt"
	"net/http"
	"time"

	"github.com/larder-go/cache/keying"
)

// A Class says who may receive a route's responses, and whether processes must agree on them. Both together decide where the responses
// are stored.
//
// It describes the receiver, not the subject: a user's public profile is HotShared, /me is PerUser. The zero Class is invalid: every
// policy names a class.
type Class uint8

const (
	// SharedGlobal responses are for everyone, and are stored only in the memory of the process. They need no Redis, and are never stored
	// there. Processes may have different responses for as long as one TTL.
	SharedGlobal Class = iota + 1
	// PerUser responses are for one user. They are stored in Redis, never in the memory of the process.
	PerUser
	// HotShared responses are for everyone. They are stored in Redis, with short-lived copies in the memory of each process.
	HotShared
	// FleetShared responses are for everyone, and are stored only in Redis.
	FleetShared
)

var classNames = [...]string{SharedGlobal: "shared-global", PerUser: "per-user", HotShared: "hot-shared", FleetShared: "fleet-shared"}

// String returns the name of the class in the text form of policies, such as "shared-global".
func (c Class) String() string {
	if c == 0 || int(c) >= len(classNames) {
		return fmt.Sprintf("class(%d)", uint8(c))
	}
	return classNames[c]
}

func (c Class) valid() bool     { return c > 0 && int(c) < len(classNames) }
func (c Class) usesRedis() bool { return c != SharedGlobal }

// Classify chooses the class of responses that are the same for everyone, by two questions. Must all processes have the same response? If
// so, is it requested so often that even a round trip to Redis is too slow? Responses that belong to one user are PerUser.
func Classify(mustAgree, onHotPath bool) Class {
	switch {
	case !mustAgree:
		return SharedGlobal
	case onHotPath:
		return HotShared
	}
	return FleetShared
}

// Defaults of a Policy.
const (
	DefaultTTL     = 60 * time.Second
	DefaultNearTTL = 5 * time.Second
	DefaultIfError = 30 * time.Second
	DefaultMaxBody = 1 << 20
	DefaultMaxRuns = 256
)

// A Policy says how a route's responses are cached. Only Class is required. A Policy is a plain value: the cache never changes it, and
// several routes may use the same one.
//
// Responses to GET are stored, and serve HEAD, too. Other methods bypass the cache. A response is stored if its status is 200 or one of
// StatusTTL, unless something in the response forbids it: Set-Cookie, Cache-Control with no-store, no-cache or (on shared classes)
// private, a Vary that the policy does not cover, or anything else that would be wrong for the next client.
type Policy struct {
	// Class says where responses are stored. Required.
	Class Class
	// TTL is how long a response is fresh. 0: 60 s, or with RFC9111 as long as the response says. The response's own Cache-Control and
	// Expires, and SetTTL, can only shorten it. Without RFC9111, each response gets up to a tenth less, depending on its key, so that
	// responses made together do not expire together. Above ten thousand requests a second, a cache reads the clock only every 10 ms, or
	// less often if goroutines are waiting for a processor.
	//
	// If a new version of the app lowers TTL, StatusTTL or a stale window, the lower value also applies to responses that are already in
	// Redis. A raised value applies only to responses stored from then on. Copies that Preload fetched keep their times for one NearTTL.
	// With RFC9111 a lower TTL applies, too, but stored responses keep their stale windows: purge the route to end them.
	TTL time.Duration
	// NearTTL is how long HotShared uses a copy in memory. 0: 5 s, or TTL if that is shorter. It must not be longer than TTL.
	NearTTL time.Duration
	// StaleWhileRevalidate is how long a stale response may still be served while one refresh runs in the background (RFC 5861 §3).
	// 0: not at all.
	StaleWhileRevalidate time.Duration
	// StaleIfError is how long a stale response may still be served if the handler fails: with a status of 500 or more, a panic, or a
	// returned error (RFC 5861 §4). 0: 30 s on shared classes, not at all on PerUser. Negative: not at all.
	StaleIfError time.Duration
	// Vary names the request headers that select the response: they are part of its key. On shared classes the handler sees no other
	// headers, except tracing headers and those of Pass. Responses name them in their own Vary, for the caches in front.
	Vary []string
	// Cookies names the cookies that select the response. On shared classes the handler sees no others. Never name a session cookie here.
	// Responses then say Vary: Cookie.
	Cookies []string
	// Query says which query parameters select the response. Zero: the whole raw query selects. Parameters that do not select are hidden
	// from the handler. If the cache wraps a whole mux, the mux's redirects lose them, too: annotate the routes instead.
	Query keying.Query
	// User says who makes a request; for PerUser only. nil: Options.User.
	User keying.User
	// Skip reports whether a request bypasses the cache: previews, health checks, or everybody who is logged in, for example. Such a
	// request reaches the handler unchanged, and its response is not stored. nil: no request bypasses. Skip runs first for each GET and
	// HEAD, hits included, and again for a refresh. It gets the same request as VaryBy, under the same rules. If caches in front must not
	// serve the response to others, the handler has to say so in the response. SkipName names a function in Options.Skips instead, as
	// tables do.
	Skip     func(*http.Request) bool
	SkipName string
	// VaryBy returns a text that selects the response, in addition to everything else that selects: a role, a tenant, a flag, or the
	// negotiated language. nil: nothing more selects.
	//
	// It gets the request as it reaches the cache, with the context of outer middleware. It must neither change the request nor read its
	// body. It is called for each GET and HEAD, hits included, by many goroutines at once. For the same request it must return the same
	// text, also when a refresh repeats the request. If the text is longer than 1 KiB, the request bypasses the cache. At most 32
	// variants of one URL are stored; a new one evicts the least used one. VaryByName names a function in Options.By instead, as tables
	// do. That name is part of the key in Redis; with VaryBy, the name of the Go function is.
	//
	// No header tells the caches in front what selected the response. So it leaves as private, unless the handler or Client says public,
	// s-maxage or no-store. On shared classes, headers that only VaryBy reads are hidden from the handler. It must find out by itself
	// what VaryBy found out, from the context for example. If Skip or VaryBy panics, the request bypasses the cache, and an event reports
	// the panic; http.ErrAbortHandler is passed on.
	VaryBy     func(*http.Request) string
	VaryByName string
	// Tags are labels (surrogate keys) to purge by. {name} stands for a path parameter of the route, as in "product:{id}". Its value is
	// unescaped once, whatever the router: for /users/bob%40x.org, "user:{id}" is user:bob@x.org.
	Tags []string
	// Pass names request headers that the handler may see on shared classes although they do not select. Whatever the response derives
	// from them is served to everyone.
	Pass []string
	// MaxBody is the size in bytes of the largest body that is stored. 0: 1 MiB. A larger body reaches the client whole, but is not
	// stored.
	MaxBody int64
	// MaxRuns is how many requests of the route, in this process, may run the handler at once because the cache had no response: as many
	// as the database behind it can take when the cache is cold or Redis is unreachable. Further requests wait for their turn, but for
	// five seconds at most, and for one second at most while no handler returns; then they run, too. HEADs and ranges count, too. 0: 256.
	// A run stops counting once its response turns out not to be cacheable, as a stream does.
	MaxRuns int
	// StatusTTL opts in to storing responses with other statuses than 200, each with its own lifetime: 203, 204, 300, 301, 302, 307, 308,
	// 404 or 410.
	StatusTTL map[int]time.Duration
	// Client is the Cache-Control that clients receive with stored responses, in place of the handler's. "no-cache" makes browsers
	// revalidate each time. "max-age=60" lets them reuse the response for a minute from when they receive it, so the response then has no
	// Age. The cache itself goes by TTL; no purge reaches what clients have stored. "": the handler's own. A handler's no-store, no-cache
	// or private is sent unchanged. Per-user responses stay private: "private, max-age=60".
	Client string
	// IgnoreAuthorization hides Authorization from the handler of a shared class. false: a request with that header bypasses the cache.
	IgnoreAuthorization bool
	// RFC9111 makes the route a standard HTTP cache, in which the responses' own headers decide: a shared cache, or with PerUser a
	// private one. The handler sees the whole request, except for what Options.TrustProxy hides. Its Cache-Control, Expires, Vary and
	// validators say what may be stored, for how long, and for whom. Stale responses are validated. The Cache-Control of requests counts.
	// A successful unsafe request invalidates the stored responses of its URL (RFC 9111 §4.4).
	//
	// TTL then has no default. 0: responses have the lifetimes that they state. Otherwise TTL is an upper bound for these, and the
	// lifetime of responses that state none. NearTTL, the stale windows, MaxBody, Query, Tags, Vary and Cookies mean what they always do,
	// except that a response's own stale-while-revalidate and stale-if-error override the policy's.
	RFC9111 bool
}

// varies reports whether a function selects the response.
func (p Policy) varies() bool { return p.VaryBy != nil || p.VaryByName != "" }

// ttl returns TTL, or its default.
func (p Policy) ttl() time.Duration {
	if p.TTL == 0 && !p.RFC9111 {
		return DefaultTTL
	}
	return p.TTL
}

func (p Policy) nearTTL() time.Duration {
	switch {
	case p.NearTTL != 0:
		return p.NearTTL
	case p.ttl() == 0:
		return DefaultNearTTL
	}
	return min(DefaultNearTTL, p.ttl())
}

func (p Policy) ifError() time.Duration {
	switch {
	case p.StaleIfError < 0, p.StaleIfError == 0 && p.Class == PerUser:
		return 0
	case p.StaleIfError == 0:
		return DefaultIfError
	}
	return p.StaleIfError
}

func (p Policy) maxRuns() int {
	if p.MaxRuns == 0 {
		return DefaultMaxRuns
	}
	return p.MaxRuns
}

func (p Policy) maxBody() int64 {
	if p.MaxBody == 0 {
		return DefaultMaxBody
	}
	return p.MaxBody
}

package cache

import (
	"fmt"
	"net/http"
	"time"

	"github.com/larder-go/cache/keying"
)

// A Class says who may receive a route's responses, and who must agree on them. That decides where they are stored.
//
// It is about the receiver, not the subject: a public profile is HotShared, "me" is PerUser. The zero Class is invalid, so
// a class is always chosen.
type Class uint8

const (
	// SharedGlobal responses are for everyone, and stay in the memory of the process. No Redis is needed, and none is
	// used. Another process may have another response, for one TTL.
	SharedGlobal Class = iota + 1
	// PerUser responses are for one user, and stay in Redis. Their bytes never stay in the memory of the process.
	PerUser
	// HotShared responses are for everyone. They are stored in Redis, with a short-lived copy in the memory in front of it.
	HotShared
	// FleetShared responses are for everyone, and stay in Redis.
	FleetShared
)

var classNames = [...]string{SharedGlobal: "shared-global", PerUser: "per-user", HotShared: "hot-shared", FleetShared: "fleet-shared"}

// String returns the name that policies are written with, such as "shared-global".
func (c Class) String() string {
	if c == 0 || int(c) >= len(classNames) {
		return fmt.Sprintf("class(%d)", uint8(c))
	}
	return classNames[c]
}

func (c Class) valid() bool     { return c > 0 && int(c) < len(classNames) }
func (c Class) usesRedis() bool { return c != SharedGlobal }

// Classify chooses the class of a response that is the same for everyone. It asks two questions: must other processes
// have the same response, and if so, is it requested so often that even a round trip to Redis is too slow? A response that
// belongs to one user is PerUser.
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

// A Policy says how a route's responses are cached. Only Class has no default. A Policy is a plain value: nothing changes it,
// and many routes may use the same one.
//
// Responses to GET are stored, and they answer HEAD, too. Other methods bypass the cache. A response is stored if its status is
// 200 or one of StatusTTL, unless it forbids that itself: by Set-Cookie, by Cache-Control with no-store, no-cache or (on shared
// classes) private, by a Vary that the policy does not cover, or by anything else that would be wrong for the next receiver.
type Policy struct {
	// Class says where responses are stored. Required.
	Class Class
	// TTL is how long a response is fresh. 0: 60 s, or with RFC9111 as long as the response says. The response's own Cache-Control
	// and Expires, and SetTTL, can only shorten it. Each response gets up to a tenth less, at random, so that responses which were
	// made together do not expire together. A cache with more than ten thousand requests a second reads the clock once in
	// 10 ms, or later if goroutines wait for a processor.
	//
	// If a new version of the app lowers TTL, StatusTTL or a stale window, that holds for what is in Redis already. If it raises
	// one, that holds for what is stored from then on. What Preload brings keeps its times for a NearTTL. With RFC9111 the TTL
	// holds, but a stored response keeps its stale windows: purge the route if they must end.
	TTL time.Duration
	// NearTTL is how long HotShared keeps the copy in memory. 0: 5 s, or TTL if that is shorter. It is never longer than TTL.
	NearTTL time.Duration
	// StaleWhileRevalidate is for how long a stale response may still be served while one refresh runs in the background
	// (RFC 5861 §3). 0: not at all.
	StaleWhileRevalidate time.Duration
	// StaleIfError is for how long a stale response may still be served if the handler fails: a status of 500 or more, a
	// panic, a returned error (RFC 5861 §4). 0: 30 s on shared classes, not at all on PerUser. Negative: not at all.
	StaleIfError time.Duration
	// Vary names the request headers that select the response. On shared classes the handler sees no other headers, besides
	// tracing headers and those of Pass. Responses list them in their own Vary, for the caches in front.
	Vary []string
	// Cookies names the cookies that select the response. On shared classes the handler sees only these. Never name a
	// session's cookie. Responses say Vary: Cookie.
	Cookies []string
	// Query says which query parameters select the response. Zero: the whole raw query does. The handler does not see the others.
	// If the cache wraps a whole mux, the mux's redirects lose them, too: annotate the routes instead.
	Query keying.Query
	// User says whose request it is; for PerUser only. nil: Options.User.
	User keying.User
	// Skip reports whether a request bypasses the cache: previews, health checks, or everybody who is logged in, for example.
	// Such a request reaches the handler unchanged, and its response is not stored. nil: no request does. It runs first for
	// each GET and HEAD, hits included, and again for a refresh. It gets the same request as VaryBy, under the same rules. If
	// caches in front must not give the response to others, the handler has to say so. SkipName names one of Options.Skips
	// instead, as tables do.
	Skip     func(*http.Request) bool
	SkipName string
	// VaryBy returns a text that selects the response, besides everything else that does: the role, the tenant, a flag, or the
	// negotiated language. nil: nothing more selects.
	//
	// It gets the request as it reaches the cache, with the context of outer middleware. It must neither change the request nor
	// read its body. It is called for each GET and HEAD, hits included, by many goroutines at once. The same request must get the
	// same text, also when a refresh repeats it. A text above 1 KiB bypasses the cache. Of one URL, 32 variants are stored at
	// most; the least used one is evicted. VaryByName names one of Options.By instead, as tables do. That name is part of the
	// key in Redis; for VaryBy the name of the function in the program is.
	//
	// No header tells a cache in front what selects, so these responses leave as private, unless the handler or Client says
	// public, s-maxage or no-store. On shared classes the handler does not see headers that select nothing else; it has to find
	// out by itself what VaryBy found out, from the context for example. If Skip or VaryBy panics, the request bypasses the cache
	// and an event tells of it; http.ErrAbortHandler passes on.
	VaryBy     func(*http.Request) string
	VaryByName string
	// Tags are labels to purge by (surrogate keys). {name} stands for a path parameter of the route, as in "product:{id}". Its value
	// is unescaped once, on every router: for /users/bob%40x.org, "user:{id}" is user:bob@x.org.
	Tags []string
	// Pass names request headers that the handler may see on shared classes although they select nothing. Whatever the
	// response derives from them is served to everyone.
	Pass []string
	// MaxBody is the length in bytes of the longest body that is stored. 0: 1 MiB. A longer one reaches the client whole and is
	// not stored.
	MaxBody int64
	// MaxRuns is how many requests of the route, in this process, may run the handler at once because the cache had no response:
	// as many as the database behind it bears when the cache is cold or Redis is away. Other requests wait for their turn,
	// for five seconds at most, and for one second while no handler returns; then they run, too. HEADs and ranges count, too.
	// 0: 256. Once a response turns out not to be cacheable, a stream for example, it no longer counts.
	MaxRuns int
	// StatusTTL opts in to storing responses of other statuses than 200, each with its own lifetime: 203, 204, 300, 301, 302,
	// 307, 308, 404 or 410.
	StatusTTL map[int]time.Duration
	// Client is the Cache-Control that clients receive with stored responses, in place of the handler's. "no-cache" makes browsers
	// revalidate each time. "max-age=60" lets them reuse the response for a minute from when they receive it, so it has no
	// Age then. Larder itself goes by TTL; what clients have, no purge reaches. "": the handler's own. A handler's no-store,
	// no-cache or private is sent unchanged. Per-user responses stay private: "private, max-age=60".
	Client string
	// IgnoreAuthorization hides Authorization from the handler of a shared class. false: a request with that header runs the
	// handler, and the response is not stored.
	IgnoreAuthorization bool
	// RFC9111 makes the route a standard HTTP cache, where the responses' own headers rule: a shared cache, or for PerUser a
	// private one. The handler sees the whole request. By Cache-Control, Expires, Vary and validators it says what may be stored,
	// for how long, and for whom. Stale responses are validated. Clients' Cache-Control counts. A successful unsafe method on the
	// route invalidates its responses.
	//
	// TTL has no default then. 0: responses have the lifetimes that they give themselves. Otherwise TTL bounds these, and is the
	// lifetime of responses that give none. NearTTL, the stale windows, MaxBody, Query, Tags, Vary and Cookies mean what they
	// always do, except that a response's own stale-while-revalidate and stale-if-error override the policy's.
	RFC9111 bool
}

// varies reports whether a function selects the response.
func (p Policy) varies() bool { return p.VaryBy != nil || p.VaryByName != "" }

// ttl returns the TTL with its default.
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

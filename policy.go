package cache

import (
	"fmt"
	"net/http"
	"time"

	"github.com/larder-go/cache/keying"
)

// A Class says who may receive a route's answer and who must agree on it, and by that where the answer lives. The zero
// Class is invalid: a class is always chosen. It is about the receiver, not the subject: a public profile is HotShared,
// "me" is PerUser.
type Class uint8

const (
	// SharedGlobal answers are for everyone and live in the memory of the process alone. No Redis is needed, none is
	// touched; another process may have another answer, for one TTL.
	SharedGlobal Class = iota + 1
	// PerUser answers are for one user and live in Redis alone. Their bytes never stay in the memory of the process.
	PerUser
	// HotShared answers are for everyone and live in Redis, with a short-lived copy in memory in front of it.
	HotShared
	// FleetShared answers are for everyone and live in Redis alone.
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

// Classify answers the two questions for an answer that is the same for everyone: must anything besides this process
// agree on it, and if so, is it read so often that even Redis is on the hot path? What is one user's is PerUser.
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

// A Policy says how a route's answers are cached. It is a plain value: nothing in it changes when it is used, and it may
// be used for many routes. Only Class has no default.
//
// Answers are kept for GET, and HEAD is answered from them; other methods pass. An answer is kept if its status is 200
// or one of StatusTTL, and unless it says otherwise: Set-Cookie, no-store, no-cache, private (on shared classes), a
// Vary that the policy does not cover, and whatever else would be wrong for the next receiver.
type Policy struct {
	// Class says where answers live. Required.
	Class Class
	// TTL is how long an answer is fresh. 0: 60 s, or with RFC9111 as long as the answer says. The answer's own Cache-Control
	// and Expires, and SetTTL, can only shorten it. Lifetimes are spread downwards by up to a tenth, so that answers made
	// together do not expire together. A cache that is asked more than ten thousand times a second looks at the clock
	// every 10 ms only, or as late as goroutines get a processor.
	//
	// A TTL that was lowered, and so a StatusTTL or a stale window, holds for what is kept in Redis already, from when a process
	// with the new policy reads it; a raised one for what is kept from then on. What Preload brings keeps its times for a NearTTL.
	// With RFC9111 the TTL holds, and the stale windows are the ones that an answer was stored with: purge the route where they
	// must end.
	TTL time.Duration
	// NearTTL is how long HotShared keeps the copy in memory. 0: 5 s, or TTL if that is shorter. Never longer than TTL.
	NearTTL time.Duration
	// StaleWhileRevalidate is how much longer a stale answer may be served at once while one refresh runs (RFC 5861 §3).
	// 0: not at all.
	StaleWhileRevalidate time.Duration
	// StaleIfError is how much longer a stale answer may stand in for a handler that fails: a status of 500 or more, a
	// panic, a returned error (RFC 5861 §4). 0: 30 s on shared classes, not at all on PerUser; negative: not at all.
	StaleIfError time.Duration
	// Vary names the request headers that select the answer. On shared classes the handler sees no others, besides
	// tracing headers and Pass. Answers say so in their own Vary, for the caches in front.
	Vary []string
	// Cookies names the cookies that select the answer, and that the handler sees on shared classes. Never a session's.
	// Answers say Vary: Cookie.
	Cookies []string
	// Query says which parameters select the answer. Zero: the raw query. What does not select is hidden from the handler, and
	// from redirects of a mux that is wrapped as a whole: annotate its routes instead.
	Query keying.Query
	// User says who is asking; PerUser only. nil: Options.User.
	User keying.User
	// Skip reports whether a request goes around the cache, as previews, health checks or everybody who is logged in may: it
	// reaches the handler as it came, and nothing is kept. nil: none does. It is asked first for each GET and HEAD, hits
	// included, and again for a refresh; see VaryBy for what it gets. An answer that caches in front must not give to others
	// says so itself. SkipName names one of Options.Skips instead, as tables do.
	Skip     func(*http.Request) bool
	SkipName string
	// VaryBy returns a text that selects the answer, beside all else that does: the role, the tenant, a flag, the language that
	// was negotiated. nil: nothing more selects. It gets the request as it reaches the cache, with the context of outer
	// middleware, must neither change it nor read its body, and is called for each GET and HEAD, concurrently, on hits, too.
	// The same request must get the same text, also when a refresh repeats it. A text above 1 KiB bypasses the cache. No more
	// than 32 variants of a URL are kept; the one that is used least makes room. VaryByName names one of Options.By instead,
	// as tables do; it tells keys apart in Redis, as the name of the function in the program does for VaryBy.
	//
	// No header tells a cache in front what selects, so these answers leave as private, unless the handler or Client says
	// public, s-maxage or no-store. The handler finds out by itself what VaryBy has found out, from the context for example:
	// headers that select nothing else it does not see on shared classes. If Skip or VaryBy panics, the request bypasses the
	// cache and an event tells; http.ErrAbortHandler passes on.
	VaryBy     func(*http.Request) string
	VaryByName string
	// Tags are labels to purge by. {name} stands for a path parameter of the route: "product:{id}". Its value is what the path
	// says, unescaped once, on every router: "user:{id}" is user:bob@x.org for /users/bob%40x.org.
	Tags []string
	// Pass names request headers that the handler may see on shared classes although they select nothing. What the answer
	// takes from them, everyone gets.
	Pass []string
	// MaxBody is how many bytes of body are kept at most. 0: 1 MiB. A longer one reaches the client whole and is not kept.
	MaxBody int64
	// MaxRuns is how many requests of the route, in this process, may be in the handler at once because the cache had no
	// answer: what the database behind it bears when the cache is cold or cannot reach Redis. Others wait for their turn,
	// for five seconds at most, and a second while no handler returns; then they run, too. HEADs and ranges count, too.
	// 0: 256. Answers that turn out not to be kept, streams for example, count no more.
	MaxRuns int
	// StatusTTL opts in to keeping answers of other statuses than 200, each with its own lifetime: 203, 204, 300, 301, 302,
	// 307, 308, 404 or 410.
	StatusTTL map[int]time.Duration
	// Client is the Cache-Control that clients are sent with the answers that are kept, in place of the handler's: "no-cache"
	// makes browsers ask again each time, "max-age=60" lets them do without for a minute, from when they get the answer (so
	// it has no Age then). Larder itself keeps by TTL; what clients have, no purge reaches. "": the handler's own. A handler's
	// no-store, no-cache or private is sent as it is. Per-user answers stay private: "private, max-age=60".
	Client string
	// IgnoreAuthorization hides Authorization from the handler of a shared class. false: a request that carries it goes
	// to the handler and nothing is kept.
	IgnoreAuthorization bool
	// RFC9111 makes the answers' own headers rule, as in a standard HTTP cache: a shared one, or for PerUser a private one.
	// The handler sees the whole request and says by Cache-Control, Expires, Vary and validators what may be kept, for how
	// long, for whom; it is asked to validate what is stale; clients' Cache-Control counts; and a success of an unsafe
	// method on the route invalidates. TTL has no default then: 0 leaves lifetimes to the answers, others bound them and are
	// that of answers that give none. NearTTL, the stale windows, MaxBody, Query, Tags, Vary and Cookies mean what they
	// always do, except that an answer's own stale-while-revalidate and stale-if-error go before the policy's.
	RFC9111 bool
}

// varies reports whether a function selects the answer.
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

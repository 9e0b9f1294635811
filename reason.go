package cache

import "github.com/larder-go/cache/middleware"

// Reason is a stable code, of an Event's Reason or its Cause. Cache-Status shows it as detail. docs/troubleshooting.md says for each what
// it means and what to change.
type Reason = middleware.Reason

// The request does not go through the cache: the outcome is Bypass.
const (
	ReasonMethod     = middleware.ReasonMethod     // neither GET nor HEAD
	ReasonOverride   = middleware.ReasonOverride   // it carries a method override header
	ReasonBody       = middleware.ReasonBody       // it carries a body, or announces one
	ReasonUpgrade    = middleware.ReasonUpgrade    // it asks for another protocol than HTTP, such as websocket
	ReasonConnection = middleware.ReasonConnection // its Connection names a field that it carries and that the handler would see
	ReasonSkip       = middleware.ReasonSkip       // the policy's Skip says so, or has panicked: then a Fault with this reason tells
	ReasonVaryBy     = middleware.ReasonVaryBy     // the policy's VaryBy has panicked: a Fault with this reason tells
	ReasonAuth       = middleware.ReasonAuth       // the route is shared, and the request carries Authorization
	ReasonIdentity   = middleware.ReasonIdentity   // the route is per-user, and nobody is known
	ReasonKey        = middleware.ReasonKey        // it has no key: it is too large, its VaryBy text is too long, or its query is ambiguous
	ReasonRange      = middleware.ReasonRange      // it asks for a part of a response that is not kept; equal requests at the same time share a run
	ReasonHead       = middleware.ReasonHead       // HEAD for a response that is not kept; equal requests at the same time share a run
	ReasonHandlers   = middleware.ReasonHandlers   // several handlers serve one pattern, and this one cannot be told from the first
	ReasonRequest    = middleware.ReasonRequest    // RFC9111: its Cache-Control says no-store
	ReasonCondition  = middleware.ReasonCondition  // RFC9111: it has a condition that only the origin can judge
)

// The request is answered without a handler, or against it.
const (
	ReasonOnlyIfCached = middleware.ReasonOnlyIfCached // RFC9111: the client wants a kept response or none, and none is kept
	ReasonLoop         = middleware.ReasonLoop         // a handler asks for its own response, within a run that asks for it
)

// The response must not be kept: the outcome is Miss.
const (
	ReasonStatus        = middleware.ReasonStatus        // the policy does not keep its status
	ReasonNoStore       = middleware.ReasonNoStore       // Cache-Control: no-store or no-cache; what only clients should obey belongs into Policy.Client
	ReasonPrivate       = middleware.ReasonPrivate       // Cache-Control: private on a shared route
	ReasonControl       = middleware.ReasonControl       // its Cache-Control cannot be parsed
	ReasonAge           = middleware.ReasonAge           // it says that it is stale already
	ReasonCookie        = middleware.ReasonCookie        // it sets a cookie
	ReasonVary          = middleware.ReasonVary          // it varies by a header that is not in the key
	ReasonNonce         = middleware.ReasonNonce         // its Content-Security-Policy has a nonce
	ReasonOrigin        = middleware.ReasonOrigin        // Access-Control-Allow-Origin for one origin, which is not in the key
	ReasonPersonal      = middleware.ReasonPersonal      // WWW-Authenticate, Clear-Site-Data and the like
	ReasonEncoding      = middleware.ReasonEncoding      // it is encoded, and Accept-Encoding is not in the key
	ReasonPartial       = middleware.ReasonPartial       // it is a part of a response
	ReasonHeader        = middleware.ReasonHeader        // too many header fields, or invalid ones
	ReasonTrailer       = middleware.ReasonTrailer       // it has trailers
	ReasonSize          = middleware.ReasonSize          // its body exceeds the policy's MaxBody
	ReasonBusy          = middleware.ReasonBusy          // too many bytes of responses are being recorded
	ReasonLength        = middleware.ReasonLength        // its body is not as long as its Content-Length
	ReasonStream        = middleware.ReasonStream        // the handler flushed, as ReverseProxy does where the length is unknown: see the writer of examples/proxy
	ReasonHijack        = middleware.ReasonHijack        // the handler took the connection
	ReasonUnwrap        = middleware.ReasonUnwrap        // the handler took the underlying writer
	ReasonEmpty         = middleware.ReasonEmpty         // the handler wrote nothing at all
	ReasonHandler       = middleware.ReasonHandler       // the handler called NoStore
	ReasonError         = middleware.ReasonError         // the handler returned an error; in echo one whose status the policy does not keep
	ReasonLate          = middleware.ReasonLate          // the handler failed after it had begun to write
	ReasonPanic         = middleware.ReasonPanic         // the handler panicked
	ReasonCanceled      = middleware.ReasonCanceled      // the handler's context ended while it ran
	ReasonTag           = middleware.ReasonTag           // a tag names a path parameter that the request does not have
	ReasonLabels        = middleware.ReasonLabels        // too many tags
	ReasonRequestCookie = middleware.ReasonRequestCookie // RFC9111: the request has cookies that the policy does not name, and the response does not say that it is for everyone
	ReasonRequestUser   = middleware.ReasonRequestUser   // RFC9111: the same for a request with a user (WithUser, or Options.User) or a client certificate
	ReasonNotReached    = middleware.ReasonNotReached    // a background refresh was answered before it reached the route
)

// The response was to be kept, and is not.
const (
	ReasonStore     = middleware.ReasonStore     // a store fails or takes too long; of a fault, Recovered tells of the end
	ReasonRefused   = middleware.ReasonRefused   // a store does not take the entry, for its size
	ReasonOvertaken = middleware.ReasonOvertaken // it was purged while it was made, or a newer one has taken its place
)

// Warnings: what was registered works, but may surprise.
const (
	ReasonUserInShared = middleware.ReasonUserInShared // the handler of a shared route, or a shared load, asks who the user is or sets one: nobody is known there
	ReasonOuterCookie  = middleware.ReasonOuterCookie  // middleware outside sets a cookie, or says Vary: Cookie, on responses that everyone gets
	ReasonCheckInside  = middleware.ReasonCheckInside  // the handler of a shared route keeps some responses and refuses others (401, 403, a redirect to a login): a hit skips that check
	ReasonHidden       = middleware.ReasonHidden       // the response varies by a request header that is not in the key, and that shared routes hide
	ReasonNegotiated   = middleware.ReasonNegotiated   // a per-user handler chooses by what the client accepts, and that is not in the key
	ReasonNested       = middleware.ReasonNested       // another cache is around this one
)

// Causes: why there was no hit, where this process knows. They say nothing of whether the response was kept.
const (
	CauseCold    = middleware.CauseCold    // nothing was kept, as far as this process can tell
	CauseExpired = middleware.CauseExpired // its time was over
	CausePurged  = middleware.CausePurged  // it was purged
	CauseEvicted = middleware.CauseEvicted // memory, or Redis, had let go of it before its time was over
	CauseAway    = middleware.CauseAway    // Redis could not be asked
	CauseVariant = middleware.CauseVariant // others of the URL were kept, but none for these header fields or cookies
)

// Warnings of this package: the configuration, and purges that name what nothing has.
const (
	ReasonNearTTL  = Reason("near-ttl")       // a near TTL above 10 s: processes may differ for that long
	ReasonOptions  = Reason("options")        // Far was made in a way that works, but may surprise: Err says how
	ReasonNoLog    = Reason("no-log")         // Far is no store.Log, or hides that the store inside it is one: purges do not reach the other processes, or late
	ReasonNoLeases = Reason("no-leases")      // Far hides that the store inside it is a store.Leaser: each process runs a load of its own
	ReasonWidened  = Reason("purges-widened") // there were too many purges: the oldest ones of an area became one purge of the whole area
	ReasonNoRoute  = Reason("no-route")       // a purge names a route that no request has used so far
	ReasonNoTag    = Reason("no-tag")         // a purge names a tag that no policy has and that no response carried so far
	ReasonNoScheme = Reason("no-scheme")      // a purge names a URL by https where all requests came by http, or the other way round
	ReasonNoUser   = Reason("no-user")        // a purge names a user, and no route is per-user
)

// Faults of this package.
const (
	ReasonValue    = Reason("value")        // a value of Values would not come back from Redis as it was: it is not kept
	ReasonCorrupt  = Reason("corrupt")      // an entry in Redis is damaged, foreign or forged: a miss
	ReasonRest     = Reason("rest")         // the circuit is open: a store keeps failing and is not asked for a while; Recovered tells of the end
	ReasonPurge    = Reason("purge-failed") // Redis was not told of a purge
	ReasonRecords  = Reason("records-lost") // Redis has lost purges that it had acknowledged, or all of them: what was made before counts as purged
	ReasonCommands = Reason("commands")     // Redis does not know commands that are needed, or refuses them: Err names them and the remedy
	ReasonLog      = Reason("log-lost")     // purges elsewhere do not reach copies in memory at once; they end with their time to live
	ReasonObserve  = Reason("observe")      // Observe panicked when it was told of another event
)

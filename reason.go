package cache

import "github.com/larder-go/cache/middleware"

// Reason is a stable code, of an Event's Reason or its Cause. Cache-Status shows it as detail. docs/troubleshooting.md says for each what
// it means and what to change.
type Reason = middleware.Reason

// The request does not go through the cache: the outcome is Bypass.
const (
	// Neither GET nor HEAD.
	ReasonMethod = middleware.ReasonMethod
	// It carries a method override header.
	ReasonOverride = middleware.ReasonOverride
	// It carries a body, or announces one.
	ReasonBody = middleware.ReasonBody
	// It asks for another protocol than HTTP, such as websocket.
	ReasonUpgrade = middleware.ReasonUpgrade
	// Its Connection names a field that it carries and that the handler would see.
	ReasonConnection = middleware.ReasonConnection
	// The policy's Skip says so, or has panicked: then a Fault with this reason tells.
	ReasonSkip = middleware.ReasonSkip
	// The policy's VaryBy has panicked: a Fault with this reason tells.
	ReasonVaryBy = middleware.ReasonVaryBy
	// The route is shared, and the request carries Authorization.
	ReasonAuth = middleware.ReasonAuth
	// The route is per-user, and nobody is known.
	ReasonIdentity = middleware.ReasonIdentity
	// It has no key: it is too large, its VaryBy text is too long, or its query is ambiguous.
	ReasonKey = middleware.ReasonKey
	// It asks for a part of a response that is not kept; equal requests at the same time share a run.
	ReasonRange = middleware.ReasonRange
	// HEAD for a response that is not kept; equal requests at the same time share a run.
	ReasonHead = middleware.ReasonHead
	// Several handlers serve one pattern, and this one cannot be told from the first.
	ReasonHandlers = middleware.ReasonHandlers
	// RFC9111: its Cache-Control says no-store.
	ReasonRequest = middleware.ReasonRequest
	// RFC9111: it has a condition that only the origin can judge.
	ReasonCondition = middleware.ReasonCondition
)

// The request is answered without a handler, or against it.
const (
	// RFC9111: the client wants a kept response or none, and none is kept.
	ReasonOnlyIfCached = middleware.ReasonOnlyIfCached
	// A handler asks for its own response, within a run that asks for it.
	ReasonLoop = middleware.ReasonLoop
)

// The response must not be kept: the outcome is Miss.
const (
	// The policy does not keep its status.
	ReasonStatus = middleware.ReasonStatus
	// Cache-Control: no-store or no-cache; what only clients should obey belongs into Policy.Client.
	ReasonNoStore = middleware.ReasonNoStore
	// Cache-Control: private on a shared route.
	ReasonPrivate = middleware.ReasonPrivate
	// Its Cache-Control cannot be parsed.
	ReasonControl = middleware.ReasonControl
	// It says that it is stale already.
	ReasonAge = middleware.ReasonAge
	// It sets a cookie.
	ReasonCookie = middleware.ReasonCookie
	// It varies by a header that is not in the key.
	ReasonVary = middleware.ReasonVary
	// Its Content-Security-Policy has a nonce.
	ReasonNonce = middleware.ReasonNonce
	// Access-Control-Allow-Origin for one origin, which is not in the key.
	ReasonOrigin = middleware.ReasonOrigin
	// WWW-Authenticate, Clear-Site-Data and the like.
	ReasonPersonal = middleware.ReasonPersonal
	// It is encoded, and Accept-Encoding is not in the key.
	ReasonEncoding = middleware.ReasonEncoding
	// It is a part of a response.
	ReasonPartial = middleware.ReasonPartial
	// Too many header fields, or invalid ones.
	ReasonHeader = middleware.ReasonHeader
	// It has trailers.
	ReasonTrailer = middleware.ReasonTrailer
	// Its body exceeds the policy's MaxBody.
	ReasonSize = middleware.ReasonSize
	// Too many bytes of responses are being recorded.
	ReasonBusy = middleware.ReasonBusy
	// Its body is not as long as its Content-Length.
	ReasonLength = middleware.ReasonLength
	// The handler flushed, as ReverseProxy does where the length is unknown: see the writer of examples/proxy.
	ReasonStream = middleware.ReasonStream
	// The handler took the connection.
	ReasonHijack = middleware.ReasonHijack
	// The handler took the underlying writer.
	ReasonUnwrap = middleware.ReasonUnwrap
	// The handler wrote nothing at all.
	ReasonEmpty = middleware.ReasonEmpty
	// The handler called NoStore.
	ReasonHandler = middleware.ReasonHandler
	// The handler returned an error; in echo one whose status the policy does not keep.
	ReasonError = middleware.ReasonError
	// The handler failed after it had begun to write.
	ReasonLate = middleware.ReasonLate
	// The handler panicked.
	ReasonPanic = middleware.ReasonPanic
	// The handler's context ended while it ran.
	ReasonCanceled = middleware.ReasonCanceled
	// A tag names a path parameter that the request does not have.
	ReasonTag = middleware.ReasonTag
	// Too many tags.
	ReasonLabels = middleware.ReasonLabels
	// RFC9111: the request has cookies that the policy does not name, and the response does not say that it is for everyone.
	ReasonRequestCookie = middleware.ReasonRequestCookie
	// RFC9111: the same for a request with a user (WithUser, or Options.User) or a client certificate.
	ReasonRequestUser = middleware.ReasonRequestUser
	// A background refresh was answered before it reached the route.
	ReasonNotReached = middleware.ReasonNotReached
)

// The response was to be kept, and is not.
const (
	// A store fails or takes too long; of a fault, Recovered tells of the end.
	ReasonStore = middleware.ReasonStore
	// A store does not take the entry, for its size.
	ReasonRefused = middleware.ReasonRefused
	// It was purged while it was made, or a newer one has taken its place.
	ReasonOvertaken = middleware.ReasonOvertaken
)

// Warnings: what was registered works, but may surprise.
const (
	// The handler of a shared route, or a shared load, asks who the user is or sets one: nobody is known there.
	ReasonUserInShared = middleware.ReasonUserInShared
	// Middleware outside sets a cookie, or says Vary: Cookie, on responses that everyone gets.
	ReasonOuterCookie = middleware.ReasonOuterCookie
	// The handler of a shared route keeps some responses and refuses others (401, 403, a redirect to a login): a hit skips that check.
	ReasonCheckInside = middleware.ReasonCheckInside
	// The response varies by a request header that is not in the key, and that shared routes hide.
	ReasonHidden = middleware.ReasonHidden
	// A per-user handler chooses by what the client accepts, and that is not in the key.
	ReasonNegotiated = middleware.ReasonNegotiated
	// Another cache is around this one.
	ReasonNested = middleware.ReasonNested
)

// Causes: why there was no hit, where this process knows. They say nothing of whether the response was kept.
const (
	// Nothing was kept, as far as this process can tell.
	CauseCold = middleware.CauseCold
	// Its time was over.
	CauseExpired = middleware.CauseExpired
	// It was purged.
	CausePurged = middleware.CausePurged
	// Memory, or Redis, had let go of it before its time was over.
	CauseEvicted = middleware.CauseEvicted
	// Redis could not be asked.
	CauseAway = middleware.CauseAway
	// Others of the URL were kept, but none for these header fields or cookies.
	CauseVariant = middleware.CauseVariant
)

// Warnings of this package: the configuration, and purges that name what nothing has.
const (
	// A near TTL above 10 s: processes may differ for that long.
	ReasonNearTTL = Reason("near-ttl")
	// Far was made in a way that works, but may surprise: Err says how.
	ReasonOptions = Reason("options")
	// Far is no store.Log, or hides that the store inside it is one: purges do not reach the other processes, or late.
	ReasonNoLog = Reason("no-log")
	// Far hides that the store inside it is a store.Leaser: each process runs a load of its own.
	ReasonNoLeases = Reason("no-leases")
	// There were too many purges: the oldest ones of an area became one purge of the whole area.
	ReasonWidened = Reason("purges-widened")
	// A purge names a route that no request has used so far.
	ReasonNoRoute = Reason("no-route")
	// A purge names a tag that no policy has and that no response carried so far.
	ReasonNoTag = Reason("no-tag")
	// A purge names a URL by https where all requests came by http, or the other way round.
	ReasonNoScheme = Reason("no-scheme")
	// A purge names a user, and no route is per-user.
	ReasonNoUser = Reason("no-user")
)

// Faults of this package.
const (
	// A value of Values would not come back from Redis as it was: it is not kept.
	ReasonValue = Reason("value")
	// An entry in Redis is damaged, foreign or forged: a miss.
	ReasonCorrupt = Reason("corrupt")
	// The circuit is open: a store keeps failing and is not asked for a while; Recovered tells of the end.
	ReasonRest = Reason("rest")
	// Redis was not told of a purge.
	ReasonPurge = Reason("purge-failed")
	// Redis has lost purges that it had acknowledged, or all of them: what was made before counts as purged.
	ReasonRecords = Reason("records-lost")
	// Redis does not know commands that are needed, or refuses them: Err names them and the remedy.
	ReasonCommands = Reason("commands")
	// Purges elsewhere do not reach copies in memory at once; they end with their time to live.
	ReasonLog = Reason("log-lost")
	// Observe panicked when it was told of another event.
	ReasonObserve = Reason("observe")
)

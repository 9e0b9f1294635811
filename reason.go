package cache

import "github.com/larder-go/cache/middleware"

// Reason is a stable code, in an Event's Reason or its Cause. Cache-Status shows it as detail. docs/troubleshooting.md says what each
// code means and what to change.
type Reason = middleware.Reason

// The request does not go through the cache: the outcome is Bypass.
const (
	// Neither GET nor HEAD.
	ReasonMethod = middleware.ReasonMethod
	// It has a method override header.
	ReasonOverride = middleware.ReasonOverride
	// It has a body, or announces one.
	ReasonBody = middleware.ReasonBody
	// It requests another protocol than HTTP, such as websocket.
	ReasonUpgrade = middleware.ReasonUpgrade
	// Its Connection names a field that it has and that the handler would see.
	ReasonConnection = middleware.ReasonConnection
	// The policy's Skip says so, or has panicked: then a Fault with this reason reports it.
	ReasonSkip = middleware.ReasonSkip
	// The policy's VaryBy has panicked: a Fault with this reason reports it.
	ReasonVaryBy = middleware.ReasonVaryBy
	// The route is shared, and the request has Authorization.
	ReasonAuth = middleware.ReasonAuth
	// The route is per-user, and no user is known.
	ReasonIdentity = middleware.ReasonIdentity
	// It has no key: it is too large, its VaryBy text is too long, or its query is ambiguous.
	ReasonKey = middleware.ReasonKey
	// It requests a part of a response that is not stored; concurrent equal requests share a run.
	ReasonRange = middleware.ReasonRange
	// HEAD for a response that is not stored; concurrent equal requests share a run.
	ReasonHead = middleware.ReasonHead
	// Several handlers serve one pattern, and this one cannot be distinguished from the first.
	ReasonHandlers = middleware.ReasonHandlers
	// RFC9111: its Cache-Control says no-store.
	ReasonRequest = middleware.ReasonRequest
	// RFC9111: it has a condition that only the origin can judge.
	ReasonCondition = middleware.ReasonCondition
)

// The cache responds itself, without a handler or in its place.
const (
	// RFC9111: the client wants a stored response or none, and none is stored.
	ReasonOnlyIfCached = middleware.ReasonOnlyIfCached
	// A handler requests its own response, within the run that makes it.
	ReasonLoop = middleware.ReasonLoop
)

// The response must not be stored: the outcome is Miss.
const (
	// The policy does not store its status.
	ReasonStatus = middleware.ReasonStatus
	// Cache-Control: no-store or no-cache; what only clients should obey belongs in Policy.Client.
	ReasonNoStore = middleware.ReasonNoStore
	// Cache-Control: private on a shared route.
	ReasonPrivate = middleware.ReasonPrivate
	// Its Cache-Control cannot be parsed.
	ReasonControl = middleware.ReasonControl
	// Its headers say that it is already stale.
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
	// The length of its body is not its Content-Length.
	ReasonLength = middleware.ReasonLength
	// The handler flushed, as ReverseProxy does if the length is unknown: see the writer of examples/proxy.
	ReasonStream = middleware.ReasonStream
	// The handler hijacked the connection.
	ReasonHijack = middleware.ReasonHijack
	// The handler reached around the cache's ResponseWriter, to the one underneath.
	ReasonUnwrap = middleware.ReasonUnwrap
	// The handler wrote nothing at all.
	ReasonEmpty = middleware.ReasonEmpty
	// The handler called NoStore.
	ReasonHandler = middleware.ReasonHandler
	// The handler returned an error; in echo, one whose status the policy does not store.
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
	// Outer middleware responded to a background refresh, so it did not reach the route.
	ReasonNotReached = middleware.ReasonNotReached
)

// The response should have been stored, and was not.
const (
	// A store fails or takes too long; Recovered reports the end of such a fault.
	ReasonStore = middleware.ReasonStore
	// A store refused the entry because of its size.
	ReasonRefused = middleware.ReasonRefused
	// It was purged while its handler ran, or a newer one has replaced it.
	ReasonOvertaken = middleware.ReasonOvertaken
)

// Warnings: what was registered works, but may surprise.
const (
	// The handler of a shared route, or a shared load, asks who the user is, or sets one: no user is known there.
	ReasonUserInShared = middleware.ReasonUserInShared
	// Middleware outside sets a cookie, or says Vary: Cookie, on responses that everyone gets.
	ReasonOuterCookie = middleware.ReasonOuterCookie
	// Some responses of a shared route are stored, and its handler refuses other requests (401, 403, a redirect to a login): a hit
	// skips that check.
	ReasonCheckInside = middleware.ReasonCheckInside
	// The response varies by a request header that is not in the key, and that shared routes hide.
	ReasonHidden = middleware.ReasonHidden
	// A per-user handler chooses by what the client accepts, and that is not in the key.
	ReasonNegotiated = middleware.ReasonNegotiated
	// Another cache is around this one.
	ReasonNested = middleware.ReasonNested
)

// Causes: why there was no hit, if this process knows. They do not say whether the response was stored.
const (
	// Nothing was stored, as far as this process knows.
	CauseCold = middleware.CauseCold
	// It had expired.
	CauseExpired = middleware.CauseExpired
	// It was purged.
	CausePurged = middleware.CausePurged
	// Memory or Redis had evicted it before it expired.
	CauseEvicted = middleware.CauseEvicted
	// Redis was unreachable, or its circuit open.
	CauseAway = middleware.CauseAway
	// Other variants of the URL were stored, but none for these header fields or cookies.
	CauseVariant = middleware.CauseVariant
)

// Warnings of this package: about the configuration, and about purges that name what nothing has.
const (
	// A near TTL is above 10 s: processes may differ for that long if a purge does not arrive.
	ReasonNearTTL = Reason("near-ttl")
	// The store in Options.Far was set up in a way that works, but may surprise: Err says how.
	ReasonOptions = Reason("options")
	// Far is no store.Log, or hides that the store inside it is one: purges do not reach the other processes, or reach them late.
	ReasonNoLog = Reason("no-log")
	// Far hides that the store inside it is a store.Leaser: each process runs its own load.
	ReasonNoLeases = Reason("no-leases")
	// There were too many purges: the oldest of an area became one purge of the whole area.
	ReasonWidened = Reason("purges-widened")
	// A purge names a route that no request has used so far, or the Cache that purges has no route at all.
	ReasonNoRoute = Reason("no-route")
	// A purge names a tag that no policy has and no response has had so far.
	ReasonNoTag = Reason("no-tag")
	// A purge names an https URL, and all requests came over http, or the other way round.
	ReasonNoScheme = Reason("no-scheme")
	// A purge names a user, and no route and no Values is per-user.
	ReasonNoUser = Reason("no-user")
)

// Faults of this package. Two of these codes are not of a Fault: a Miss has ReasonValue, and a Purged has ReasonPurge.
const (
	// A value of Values would come back from Redis changed, so it is not stored.
	ReasonValue = Reason("value")
	// An entry in Redis is damaged, foreign or forged: a miss.
	ReasonCorrupt = Reason("corrupt")
	// The circuit is open: a store keeps failing, so only a probe reaches it now and then; Recovered reports the end.
	ReasonRest = Reason("rest")
	// A purge did not reach Redis. It is pending until Redis is back.
	ReasonPurge = Reason("purge-failed")
	// Redis has lost purges that it had acknowledged, or all of them: everything made before counts as purged.
	ReasonRecords = Reason("records-lost")
	// Redis does not know commands that are needed, or denies them: Err names them and the remedy.
	ReasonCommands = Reason("commands")
	// Purges by other processes do not reach copies in memory at once; the copies end with their TTL, or near TTL. Followed ends this.
	ReasonLog = Reason("log-lost")
	// Observe panicked at another event.
	ReasonObserve = Reason("observe")
)

package middleware

import "github.com/larder-go/cache/internal/trace"

// Outcome says where the response to a request came from.
type Outcome string

const (
	// From the cache, fresh.
	Hit Outcome = "hit"
	// From the cache, past its freshness.
	Stale Outcome = "stale"
	// From another request's run of the handler.
	Shared Outcome = "shared"
	// From the handler. The reason says why the response was not stored; "" means that it was.
	Miss Outcome = "miss"
	// From the handler, past the cache; the reason says why.
	Bypass Outcome = "bypass"
	// Not of a request: a stored response was refreshed, or was not, for the reason given.
	Refresh Outcome = "refresh"
	// From the cache, after the handler has confirmed it or added to it; the reason says why that was not stored.
	Validated Outcome = "validated"
	// Not of a request: something works, but may surprise.
	Warning Outcome = "warning"
	// Not of a request: a store, a handler or another function of the app failed, as Err says.
	Fault Outcome = "fault"
)

// Reason is a stable code: why the cache did not serve a request, or did not store a response, and what an event is about. Package cache
// has them all under the same names, with those of its own events; docs/troubleshooting.md says what to change for each.
type Reason string

// Reasons and, of Event.Cause, causes.
const (
	// The request does not go through the cache: the outcome is Bypass.

	// Neither GET nor HEAD.
	ReasonMethod Reason = "method"
	// It has a method override header.
	ReasonOverride Reason = "override"
	// It has a body, or announces one.
	ReasonBody Reason = "body"
	// It asks for another protocol than HTTP, such as websocket.
	ReasonUpgrade Reason = "upgrade"
	// Its Connection names a field that it has and that the handler would see.
	ReasonConnection Reason = "connection"
	// The policy's Skip says so, or has panicked: then a Fault with this reason reports it.
	ReasonSkip Reason = "skip"
	// The policy's VaryBy has panicked: a Fault with this reason reports it.
	ReasonVaryBy Reason = "vary-by"
	// The route is shared, and the request has Authorization.
	ReasonAuth Reason = "authorization"
	// The route is per-user, and nobody is known.
	ReasonIdentity Reason = "identity"
	// It has no key: it is too large, its VaryBy text is too long, or its query is ambiguous.
	ReasonKey Reason = "key"
	// It asks for a part of a response that is not stored; concurrent equal requests share a run.
	ReasonRange Reason = "range"
	// HEAD for a response that is not stored; concurrent equal requests share a run.
	ReasonHead Reason = "head"
	// Several handlers serve one pattern, and this one cannot be told from the first.
	ReasonHandlers Reason = "handlers"
	// RFC9111: its Cache-Control says no-store.
	ReasonRequest Reason = "request-no-store"
	// RFC9111: it has a condition that only the origin can judge.
	ReasonCondition Reason = "condition"

	// The cache responds itself, without a handler or in its place.

	// RFC9111: the client wants a stored response or none, and none is stored.
	ReasonOnlyIfCached Reason = "only-if-cached"
	// A handler requests its own response, within the run that makes it.
	ReasonLoop Reason = "loop"

	// The response must not be stored: the outcome is Miss.

	// The policy does not store its status.
	ReasonStatus Reason = "status"
	// Cache-Control: no-store or no-cache; what only clients should obey belongs in Policy.Client.
	ReasonNoStore Reason = "no-store"
	// Cache-Control: private on a shared route.
	ReasonPrivate Reason = "private"
	// Its Cache-Control cannot be parsed.
	ReasonControl Reason = "cache-control"
	// It says that it is stale already.
	ReasonAge Reason = "max-age"
	// It sets a cookie.
	ReasonCookie Reason = "set-cookie"
	// It varies by a header that is not in the key.
	ReasonVary Reason = "vary"
	// Its Content-Security-Policy has a nonce.
	ReasonNonce Reason = "nonce"
	// Access-Control-Allow-Origin for one origin, which is not in the key.
	ReasonOrigin Reason = "allow-origin"
	// WWW-Authenticate, Clear-Site-Data and the like.
	ReasonPersonal Reason = "personal"
	// It is encoded, and Accept-Encoding is not in the key.
	ReasonEncoding Reason = "content-encoding"
	// It is a part of a response.
	ReasonPartial Reason = "partial"
	// Too many header fields, or invalid ones.
	ReasonHeader Reason = "header"
	// It has trailers.
	ReasonTrailer Reason = "trailer"
	// Its body exceeds the policy's MaxBody.
	ReasonSize Reason = "size"
	// Too many bytes of responses are being recorded.
	ReasonBusy Reason = "busy"
	// Its body is not as long as its Content-Length.
	ReasonLength Reason = "length"
	// The handler flushed, as ReverseProxy does where the length is unknown: see the writer of examples/proxy.
	ReasonStream Reason = "stream"
	// The handler took the connection.
	ReasonHijack Reason = "hijack"
	// The handler took the underlying writer.
	ReasonUnwrap Reason = "unwrap"
	// The handler wrote nothing at all.
	ReasonEmpty Reason = "no-answer"
	// The handler called NoStore.
	ReasonHandler Reason = "handler-no-store"
	// The handler returned an error; in echo one whose status the policy does not store.
	ReasonError Reason = "handler-error"
	// The handler failed after it had begun to write.
	ReasonLate Reason = "late-error"
	// The handler panicked.
	ReasonPanic Reason = "panic"
	// The handler's context ended while it ran.
	ReasonCanceled Reason = "canceled"
	// A tag names a path parameter that the request does not have.
	ReasonTag Reason = "tag"
	// Too many tags.
	ReasonLabels Reason = "labels"
	// RFC9111: the request has cookies that the policy does not name, and the response does not say that it is for everyone.
	ReasonRequestCookie Reason = "request-cookie"
	// RFC9111: the same for a request with a user (WithUser, or Options.User) or a client certificate.
	ReasonRequestUser Reason = "request-user"
	// A background refresh got a response before it reached the route.
	ReasonNotReached Reason = "refresh-not-reached"

	// The response should have been stored, and was not.

	// A store fails or takes too long; for a fault, Recovered reports the end.
	ReasonStore Reason = "store"
	// A store refused the entry, for its size.
	ReasonRefused Reason = "entry-refused"
	// It was purged while it was made, or a newer one has replaced it.
	ReasonOvertaken Reason = "purged-meanwhile"

	// Warnings: what was registered works, but may surprise.

	// The handler of a shared route, or a shared load, asks who the user is, or sets one: nobody is known there.
	ReasonUserInShared Reason = "user-in-shared"
	// Middleware outside sets a cookie, or says Vary: Cookie, on responses that everyone gets.
	ReasonOuterCookie Reason = "outer-cookie"
	// The handler of a shared route has some responses stored and refuses others (401, 403, a redirect to a login): a hit skips that
	// check.
	ReasonCheckInside Reason = "check-inside"
	// The response varies by a request header that is not in the key, and that shared routes hide.
	ReasonHidden Reason = "hidden-header"
	// A per-user handler chooses by what the client accepts, and that is not in the key.
	ReasonNegotiated Reason = "negotiated"
	// Another cache is around this one.
	ReasonNested Reason = "nested"

	// Causes: why there was no hit, if this process knows. They do not say whether the response was stored.

	// Nothing was stored, as far as this process can tell.
	CauseCold Reason = Reason(trace.CauseCold)
	// It had expired.
	CauseExpired Reason = Reason(trace.CauseExpired)
	// It was purged.
	CausePurged Reason = Reason(trace.CausePurged)
	// Memory or Redis had evicted it before it expired.
	CauseEvicted Reason = Reason(trace.CauseEvicted)
	// Redis could not be reached.
	CauseAway Reason = Reason(trace.CauseAway)
	// Other responses of the URL were stored, but none for these header fields or cookies.
	CauseVariant Reason = "variant"
)

// An Event is one outcome. It never contains a URL, a user or a header value.
type Event struct {
	// The route pattern; "" where the router tells none.
	Route   string
	Outcome Outcome
	// "" for hits and stored responses.
	Reason Reason
	// Of a miss: why there was no hit; "" if that is not known.
	Cause Reason
	// Where a hit came from: "near" or "far".
	Tier string
	// 0: unknown.
	Status int
	// Of faults, of handlers that failed, and of warnings.
	Err error
}

package middleware

import "github.com/larder-go/cache/internal/trace"

// Outcome says how a request was answered.
type Outcome string

const (
	Hit       Outcome = "hit"       // from the cache, fresh
	Stale     Outcome = "stale"     // from the cache, past its freshness
	Shared    Outcome = "shared"    // by another request's run of the handler
	Miss      Outcome = "miss"      // by the handler; the reason says why the answer was not kept, none that it was
	Bypass    Outcome = "bypass"    // by the handler, without the cache; the reason says why
	Refresh   Outcome = "refresh"   // not a request's own: a stale answer was refreshed, or not, for the reason given
	Validated Outcome = "validated" // from the cache, after its handler has confirmed it or added to it; the reason says why that was not kept
	Warning   Outcome = "warning"   // not a request's own: what works may surprise
	Fault     Outcome = "fault"     // not a request's own: the store failed, as Err says
)

// Reason is a stable code: why the cache did not answer, or did not keep a response, and what an event is about. Package cache has them all
// under the same names, with those of its own events; docs/troubleshooting.md says what to change for each.
type Reason string

// Reasons and, of Event.Cause, causes.
const (
	// The request does not go through the cache: the outcome is Bypass.
	ReasonMethod     Reason = "method"           // neither GET nor HEAD
	ReasonOverride   Reason = "override"         // it carries a method override header
	ReasonBody       Reason = "body"             // it carries a body, or announces one
	ReasonUpgrade    Reason = "upgrade"          // it asks for another protocol than HTTP, such as websocket
	ReasonConnection Reason = "connection"       // its Connection names a field that it carries and that the handler would see
	ReasonSkip       Reason = "skip"             // the policy's Skip says so, or has panicked: then a Fault with this reason tells
	ReasonVaryBy     Reason = "vary-by"          // the policy's VaryBy has panicked: a Fault with this reason tells
	ReasonAuth       Reason = "authorization"    // the route is shared, and the request carries Authorization
	ReasonIdentity   Reason = "identity"         // the route is per-user, and nobody is known
	ReasonKey        Reason = "key"              // it has no key: it is too large, its VaryBy text is too long, or its query is ambiguous
	ReasonRange      Reason = "range"            // it asks for a part of a response that is not kept; equal requests at the same time share a run
	ReasonHead       Reason = "head"             // HEAD for a response that is not kept; equal requests at the same time share a run
	ReasonHandlers   Reason = "handlers"         // several handlers serve one pattern, and this one cannot be told from the first
	ReasonRequest    Reason = "request-no-store" // RFC9111: its Cache-Control says no-store
	ReasonCondition  Reason = "condition"        // RFC9111: it has a condition that only the origin can judge

	// The request is answered without a handler, or against it.
	ReasonOnlyIfCached Reason = "only-if-cached" // RFC9111: the client wants a kept response or none, and none is kept
	ReasonLoop         Reason = "loop"           // a handler asks for its own response, within a run that asks for it

	// The response must not be kept: the outcome is Miss.
	ReasonStatus        Reason = "status"              // the policy does not keep its status
	ReasonNoStore       Reason = "no-store"            // Cache-Control: no-store or no-cache; what only clients should obey belongs into Policy.Client
	ReasonPrivate       Reason = "private"             // Cache-Control: private on a shared route
	ReasonControl       Reason = "cache-control"       // its Cache-Control cannot be parsed
	ReasonAge           Reason = "max-age"             // it says that it is stale already
	ReasonCookie        Reason = "set-cookie"          // it sets a cookie
	ReasonVary          Reason = "vary"                // it varies by a header that is not in the key
	ReasonNonce         Reason = "nonce"               // its Content-Security-Policy has a nonce
	ReasonOrigin        Reason = "allow-origin"        // Access-Control-Allow-Origin for one origin, which is not in the key
	ReasonPersonal      Reason = "personal"            // WWW-Authenticate, Clear-Site-Data and the like
	ReasonEncoding      Reason = "content-encoding"    // it is encoded, and Accept-Encoding is not in the key
	ReasonPartial       Reason = "partial"             // it is a part of a response
	ReasonHeader        Reason = "header"              // too many header fields, or invalid ones
	ReasonTrailer       Reason = "trailer"             // it has trailers
	ReasonSize          Reason = "size"                // its body exceeds the policy's MaxBody
	ReasonBusy          Reason = "busy"                // too many bytes of responses are being recorded
	ReasonLength        Reason = "length"              // its body is not as long as its Content-Length
	ReasonStream        Reason = "stream"              // the handler flushed, as ReverseProxy does where the length is unknown: see the writer of examples/proxy
	ReasonHijack        Reason = "hijack"              // the handler took the connection
	ReasonUnwrap        Reason = "unwrap"              // the handler took the underlying writer
	ReasonEmpty         Reason = "no-answer"           // the handler wrote nothing at all
	ReasonHandler       Reason = "handler-no-store"    // the handler called NoStore
	ReasonError         Reason = "handler-error"       // the handler returned an error; in echo one whose status the policy does not keep
	ReasonLate          Reason = "late-error"          // the handler failed after it had begun to write
	ReasonPanic         Reason = "panic"               // the handler panicked
	ReasonCanceled      Reason = "canceled"            // the handler's context ended while it ran
	ReasonTag           Reason = "tag"                 // a tag names a path parameter that the request does not have
	ReasonLabels        Reason = "labels"              // too many tags
	ReasonRequestCookie Reason = "request-cookie"      // RFC9111: the request has cookies that the policy does not name, and the response does not say that it is for everyone
	ReasonRequestUser   Reason = "request-user"        // RFC9111: the same for a request with a user (WithUser, or Options.User) or a client certificate
	ReasonNotReached    Reason = "refresh-not-reached" // a background refresh was answered before it reached the route

	// The response was to be kept, and is not.
	ReasonStore     Reason = "store"            // a store fails or takes too long; of a fault, Recovered tells of the end
	ReasonRefused   Reason = "entry-refused"    // a store does not take the entry, for its size
	ReasonOvertaken Reason = "purged-meanwhile" // it was purged while it was made, or a newer one has taken its place

	// Warnings: what was registered works, but may surprise.
	ReasonUserInShared Reason = "user-in-shared" // the handler of a shared route, or a shared load, asks who the user is or sets one: nobody is known there
	ReasonOuterCookie  Reason = "outer-cookie"   // middleware outside sets a cookie, or says Vary: Cookie, on responses that everyone gets
	ReasonCheckInside  Reason = "check-inside"   // the handler of a shared route keeps some responses and refuses others (401, 403, a redirect to a login): a hit skips that check
	ReasonHidden       Reason = "hidden-header"  // the response varies by a request header that is not in the key, and that shared routes hide
	ReasonNegotiated   Reason = "negotiated"     // a per-user handler chooses by what the client accepts, and that is not in the key
	ReasonNested       Reason = "nested"         // another cache is around this one

	// Causes: why there was no hit, where this process knows. They say nothing of whether the response was kept.
	CauseCold    Reason = Reason(trace.CauseCold)    // nothing was kept, as far as this process can tell
	CauseExpired Reason = Reason(trace.CauseExpired) // its time was over
	CausePurged  Reason = Reason(trace.CausePurged)  // it was purged
	CauseEvicted Reason = Reason(trace.CauseEvicted) // memory, or Redis, had let go of it before its time was over
	CauseAway    Reason = Reason(trace.CauseAway)    // Redis could not be asked
	CauseVariant Reason = "variant"                  // others of the URL were kept, but none for these header fields or cookies
)

// An Event is one outcome. Nothing in it names a URL, a user or a header value.
type Event struct {
	Route   string // the route pattern; "" where the router tells none
	Outcome Outcome
	Reason  Reason // "" for hits and kept answers
	Cause   Reason // of a miss: why there was no hit; "" where that is not known
	Tier    string // where a hit came from: "near" or "far"
	Status  int    // 0: unknown
	Err     error  // of faults, and of handlers that failed
}

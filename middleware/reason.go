package middleware

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

// Reason is a stable code for why the cache did not answer, or did not keep an answer. These are all there are, besides those of
// warnings, in warn.go.
type Reason string

const (
	// The request is not for a cache.
	ReasonMethod     Reason = "method"        // neither GET nor HEAD
	ReasonOverride   Reason = "override"      // it carries a method override header
	ReasonBody       Reason = "body"          // it carries a body, or says so
	ReasonSkip       Reason = "skip"          // the policy's Skip says so, or has panicked: a Fault of this reason tells
	ReasonVaryBy     Reason = "vary-by"       // the policy's VaryBy has panicked: a Fault of this reason tells
	ReasonUpgrade    Reason = "upgrade"       // it asks for another protocol than HTTP, as websocket
	ReasonConnection Reason = "connection"    // its Connection names a field that it carries and the handler would see
	ReasonAuth       Reason = "authorization" // a shared route, and it carries Authorization
	ReasonIdentity   Reason = "identity"      // a per-user route, and nobody is known
	ReasonKey        Reason = "key"           // it cannot be keyed: too large, what VaryBy says of it is too long, or its query is ambiguous
	ReasonRange      Reason = "range"         // it asks for a part of what is not kept; equal ones at once share a run
	ReasonHead       Reason = "head"          // HEAD for what is not kept; equal ones at once share a run
	ReasonHandlers   Reason = "handlers"      // several handlers serve one pattern, and this one cannot be told from the first

	ReasonRequest      Reason = "request-no-store" // its Cache-Control says no-store
	ReasonCondition    Reason = "condition"        // it has a condition that only the origin can judge
	ReasonOnlyIfCached Reason = "only-if-cached"   // it wants what is kept or nothing, and nothing is
	ReasonLoop         Reason = "loop"             // a handler asks for its own answer, within a run that asks for it

	// The answer must not be kept.
	ReasonStatus        Reason = "status"              // its status is not one the policy keeps
	ReasonNoStore       Reason = "no-store"            // Cache-Control: no-store or no-cache; what only clients are to heed, Policy.Client says
	ReasonPrivate       Reason = "private"             // Cache-Control: private on a shared route
	ReasonControl       Reason = "cache-control"       // Cache-Control cannot be parsed
	ReasonAge           Reason = "max-age"             // the answer says that it is stale already
	ReasonCookie        Reason = "set-cookie"          // it sets a cookie
	ReasonVary          Reason = "vary"                // it varies by what the key does not have
	ReasonNonce         Reason = "nonce"               // a nonce in its Content-Security-Policy
	ReasonOrigin        Reason = "allow-origin"        // an Access-Control-Allow-Origin for one origin, which is not in the key
	ReasonPersonal      Reason = "personal"            // WWW-Authenticate, Clear-Site-Data and the like
	ReasonEncoding      Reason = "content-encoding"    // encoded, and Accept-Encoding is not in the key
	ReasonPartial       Reason = "partial"             // a part of an answer
	ReasonHeader        Reason = "header"              // too many header fields, or invalid ones
	ReasonSize          Reason = "size"                // its body exceeds the policy's MaxBody
	ReasonBusy          Reason = "busy"                // too many bytes of answers are being recorded
	ReasonLength        Reason = "length"              // its body is not as long as its Content-Length
	ReasonStream        Reason = "stream"              // the handler flushed, as ReverseProxy does where the length is unknown: see the writer of examples/proxy
	ReasonHijack        Reason = "hijack"              // the handler took the connection
	ReasonUnwrap        Reason = "unwrap"              // the handler took the underlying writer
	ReasonEmpty         Reason = "no-answer"           // the handler wrote nothing at all
	ReasonHandler       Reason = "handler-no-store"    // the handler called NoStore
	ReasonError         Reason = "handler-error"       // the handler returned an error; in echo not one whose status the policy keeps
	ReasonLate          Reason = "late-error"          // it had begun when the handler told of an error
	ReasonPanic         Reason = "panic"               // the handler panicked
	ReasonCanceled      Reason = "canceled"            // the handler's context ended while it ran
	ReasonTag           Reason = "tag"                 // a tag names a path parameter that the request does not have
	ReasonLabels        Reason = "labels"              // too many tags
	ReasonNotReached    Reason = "refresh-not-reached" // a refresh was answered before it came to the route
	ReasonRequestCookie Reason = "request-cookie"      // a standard route: the request has cookies that the policy does not name, and the answer does not say for how long it is good
	ReasonRequestUser   Reason = "request-user"        // the same of a request with a user (WithUser, or Options.User) or a client certificate
	ReasonTrailer       Reason = "trailer"             // it has trailers

	// The answer was to be kept, and is not.
	ReasonStore     Reason = "store"            // a store failed or took too long
	ReasonRefused   Reason = "entry-refused"    // a store does not take the entry, for its size
	ReasonOvertaken Reason = "purged-meanwhile" // it was purged while it was made, or a newer one has taken its place

	// What was registered may surprise: of warnings alone.
	ReasonNested Reason = "nested" // another cache is around this one
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

package middleware

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/internal/user"
	"github.com/larder-go/cache/store"
)

const (
	year = 365 * 24 * time.Hour // no answer is fresh for longer
	// validatable is how long past its freshness an answer is kept that a validation could make fresh again.
	validatable = 24 * time.Hour
)

// times sets how long the entry lives: as the policy says, or shorter if the answer or the handler says so. What the answer
// says counts from when it was made, and an entry counts from then, too; the policy and the handler say for how long it is
// kept here.
func (rt *Route) times(e *store.Entry, rec *recorder, said time.Duration, now time.Time) {
	if rt.Standard {
		rt.standardTimes(e, rec, said)
		return
	}
	ttl := rt.TTL
	if rec.status != http.StatusOK {
		ttl = rt.StatusTTL[rec.status]
	}
	ttl = Spread(ttl, e.Key)
	if said > 0 {
		ttl = min(ttl, said)
	}
	e.Stored, e.Aged, e.Fresh = now.Add(-rec.age), rec.age, rec.age+ttl
	if rec.lifetime >= 0 {
		e.Fresh = min(e.Fresh, rec.lifetime)
	}
	if !rec.control.NeverStale(rt.Scheme.Private) {
		e.WhileRevalidate, e.IfError = rt.WhileRevalidate, rt.IfError
	}
}

// standardTimes sets how long the entry lives by the law: as the answer says; the policy's TTL and the handler bound it
// (RFC 9111 §4.2, RFC 5861). An entry counts from when the answer was made, not from when it came.
func (rt *Route) standardTimes(e *store.Entry, rec *recorder, said time.Duration) {
	v := rec.law.verdict
	age := min(v.Age, year)
	e.Stored, e.Aged, e.Fresh = rec.law.came.Add(-age), age, min(v.Fresh, year)
	if v.Age > year {
		e.Fresh = 0
	}
	for _, most := range [...]time.Duration{rt.TTL, said} {
		if most > 0 {
			e.Fresh = min(e.Fresh, age+most)
		}
	}
	if !v.NeverStale {
		e.IfError = rt.IfError
		if v.Fresh > 0 { // one that never was fresh would be served as if it were
			e.WhileRevalidate = rt.WhileRevalidate
		}
		if d := v.Control.WhileRevalidate; d >= 0 {
			e.WhileRevalidate = min(d, year)
		}
		if d := v.Control.IfError; d >= 0 {
			e.IfError = min(d, year)
		}
	}
	if tag, modified := validators(e); e.Status == http.StatusPartialContent || tag != "" || modified != "" {
		e.IfValidated = validatable
	}
}

// verdict is what the law says of an answer to the recorder's request.
func (rt *Route) verdict(rec *recorder, status int, h http.Header) *rfc9111.Verdict {
	if rec.law.came.IsZero() {
		rec.law.came = time.Now()
	}
	v := rfc9111.Judge(rfc9111.Answer{
		Status: status, Header: h,
		Private: rt.Scheme.Private, Authorized: rec.r.Header["Authorization"] != nil,
		Received: rec.law.came, Delay: rec.law.came.Sub(rec.law.began), Default: rt.TTL,
	})
	return &v
}

// refusals are the reasons of the law's refusals.
var refusals = [...]Reason{
	rfc9111.Storable:      "",
	rfc9111.NoStore:       ReasonNoStore,
	rfc9111.Private:       ReasonPrivate,
	rfc9111.Malformed:     ReasonControl,
	rfc9111.Authorization: ReasonAuth,
	rfc9111.Status:        ReasonStatus,
	rfc9111.Partial:       ReasonPartial,
	rfc9111.Varying:       ReasonVary,
}

// storableStandard judges the head of an answer by the law, and by what is not to be kept whatever the answer says: a
// cookie is one client's, a nonce one response's, a trailer comes too late.
func (rt *Route) storableStandard(rec *recorder, status int, h http.Header) Reason {
	v := rt.verdict(rec, status, h)
	rec.law.verdict = v
	switch {
	case v.Refusal != rfc9111.Storable:
		return refusals[v.Refusal]
	case status == http.StatusPartialContent && rec.r.Header["Range"] == nil:
		return ReasonPartial
	case rec.changed(h, "Set-Cookie"):
		return ReasonCookie
	case h["Trailer"] != nil:
		return ReasonTrailer
	case reflected(rec.r, h, v.Vary): // a user's browser may come from several origins
		return ReasonOrigin
	case rt.Scheme.Private:
	case nonce(h["Content-Security-Policy"]) || nonce(h["Content-Security-Policy-Report-Only"]):
		return ReasonNonce
	}
	return rt.personal(rec.r, v)
}

// personal says why an answer must not be kept to which the cache would have to give a lifetime of its own, or "". The
// handler of a standard route sees who asks: whoever asks with cookies may get a page of his own, from a handler that has
// never heard of caches. It is for everyone if the answer says so, or for how long it is good; and so it is if it says
// that it varies by the cookies, or the policy does. Authorization has a section of the law to itself (RFC 9111 §3.5).
func (rt *Route) personal(r *http.Request, v *rfc9111.Verdict) Reason {
	if rt.Scheme.Private || !v.Guessed || v.Control.ForAuthorized() || slices.Contains(v.Vary, "Cookie") {
		return ""
	}
	if rt.Scheme.Unselected(r.Header["Cookie"]) {
		return ReasonRequestCookie
	}
	if rt.knows(r) || r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		return ReasonRequestUser
	}
	return ""
}

// knows reports whether it is known who asks: to the context, or to the app's own identity.
func (rt *Route) knows(r *http.Request) bool {
	if _, known := user.Of(r.Context()); known || rt.User == nil {
		return known
	}
	user, known := rt.asks(r, cmp.Or(rt.Pattern, r.Pattern))
	return known && user != ""
}

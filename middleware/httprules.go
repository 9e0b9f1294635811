package middleware

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/internal/user"
	"github.com/larder-go/cache/store"
)

// standard answers GET and HEAD as an HTTP cache does (RFC 9111 §4): from the store where the stored answer and the request
// allow it, and else by the handler, whose answer may be a validation of the stored one.
func (rt *Route) standard(p Passage, w http.ResponseWriter, r *http.Request, next Next, param Param) error {
	ask := rfc9111.ParseAsk(r.Header["Cache-Control"])
	if p.reason = rt.unanswerable(r, ask); p.reason != "" {
		return rt.around(p, w, r, next)
	}
	l := rt.leads(&p, w, r, next, param)
	defer l.close()
	judge := func(e *store.Entry, use readthrough.Use, made readthrough.Made) readthrough.Use {
		return rt.fitness(&l.p, r, ask, e, use, made)
	}
	e, use := rt.find(&l.call, &l.p, r, judge)
	if use >= readthrough.WhileRefreshed {
		return rt.conclude(l, readthrough.Result{Entry: e, Use: use, Source: readthrough.Stored})
	}
	if ask.OnlyIfCached {
		return rt.unsatisfied(l)
	}
	l.p.fwd = forwardedFor(l, e, use)
	if r.Method == http.MethodHead && (e == nil || e.Status == http.StatusPartialContent) {
		l.p.reason, l.p.fwd = ReasonHead, ""
	}
	if l.part = isPart(r); l.part {
		return rt.conclude(l, l.call.GetPart(l.p.key, partKey(l.p.key, r), l, judge))
	}
	return rt.conclude(l, l.call.Get(l.p.key, l, judge))
}

// unanswerable says why a request is for the handler alone: the client wants nothing of it to be stored (§5.2.1.5), or has
// set conditions that only the origin can judge (RFC 9110 §13.1.1, §13.1.4).
func (rt *Route) unanswerable(r *http.Request, ask rfc9111.Ask) Reason {
	switch {
	case ask.NoStore:
		return ReasonRequest
	case r.Header["If-Match"] != nil, r.Header["If-Unmodified-Since"] != nil:
		return ReasonCondition
	}
	return ""
}

// unsatisfied answers a request that wants what is stored or nothing (§5.2.1.7).
func (rt *Route) unsatisfied(l *leading) error {
	h := l.w.Header()
	h["Cache-Control"] = []string{"no-store"}
	rt.Common.addStatus(h, []string{rt.Common.name + "; detail=" + string(ReasonOnlyIfCached)})
	l.w.WriteHeader(http.StatusGatewayTimeout)
	l.report(Event{Route: l.p.pattern, Outcome: Miss, Reason: ReasonOnlyIfCached, Cause: Reason(l.call.Cause(l.p.key)), Status: http.StatusGatewayTimeout})
	return nil
}

// forwardedFor is why a stored answer does not do, in RFC 9211's words (§2.2).
func forwardedFor(l *leading, e *store.Entry, use readthrough.Use) string {
	p := &l.p
	switch {
	case e == nil && l.call.Cause(p.key) == store.CauseAway: // what it has is not known
		return "miss"
	case e == nil && p.fresh: // and of no use for a validation
		return "request"
	case e == nil && p.index != nil:
		return "vary-miss"
	case e == nil:
		return "uri-miss"
	case e.Status == http.StatusPartialContent:
		return "partial"
	case p.fresh:
		return "request"
	}
	return "stale"
}

// fitness says what a stored answer is good for in one request (RFC 9111 §4): at most what its own age makes of it, less if
// the request wants more, and more if the request takes a stale one. To an answer whose run has begun since the request came
// it cannot object: its own would be no newer. One whose run had begun before is as old as it is, although it came later.
func (rt *Route) fitness(p *Passage, r *http.Request, ask rfc9111.Ask, e *store.Entry, use readthrough.Use, made readthrough.Made) readthrough.Use {
	switch {
	case use == readthrough.NoUse: // purged, or past every window: no wish of a client's brings it back
		return use
	case e.Status == 0, made != readthrough.Before && !rt.selects(p, r, e):
		return readthrough.NoUse
	case r.Header["Authorization"] != nil && !rt.Scheme.Private && !controlOf(e, p.outer, false).ForAuthorized():
		return unvalidated(e, use)
	case e.Status == http.StatusPartialContent:
		if _, _, ok := slice(e, r); !ok {
			return unvalidated(e, use)
		}
	}
	if made == readthrough.Since || ask == noAsk {
		return use
	}
	now := time.Now()
	switch ask.Fit(e.Age(now), e.Left(now)) {
	case rfc9111.Unfit:
		p.fresh = p.fresh || use == readthrough.Fresh
		if use > readthrough.OnValidation && e.Status != http.StatusPartialContent {
			p.whole = e
		}
		return unvalidated(e, use)
	case rfc9111.FitsExpired:
		if !rt.Through.Expired(e) && !controlOf(e, p.outer, rt.Scheme.Private).NeverStale(rt.Scheme.Private) {
			return readthrough.Fresh
		}
	}
	return use
}

// noAsk is a request that wants nothing special.
var noAsk = rfc9111.ParseAsk(nil)

// unvalidated is what an answer is good for that must not be served as it is.
func unvalidated(e *store.Entry, use readthrough.Use) readthrough.Use {
	if e.IfValidated == 0 {
		return readthrough.NoUse
	}
	return min(use, readthrough.OnValidation)
}

// slice takes what the request's range asks for out of a stored part (RFC 9111 §3.3).
func slice(e *store.Entry, r *http.Request) (rfc9111.Part, []byte, bool) {
	lines := r.Header["Range"]
	if len(lines) != 1 || r.Method != http.MethodGet {
		return rfc9111.Part{}, nil, false
	}
	if wanted := r.Header["If-Range"]; wanted != nil && !rfc9111.StrongMatch(first(wanted), first(fieldOf(e, "Etag"))) {
		return rfc9111.Part{}, nil, false
	}
	part, known := rfc9111.ParseContentRange(fieldOf(e, "Content-Range"))
	ranges, ok := rfc9111.ParseRange(lines[0])
	if !known || !ok || len(ranges) != 1 {
		return rfc9111.Part{}, nil, false
	}
	return part.Slice(e.Body, ranges[0])
}

// fieldOf returns the lines of a field that the handler set.
func fieldOf(e *store.Entry, name string) []string {
	if lines := e.Header.Lines(name); lines != nil {
		return lines
	}
	return linesIn(e.Added, name)
}

func linesIn(fields []store.Field, name string) []string {
	for i := range fields {
		if fields[i].Name == name {
			return fields[i].Values
		}
	}
	return nil
}

// linesOf returns the lines that a field has when the answer is replayed onto what outer middleware has set; without an
// entry those that are there.
func linesOf(e *store.Entry, outer http.Header, name string) []string {
	if e == nil {
		return outer[name]
	}
	if lines := e.Header.Lines(name); lines != nil {
		return lines
	}
	lines := outer[name]
	for i := range e.Added {
		switch added := e.Added[i]; {
		case added.Name != name:
		case len(added.Values) == 0: // removed
			return nil
		default:
			return append(lines[:len(lines):len(lines)], added.Values...)
		}
	}
	return lines
}

// controlOf is what rules a stored answer.
func controlOf(e *store.Entry, outer http.Header, private bool) rfc9111.Control {
	return rfc9111.Effective(http.Header{
		"Cache-Control":     linesOf(e, outer, "Cache-Control"),
		"Cdn-Cache-Control": linesOf(e, outer, "Cdn-Cache-Control"),
	}, private)
}

const (
	year = 365 * 24 * time.Hour // no answer is fresh for longer
	// validatable is how long past its freshness an answer is kept that a validation could make fresh again.
	validatable = 24 * time.Hour
)

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

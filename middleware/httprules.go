package middleware

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/internal/trace"
	"github.com/larder-go/cache/internal/user"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// httpRules is the rule book of RFC 9111 mode: a shared HTTP cache in front of the handler, or one user's own if the route is
// per user. Pure functions in internal/rfc9111 decide what a response's fields mean; this file connects them with the store.
// Section numbers are those of RFC 9111 unless they say otherwise.
type httpRules struct{ rt *Route }

// httpHead is what RFC 9111 mode notes of a response when its head comes.
type httpHead struct {
	// When the handler was called: the age of the response includes the time since then (§4.2.3).
	began time.Time
	// When its head came.
	came time.Time
	// What may be done with it.
	verdict *rfc9111.Verdict
}

// answer serves GET and HEAD as an HTTP cache does (§4): from the store if the stored response and the request allow it, and
// otherwise by the handler, whose response may validate the stored one.
func (hr *httpRules) answer(f *fetch) error {
	ask := rfc9111.ParseAsk(f.r.Header["Cache-Control"])
	if f.p.reason = unanswerable(f.r, ask); f.p.reason != "" {
		f.reported = true // bypass reports the request
		return hr.rt.bypass(f.p, f.w, f.r, f.next)
	}
	judge := func(e *store.Entry, use readthrough.Use, made readthrough.Made) readthrough.Use {
		return hr.fitness(&f.p, f.r, ask, e, use, made)
	}
	e, use := hr.find(&f.call, &f.p, f.r, judge)
	if use >= readthrough.WhileRefreshed {
		return f.conclude(readthrough.Result{Entry: e, Use: use, Source: readthrough.Stored})
	}
	if ask.OnlyIfCached {
		return hr.unsatisfied(f)
	}
	f.p.fwd = forwardedFor(f, e)
	if f.r.Method == http.MethodHead && (e == nil || e.Status == http.StatusPartialContent) {
		f.p.reason, f.p.fwd = ReasonHead, ""
	}
	f.part = isPart(f.r)
	return f.get(judge)
}

// unanswerable says why a request is for the handler alone: the client forbids to store any of it (§5.2.1.5), or has set
// conditions that only the origin can evaluate (RFC 9110 §13.1.1, §13.1.4).
func unanswerable(r *http.Request, ask rfc9111.Ask) Reason {
	switch {
	case ask.NoStore:
		return ReasonRequest
	case r.Header["If-Match"] != nil, r.Header["If-Unmodified-Since"] != nil:
		return ReasonCondition
	}
	return ""
}

// unsatisfied responds to an only-if-cached request that no stored response fits (§5.2.1.7).
func (hr *httpRules) unsatisfied(f *fetch) error {
	h := f.w.Header()
	h["Cache-Control"] = []string{"no-store"}
	hr.rt.common.addStatus(h, []string{hr.rt.common.name + "; detail=" + string(ReasonOnlyIfCached)})
	f.w.WriteHeader(http.StatusGatewayTimeout)
	f.report(Event{Route: f.p.pattern, Outcome: Miss, Reason: ReasonOnlyIfCached, Cause: Reason(f.call.Cause(f.p.key)), Status: http.StatusGatewayTimeout})
	return nil
}

// forwardedFor says why no stored response can be used, in RFC 9211's words (§2.2).
func forwardedFor(f *fetch, e *store.Entry) string {
	p := &f.p
	switch {
	case e == nil && f.call.Cause(p.key) == trace.CauseAway: // nobody knows what the store has
		return "miss"
	case e == nil && p.fresh: // one is fresh, but not for this request, and cannot be validated
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

// fitness says how a request may use a stored response (§4): as the response's own age allows, less if the request demands
// more, and more if the request accepts a stale one.
//
// A request cannot reject a response whose run began after the request came: a run of its own would bring nothing newer. If
// the run began before, the response is as old as it is, although it came later.
func (hr *httpRules) fitness(p *Passage, r *http.Request, ask rfc9111.Ask, e *store.Entry, use readthrough.Use, made readthrough.Made) readthrough.Use {
	private := hr.rt.scheme.Private
	switch {
	case use == readthrough.NoUse: // purged, or past every window: no request directive brings it back
		return use
	case e.Status == 0, made != readthrough.Before && !hr.selects(p, r, e):
		return readthrough.NoUse
	case r.Header["Authorization"] != nil && !private && !controlOf(e, p.outer, false).ForAuthorized():
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
		if !hr.rt.cache.Expired(e) && !controlOf(e, p.outer, private).NeverStale(private) {
			return readthrough.Fresh
		}
	}
	return use
}

// noAsk is the Ask of a request without directives.
var noAsk = rfc9111.ParseAsk(nil)

// unvalidated says how a response may be used that must not be served as it is.
func unvalidated(e *store.Entry, use readthrough.Use) readthrough.Use {
	if e.IfValidated == 0 {
		return readthrough.NoUse
	}
	return min(use, readthrough.OnValidation)
}

// controlOf returns the directives that apply to a stored response.
func controlOf(e *store.Entry, outer http.Header, private bool) rfc9111.Control {
	return rfc9111.Effective(http.Header{
		"Cache-Control":     linesOf(e, outer, "Cache-Control"),
		"Cdn-Cache-Control": linesOf(e, outer, "Cdn-Cache-Control"),
	}, private)
}

// storable judges the head of a response: why it must not be stored, or "". A response that is stale from the start may be
// stored for validation, but the requests that wait cannot use it.
func (hr *httpRules) storable(rec *recorder, h http.Header) Reason {
	reason := hr.judge(rec, rec.status, h)
	if rec.purpose == toStoreWhole && rec.status == http.StatusPartialContent {
		rec.purpose = toShare
	}
	if rec.http.verdict.Fresh <= rec.http.verdict.Age {
		rec.run.MarkUncacheable()
	}
	return reason
}

// judge judges a head by RFC 9111, and refuses what must not be stored whatever the response says: a cookie is for one
// client, a nonce for one response, and a trailer comes too late.
func (hr *httpRules) judge(rec *recorder, status int, h http.Header) Reason {
	v := hr.verdict(rec, status, h)
	rec.http.verdict = v
	switch {
	case v.Refusal != rfc9111.Storable:
		return refusals[v.Refusal]
	case status == http.StatusPartialContent && rec.r.Header["Range"] == nil:
		return ReasonPartial
	case changed(h, rec.outer, "Set-Cookie"):
		return ReasonCookie
	case h["Trailer"] != nil:
		return ReasonTrailer
	case reflected(rec.r, h, v.Vary): // also on per-user routes: a browser may come from several origins
		return ReasonOrigin
	case hr.rt.scheme.Private:
	case nonce(h["Content-Security-Policy"]) || nonce(h["Content-Security-Policy-Report-Only"]):
		return ReasonNonce
	}
	return hr.personal(rec.r, v)
}

// verdict is what RFC 9111 says about a response to the recorder's request.
func (hr *httpRules) verdict(rec *recorder, status int, h http.Header) *rfc9111.Verdict {
	if rec.http.came.IsZero() {
		rec.http.came = time.Now()
	}
	v := rfc9111.Judge(rfc9111.Answer{
		Status: status, Header: h,
		Private: hr.rt.scheme.Private, Authorized: rec.r.Header["Authorization"] != nil,
		Received: rec.http.came, Delay: rec.http.came.Sub(rec.http.began), Default: hr.rt.ttl,
	})
	return &v
}

// refusals maps the refusals of package rfc9111 to our reasons.
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

// changed reports whether the handler has set the field, or added to it.
func changed(h, outer http.Header, name string) bool {
	for spelled, values := range h {
		if http.CanonicalHeaderKey(spelled) == name && !slices.Equal(outer[spelled], values) {
			return true
		}
	}
	return false
}

// reflected reports whether the response allows just the origin that sent the request, without Origin in its Vary.
func reflected(r *http.Request, h http.Header, vary []string) bool {
	origin, allowed := rfc9111.First(r.Header["Origin"]), rfc9111.First(h["Access-Control-Allow-Origin"])
	return origin != "" && origin == allowed && !slices.Contains(vary, "Origin")
}

// personal says why a response must not be stored that gives no lifetime of its own, or "".
//
// In this mode the handler sees who the user is. So a handler that knows nothing about caches may send a personal page to a
// request with cookies. The page is for everyone if the response says so, or says how long it is fresh. It is also fine if
// the response or the policy says that it varies by the cookies. Authorization has a section of its own (§3.5).
func (hr *httpRules) personal(r *http.Request, v *rfc9111.Verdict) Reason {
	if hr.rt.scheme.Private || !v.Guessed || v.Control.ForAuthorized() || slices.Contains(v.Vary, "Cookie") {
		return ""
	}
	if hr.rt.scheme.Unselected(r.Header["Cookie"]) {
		return ReasonRequestCookie
	}
	if hr.knows(r) || r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		return ReasonRequestUser
	}
	return ""
}

// knows reports whether the context, or the app's identity function, says who the user is.
func (hr *httpRules) knows(r *http.Request) bool {
	if _, known := user.Of(r.Context()); known || hr.rt.user == nil {
		return known
	}
	user, known := hr.rt.userOf(r, cmp.Or(hr.rt.pattern, r.Pattern))
	return known && user != ""
}

// fields captures what the handler set, without the fields that no cache stores. A response without a Date gets one (RFC 9110
// §6.6.1).
func (hr *httpRules) fields(rec *recorder, h http.Header) {
	omit := rec.http.verdict.Omit
	rec.capture(h, func(name string) bool { return unstored(name) || slices.Contains(omit, name) })
	if h["Date"] == nil {
		rec.set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
}

// unstored reports whether no cache stores the field (§3.1), or the cache makes it itself.
func unstored(name string) bool {
	return rfc9111.Hop(name) || name == "Age" || name == "Content-Length" || name == "Cache-Status"
}

// settle gives the entry its lifetimes and its key.
func (hr *httpRules) settle(f *fetch, said time.Duration, _ time.Time) (variant bool) {
	hr.times(f.rec, said)
	hr.place(f)
	return hr.rt.scheme.Varies() || f.rec.run.Entry.Key != f.p.resource
}

// validatable is how long past its freshness a response stays stored for validation.
const validatable = 24 * time.Hour

// times sets how long the entry lives: as the response says, but no longer than the policy's TTL and the handler allow (§4.2,
// RFC 5861). An entry's times count from when the response was made, not from when it came.
func (hr *httpRules) times(rec *recorder, said time.Duration) {
	e, v := rec.run.Entry, rec.http.verdict
	age := min(v.Age, year)
	e.Stored, e.Aged, e.Fresh = rec.http.came.Add(-age), age, min(v.Fresh, year)
	if v.Age > year {
		e.Fresh = 0
	}
	for _, most := range [...]time.Duration{hr.rt.ttl, said} {
		if most > 0 {
			e.Fresh = min(e.Fresh, age+most)
		}
	}
	if !v.NeverStale {
		e.IfError = hr.rt.ifError
		if v.Fresh > 0 { // a response that was never fresh would be served as if it had been
			e.WhileRevalidate = hr.rt.whileRevalidate
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

// invalidates returns the labels of the URLs that a successful unsafe request invalidates (§4.4): its own, and those of
// Location and Content-Location if they have the same origin. Any client can send such requests: if there are too many, one
// label of the area at the recorder's level replaces them.
func (hr *httpRules) invalidates(rec *recorder, h http.Header) []keying.Label {
	r := rec.r
	scheme, host := hr.rt.origin(r)
	base := &url.URL{Scheme: scheme, Host: host, Path: r.URL.Path, RawPath: r.URL.RawPath}
	labels := hr.originLabels(nil, r, r.URL, rec.level)
	for _, name := range [...]string{"Location", "Content-Location"} {
		if lines := h[name]; len(lines) == 1 {
			u, err := base.Parse(lines[0])
			if err == nil && u.Opaque == "" && sameOrigin(u, base) {
				labels = hr.originLabels(labels, r, u, rec.level)
			}
		}
	}
	return labels
}

// originLabels adds the labels of a URL on the request's origin: the one that its responses carry, and the one of the area
// that it lies in.
func (hr *httpRules) originLabels(labels []keying.Label, r *http.Request, u *url.URL, level uint8) []keying.Label {
	rt, of := hr.rt, *r
	of.URL = &url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}
	if u != r.URL {
		of.RequestURI = ""
	}
	scheme, host := rt.origin(r)
	view := rt.scheme.View(&of)
	_, label := rt.labeler.URLs(view.URL, scheme, host)
	labels = append(labels, label, keys.Within(rt.labeler.Place(keys.Path(view.URL)), level))
	if u := askedURL(view); u != nil {
		_, label = rt.labeler.URLs(u, scheme, host)
		labels = append(labels, label, keys.Within(rt.labeler.Place(keys.Path(u)), level))
	}
	return labels
}

// sameOrigin compares scheme, host and port (RFC 9110 §4.3.1).
func sameOrigin(a, b *url.URL) bool {
	aScheme, aHost := keys.Origin(a.Scheme, a.Host)
	bScheme, bHost := keys.Origin(b.Scheme, b.Host)
	return aScheme == bScheme && aHost == bHost
}

// linesOf returns the lines that a field has when the entry is replayed onto the header of outer middleware; without an
// entry, the outer lines.
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

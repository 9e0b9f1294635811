package middleware

import (
	"net/http"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/rfc9111"
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

package middleware

import (
	"net/http"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/keying"
)

// around runs the handler with the request as it is. What leaves a per-user route says that it is private.
func (rt *Route) around(p Passage, w http.ResponseWriter, r *http.Request, next Next) error {
	changes := unsafe(r.Method)
	if changes && rt.User != nil && p.user == "" {
		p.user, _ = rt.asker(r, p.pattern)
	}
	rt.observe(Event{Route: p.pattern, Outcome: Bypass, Reason: p.reason})
	if !rt.Scheme.Private && p.reason == ReasonUpgrade && rt.Vary == nil {
		return next(w, r)
	}
	if !rt.Scheme.Private && !changes && !rt.Standard && !rt.speaks() { // there the handler may be a proxy, whose member comes before ours
		rt.Common.addStatus(w.Header(), rt.Common.forwarded(fwd(p.reason), keying.Key{}, p.reason, false))
		return next(w, r)
	}
	rec := new(recorder)
	rec.begin(rt, w, r, nil)
	if changes && rt.Standard { // what it invalidates is what was asked for, whatever the handler makes of the URL
		asked, u := *r, *r.URL
		asked.URL = &u
		rec.r = &asked
	}
	rec.keeping, rec.reason, rec.changes, rec.user = false, p.reason, changes, p.user
	if changes {
		rec.level = keys.Literal(p.pattern)
	}
	err := next(rec.writer(), r)
	rec.changes = rec.changes && err == nil // else the caller answers, with an error
	rec.finish()
	return err
}

// fwd is why a request went to the handler, in RFC 9211's words.
func fwd(reason Reason) string {
	switch reason {
	case ReasonMethod:
		return "method"
	case ReasonHead, ReasonRange:
		return "miss"
	case ReasonRequest:
		return "request"
	}
	return "bypass"
}

package middleware

import (
	"fmt"
	"net/http"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
)

// Finish serves what Begin could not answer. An error is the handler's; where there is one, the handler's answer may be
// yet to be written by the caller.
func (rt *Route) Finish(p Passage, w http.ResponseWriter, r *http.Request, next Next, param Param) error {
	switch {
	case p.way == refresh:
		return rt.refreshInline(p, w, r, next, param)
	case p.way == around:
		return rt.around(p, w, r, next)
	}
	if m := markOf(r.Context()); m != nil {
		if rt.Standard { // the key of a variant is not known before its index is
			call := rt.Through.Call(r.Context(), p.pattern)
			rt.find(&call, &p, r, nil)
		}
		if m.key == p.key {
			m.reached.Store(true)
			rt.refresh(rt.leads(&p, w, r, next, param))
			return nil
		}
	}
	if rt.Standard {
		return rt.standard(p, w, r, next, param)
	}
	return rt.run(p, w, r, next, param)
}

// run answers from the store, from another request's run of the handler, or by running it.
func (rt *Route) run(p Passage, w http.ResponseWriter, r *http.Request, next Next, param Param) error {
	l := rt.leads(&p, w, r, next, param)
	defer l.close()
	if l.part = isPart(r); l.part {
		l.p.reason = partReason(r)
		return rt.conclude(l, l.call.GetPart(l.p.key, partKey(l.p.key, r), l, nil))
	}
	return rt.conclude(l, l.call.Get(l.p.key, l, nil))
}

// conclude ends a request with what Get has brought: the handler's own answer, most of which the client has already, or an
// entry to serve.
func (rt *Route) conclude(l *leading, found readthrough.Result) (err error) {
	switch {
	case found.Source == readthrough.Canceled:
		l.w.Header()["Cache-Control"] = []string{"no-store"} // the client is gone, or the app is ending
		l.w.WriteHeader(http.StatusServiceUnavailable)
		l.report(Event{Route: l.p.pattern, Outcome: Miss, Reason: ReasonCanceled, Status: http.StatusServiceUnavailable})
	case found.Source == readthrough.Looped:
		rt.looped(l)
	case found.Entry == nil:
		err = l.err
		l.rec.became(found.Fate)
		l.rec.finish()
		rt.noticeOuter(l)
		l.report(l.told(err))
	default:
		err = rt.serve(l, found)
	}
	return err
}

// looped answers a request that a handler has made for its own answer, from within a run that such a request had led to
// (RFC 5842 §7.2).
func (rt *Route) looped(l *leading) {
	h := l.w.Header()
	h["Cache-Control"] = []string{"no-store"}
	l.w.WriteHeader(http.StatusLoopDetected)
	err := fmt.Errorf("the handler asks for its own answer: %s", readthrough.Cycle(l.r.Context(), l.p.key))
	l.report(Event{Route: l.p.pattern, Outcome: Miss, Reason: ReasonLoop, Status: http.StatusLoopDetected, Err: err})
}

// told is the event of an answer of the handler's.
func (l *leading) told(err error) Event {
	ev := Event{Route: l.p.pattern, Outcome: Miss, Reason: l.rec.reason, Cause: l.cause, Status: l.rec.status, Err: err}
	if l.rec.mute && !l.rec.held { // the client has it
		ev.Status = http.StatusNotModified
	}
	if l.p.reason != "" { // nothing of it is kept in any case
		ev.Outcome, ev.Reason = Bypass, l.p.reason
	}
	return ev
}

// serve replays what was found, and refreshes it where it is stale.
func (rt *Route) serve(l *leading, found readthrough.Result) error {
	from := source{outcome: Hit, tier: rt.tier(), pattern: l.p.pattern}
	switch {
	case found.Source == readthrough.Shared:
		from.outcome, from.fwd = Shared, l.p.fwd
	case found.Source == readthrough.Renewed:
		from.outcome = Validated
	case found.Use < readthrough.Fresh:
		from.outcome = Stale
	}
	if l.rec != nil { // the handler has run
		l.rec.became(found.Fate)
		from.fwd, from.status, from.stored = "stale", l.rec.status, l.rec.fate == readthrough.Kept
		if found.Source == readthrough.Renewed {
			from.reason = l.rec.reason
		}
		if l.p.fwd != "" {
			from.fwd = l.p.fwd
		}
		l.rec.end()
	} else if found.Use == readthrough.WhileRefreshed {
		l.p.outer = l.w.Header().Clone()
	}
	now := time.Now()
	l.reported = true // whatever comes of it
	rt.replayNow(l.w, l.r, found.Entry, now, &from)
	if found.Use == readthrough.Fresh && found.Source == readthrough.Stored {
		rt.early(&l.p, l.r, found.Entry, now)
	}
	if found.Use == readthrough.WhileRefreshed && l.rec == nil && !rt.refreshLater(&l.p, l.r) {
		return rt.refreshInline(l.p, l.w, l.r, l.next, l.param)
	}
	return nil
}

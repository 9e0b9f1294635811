package middleware

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/steering"
	"github.com/larder-go/cache/internal/trace"
)

// A fetch is a request that memory could not serve, on its way through the store and, if need be, the handler. It is also the load
// that it may lead: [readthrough.Call.Get] calls Load if the store has nothing to serve and no other request's run is under way.
//
// A request ends in one of three ways. It is served with a stored response. It gets the response of another request's run. Or it
// runs the handler itself; then its recorder has sent the client the response, or most of it, by the time Get returns.
//
// The path of a miss, from top to bottom:
//
//	Route.Finish     makes the fetch, and the rule book decides how to look (rules.answer)
//	fetch.get        readthrough: look in the store; wait for the run under way; or lead one
//	fetch.Load       that run: called once, for all requests that wait for the key
//	fetch.run        prepares what the handler sees, runs it, recovers if a stale response can stand in
//	fetch.judge      decides whether the response is stored, shared or refused
//	fetch.complete   makes the entry; readthrough stores it and releases the requests that wait
//	fetch.conclude   readthrough calls Serve or Missed: the client gets the rest of the response, and the event is made
type fetch struct {
	rt    *Route
	p     Passage
	w     http.ResponseWriter
	r     *http.Request
	next  Next
	param Param
	// A refresh: nobody is waiting for the response.
	noClient bool
	// For less than a whole response: see isPart.
	part bool

	// The handler runs without conditions of ours: it has run with them, in vain.
	unconditional bool

	// Nil: the handler has not run.
	rec *recorder
	// What the handler saw.
	view *http.Request
	// What it returned.
	err error

	// Why it had to run, if that is known.
	cause Reason
	// The event of the request has been made.
	reported bool
	// It was served with a response that is to be refreshed.
	stale bool

	naming

	call readthrough.Call
}

// retained is the state of a run that the handler may hold on to after it returns, whatever its documentation says: the writer and
// the context. So it is never pooled. The request that the handler sees is not pooled either, but allocated separately: an
// allocation with pointers costs more if it is larger than half a kilobyte.
type retained struct {
	rec recorder
	ctx steering.Run
	run runContext
}

// fetches are pooled: no handler sees one.
var fetches = sync.Pool{New: func() any { return new(fetch) }}

// newFetch takes a fetch from the pool for the passage's request.
func (rt *Route) newFetch(p *Passage, w http.ResponseWriter, r *http.Request, next Next, param Param) *fetch {
	f := fetches.Get().(*fetch)
	f.rt, f.p, f.w, f.r, f.next, f.param = rt, *p, w, r, next, param
	f.call = rt.cache.Call(r.Context(), p.pattern)
	return f
}

// get serves the request from the store, from another request's run of the handler, or by running it. A request for a part shares
// runs only with requests for the same part.
func (f *fetch) get(judge readthrough.Judge) error {
	if f.part {
		return f.conclude(f.call.GetPart(f.p.key, partKey(f.p.key, f.r), f, judge))
	}
	return f.conclude(f.call.Get(f.p.key, f, judge))
}

// Load runs the handler for the store. A refresh has no client to serve a stale response to, so it uses the old one for validation
// only.
func (f *fetch) Load(run *readthrough.Run) readthrough.Verdict {
	if f.noClient {
		run.Use = min(run.Use, readthrough.OnValidation) // the old entry stays in the store, and is served to nobody
	}
	verdict := f.run(run, new(retained))
	if verdict == readthrough.ServeOld {
		f.rec.restore()
	}
	return verdict
}

// run runs the handler once and judges its response. A panic of the handler reaches the caller, unless a stale response can stand
// in for the one that the panic prevented.
func (f *fetch) run(run *readthrough.Run, kept *retained) (verdict readthrough.Verdict) {
	f.rt.warnNested(f)
	rec := &kept.rec
	rec.begin(f.rt, f.w, f.r, run)
	kept.run.share = &f.rt.share
	ctx := f.r.Context()
	if ctx.Done() != nil {
		ctx, rec.ctx = kept.run.start(ctx, f.rt.common)
		defer rec.ctx.end()
	}
	within := f.prepare(ctx, run, kept)

	returned := false
	defer func() {
		switch {
		case returned:
		case !rec.fallback() || rec.head == headSettled && !rec.withheld(): // the client has a part of the response
			rec.void() // the panic goes on, with its stack untouched
		default:
			verdict = rec.standIn(f, recover())
		}
	}()
	f.err = f.next(rec.writer(), f.view)
	returned = true
	rec.returned()
	f.match(within)
	verdict = f.judge(ctx.Err() != nil)
	f.rt.notice(f, verdict)
	rec.unreserve()
	return verdict
}

// prepare makes what the handler gets: its view of the request, with a context through which it can steer how its response is
// cached.
func (f *fetch) prepare(ctx context.Context, run *readthrough.Run, kept *retained) (within *matching) {
	rt, rec := f.rt, &kept.rec
	rec.user, rec.fwd = f.p.user, f.p.fwd
	switch {
	case f.p.reason != "":
		rec.purpose = toShare
	case f.p.whole != nil && run.Old == nil:
		rec.purpose = toStoreWhole
	}
	if within = f.matching(ctx); within != nil {
		ctx = within
	}
	kept.ctx.Context = ctx
	kept.ctx.Said.Shared = !rt.scheme.Private && !rt.scheme.Open
	run.Link(&kept.ctx.Link, f.p.pattern, "")
	f.rec, rec.said = rec, &kept.ctx.Said
	f.view = rt.scheme.View(f.r.WithContext(&kept.ctx))
	f.note()
	f.cause = f.causeOf(run)
	run.Cause = trace.Cause(f.cause)
	rt.rules.ask(f, run.Old, f.view.Header)
	return within
}

// causeOf is why the handler had to run.
func (f *fetch) causeOf(run *readthrough.Run) Reason {
	cause := Reason(run.Cause)
	if (cause == "" || cause == CauseCold) && run.Old == nil && f.rt.rules.otherVariants(f) {
		return CauseVariant
	}
	return cause
}

// judge decides what happens to the response. In this order: it renews the stored one; it has failed and the stale one stands in;
// it must not be stored; it is a part; it is whole.
func (f *fetch) judge(canceled bool) readthrough.Verdict {
	rt, rec := f.rt, f.rec
	switch {
	case rec.delivery == renewal && rec.asked.answeredBy(rec.status) && f.err == nil: // even if canceled: the client has nothing yet
		return rt.http.renew(f)
	case rec.delivery == staleInstead, f.err != nil && rec.head == noHead && rec.fallback() && serverError(f.err):
		rt.alert(Event{Route: f.p.pattern, Outcome: Fault, Reason: ReasonError, Status: rec.status, Err: f.err})
		rec.delivery, f.err = staleInstead, nil
		return readthrough.ServeOld
	case rec.phase != recorded:
		if rt.rules.outdates(f) {
			return readthrough.Cacheable
		}
		return readthrough.Uncacheable
	case rec.said.HasFailed():
		return f.refuse(ReasonLate)
	case canceled:
		f.refuse(ReasonCanceled)
		return readthrough.Aborted // the response says nothing about what another run would bring
	case f.err != nil:
		return f.refuse(ReasonError)
	case rec.purpose == toShare, f.r.Method == http.MethodHead:
		return rt.rules.part(f)
	}
	if reason := f.complete(); reason != "" {
		return f.refuse(reason)
	}
	return readthrough.Cacheable
}

// refuse notes why the response is neither stored nor shared.
func (f *fetch) refuse(reason Reason) readthrough.Verdict {
	f.rec.refuse(reason)
	return readthrough.Uncacheable
}

// conclude ends the request with the result of Get. The engine calls Serve or Missed, and then perhaps Refresh, as it does for
// values. The error is the handler's, if the response is.
func (f *fetch) conclude(found readthrough.Result) error {
	f.rt.cache.Answer(f, found)
	if found.Entry != nil {
		return nil
	}
	return f.err
}

// Missed ends a request without an entry: the client has most of the handler's own response already, or nothing ran. A request that
// was canceled while it waited for another's run has nobody to respond to; it gets a 503 in case somebody looks.
func (f *fetch) Missed(found readthrough.Result) {
	switch found.Source {
	case readthrough.Canceled:
		f.w.Header()["Cache-Control"] = []string{"no-store"} // the client is gone, or the app is ending
		f.w.WriteHeader(http.StatusServiceUnavailable)
		f.report(Event{Route: f.p.pattern, Outcome: Miss, Reason: ReasonCanceled, Status: http.StatusServiceUnavailable})
	case readthrough.Looped:
		f.looped()
	default:
		f.rec.became(found.Fate)
		f.rec.finish()
		f.rt.noticeOuter(f)
		f.report(f.event(f.err))
	}
}

// became notes what happened to the entry that was made from the response.
func (rec *recorder) became(fate readthrough.Fate) {
	if rec.fate = fate; rec.keeps() && rec.reason == "" && rec.purpose != toShare {
		rec.reason = FateReason(fate)
	}
}

// FateReason says why something was not stored although it should have been, or "" if it was.
func FateReason(fate readthrough.Fate) Reason {
	switch fate {
	case readthrough.RefusedByStore:
		return ReasonRefused
	case readthrough.StoreFailed:
		return ReasonStore
	case readthrough.Overtaken:
		return ReasonOvertaken
	case readthrough.NotKept:
		return ReasonAge
	}
	return ""
}

// looped responds to a request that a handler has made, directly or through others, for the very response that it is making (RFC
// 5842 §7.2).
func (f *fetch) looped() {
	h := f.w.Header()
	h["Cache-Control"] = []string{"no-store"}
	f.w.WriteHeader(http.StatusLoopDetected)
	err := fmt.Errorf("the handler asks for its own answer: %s", readthrough.Cycle(f.r.Context(), f.p.key))
	f.report(Event{Route: f.p.pattern, Outcome: Miss, Reason: ReasonLoop, Status: http.StatusLoopDetected, Err: err})
}

// Serve replays the response that was found.
func (f *fetch) Serve(found readthrough.Result) bool {
	from := source{outcome: Hit, tier: f.rt.tier(), pattern: f.p.pattern}
	switch {
	case found.Source == readthrough.Shared:
		from.outcome, from.fwd = Shared, f.p.fwd
	case found.Source == readthrough.Renewed:
		from.outcome = Validated
	case found.Use < readthrough.Fresh:
		from.outcome = Stale
	}
	if f.rec != nil { // the handler has run
		f.rec.became(found.Fate)
		from.fwd, from.status, from.stored = "stale", f.rec.status, f.rec.fate == readthrough.Kept
		if found.Source == readthrough.Renewed {
			from.reason = f.rec.reason
		}
		if f.p.fwd != "" {
			from.fwd = f.p.fwd
		}
		f.rec.end()
	} else if found.Use == readthrough.WhileRefreshed {
		f.p.outer = f.w.Header().Clone()
	}
	f.stale = found.Use == readthrough.WhileRefreshed
	f.reported = true // replay reports, even if a writer panics
	f.rt.replayNow(f.w, f.r, found.Entry, time.Now(), &from)
	return true
}

// Refresh refreshes what Serve has replayed. A stale response is refreshed in the background where that is possible, and otherwise in this
// goroutine, once the client has the response. A fresh one near its end is refreshed in the background or not at all.
func (f *fetch) Refresh() {
	switch {
	case !f.stale:
		f.rt.refreshEarly(&f.p, f.r)
	case f.rec == nil && !f.rt.refreshLater(&f.p, f.r):
		_ = f.rt.refreshInline(f.p, f.w, f.r, f.next, f.param) // the outcome is an event
	}
}

// event is the event of a response that the handler made.
func (f *fetch) event(err error) Event {
	ev := Event{Route: f.p.pattern, Outcome: Miss, Reason: f.rec.reason, Cause: f.cause, Status: f.rec.status, Err: err}
	if f.rec.delivery == headOnly { // the client has the body already
		ev.Status = http.StatusNotModified
	}
	if f.p.reason != "" { // nothing of it is stored in any case
		ev.Outcome, ev.Reason = Bypass, f.p.reason
	}
	return ev
}

// report makes the request's event. Each request has exactly one.
func (f *fetch) report(ev Event) {
	f.reported = true
	if f.rt.observed {
		f.rt.observe(ev)
	}
}

// close ends the request; it is deferred. After a panic it makes the event that the request still lacks, and does not return the
// fetch to the pool: something may still refer to it.
func (f *fetch) close() {
	if f.reported {
		f.end()
		return
	}
	ev := Event{Route: f.p.pattern, Outcome: Miss, Reason: ReasonPanic}
	if f.rec != nil { // perhaps the client's writer has panicked, and the response is stored
		ev = f.event(f.err)
	}
	f.rt.observe(ev)
}

// end returns the fetch to the pool, unless something may still refer to it.
func (f *fetch) end() {
	if f.rec != nil {
		f.rec.end()
	}
	if !f.call.Escaped() {
		*f = fetch{}
		fetches.Put(f)
	}
}

// A StatusError is a handler's error with the HTTP status that the framework will send for it. Adapters return it from Next, so
// that the cache can tell a failure (5xx, for which a stale response may stand in) from a 404. Finish returns it as it is; adapters
// unwrap it.
type StatusError struct {
	Status int
	Err    error
}

// Error returns the text of the error inside.
func (e StatusError) Error() string { return e.Err.Error() }

// Unwrap returns the error inside.
func (e StatusError) Unwrap() error { return e.Err }

// serverError reports whether the error is the server's. An error without a status counts as one.
func serverError(err error) bool {
	var status StatusError
	return !errors.As(err, &status) || status.Status >= 500
}

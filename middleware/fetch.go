package middleware

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/store"
)

// leading is one request whose handler may have to run, for an answer that may be kept, with all that such a run takes. It
// is the load of its call of the store.
type leading struct {
	rt      *Route
	p       Passage
	w       http.ResponseWriter
	r       *http.Request
	next    Next
	param   Param
	refresh bool // for the cache alone: no client is waiting
	part    bool // not for a whole answer: see isPart
	plain   bool // without conditions of the cache's: those that it set have led nowhere

	rec  *recorder     // nil: the handler has not run
	view *http.Request // what the handler saw
	err  error         // what it returned

	cause    Reason // why it had to run, if that is known
	reported bool   // the request has had its event

	seen         http.Request // the view before the handler had it, with this URL
	url          url.URL
	scheme, host string   // its origin
	params       []string // its path parameters, as the tags name them one after the other

	within  string                   // the pattern that was known before, where
	matched bool                     // a router has told a narrower one since
	routed  func(name string) string // and path parameters; nil: it has told none in a way of its own

	call readthrough.Call
}

// handling is what a run of a handler takes that the handler may keep, whatever it was told. So it is garbage afterwards,
// and no run uses another's. The request that the handler sees is so, too, and stands by itself: beyond half a kilobyte
// memory with pointers costs more.
type handling struct {
	rec recorder
	ctx steered
	tie tether
}

// leadings are used again: no handler sees one.
var leadings = sync.Pool{New: func() any { return new(leading) }}

// leads returns the leading of a passage.
func (rt *Route) leads(p *Passage, w http.ResponseWriter, r *http.Request, next Next, param Param) *leading {
	l := leadings.Get().(*leading)
	l.rt, l.p, l.w, l.r, l.next, l.param = rt, *p, w, r, next, param
	l.call = rt.Through.Call(r.Context(), p.pattern)
	return l
}

// Load runs the handler for the store.
func (l *leading) Load(run *readthrough.Run) readthrough.Verdict {
	if l.refresh {
		run.Use = min(run.Use, readthrough.OnValidation) // it stays where it is; nobody is to be served with it
	}
	outcome := l.rt.lead(l, run, new(handling))
	if outcome == readthrough.ServeOld {
		l.rec.restore()
	}
	return outcome
}

// lead runs the handler and judges its answer. A panic of the handler's passes through, unless a stale answer can stand
// in for it.
func (rt *Route) lead(l *leading, run *readthrough.Run, room *handling) (outcome readthrough.Verdict) {
	rt.warnNested(l)
	rec := &room.rec
	rec.begin(rt, l.w, l.r, run)
	rec.user, rec.fwd, rec.part = l.p.user, l.p.fwd, l.p.reason != ""
	room.tie.share = &rt.share
	rec.spares = l.p.whole != nil && run.Old == nil
	ctx, tie := room.tie.tie(rt.Common, l.r.Context())
	defer tie.end()
	within := l.matching(ctx)
	room.ctx.Context = ctx
	if within != nil {
		room.ctx.Context = within
	}
	room.ctx.said.shared = !rt.Scheme.Private && !rt.Standard
	run.Link(&room.ctx.link, l.p.pattern, "")
	l.rec = rec
	rec.tie, rec.said = tie, &room.ctx.said
	l.view = rt.Scheme.View(l.r.WithContext(&room.ctx))
	l.note()
	l.cause = rt.cause(l, run)
	run.Cause = store.Cause(l.cause)
	if rt.Standard {
		rfc9111.Fold(l.view.Header)
		rec.asked = rt.ask(l, run.Old, l.view.Header)
	} else if rec.part && l.r.Method == http.MethodGet {
		copyFields(l.view.Header, l.r.Header, "Range", "If-Range")
	}

	returned := false
	defer func() {
		switch {
		case returned:
		case !rec.fallback() || rec.wrote && !rec.held && !rec.unsent:
			rec.void() // and the panic goes on, its stack untouched
		default:
			outcome = rec.standIn(l, recover())
		}
	}()
	l.err = l.next(rec.writer(), l.view)
	returned, rec.done = true, true
	l.match(within)
	outcome = rt.judge(l, canceled(ctx))
	rt.notice(l, outcome)
	rec.unreserve()
	return outcome
}

func (rt *Route) judge(l *leading, canceled bool) readthrough.Verdict {
	rec := l.rec
	switch {
	case !rec.failed && rec.wrote && rec.renews(rec.status) && l.err == nil: // also if canceled: the client has nothing yet
		return rt.renew(l)
	case rec.failed, l.err != nil && !rec.wrote && rec.fallback() && serverError(l.err):
		rt.tell(Event{Route: l.p.pattern, Outcome: Fault, Reason: ReasonError, Status: rec.status, Err: l.err})
		rec.mute, l.err = true, nil
		return readthrough.ServeOld
	case !rec.keeping:
		if rt.refused(l) {
			return readthrough.Cacheable
		}
		return readthrough.Uncacheable
	case rec.said.hasFailed():
		rec.keeping, rec.reason = false, ReasonLate
		return readthrough.Uncacheable
	case canceled:
		rec.keeping, rec.reason = false, ReasonCanceled
		return readthrough.Aborted
	case l.err != nil:
		rec.keeping, rec.reason = false, ReasonError
		return readthrough.Uncacheable
	case l.r.Method == http.MethodHead && rt.Standard:
		return rt.headed(l)
	case rec.part:
		return rt.pass(l)
	}
	if reason := rt.complete(l); reason != "" {
		rec.keeping, rec.reason = false, reason
		return readthrough.Uncacheable
	}
	return readthrough.Cacheable
}

// canceled reports whether the context ended, whoever ended it.
func canceled(ctx context.Context) bool { return ctx.Err() != nil }

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

// looped answers a request that a handler has made for its own answer, from within a run that such a request had led to
// (RFC 5842 §7.2).
func (rt *Route) looped(l *leading) {
	h := l.w.Header()
	h["Cache-Control"] = []string{"no-store"}
	l.w.WriteHeader(http.StatusLoopDetected)
	err := fmt.Errorf("the handler asks for its own answer: %s", readthrough.Cycle(l.r.Context(), l.p.key))
	l.report(Event{Route: l.p.pattern, Outcome: Miss, Reason: ReasonLoop, Status: http.StatusLoopDetected, Err: err})
}

// report tells how the request ends.
func (l *leading) report(ev Event) {
	l.reported = true
	l.rt.observe(ev)
}

// close ends the request. One that a panic has ended has its event, too; what it leaves is the collector's.
func (l *leading) close() {
	if l.reported {
		l.end()
		return
	}
	ev := Event{Route: l.p.pattern, Outcome: Miss, Reason: ReasonPanic}
	if l.rec != nil { // it may be over the client's writer: then the answer is kept
		ev = l.told(l.err)
	}
	l.rt.observe(ev)
}

// end gives the leading back, unless somebody may know of it still.
func (l *leading) end() {
	if l.rec != nil {
		l.rec.end()
	}
	if !l.call.Escaped() {
		*l = leading{}
		leadings.Put(l)
	}
}

// cause is why the run's handler had to answer.
func (rt *Route) cause(l *leading, run *readthrough.Run) Reason {
	cause := Reason(run.Cause)
	if (cause == "" || cause == CauseCold) && run.Old == nil && rt.varies(l) {
		return CauseVariant
	}
	return cause
}

// varies reports whether other variants of the URL were kept, as far as it is known. On a standard route the index tells.
func (rt *Route) varies(l *leading) bool {
	if rt.Standard {
		return l.p.index != nil && !l.p.fresh
	}
	return rt.Scheme.Varies() && rt.Common.variants.any(rt.resource(l), l.p.key, time.Now())
}

// A StatusError is a handler's error with the HTTP status that the framework will answer it with. Adapters return it
// from Next; the error that Finish returns is the one inside.
type StatusError struct {
	Status int
	Err    error
}

func (e StatusError) Error() string { return e.Err.Error() }

func (e StatusError) Unwrap() error { return e.Err }

// serverError reports whether the error is one of the server's. Frameworks that give errors a status tell it by a method
// or a field that the adapter wraps as StatusError.
func serverError(err error) bool {
	var status StatusError
	return !errors.As(err, &status) || status.Status >= 500
}

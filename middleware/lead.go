package middleware

import (
	"net/http"
	"net/url"
	"sync"

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

// refresh runs the handler for the cache alone, and tells of it when the answer is kept.
func (rt *Route) refresh(l *leading) {
	l.refresh = true
	fate := l.call.Refresh(l.p.key, l)
	if l.rec != nil {
		l.rec.became(fate)
		l.rec.finish()
		ev := Event{Route: l.p.pattern, Outcome: Refresh, Reason: l.rec.reason, Status: l.rec.status, Err: l.err}
		if l.err != nil { // nobody else will hear of it
			rt.tell(ev)
		} else {
			rt.observe(ev)
		}
	}
	l.end()
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

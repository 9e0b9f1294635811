package middleware

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/larder-go/cache/middleware/rfc9111"
	"github.com/larder-go/cache/store"
)

// leading is one run of a handler whose answer may be kept.
type leading struct {
	p       Passage
	w       http.ResponseWriter
	r       *http.Request
	next    Next
	param   Param
	refresh bool // for the cache alone: no client is waiting
	part    bool // not for a whole answer: HEAD, or a range
	plain   bool // without conditions of the cache's: those that it set have led nowhere

	rec  *recorder
	view *http.Request // what the handler saw
	err  error         // what the handler returned
}

// load returns the run as the load of a store.Through.
func (rt *Route) load(l *leading) store.Load {
	return func(run *store.Run) store.Outcome {
		if l.refresh {
			run.Use = min(run.Use, store.OnValidation) // it stays where it is; nobody is to be served with it
		}
		rt.record(l, run)
		outcome := rt.lead(l)
		if outcome == store.Old {
			l.rec.restore()
		}
		if l.refresh {
			l.rec.finish()
		}
		if l.part && outcome == store.Refuse {
			return store.Fail // which says nothing about the whole
		}
		return outcome
	}
}

// record gives the run its recorder.
func (rt *Route) record(l *leading, run *store.Run) {
	l.rec = rt.newRecorder(l.w, l.r, run)
	l.rec.user, l.rec.fwd = l.p.user, l.p.fwd
}

// refresh runs the handler for the cache alone, and tells of it when the answer is kept.
func (rt *Route) refresh(l *leading) {
	rt.Through.Refresh(l.r.Context(), l.p.key, rt.load(l))
	if l.rec != nil {
		rt.observe(Event{Route: l.p.pattern, Outcome: Refresh, Reason: l.rec.reason, Status: l.rec.status, Err: l.err})
	}
}

// lead runs the handler and judges its answer. A panic of the handler's passes through, unless a stale answer can stand
// in for it.
func (rt *Route) lead(l *leading) (outcome store.Outcome) {
	rec := l.rec
	ctx, tie := rt.Common.tie(l.r.Context())
	defer tie.end()
	rec.tie = tie
	ctx, said := Steer(ctx)
	rec.said = said
	l.view = rt.Scheme.View(l.r.WithContext(ctx))
	if rt.Standard {
		rfc9111.Fold(l.view.Header)
		rec.asked = rt.ask(l, rec.run.Old, l.view.Header)
	}

	returned := false
	defer func() {
		switch {
		case returned:
		case !rec.fallback() || rec.wrote && !rec.held:
			rec.void() // and the panic goes on, its stack untouched
		default:
			outcome = rec.standIn(l, recover())
		}
	}()
	l.err = l.next(rec.writer(), l.view)
	returned = true
	return rt.judge(l, said, canceled(ctx))
}

func (rt *Route) judge(l *leading, said *Steering, canceled bool) store.Outcome {
	rec := l.rec
	switch {
	case rec.wrote && rec.renews(rec.status) && l.err == nil: // also if canceled: the client has nothing yet
		return rt.renew(l, said)
	case rec.failed, l.err != nil && !rec.wrote && rec.fallback() && serverError(l.err):
		rt.observe(Event{Route: l.p.pattern, Outcome: Fault, Reason: ErrorReason, Status: rec.status, Err: l.err})
		rec.mute, l.err = true, nil
		return store.Old
	case !rec.keeping:
		return store.Refuse
	case canceled:
		rec.keeping, rec.reason = false, CanceledReason
		return store.Fail
	case l.err != nil:
		rec.keeping, rec.reason = false, ErrorReason
		return store.Refuse
	case l.r.Method == http.MethodHead:
		return rt.headed(l, said)
	}
	if reason := rt.complete(l, said); reason != "" {
		rec.keeping, rec.reason = false, reason
		return store.Refuse
	}
	return store.Keep
}

// void gives up the answer of a handler that did not return: the pump lets go of the client's writer, which dies with
// the request.
func (rec *recorder) void() {
	rec.drop(PanicReason)
	if pump := rec.pump; pump != nil {
		rec.pump = nil
		_ = rec.SetWriteDeadline(time.Now()) // do not wait for a slow client
		pump.drain()
	}
}

// standIn lets the stale answer stand in for one that a panic prevented; the panic is an event. One that is meant for
// the server (http.ErrAbortHandler) goes on.
func (rec *recorder) standIn(l *leading, panicked any) store.Outcome {
	rec.void()
	if panicked == nil { // runtime.Goexit: the goroutine is ending
		return store.Fail
	}
	if panicked == http.ErrAbortHandler {
		panic(panicked)
	}
	rec.mute = true
	rec.rt.observe(Event{Route: l.p.pattern, Outcome: Fault, Reason: PanicReason,
		Err: fmt.Errorf("the handler panicked: %v\n%s", panicked, debug.Stack())})
	return store.Old
}

// serverError reports whether the error is one of the server's. Frameworks that give errors a status tell it by a method
// or a field that the adapter wraps as StatusError.
func serverError(err error) bool {
	var status StatusError
	return !errors.As(err, &status) || status.Status >= 500
}

// A StatusError is a handler's error with the HTTP status that the framework will answer it with. Adapters return it
// from Next; the error that Finish returns is the one inside.
type StatusError struct {
	Status int
	Err    error
}

func (e StatusError) Error() string { return e.Err.Error() }

func (e StatusError) Unwrap() error { return e.Err }

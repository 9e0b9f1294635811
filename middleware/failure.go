package middleware

import (
	"context"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/steering"
)

// What happens when a handler does not end as it should. The order is always the same: first those who wait for the response are let go,
// then the client is served, then the panic goes on. The client may be slow, and the others must not wait for it.
//
//	the handler             a stale response may stand in   the client gets        the others get
//	panics before writing   yes                             the stale response     the stale response
//	panics before writing   no                              the panic              a run of their own
//	panics while writing    either                          what was sent so far   a run of their own
//	returns an error, 5xx   yes                             the stale response     the stale response
//	fails after its head    either                          what it wrote          a run of their own

// fallback reports whether a stale response may stand in if this one fails (stale-if-error, RFC 5861 §4).
func (rec *recorder) fallback() bool {
	return rec.run != nil && rec.run.Old != nil && rec.run.Use >= readthrough.OnError
}

// void gives up the answer of a handler that did not return: those who wait are let go first, since the client may be slow.
// Then the sender lets go of the client's writer, which dies with the request. What waits for the handler's end goes to the
// writer outside, as it would have gone without a cache: what becomes of it is the matter of whoever recovers.
func (rec *recorder) void() {
	body := rec.last
	rec.drop(ReasonPanic)
	rec.run.Abort()
	if sender := rec.sender; sender != nil {
		rec.sender = nil
		_ = rec.SetWriteDeadline(time.Now()) // do not wait for a slow client
		sender.drain()
	} else if rec.head == headWaits {
		rec.sendHead(body)
		if !rec.bodiless() && len(body) > 0 {
			_, _ = rec.write(body)
		}
	}
}

// standIn lets the stale answer stand in for one that a panic prevented; the panic is an event. One that is meant for
// the server (http.ErrAbortHandler) goes on, unless it breaks off an answer in whose place the client gets the stale one in any
// case: ReverseProxy does so where an upstream hangs in the body of a 503.
func (rec *recorder) standIn(f *fetch, panicked any) readthrough.Verdict {
	switch panicked {
	case nil: // runtime.Goexit: the goroutine is ending
		rec.void()
		return readthrough.Aborted
	case http.ErrAbortHandler:
		if rec.delivery == staleInstead {
			rec.rt.alert(Event{Route: f.p.pattern, Outcome: Fault, Reason: ReasonError, Status: rec.status})
			return readthrough.ServeOld
		}
		rec.void()
		panic(panicked)
	}
	rec.drop(ReasonPanic) // there is no sender: the client has nothing yet
	rec.delivery = staleInstead
	rec.rt.alert(Event{Route: f.p.pattern, Outcome: Fault, Reason: ReasonPanic,
		Err: fmt.Errorf("the handler panicked: %v\n%s", panicked, debug.Stack())})
	return readthrough.ServeOld
}

// An answer may fail when its head, which says 200, has gone: a template ends in an error, a row of a JSON stream cannot be
// read, the source of a copy breaks off, a handler panics behind a middleware that recovers. The client has the beginning, and perhaps an error page after
// it. Such an answer is neither kept nor shared, if anything tells.

// headAgain is told of a head after the head, which net/http drops. An error of the server's says that the answer is broken
// off, and so does a redirect, to an error page as a rule. Another error says so once its page follows; alone it changes
// nothing that the client gets.
func (rec *recorder) headAgain(status int) {
	switch {
	case status < 300 || status == http.StatusNotModified || status == rec.status:
	case status >= 400 && status < 500:
		rec.tail = errorPage
	default:
		// Before abandon, which forgets what the client was to get instead: of an answer that is held it has nothing yet.
		if rec.withheld() && rec.phase < recorded && rec.fallback() {
			rec.delivery = staleInstead
		}
		rec.abandon(ReasonLate)
	}
}

// Fail tells that the response which is being made has failed although it has begun, for frameworks that learn of it after the first
// bytes. It is then not stored. The context is the handler's; with any other it does nothing.
func Fail(ctx context.Context) { steering.Fail(ctx) }

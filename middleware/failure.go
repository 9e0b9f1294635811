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

// What happens when a handler does not end as it should. The order is always the same: first the requests that wait for the
// response are released, then the client is served, then the panic goes on. The client may be slow, and the others must not wait
// for it.
//
//	the handler             a stale response may stand in   the client gets        the others get
//	panics before writing   yes                             the stale response     the stale response
//	panics before writing   no                              the panic              a run of their own
//	panics while writing    either                          what was sent so far   a run of their own
//	returns an error, 5xx   yes                             the stale response     the stale response
//	fails after its head    either                          what it wrote          a run of their own

// fallback reports whether a stale response may stand in if this one fails (stale-if-error, RFC 5861 §4).
func (rec *recorder) fallback() bool {
	return rec.run != nil && rec.run.Fallback()
}

// void gives up the response of a handler that did not return:
//
//  1. The requests that wait for it are released.
//  2. The sender ends, at once: the client's writer must not be used after the request.
//  3. A short body, which waits for the handler's end, goes to the writer outside, as without a cache. Whoever recovers from the
//     panic decides what happens to it.
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

// standIn lets the stale response stand in for one that a panic prevented; the panic becomes an event. http.ErrAbortHandler is
// meant for the server, and goes on. There is one exception: the handler has begun a failure, so the client gets the stale response
// anyway. ReverseProxy does that when an upstream breaks off in the body of a 503.
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

// A response may fail after its head, a 200, was sent. A template ends in an error, a row of a JSON stream cannot be read, the
// source of a copy breaks off, or a handler panics behind a middleware that recovers. The client has the beginning, and perhaps an
// error page after it. Such a response is neither stored nor shared, if anything shows that it failed. Four things do:
//
//	a second WriteHeader, 5xx or 3xx               headAgain
//	a second WriteHeader, 4xx, and then a write    headAgain, and then recordable
//	another Content-Type, and then a write         turnsIntoErrorPage
//	the framework calls Fail                       fetch.judge

// headAgain looks at a second head, which net/http ignores. A 5xx means that the response is broken off, and so does a redirect,
// which usually leads to an error page. A 4xx means it only if a page follows: alone it changes nothing that the client gets.
func (rec *recorder) headAgain(status int) {
	switch {
	case status < 300 || status == http.StatusNotModified || status == rec.status:
	case status >= 400 && status < 500:
		rec.tail = errorPage
	default:
		// A renewal has failed. The client has nothing of it yet, and can get the stale response.
		if rec.withheld() && rec.phase < recorded && rec.fallback() {
			rec.delivery = staleInstead
		}
		rec.abandon(ReasonLate)
	}
}

// Fail says that the handler's response has failed although it has begun, for frameworks that learn of it after the first bytes.
// The response is then not stored. The context is the handler's; with any other, Fail does nothing.
func Fail(ctx context.Context) { steering.Fail(ctx) }

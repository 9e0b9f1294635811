package middleware

import (
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
)

// fallback reports whether a stale answer may stand in for one that fails.
func (rec *recorder) fallback() bool {
	return rec.run != nil && rec.run.Old != nil && rec.run.Use >= readthrough.OnError
}

// void gives up the answer of a handler that did not return: those who wait are let go first, since the client may be slow.
// Then the pump lets go of the client's writer, which dies with the request. What waits for the handler's end goes to the
// writer outside, as it would have gone without a cache: what becomes of it is the matter of whoever recovers.
func (rec *recorder) void() {
	body := rec.body
	rec.drop(ReasonPanic)
	rec.run.Abort()
	if pump := rec.pump; pump != nil {
		rec.pump = nil
		_ = rec.SetWriteDeadline(time.Now()) // do not wait for a slow client
		pump.drain()
	} else if rec.unsent {
		rec.sendHead(body)
		if !rec.mute && len(body) > 0 {
			_, _ = rec.write(body)
		}
	}
}

// standIn lets the stale answer stand in for one that a panic prevented; the panic is an event. One that is meant for
// the server (http.ErrAbortHandler) goes on, unless it breaks off an answer in whose place the client gets the stale one in any
// case: ReverseProxy does so where an upstream hangs in the body of a 503.
func (rec *recorder) standIn(l *leading, panicked any) readthrough.Verdict {
	switch panicked {
	case nil: // runtime.Goexit: the goroutine is ending
		rec.void()
		return readthrough.Aborted
	case http.ErrAbortHandler:
		if rec.failed {
			rec.rt.tell(Event{Route: l.p.pattern, Outcome: Fault, Reason: ReasonError, Status: rec.status})
			return readthrough.ServeOld
		}
		rec.void()
		panic(panicked)
	}
	rec.drop(ReasonPanic) // there is no pump: the client has nothing yet
	rec.mute = true
	rec.rt.tell(Event{Route: l.p.pattern, Outcome: Fault, Reason: ReasonPanic,
		Err: fmt.Errorf("the handler panicked: %v\n%s", panicked, debug.Stack())})
	return readthrough.ServeOld
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

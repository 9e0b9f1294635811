package middleware

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/larder-go/cache/middleware/rfc9111"
	"github.com/larder-go/cache/store"
)

// buffered is how much of a body waits for the handler's end: about what net/http holds back itself.
const buffered = 4 << 10

// A recorder is the ResponseWriter of a handler whose answer may be kept: the client is answered while a copy is made.
// Once the answer turns out not to be for keeping, it merely passes on. Like every ResponseWriter it is for one
// goroutine.
type recorder struct {
	rt    *Route
	w     http.ResponseWriter // the client's, or outer middleware's
	r     *http.Request       // as the client sent it
	run   *store.Run          // nil: nothing is to be kept
	outer http.Header         // the header as outer middleware left it
	own   http.Header         // the header as the handler sees it; nil: the client's writer's itself
	tie   *tether
	said  *Steering // what the handler says while it runs

	keeping  bool   // a copy is being made
	reason   Reason // why not
	wrote    bool   // the handler's head is known
	status   int
	declared int64  // Content-Length, -1 if unknown
	written  int64  // body bytes the handler wrote
	mute     bool   // the client gets none of the body: it has it (304), or is to get a stale answer instead
	over     bool   // the handler wrote more than it declared: nothing of that, nor of what follows, is sent
	done     bool   // the handler has returned
	held     bool   // nothing of the answer is for the client
	failed   bool   // … because it is a failure that a stale one stands in for
	changes  bool   // the method is unsafe: a success invalidates
	user     string // who is asking, if that is known
	fwd      string // why the request came to the handler; "": a miss

	asked         renewal         // what the handler was asked for instead of a whole answer
	began, came   time.Time       // when the handler was asked, and its head came; standard routes only
	verdict       rfc9111.Verdict // standard routes: what the law says of the answer
	control       rfc9111.Control // others: what the whole header says, whoever set it
	lifetime      time.Duration   // … and how long it allows, -1 if it does not say
	header, added []store.Field
	body          []byte
	sent          int // bytes of body that were written already, without a pump
	pump          *pump
}

func (rt *Route) newRecorder(w http.ResponseWriter, r *http.Request, run *store.Run) *recorder {
	rec := &recorder{rt: rt, w: w, r: r, run: run, keeping: run != nil, declared: -1}
	if rec.keeping {
		rec.outer, rec.own = w.Header().Clone(), w.Header().Clone()
	}
	if rt.Standard {
		rec.began = time.Now()
	}
	return rec
}

// release gives the copy's room back, when it has become an entry's or is not needed.
func (rec *recorder) release() {
	rec.rt.Common.release(len(rec.body))
	rec.body, rec.sent = nil, 0
}

// fallback reports whether a stale answer may stand in for one that fails.
func (rec *recorder) fallback() bool {
	return rec.run != nil && rec.run.Old != nil && rec.run.Use >= store.OnError
}

// WriteHeader decides from the head whether the answer may be kept. Interim answers pass (RFC 9110 §15.2).
func (rec *recorder) WriteHeader(status int) {
	if rec.wrote || status < 200 {
		if status == http.StatusSwitchingProtocols {
			rec.abandon(UpgradeReason)
			rec.wrote, rec.status = true, status
		}
		if !rec.wrote || status == http.StatusSwitchingProtocols {
			rec.publish()
		}
		if !rec.held && rec.pump == nil {
			rec.w.WriteHeader(status) // net/http complains of a second one itself
		}
		return
	}
	if status = rec.head(status); !rec.held {
		rec.w.WriteHeader(status)
	}
}

// errReturned is what a write gets that comes after the handler has returned.
var errReturned = errors.New("cache: written to after the handler returned")

func (rec *recorder) Write(p []byte) (int, error) {
	switch {
	case rec.done:
		return 0, errReturned
	case rec.over:
		return 0, http.ErrContentLength
	case rec.held && !bodyAllowed(rec.status):
		return 0, http.ErrBodyNotAllowed
	}
	implicit := !rec.wrote
	if !rec.begin(p) {
		return rec.through(p)
	}
	if rec.declared >= 0 && rec.written+int64(len(p)) > rec.declared { // as net/http has it
		rec.rt.Common.release(len(p))
		rec.abandon(LengthReason)
		rec.over = true
		return 0, http.ErrContentLength
	}
	rec.written += int64(len(p))
	rec.body = append(rec.body, p...)
	if implicit && len(p) < sniffed && !rec.mute {
		_, _ = rec.w.Write(p) // not more than net/http buffers
		rec.sent = len(p)
	}
	rec.send()
	return len(p), nil
}

func (rec *recorder) WriteString(s string) (int, error) { return rec.Write([]byte(s)) }

// through passes bytes on that are not recorded.
func (rec *recorder) through(p []byte) (int, error) {
	if rec.mute {
		return len(p), nil
	}
	return rec.w.Write(p)
}

// sniffed is how many bytes of a body net/http looks at to guess its type.
const sniffed = 512

// begin sees to the head and to room for p; it reports whether p is to be recorded. A head that the handler leaves to
// its first write is left to the first write of the client's writer too, which guesses the type from what it gets; where
// that would be written too late, the guess is made here.
func (rec *recorder) begin(p []byte) bool {
	if !rec.wrote {
		status := rec.head(http.StatusOK)
		if rec.keeping && len(p) >= sniffed && !rec.mute {
			sniff(rec.w.Header(), p)
			rec.w.WriteHeader(status)
		} else if rec.mute {
			rec.w.WriteHeader(status)
		}
	}
	if !rec.keeping {
		return false
	}
	switch {
	case !bodyAllowed(rec.status):
		rec.abandon(LengthReason) // net/http tells the handler
	case int64(len(rec.body)+len(p)) > rec.rt.MaxBody:
		rec.abandon(SizeReason)
	case !rec.rt.Common.reserve(len(p)):
		rec.abandon(BusyReason)
	}
	return rec.keeping
}

// sniff sets the type that net/http would guess for a body whose type nobody has told.
func sniff(h http.Header, body []byte) {
	if _, typed := h["Content-Type"]; !typed && len(h["Content-Encoding"]) == 0 && len(body) > 0 {
		h["Content-Type"] = []string{http.DetectContentType(body)}
	}
}

func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// send lets the client have what net/http would not hold back either.
func (rec *recorder) send() {
	switch {
	case rec.mute:
	case rec.pump != nil:
		rec.pump.push(rec.body)
	case len(rec.body) > buffered:
		rec.pump = startPump(rec.w, rec.body, rec.sent)
	}
}

// ReadFrom records up to the bound and leaves the rest to the writer behind, which may have a short cut for files.
func (rec *recorder) ReadFrom(src io.Reader) (n int64, err error) {
	if rec.done {
		return 0, errReturned
	}
	if !rec.keeping && !rec.wrote {
		rec.begin(nil)
	}
	if rec.keeping {
		n, err = io.Copy(writerOnly{rec}, io.LimitReader(src, rec.rt.MaxBody+1-int64(len(rec.body))))
		if err != nil || rec.keeping {
			return n, err
		}
	}
	if rec.mute {
		rest, err := io.Copy(io.Discard, src)
		return n + rest, err
	}
	rest, err := io.Copy(rec.w, src)
	return n + rest, err
}

// writerOnly hides ReadFrom from io.Copy.
type writerOnly struct{ io.Writer }

// abandon gives up the copy: the client gets what is recorded so far, and from now on all else directly; those who wait
// for the answer are let go, and the handler ends with its client again.
func (rec *recorder) abandon(reason Reason) {
	if !rec.keeping {
		return
	}
	pump, body := rec.pump, rec.body[rec.sent:]
	rec.pump = nil
	rec.drop(reason)
	rec.run.Refuse()
	rec.tie.follow()
	switch {
	case pump != nil:
		pump.drain()
	case len(body) > 0 && !rec.mute:
		_, _ = rec.w.Write(body) // the handler meets the error with its next write
	}
}

// drop forgets the copy.
func (rec *recorder) drop(reason Reason) {
	rec.keeping, rec.reason = false, reason
	rec.release()
}

// finish sends what is left of a recorded answer, after the flight has ended. A handler that wrote nothing leaves the
// head to net/http, which must find it complete.
func (rec *recorder) finish() {
	defer func() { // a writer outside may panic
		rec.release()
		rec.keeping, rec.done = false, true
	}()
	if rec.pump != nil {
		pump := rec.pump
		rec.pump = nil
		pump.drain()
	} else if !rec.mute && len(rec.body) > rec.sent {
		_, _ = rec.w.Write(rec.body[rec.sent:])
	}
	if !rec.wrote {
		h := rec.publish()
		fold(h)
		rec.heed(http.StatusOK, h)
		rec.privatize(h)
		rec.tellStatus(h)
	}
	rec.publishTrailers()
}

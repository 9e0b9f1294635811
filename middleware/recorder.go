package middleware

import (
	"io"
	"net/http"
	"strconv"

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
	tie   *tether

	keeping  bool   // a copy is being made
	reason   Reason // why not
	wrote    bool   // the handler's head is known
	status   int
	declared int64 // Content-Length, -1 if unknown
	written  int64 // body bytes the handler wrote
	mute     bool  // the client gets none of the body: it has it (304), or is to get a stale answer instead
	held     bool  // the answer is a failure that a stale one stands in for

	header, added []store.Field
	body          []byte
	pump          *pump
}

func (rt *Route) newRecorder(w http.ResponseWriter, r *http.Request, run *store.Run) *recorder {
	rec := &recorder{rt: rt, w: w, r: r, run: run, keeping: run != nil, declared: -1}
	if rec.keeping {
		rec.outer = w.Header().Clone()
	}
	return rec
}

func (rec *recorder) Header() http.Header { return rec.w.Header() }

// WriteHeader decides from the head whether the answer may be kept. Interim answers pass (RFC 9110 §15.2).
func (rec *recorder) WriteHeader(status int) {
	if rec.wrote || status < 200 {
		if status == http.StatusSwitchingProtocols {
			rec.abandon(UpgradeReason)
			rec.wrote, rec.status = true, status
		}
		if !rec.held {
			rec.w.WriteHeader(status) // net/http complains of a second one itself
		}
		return
	}
	rec.wrote, rec.status = true, status
	h := rec.w.Header()
	rec.declared = declaredLength(h)
	if rec.run != nil && rec.run.Old != nil && status >= 500 {
		rec.held, rec.mute = true, true
		rec.drop(StatusReason)
		return
	}
	if rec.keeping {
		rec.judgeHead(h)
	}
	rec.tweak(h)
	if status == http.StatusOK && rec.run != nil && notModified(rec.r, h) {
		rec.mute, status = true, http.StatusNotModified
		strip304(h)
	}
	rec.w.WriteHeader(status)
}

func (rec *recorder) judgeHead(h http.Header) {
	if reason := rec.rt.storable(rec.status, h, rec.outer); reason != "" {
		rec.abandon(reason)
		return
	}
	if rec.declared > rec.rt.MaxBody {
		rec.abandon(SizeReason)
		return
	}
	rec.header, rec.added = capture(h, rec.outer)
}

// tweak sets what the cache says of itself, and keeps one user's answers from other caches.
func (rec *recorder) tweak(h http.Header) {
	if rec.rt.Scheme.Private {
		if rec.reason == IdentityReason {
			h["Cache-Control"] = []string{"private, no-store"}
		} else {
			h["Cache-Control"] = makePrivate(h["Cache-Control"])
		}
		replace(rec.header, "Cache-Control", h["Cache-Control"])
	}
	how := "miss"
	if rec.run == nil {
		how = fwd(rec.reason)
	} else if rec.run.Old != nil {
		how = "stale"
	}
	if rec.rt.Common.name != "" {
		rec.rt.Common.addStatus(h, rec.rt.Common.forwarded(how, rec.reason, rec.keeping))
	}
}

func replace(fields []store.Field, name string, values []string) {
	for i := range fields {
		if fields[i].Name == name {
			fields[i].Values = values
		}
	}
}

func declaredLength(h http.Header) int64 {
	n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

func (rec *recorder) Write(p []byte) (int, error) {
	if !rec.begin(len(p)) {
		return rec.through(p)
	}
	if rec.overrun(len(p)) {
		return 0, http.ErrContentLength
	}
	rec.written += int64(len(p))
	rec.body = append(rec.body, p...)
	rec.send()
	return len(p), nil
}

func (rec *recorder) WriteString(s string) (int, error) {
	if !rec.begin(len(s)) {
		if rec.mute {
			return rec.through([]byte(s))
		}
		return io.WriteString(rec.w, s)
	}
	if rec.overrun(len(s)) {
		return 0, http.ErrContentLength
	}
	rec.written += int64(len(s))
	rec.body = append(rec.body, s...)
	rec.send()
	return len(s), nil
}

// through passes bytes on that are not recorded.
func (rec *recorder) through(p []byte) (int, error) {
	if rec.mute {
		return len(p), nil
	}
	return rec.w.Write(p)
}

// begin sees to the head and to room for n more bytes; it reports whether they are to be recorded.
func (rec *recorder) begin(n int) bool {
	if !rec.wrote {
		rec.WriteHeader(http.StatusOK)
	}
	if !rec.keeping {
		return false
	}
	switch {
	case !bodyAllowed(rec.status):
		rec.abandon(LengthReason) // net/http tells the handler
	case int64(len(rec.body)+n) > rec.rt.MaxBody:
		rec.abandon(SizeReason)
	case !rec.rt.Common.reserve(n):
		rec.abandon(BusyReason)
	}
	return rec.keeping
}

// overrun refuses what goes beyond the declared length, as net/http does.
func (rec *recorder) overrun(n int) bool {
	over := rec.declared >= 0 && rec.written+int64(n) > rec.declared
	if over {
		rec.rt.Common.release(n)
		rec.abandon(LengthReason)
	}
	return over
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
		rec.pump = startPump(rec.w, rec.body)
	}
}

// ReadFrom records up to the bound and leaves the rest to the writer behind, which may have a short cut for files.
func (rec *recorder) ReadFrom(src io.Reader) (n int64, err error) {
	if !rec.wrote {
		rec.WriteHeader(http.StatusOK)
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
	pump, body := rec.pump, rec.body
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
	rec.rt.Common.release(len(rec.body))
	rec.body = nil
}

// finish sends what is left of a recorded answer, after the flight has ended. A handler that wrote nothing leaves the
// head to net/http, which must find it complete.
func (rec *recorder) finish() {
	if rec.pump != nil {
		pump := rec.pump
		rec.pump = nil
		pump.drain()
	} else if !rec.mute && len(rec.body) > 0 {
		_, _ = rec.w.Write(rec.body)
	}
	rec.rt.Common.release(len(rec.body))
	rec.body = nil
	if !rec.wrote {
		rec.tweak(rec.w.Header())
	}
}

// restore takes back what a failed handler has put into the header.
func (rec *recorder) restore() {
	h := rec.w.Header()
	clear(h)
	for name, values := range rec.outer {
		h[name] = values
	}
}

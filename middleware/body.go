package middleware

import (
	"errors"
	"io"
	"net/http"
)

// buffered is how much of a body waits for the handler's end: about what net/http holds back itself.
const buffered = 4 << 10

// errReturned is what a write gets that comes after the handler has returned, when there is an answer: what the handler has
// kept must not add to it, nor to what may be an entry by now.
var errReturned = errors.New("cache: written to after the handler returned")

func (rec *recorder) Write(p []byte) (int, error) {
	switch {
	case rec.left:
		return rec.lateWrite(p)
	case rec.done:
		return 0, errReturned
	case rec.over:
		return 0, http.ErrContentLength
	case rec.held && !bodyAllowed(rec.status):
		return 0, http.ErrBodyNotAllowed
	}
	if !rec.records(p) {
		return rec.through(p)
	}
	if rec.declared >= 0 && int64(rec.size()+len(p)) > rec.declared { // as net/http has it
		rec.abandon(ReasonLength)
		rec.over = true
		return 0, http.ErrContentLength
	}
	if !rec.add(p) {
		rec.abandon(ReasonBusy)
		return rec.through(p)
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
	return rec.write(p)
}

// sendHead sends the head, if that is still to be sent, before the body that is given. A head that the handler has left to
// its first write is left to the first write of the client's writer too, if nothing else comes before that.
func (rec *recorder) sendHead(body []byte) {
	if !rec.unsent {
		return
	}
	rec.unsent = false
	status := rec.dress(body)
	if rec.implied && !rec.mute {
		if len(body) == 0 {
			return
		}
		sniff(rec.w.Header(), body)
	}
	rec.sending = true
	rec.w.WriteHeader(status)
	rec.sending = false
}

// write writes to the writer behind, as sendHead does: functions that outer middleware has registered there may run
// meanwhile.
func (rec *recorder) write(p []byte) (n int, err error) {
	rec.sending = true
	n, err = rec.w.Write(p)
	rec.sending = false
	return n, err
}

// lateHead sends the head of an answer in place of a handler's that has written nothing: a framework's error page, where the
// framework got hold of this writer and asks for the page once the handler has returned an error. The cache has nothing more
// to do with it. A handler's own goroutine that writes now does what it would do without a cache.
func (rec *recorder) lateHead(status int) {
	rec.wrote, rec.status = true, status
	h := rec.w.Header()
	rec.privatize(h)
	rec.speak(h)
	rec.w.WriteHeader(status)
}

func (rec *recorder) lateWrite(p []byte) (int, error) {
	if !rec.wrote {
		rec.lateHead(http.StatusOK)
	}
	return rec.w.Write(p)
}

// records sees to the head; it reports whether p is to be recorded.
func (rec *recorder) records(p []byte) bool {
	if !rec.wrote {
		rec.head(http.StatusOK)
		rec.implied, rec.untyped = true, rec.own != nil && !typed(rec.own)
	}
	if !rec.keeping {
		rec.sendHead(nil)
		return false
	}
	switch {
	case !bodyAllowed(rec.status):
		rec.abandon(ReasonLength) // net/http tells the handler
	case len(p) > 0 && rec.another():
		rec.abandon(ReasonLate)
	case int64(rec.size()+len(p)) > rec.rt.MaxBody:
		rec.abandon(ReasonSize)
	}
	return rec.keeping
}

// send lets the client have what net/http would not hold back either.
func (rec *recorder) send() {
	switch {
	case rec.mute:
	case rec.pump != nil:
		rec.pump.push(rec.full, rec.body)
	case len(rec.body) > buffered:
		if rec.sendHead(rec.body); !rec.mute {
			rec.pump = startPump(rec.w, rec.full, rec.body)
		}
	}
}

// ReadFrom records up to the bound and leaves the rest to the writer behind, which may have a short cut for files.
func (rec *recorder) ReadFrom(src io.Reader) (n int64, err error) {
	if rec.left {
		return io.Copy(writerOnly{rec}, src)
	}
	if rec.done {
		return 0, errReturned
	}
	if !rec.keeping && !rec.wrote {
		rec.records(nil)
	}
	if rec.keeping {
		n, err = io.Copy(writerOnly{rec}, io.LimitReader(src, rec.rt.MaxBody+1-int64(rec.size())))
		if err != nil {
			rec.abandon(ReasonLate) // many a handler only logs it
		}
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

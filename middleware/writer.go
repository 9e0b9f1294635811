package middleware

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"time"
)

// Besides Write and WriteHeader, a handler may use what else the writer outside offers. There are two sorts of it. What
// http.ResponseController asks for, the recorder has itself: the writer outside says whether it is supported. The optional
// interfaces that handlers find by a type assertion, it has in eight combinations, one for each that the writer outside may
// have: see recorder.writer.

var (
	_ io.ReaderFrom   = (*recorder)(nil)
	_ io.StringWriter = (*recorder)(nil)
)

// ReadFrom copies up to MaxBody, and leaves the rest to the writer outside, which may have a shortcut for files (sendfile). If
// the source breaks off, the response must not be stored: many handlers only log the error.
func (rec *recorder) ReadFrom(src io.Reader) (n int64, err error) {
	if rec.phase == unanswered {
		return io.Copy(writerOnly{rec}, src)
	}
	if rec.phase >= recorded {
		return 0, errReturned
	}
	if rec.phase != recording && rec.head == noHead {
		rec.recordable(nil)
	}
	if rec.phase == recording {
		n, err = io.Copy(writerOnly{rec}, io.LimitReader(src, rec.most+1-int64(rec.size())))
		if err != nil {
			rec.abandon(ReasonLate)
		}
		if err != nil || rec.phase == recording {
			return n, err
		}
	}
	var to io.Writer = rec.w
	if rec.bodiless() {
		to = io.Discard
	}
	rest, err := io.Copy(to, src)
	return n + rest, err
}

// writerOnly hides ReadFrom from io.Copy.
type writerOnly struct{ io.Writer }

// FlushError flushes. A flushed response is a stream, and is not stored: its handler may go on for hours, and its client
// expects each part at once. There is nothing to flush if the client gets something else, or if finish is about to send
// everything.
func (rec *recorder) FlushError() error {
	if rec.withheld() || rec.head == headWaits && rec.phase >= recorded {
		return nil
	}
	if rec.head == noHead {
		rec.WriteHeader(http.StatusOK)
	}
	rec.abandon(ReasonStream)
	return http.NewResponseController(rec.w).Flush()
}

// flush is FlushError for http.Flusher, which has no error.
func (rec *recorder) flush() { _ = rec.FlushError() }

// SetReadDeadline passes the deadline on.
func (rec *recorder) SetReadDeadline(t time.Time) error {
	return http.NewResponseController(rec.w).SetReadDeadline(t)
}

// SetWriteDeadline passes the deadline on. It holds for the sender, too.
func (rec *recorder) SetWriteDeadline(t time.Time) error {
	return http.NewResponseController(rec.w).SetWriteDeadline(t)
}

// EnableFullDuplex passes the wish on.
func (rec *recorder) EnableFullDuplex() error {
	return http.NewResponseController(rec.w).EnableFullDuplex()
}

// Unwrap returns the writer outside. Whoever writes there bypasses the copy, so there is none from now on.
func (rec *recorder) Unwrap() http.ResponseWriter {
	rec.abandon(ReasonUnwrap)
	rec.surrender()
	return rec.w
}

// hijack hands the connection over: nothing of the response is stored.
func (rec *recorder) hijack() (net.Conn, *bufio.ReadWriter, error) {
	rec.abandon(ReasonHijack)
	rec.surrender()
	return http.NewResponseController(rec.w).Hijack()
}

// push passes on an HTTP/2 push. That is a separate response.
func (rec *recorder) push(target string, o *http.PushOptions) error {
	return rec.w.(http.Pusher).Push(target, o)
}

// surrender completes a header that others will send, without the recorder. From now on the handler uses the header of the
// writer outside.
func (rec *recorder) surrender() {
	if rec.head == noHead {
		rec.forClient(rec.publish(rec.w.Header()))
	}
	rec.own = nil
}

// interim passes on an interim response (RFC 9110 §15.2), or a 101, after which the connection speaks another protocol.
func (rec *recorder) interim(status int) {
	switching := status == http.StatusSwitchingProtocols
	if switching {
		rec.abandon(ReasonUpgrade)
	}
	if rec.head == noHead || switching {
		rec.publish(rec.w.Header())
	}
	if switching {
		if rec.status = status; rec.head == noHead {
			rec.head = headSettled
		}
	}
	rec.passHead(status)
}

// passHead gives the writer outside a head that is not the response's.
func (rec *recorder) passHead(status int) {
	if !rec.withheld() && rec.head != headWaits && rec.sender == nil {
		rec.w.WriteHeader(status)
	}
}

// lateHead sends the head of a response that replaces the one of a handler that has written nothing: a framework's error page.
// The framework has the recorder, and writes the page when the handler has returned an error. The cache does nothing more with
// it. If the handler itself writes now, from another goroutine, it gets what it would get without a cache.
func (rec *recorder) lateHead(status int) {
	rec.head, rec.status = headSettled, status
	rec.forClient(rec.w.Header())
	rec.w.WriteHeader(status)
}

// lateWrite is a write after lateHead, or the first one, which brings the head.
func (rec *recorder) lateWrite(p []byte) (int, error) {
	if rec.head == noHead {
		rec.lateHead(http.StatusOK)
	}
	return rec.w.Write(p)
}

// Recorders with just the optional interfaces that the writer outside has. Each is a pointer, so that it becomes an interface
// without an allocation.
type (
	flushing          struct{ *recorder }
	hijacking         struct{ *recorder }
	pushing           struct{ *recorder }
	flushingHijacking struct{ *recorder }
	flushingPushing   struct{ *recorder }
	hijackingPushing  struct{ *recorder }
	doingAll          struct{ *recorder }
)

func (rec flushing) Flush()                                                { rec.flush() }
func (rec flushingHijacking) Flush()                                       { rec.flush() }
func (rec flushingPushing) Flush()                                         { rec.flush() }
func (rec doingAll) Flush()                                                { rec.flush() }
func (rec hijacking) Hijack() (net.Conn, *bufio.ReadWriter, error)         { return rec.hijack() }
func (rec flushingHijacking) Hijack() (net.Conn, *bufio.ReadWriter, error) { return rec.hijack() }
func (rec hijackingPushing) Hijack() (net.Conn, *bufio.ReadWriter, error)  { return rec.hijack() }
func (rec doingAll) Hijack() (net.Conn, *bufio.ReadWriter, error)          { return rec.hijack() }
func (rec pushing) Push(target string, o *http.PushOptions) error          { return rec.push(target, o) }
func (rec flushingPushing) Push(target string, o *http.PushOptions) error  { return rec.push(target, o) }
func (rec hijackingPushing) Push(target string, o *http.PushOptions) error {
	return rec.push(target, o)
}
func (rec doingAll) Push(target string, o *http.PushOptions) error { return rec.push(target, o) }

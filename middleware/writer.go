package middleware

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"time"
)

// The recorder offers what http.ResponseController asks for by itself; whether it is supported, the writer behind says.

// FlushError flushes. A flushed answer is a stream, which is not kept.
func (rec *recorder) FlushError() error {
	if rec.held || rec.unsent && rec.done { // or too late: the rest is about to be sent
		return nil
	}
	if !rec.wrote {
		rec.WriteHeader(http.StatusOK)
	}
	rec.abandon(ReasonStream)
	return http.NewResponseController(rec.w).Flush()
}

func (rec *recorder) hijack() (net.Conn, *bufio.ReadWriter, error) {
	rec.abandon(ReasonHijack)
	rec.surrender()
	return http.NewResponseController(rec.w).Hijack()
}

func (rec *recorder) SetReadDeadline(t time.Time) error {
	return http.NewResponseController(rec.w).SetReadDeadline(t)
}

func (rec *recorder) SetWriteDeadline(t time.Time) error {
	return http.NewResponseController(rec.w).SetWriteDeadline(t)
}

func (rec *recorder) EnableFullDuplex() error {
	return http.NewResponseController(rec.w).EnableFullDuplex()
}

// Unwrap returns the writer behind. Whoever writes there goes around the copy, so there is none from now on.
func (rec *recorder) Unwrap() http.ResponseWriter {
	rec.abandon(ReasonUnwrap)
	rec.surrender()
	return rec.w
}

func (rec *recorder) flush() { _ = rec.FlushError() }

func (rec *recorder) push(target string, o *http.PushOptions) error {
	return rec.w.(http.Pusher).Push(target, o)
}

var (
	_ io.ReaderFrom   = (*recorder)(nil)
	_ io.StringWriter = (*recorder)(nil)
)

// Recorders with just the optional interfaces that the writer behind has. Each is a pointer, so that to be an interface
// costs nothing.
type (
	flushing          struct{ *recorder }
	hijacking         struct{ *recorder }
	pushing           struct{ *recorder }
	flushingHijacking struct{ *recorder }
	flushingPushing   struct{ *recorder }
	hijackingPushing  struct{ *recorder }
	doingAll          struct{ *recorder }
)

func (rec flushing) Flush() { rec.flush() }

func (rec flushingHijacking) Flush() { rec.flush() }

func (rec flushingPushing) Flush() { rec.flush() }

func (rec doingAll) Flush() { rec.flush() }

func (rec hijacking) Hijack() (net.Conn, *bufio.ReadWriter, error) { return rec.hijack() }

func (rec flushingHijacking) Hijack() (net.Conn, *bufio.ReadWriter, error) { return rec.hijack() }

func (rec hijackingPushing) Hijack() (net.Conn, *bufio.ReadWriter, error) { return rec.hijack() }

func (rec doingAll) Hijack() (net.Conn, *bufio.ReadWriter, error) { return rec.hijack() }

func (rec pushing) Push(target string, o *http.PushOptions) error { return rec.push(target, o) }

func (rec flushingPushing) Push(target string, o *http.PushOptions) error { return rec.push(target, o) }

func (rec hijackingPushing) Push(target string, o *http.PushOptions) error {
	return rec.push(target, o)
}

func (rec doingAll) Push(target string, o *http.PushOptions) error { return rec.push(target, o) }

// writer returns the recorder as what the writer behind is: a handler that asks for one of its interfaces gets the answer
// that it would get without a cache.
func (rec *recorder) writer() http.ResponseWriter {
	_, flushes := rec.w.(http.Flusher)
	_, hijacks := rec.w.(http.Hijacker)
	_, pushes := rec.w.(http.Pusher)
	switch {
	case flushes && hijacks && pushes:
		return doingAll{rec}
	case flushes && hijacks:
		return flushingHijacking{rec}
	case flushes && pushes:
		return flushingPushing{rec}
	case hijacks && pushes:
		return hijackingPushing{rec}
	case flushes:
		return flushing{rec}
	case hijacks:
		return hijacking{rec}
	case pushes:
		return pushing{rec}
	}
	return rec
}

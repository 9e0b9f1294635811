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
	if rec.held {
		return nil
	}
	if !rec.wrote {
		rec.WriteHeader(http.StatusOK)
	}
	rec.abandon(StreamReason)
	return http.NewResponseController(rec.w).Flush()
}

func (rec *recorder) hijack() (net.Conn, *bufio.ReadWriter, error) {
	rec.abandon(HijackReason)
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
	rec.abandon(UnwrapReason)
	rec.surrender()
	return rec.w
}

type flusher struct{ rec *recorder }

func (f flusher) Flush() { _ = f.rec.FlushError() }

type hijacker struct{ rec *recorder }

func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) { return h.rec.hijack() }

type pusher struct{ http.Pusher }

var (
	_ io.ReaderFrom   = (*recorder)(nil)
	_ io.StringWriter = (*recorder)(nil)
)

// writer returns the recorder with just the optional interfaces that the writer behind has: a handler that asks for one
// gets the answer that it would get without a cache.
func (rec *recorder) writer() http.ResponseWriter {
	_, flushes := rec.w.(http.Flusher)
	_, hijacks := rec.w.(http.Hijacker)
	push, pushes := rec.w.(http.Pusher)
	f, h, p := flusher{rec}, hijacker{rec}, pusher{push}
	switch {
	case flushes && hijacks && pushes:
		return struct {
			*recorder
			flusher
			hijacker
			pusher
		}{rec, f, h, p}
	case flushes && hijacks:
		return struct {
			*recorder
			flusher
			hijacker
		}{rec, f, h}
	case flushes && pushes:
		return struct {
			*recorder
			flusher
			pusher
		}{rec, f, p}
	case hijacks && pushes:
		return struct {
			*recorder
			hijacker
			pusher
		}{rec, h, p}
	case flushes:
		return struct {
			*recorder
			flusher
		}{rec, f}
	case hijacks:
		return struct {
			*recorder
			hijacker
		}{rec, h}
	case pushes:
		return struct {
			*recorder
			pusher
		}{rec, p}
	}
	return rec
}

package middleware

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// A pump sends what is recorded at the client's own pace, so that a client that reads slowly holds up neither the handler
// nor those who wait for its answer. It is started only for bodies that net/http would not buffer anyway.
type pump struct {
	w    http.ResponseWriter
	done chan struct{}

	mu     sync.Mutex
	wake   *sync.Cond
	full   [][]byte // what was recorded so far is in these pieces
	last   []byte   // and in this one; it grows, and nothing of it is ever changed
	flying []byte   // the one that is being written from, or was last
	closed bool
	still  bool // all is sent when the handler has returned, or has given the copy up, in the handler's goroutine

	outgrown [][]byte // room that the body was in before; the recorder's
	err      error    // of a write; read after done
	panicked any      // what a writer outside panicked with; read after done
}

// An asider is a writer that other goroutines than the handler's are to write to in another way, or, where there is none
// (nil), not at all.
type asider interface{ Aside() http.ResponseWriter }

func startPump(w http.ResponseWriter, full [][]byte, last []byte) *pump {
	p := &pump{w: w, full: full, last: last, done: make(chan struct{})}
	p.wake = sync.NewCond(&p.mu)
	if outer, ok := w.(asider); ok {
		aside := outer.Aside()
		if aside == nil {
			p.still = true
			return p
		}
		p.w = aside
	}
	go p.run()
	return p
}

// push tells the pump that the body has grown.
func (p *pump) push(full [][]byte, last []byte) {
	p.mu.Lock()
	p.full, p.last = full, last
	p.mu.Unlock()
	p.wake.Signal()
}

// move tells the pump that the body is somewhere else now, whole. The room that it was in is used again, except what may
// be being written from.
func (p *pump) move(body []byte, before [][]byte) {
	p.mu.Lock()
	p.full, p.last = nil, body
	flying := p.flying
	p.mu.Unlock()
	rooms := append(before, p.outgrown...)
	p.outgrown = nil
	for _, room := range rooms {
		if sameRoom(room, flying) {
			p.outgrown = append(p.outgrown, room)
		} else {
			reuse(room)
		}
	}
}

func sameRoom(a, b []byte) bool {
	return cap(a) > 0 && cap(b) > 0 && &a[:1][0] == &b[:1][0]
}

// drain waits until everything is sent, or the client is gone. A panic of a writer outside passes through, in the
// goroutine that would have met it without a pump. Then what the body has outgrown is used again, and so are the pieces, if
// all went well: a writer that fails may still be reading (of HTTP/2, when the stream is reset meanwhile).
func (p *pump) drain(pieces ...[]byte) {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.wake.Signal()
	if p.still {
		p.run()
	}
	<-p.done
	if p.panicked != nil {
		panic(p.panicked)
	}
	if p.err == nil {
		reuse(p.outgrown...)
		reuse(pieces...)
	}
}

func (p *pump) run() {
	defer close(p.done)
	defer func() { p.panicked = recover() }()
	for sent := 0; ; {
		chunk, ok := p.next(sent)
		if !ok {
			return
		}
		n, err := p.w.Write(chunk)
		if err != nil {
			p.err = err
			return
		}
		sent += n
	}
}

// next waits for more than what was sent; false when there is none to come.
func (p *pump) next(sent int) ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		piece, at := p.from(sent)
		if chunk := piece[at:]; len(chunk) > 0 || p.closed {
			p.flying = piece
			return chunk, len(chunk) > 0
		}
		p.wake.Wait()
	}
}

// from is the first piece that is yet to be sent, and how much of it was sent.
func (p *pump) from(sent int) ([]byte, int) {
	for _, piece := range p.full {
		if sent < len(piece) {
			return piece, sent
		}
		sent -= len(piece)
	}
	return p.last, sent
}

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

// surrender publishes a header that others will send, past the recorder.
func (rec *recorder) surrender() {
	if !rec.wrote {
		h := rec.publish()
		rec.privatize(h)
		rec.speak(h)
	}
	rec.own = nil
}

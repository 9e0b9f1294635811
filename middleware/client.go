package middleware

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// A sender writes to the client what is recorded, at the client's own pace. So a client that reads slowly holds up neither the handler
// nor those who wait for its response. It is started only for bodies that net/http would not buffer itself.
//
// The handler's goroutine records, the sender's goroutine writes, and the copy is never changed behind what was written:
//
//	recorder                                   sender
//	appends to the last piece; push            wakes up, takes what is new of a piece, writes it without the lock
//	needs a larger buffer: keeps the old one   goes on in the old one, or takes the new one: the bytes are the same
//	compact: one piece; move                   finishes its write from an old piece: that one is not recycled yet
//	drain: waits                               writes the rest, and ends
type sender struct {
	w    http.ResponseWriter
	done chan struct{}

	mu   sync.Mutex
	wake *sync.Cond
	// What was recorded so far is in these pieces.
	full [][]byte
	// And in this one; it grows, and nothing of it is ever changed.
	last []byte
	// The piece that is being written from, or was last.
	writing []byte
	closed  bool
	// There is no goroutine: drain writes everything.
	inline bool

	// Buffers that the body was in before; only the recorder's goroutine uses them.
	outgrown [][]byte
	// Of a write; read after done.
	err error
	// What a writer outside panicked with; read after done.
	panicked any
}

// An asider is a writer that is not safe for another goroutine, as echo's Response is. Aside returns the writer that the sender may use
// instead, or nil if there is none: then nothing is sent before the handler has returned.
type asider interface{ Aside() http.ResponseWriter }

// startSender begins to send. Nobody else may write to w until drain has returned.
func startSender(w http.ResponseWriter, full [][]byte, last []byte) *sender {
	p := &sender{w: w, full: full, last: last, done: make(chan struct{})}
	p.wake = sync.NewCond(&p.mu)
	if outer, ok := w.(asider); ok {
		aside := outer.Aside()
		if aside == nil {
			p.inline = true
			return p
		}
		p.w = aside
	}
	go p.run()
	return p
}

// push tells the sender that the copy has grown.
func (p *sender) push(full [][]byte, last []byte) {
	p.mu.Lock()
	p.full, p.last = full, last
	p.mu.Unlock()
	p.wake.Signal()
}

// move tells the sender that the copy is in one piece now. The pieces before are recycled, except one that may be being written from:
// that waits for drain.
func (p *sender) move(body []byte, before [][]byte) {
	p.mu.Lock()
	p.full, p.last = nil, body
	writing := p.writing
	p.mu.Unlock()
	old := append(before, p.outgrown...)
	p.outgrown = nil
	for _, piece := range old {
		if sameBuffer(piece, writing) {
			p.outgrown = append(p.outgrown, piece)
		} else {
			recycle(piece)
		}
	}
}

// sameBuffer reports whether the slices begin at the same byte of memory.
func sameBuffer(a, b []byte) bool {
	return cap(a) > 0 && cap(b) > 0 && &a[:1][0] == &b[:1][0]
}

// drain waits until everything is sent, or the client is gone. A panic of a writer outside goes on in the handler's goroutine, which would
// have met it without a sender. Afterwards the given pieces, and outgrown buffers, are recycled, but not after an error: a writer
// that failed may still be reading them (of HTTP/2, when the stream is reset meanwhile).
func (p *sender) drain(pieces ...[]byte) {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.wake.Signal()
	if p.inline {
		p.run()
	}
	<-p.done
	if p.panicked != nil {
		panic(p.panicked)
	}
	if p.err == nil {
		recycle(p.outgrown...)
		recycle(pieces...)
	}
}

// run writes until there is nothing more to come.
func (p *sender) run() {
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

// next waits for bytes beyond those that were sent. It returns false when none will come.
func (p *sender) next(sent int) ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		piece, at := p.from(sent)
		if chunk := piece[at:]; len(chunk) > 0 || p.closed {
			p.writing = piece
			return chunk, len(chunk) > 0
		}
		p.wake.Wait()
	}
}

// from is the first piece that is not sent completely, and how much of it is.
func (p *sender) from(sent int) ([]byte, int) {
	for _, piece := range p.full {
		if sent < len(piece) {
			return piece, sent
		}
		sent -= len(piece)
	}
	return p.last, sent
}

// What http.ResponseController asks for. Whether it is supported, the client's writer says.

// FlushError flushes. A flushed response is a stream, and is not stored: its handler may go on for hours, and its client expects each part at
// once.
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

// hijack hands the connection over: nothing of the response is stored.
func (rec *recorder) hijack() (net.Conn, *bufio.ReadWriter, error) {
	rec.abandon(ReasonHijack)
	rec.surrender()
	return http.NewResponseController(rec.w).Hijack()
}

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

// Unwrap returns the writer behind. Whoever writes there goes around the copy, so there is none from now on.
func (rec *recorder) Unwrap() http.ResponseWriter {
	rec.abandon(ReasonUnwrap)
	rec.surrender()
	return rec.w
}

// flush is FlushError for http.Flusher, which has no error.
func (rec *recorder) flush() { _ = rec.FlushError() }

// push passes an HTTP/2 push on. It is a response of its own, and nothing of this one.
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

// surrender publishes a header that others will send, past the recorder.
func (rec *recorder) surrender() {
	if !rec.wrote {
		h := rec.publish()
		rec.privatize(h)
		rec.speak(h)
	}
	rec.own = nil
}

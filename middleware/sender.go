package middleware

import (
	"net/http"
	"sync"
)

// A sender sends the body at the client's own pace, so that a client that reads slowly holds up neither the handler nor the
// requests that wait for the response. It is started only for bodies that net/http would not hold back anyway.
//
// The handler's goroutine and the sender's share the bytes of a buffer, to which the handler's only appends:
//
//	handler's goroutine                            sender's goroutine
//	1. Write: the buffer has 5 KiB. startSender    waits for more than it has sent (next)
//	2.                                             writes 5 KiB to the client, which is slow
//	3. Write: the buffer grows into a larger
//	   slice; push. The old one is outgrown:       … still reads the old slice
//	   it must not be recycled yet
//	4. returns; compact: the body is in a new
//	   slice, which an entry has from now on.
//	   move recycles what nobody reads, but not
//	   the one that is being written from
//	5. the store takes the entry; requests that
//	   wait get it
//	6. finish: drain waits                         writes the rest, from the entry's slice
//	7. recycles that one, too                      returns
//
// If the copy is given up, at any step, drain waits for the sender in the handler's goroutine; then the handler writes to the
// client itself.
type sender struct {
	w    http.ResponseWriter
	done chan struct{}

	mu   sync.Mutex
	wake *sync.Cond
	// The body so far is in these slices …
	full [][]byte
	// … and in this one, which grows. Nothing of it is ever changed.
	last []byte
	// The one that is being sent, or was last.
	writing []byte
	// Nothing is to come.
	closed bool
	// There is no goroutine: drain writes everything. See asider.
	inline bool

	// Slices that the body was in before; only the handler's goroutine uses them.
	outgrown [][]byte
	// Of a write; read after done.
	err error
	// What a writer outside panicked with; read after done.
	panicked any
}

// An asider is a writer that says how goroutines other than the handler's may write to it: through what Aside returns, or, if
// that is nil, not at all. The writers of the echo adapters are asiders.
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

// push tells the sender that the body has grown.
func (p *sender) push(full [][]byte, last []byte) {
	p.mu.Lock()
	p.full, p.last = full, last
	p.mu.Unlock()
	p.wake.Signal()
}

// move tells the sender that the body is in another slice now, as a whole. The slices that it was in are recycled, but not the
// one that the sender may be writing from.
func (p *sender) move(body []byte, before [][]byte) {
	p.mu.Lock()
	p.full, p.last = nil, body
	writing := p.writing
	p.mu.Unlock()
	unused := append(before, p.outgrown...)
	p.outgrown = nil
	for _, b := range unused {
		if sameBuffer(b, writing) {
			p.outgrown = append(p.outgrown, b)
		} else {
			recycle(b)
		}
	}
}

// sameBuffer reports whether the slices begin at the same byte of memory.
func sameBuffer(a, b []byte) bool {
	return cap(a) > 0 && cap(b) > 0 && &a[:1][0] == &b[:1][0]
}

// drain waits until all is sent, or the client is gone. A panic of a writer outside goes on in the handler's goroutine, which
// would have met it without a sender.
//
// Then the outgrown slices and the given pieces are recycled, if all went well. A writer that fails may still be reading:
// HTTP/2's does if the stream was reset meanwhile.
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

// run writes until there is nothing more to send.
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

// next waits for bytes beyond those sent; it is false if there are no more to come.
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

// from returns the first slice with unsent bytes, and how many of its bytes were sent.
func (p *sender) from(sent int) ([]byte, int) {
	for _, piece := range p.full {
		if sent < len(piece) {
			return piece, sent
		}
		sent -= len(piece)
	}
	return p.last, sent
}

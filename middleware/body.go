package middleware

import (
	"errors"
	"io"
	"math/bits"
	"net/http"
	"slices"
	"sync"

	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/store"
)

// Write records p while a copy is made, and sends what the client should have by now; otherwise it passes p on. It fails as net/http's
// own writer does: when the body is longer than declared, and when the status allows none.
//
// A body that is written piece by piece costs the client no delay: up to 4 KiB wait for the end of the handler, as they would in
// net/http. Beyond that another goroutine sends while the handler goes on (see sender in client.go).
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
	if !rec.recordable(p) {
		return rec.pass(p)
	}
	if rec.declared >= 0 && int64(rec.size()+len(p)) > rec.declared { // as net/http has it
		rec.abandon(ReasonLength)
		rec.over = true
		return 0, http.ErrContentLength
	}
	if !rec.add(p) {
		rec.abandon(ReasonBusy)
		return rec.pass(p)
	}
	rec.send()
	return len(p), nil
}

// WriteString is Write, for io.WriteString.
func (rec *recorder) WriteString(s string) (int, error) { return rec.Write([]byte(s)) }

// pass passes bytes on that are not recorded.
func (rec *recorder) pass(p []byte) (int, error) {
	if rec.mute {
		return len(p), nil
	}
	return rec.write(p)
}

// recordable sees to the head, which a handler may leave to its first write, and reports whether p is to be recorded. It gives up the copy
// where p makes it one that must not be stored.
func (rec *recorder) recordable(p []byte) bool {
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
	case len(p) > 0 && rec.turnsIntoErrorPage():
		rec.abandon(ReasonLate)
	case int64(rec.size()+len(p)) > rec.rt.maxBody:
		rec.abandon(ReasonSize)
	}
	return rec.keeping
}

// send lets the client have what net/http would not hold back either. From the first 4 KiB on another goroutine does it.
func (rec *recorder) send() {
	switch {
	case rec.mute:
	case rec.sender != nil:
		rec.sender.push(rec.full, rec.body)
	case len(rec.body) > buffered:
		if rec.sendHead(rec.body); !rec.mute {
			rec.sender = startSender(rec.w, rec.full, rec.body)
		}
	}
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

// lateHead sends the head of a response that comes after the handler has returned and has written nothing: a framework's error page.
// The framework got hold of this writer, and writes the page once the handler has returned an error. The cache has nothing more to
// do with it. A goroutine of the handler's that writes now does what it would do without a cache.
func (rec *recorder) lateHead(status int) {
	rec.wrote, rec.status = true, status
	h := rec.w.Header()
	rec.privatize(h)
	rec.speak(h)
	rec.w.WriteHeader(status)
}

// lateWrite is a write after lateHead.
func (rec *recorder) lateWrite(p []byte) (int, error) {
	if !rec.wrote {
		rec.lateHead(http.StatusOK)
	}
	return rec.w.Write(p)
}

// ReadFrom records up to MaxBody and leaves the rest to the client's writer, which may have a short cut for files (sendfile). A source
// that breaks off makes the response one that must not be stored: many a handler only logs the error.
func (rec *recorder) ReadFrom(src io.Reader) (n int64, err error) {
	if rec.left {
		return io.Copy(writerOnly{rec}, src)
	}
	if rec.done {
		return 0, errReturned
	}
	if !rec.keeping && !rec.wrote {
		rec.recordable(nil)
	}
	if rec.keeping {
		n, err = io.Copy(writerOnly{rec}, io.LimitReader(src, rec.rt.maxBody+1-int64(rec.size())))
		if err != nil {
			rec.abandon(ReasonLate)
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

// buffered is how many bytes of a body wait for the end of the handler: about what net/http holds back itself.
const buffered = 4 << 10

// errReturned is what a write gets after the handler has returned and there is a response: a writer that the handler has retained must not
// add to it, nor to the copy, which may be an entry's by now.
var errReturned = errors.New("cache: written to after the handler returned")

// writerOnly hides ReadFrom from io.Copy.
type writerOnly struct{ io.Writer }

// How a copy of unknown length grows: its buffer doubles, from least on, and goes from half of long to twice long at once. Beyond that
// it goes on in another piece, as long as all pieces before it. So no byte is copied more than a few times, and the last piece is at
// most half empty.
const (
	least = 512
	long  = 64 << 10
)

// size is how many bytes are recorded.
func (rec *recorder) size() int {
	n := len(rec.body)
	for _, piece := range rec.full {
		n += len(piece)
	}
	return n
}

// add appends p to the copy. It reports false if the bound on recorded bytes, which all routes share, does not allow it.
func (rec *recorder) add(p []byte) bool {
	have, need := cap(rec.body), len(rec.body)+len(p)
	switch {
	case need <= have:
		rec.body = append(rec.body, p...)
		return true
	case have > long:
		return rec.nextPiece(p)
	}
	n := rec.growTo(have, need)
	if !rec.reserve(n - have) {
		return false
	}
	before := rec.body
	if have == 0 && n == len(p) && !pooled(n) {
		rec.body = copyOf(p)
		return true
	}
	rec.body = append(append(newBuffer(n), before...), p...)
	if rec.sender != nil { // may be sending it
		rec.sender.outgrown = append(rec.sender.outgrown, before)
	} else {
		recycle(before)
	}
	return true
}

// growTo is the capacity that the buffer gets: the declared length, if there is one. Without one the first write gets just its own
// size, since often there is no second one.
func (rec *recorder) growTo(have, need int) int {
	switch most := rec.rt.maxBody; {
	case int64(need) <= rec.declared:
		return int(min(rec.declared, most))
	case have == 0:
		return need
	case 2*have >= long:
		return int(min(bufferSize(max(need, 2*long)), most))
	default:
		return int(min(bufferSize(max(need, 2*have, least)), most))
	}
}

// bufferSize is the power of two that n bytes fit in: such buffers are pooled.
func bufferSize(n int) int64 { return 1 << bits.Len(uint(n-1)) }

// nextPiece fills the last piece and begins another one.
func (rec *recorder) nextPiece(p []byte) bool {
	rest := cap(rec.body) - len(rec.body)
	size := rec.size() + rest
	n := int(min(bufferSize(max(size, len(p)-rest)), rec.rt.maxBody-int64(size)))
	if !rec.reserve(n) {
		return false
	}
	rec.full = append(rec.full, append(rec.body, p[:rest]...))
	rec.body = append(newBuffer(n), p[rest:]...)
	return true
}

// compact puts the copy into one piece without much spare capacity, because an entry must not take more memory than it counts. What the
// client is yet to get, the sender then takes from there.
func (rec *recorder) compact() []byte {
	if rec.full == nil && cap(rec.body) <= len(rec.body)+len(rec.body)/8 {
		return rec.body
	}
	before := rec.pieces()
	if rec.full == nil {
		rec.body = copyOf(rec.body)
	} else {
		rec.body, rec.full = slices.Concat(before...), nil
	}
	if rec.sender != nil {
		rec.sender.move(rec.body, before)
	} else {
		recycle(before...)
	}
	return rec.body
}

// pieces are all pieces of the copy, in order.
func (rec *recorder) pieces() [][]byte {
	return append(rec.full[:len(rec.full):len(rec.full)], rec.body)
}

// reserve takes n more bytes of the bound on recorded bytes, if there are so many left.
func (rec *recorder) reserve(n int) bool {
	if !rec.rt.common.reserve(n) {
		return false
	}
	rec.reserved += n
	return true
}

// unreserve gives back what the copy had reserved: it is complete, or given up. A client that reads slowly does not hold a
// reservation, or a few of them could keep the cache from recording anything. What such a client is yet to get belongs to its own
// request, as the bytes that a handler writes do.
func (rec *recorder) unreserve() {
	rec.rt.common.release(rec.reserved)
	rec.reserved = 0
}

// release forgets the copy: it is an entry's now, or nobody needs it.
func (rec *recorder) release() {
	rec.unreserve()
	rec.body, rec.full = nil, nil
}

// sniff sets the Content-Type that net/http would guess, for a body whose type nobody has set.
func sniff(h http.Header, body []byte) {
	if !typed(h) && len(body) > 0 {
		h["Content-Type"] = []string{http.DetectContentType(body)}
	}
}

// typed reports whether net/http would leave the type alone.
func typed(h http.Header) bool {
	_, set := h["Content-Type"]
	return set || len(h["Content-Encoding"]) > 0 || h["Transfer-Encoding"] != nil
}

// bodyAllowed reports whether a response with the status may have a body (RFC 9110 §6.4.1). 1xx never come here.
func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// turnsIntoErrorPage reports whether what is written next belongs to an error page rather than to the response that has begun. http.Error
// and the like change Content-Type and X-Content-Type-Options after the head. Their late WriteHeader would tell, too, but writers
// around this one may keep it for themselves.
func (rec *recorder) turnsIntoErrorPage() bool {
	if rec.spoilt || !rec.touched {
		return rec.spoilt
	}
	rec.touched = false
	return rec.typeChanged("Content-Type") || rec.typeChanged("X-Content-Type-Options")
}

// typeChanged reports whether the field has another value than it was sent with.
func (rec *recorder) typeChanged(name string) bool {
	sent := linesIn(rec.header, name)
	if sent == nil && !slices.ContainsFunc(rec.added, func(f store.Field) bool { return f.Name == name && len(f.Values) == 0 }) {
		sent = rec.outer[name]
	}
	return rfc9111.First(rec.own[name]) != rfc9111.First(sent)
}

// Buffers between these sizes are pooled: a stream that turns out too long for the cache would otherwise leave a megabyte of garbage,
// the buffer that its beginning was recorded in. Shorter ones are cheap, and the body of an entry is never pooled.
const (
	leastPooled = 4 << 10
	mostPooled  = 16 << 20
)

var bufferPools [25]sync.Pool // of *[]byte, by how many bits their capacity has

// pooled reports whether buffers of n bytes are pooled: powers of two, as growing buffers have.
func pooled(n int) bool { return n >= leastPooled && n <= mostPooled && n&(n-1) == 0 }

// copyOf returns a copy of just that size.
func copyOf(p []byte) []byte {
	buffer := make([]byte, len(p))
	copy(buffer, p)
	return buffer
}

// newBuffer returns an empty buffer with a capacity of n bytes, from the pool if it can.
func newBuffer(n int) []byte {
	if pooled(n) {
		if buffer, ok := bufferPools[bits.Len(uint(n))-1].Get().(*[]byte); ok {
			return (*buffer)[:0]
		}
	}
	return make([]byte, 0, n)
}

// recycle takes bufferPools back that nobody reads or writes any more.
func recycle(all ...[]byte) {
	for _, buffer := range all {
		if n := cap(buffer); pooled(n) {
			bufferPools[bits.Len(uint(n))-1].Put(&buffer)
		}
	}
}

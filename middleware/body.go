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
	case int64(rec.size()+len(p)) > rec.rt.maxBody:
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
		n, err = io.Copy(writerOnly{rec}, io.LimitReader(src, rec.rt.maxBody+1-int64(rec.size())))
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

// buffered is how much of a body waits for the handler's end: about what net/http holds back itself.
const buffered = 4 << 10

// errReturned is what a write gets that comes after the handler has returned, when there is an answer: what the handler has
// kept must not add to it, nor to what may be an entry by now.
var errReturned = errors.New("cache: written to after the handler returned")

// writerOnly hides ReadFrom from io.Copy.
type writerOnly struct{ io.Writer }

// How a copy grows whose length nobody has told: its room doubles, from least on, and goes from half of long to twice long
// at once; what is longer goes on in another piece, as long as all before it, so that many bytes are not copied.
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

// add appends p to the copy, if there is room.
func (rec *recorder) add(p []byte) bool {
	have, need := cap(rec.body), len(rec.body)+len(p)
	switch {
	case need <= have:
		rec.body = append(rec.body, p...)
		return true
	case have > long:
		return rec.goOn(p)
	}
	n := rec.room(have, need)
	if !rec.reserve(n - have) {
		return false
	}
	before := rec.body
	if have == 0 && n == len(p) && !shared(n) {
		rec.body = copyOf(p)
		return true
	}
	rec.body = append(append(makeRoom(n), before...), p...)
	if rec.pump != nil { // may be sending it
		rec.pump.outgrown = append(rec.pump.outgrown, before)
	} else {
		reuse(before)
	}
	return true
}

// room is how much the body needs: what it was said to have, or what its first write brings, since there is often no other.
func (rec *recorder) room(have, need int) int {
	switch most := rec.rt.maxBody; {
	case int64(need) <= rec.declared:
		return int(min(rec.declared, most))
	case have == 0:
		return need
	case 2*have >= long:
		return int(min(roomy(max(need, 2*long)), most))
	default:
		return int(min(roomy(max(need, 2*have, least)), most))
	}
}

// roomy is the power of two that n bytes fit in: such room is used again.
func roomy(n int) int64 { return 1 << bits.Len(uint(n-1)) }

// goOn fills the piece and begins another one.
func (rec *recorder) goOn(p []byte) bool {
	rest := cap(rec.body) - len(rec.body)
	size := rec.size() + rest
	n := int(min(roomy(max(size, len(p)-rest)), rec.rt.maxBody-int64(size)))
	if !rec.reserve(n) {
		return false
	}
	rec.full = append(rec.full, append(rec.body, p[:rest]...))
	rec.body = append(makeRoom(n), p[rest:]...)
	return true
}

// compact puts the copy into one piece, without much spare room behind it: an entry must not cost more than it counts. What
// the client has yet to get, it gets from there.
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
	if rec.pump != nil {
		rec.pump.move(rec.body, before)
	} else {
		reuse(before...)
	}
	return rec.body
}

func (rec *recorder) pieces() [][]byte {
	return append(rec.full[:len(rec.full):len(rec.full)], rec.body)
}

// reserve takes n more bytes of the room for recording that all copies share, if there are so many.
func (rec *recorder) reserve(n int) bool {
	if !rec.rt.common.reserve(n) {
		return false
	}
	rec.reserved += n
	return true
}

// unreserve gives the room for recording back: the copy is complete, or given up. A client that reads slowly does not hold
// it: what such a client is yet to get is held by its own request, as a handler holds what it writes.
func (rec *recorder) unreserve() {
	rec.rt.common.release(rec.reserved)
	rec.reserved = 0
}

// release forgets the copy, which has become an entry's or is not needed.
func (rec *recorder) release() {
	rec.unreserve()
	rec.body, rec.full = nil, nil
}

// sniff sets the type that net/http would guess for a body whose type nobody has told.
func sniff(h http.Header, body []byte) {
	if !typed(h) && len(body) > 0 {
		h["Content-Type"] = []string{http.DetectContentType(body)}
	}
}

// typed reports whether the header tells the type of its body, or leaves nothing to be guessed, as net/http has it.
func typed(h http.Header) bool {
	_, told := h["Content-Type"]
	return told || len(h["Content-Encoding"]) > 0 || h["Transfer-Encoding"] != nil
}

func bodyAllowed(status int) bool {
	return status != http.StatusNoContent && status != http.StatusNotModified
}

// another reports whether what is written next belongs to another answer than the head: http.Error and its like give the
// header new fields, and writers around this one may keep their late head for themselves.
func (rec *recorder) another() bool {
	if rec.spoilt || !rec.touched {
		return rec.spoilt
	}
	rec.touched = false
	return rec.retyped("Content-Type") || rec.retyped("X-Content-Type-Options")
}

// retyped reports whether a field has another value than it was sent with.
func (rec *recorder) retyped(name string) bool {
	sent := linesIn(rec.header, name)
	if sent == nil && !slices.ContainsFunc(rec.added, func(f store.Field) bool { return f.Name == name && len(f.Values) == 0 }) {
		sent = rec.outer[name]
	}
	return rfc9111.First(rec.own[name]) != rfc9111.First(sent)
}

// A stream that turns out too long for the cache leaves the room that its beginning was recorded in. Room that is not short
// is used again, or each such stream would leave a megabyte of garbage.
const (
	leastRoom = 4 << 10
	mostRoom  = 16 << 20
)

var rooms [25]sync.Pool // of *[]byte, by how many bits their capacity has

// shared reports whether room of so many bytes is used again: powers of two, as those are that grow.
func shared(n int) bool { return n >= leastRoom && n <= mostRoom && n&(n-1) == 0 }

// copyOf returns a copy, in room of just that size, which is not cleared first.
func copyOf(p []byte) []byte {
	room := make([]byte, len(p))
	copy(room, p)
	return room
}

// makeRoom returns empty room of n bytes.
func makeRoom(n int) []byte {
	if shared(n) {
		if room, ok := rooms[bits.Len(uint(n))-1].Get().(*[]byte); ok {
			return (*room)[:0]
		}
	}
	return make([]byte, 0, n)
}

// reuse takes rooms back that nobody reads or writes any more.
func reuse(all ...[]byte) {
	for _, room := range all {
		if n := cap(room); shared(n) {
			rooms[bits.Len(uint(n))-1].Put(&room)
		}
	}
}

package middleware

import (
	"math/bits"
	"slices"
)

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
	switch most := rec.rt.MaxBody; {
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
	n := int(min(roomy(max(size, len(p)-rest)), rec.rt.MaxBody-int64(size)))
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
	if !rec.rt.Common.reserve(n) {
		return false
	}
	rec.reserved += n
	return true
}

// unreserve gives the room for recording back: the copy is complete, or given up. A client that reads slowly does not hold
// it: what such a client is yet to get is held by its own request, as a handler holds what it writes.
func (rec *recorder) unreserve() {
	rec.rt.Common.release(rec.reserved)
	rec.reserved = 0
}

// release forgets the copy, which has become an entry's or is not needed.
func (rec *recorder) release() {
	rec.unreserve()
	rec.body, rec.full = nil, nil
}

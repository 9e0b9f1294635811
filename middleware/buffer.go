package middleware

import (
	"math/bits"
	"slices"
	"sync"
)

// A buffer is the copy of a response's body. It grows as the handler writes, and what is there never changes: the sender may be
// sending it. Its capacity is reserved from the bound that all copies of one cache share.
//
// How it grows: most handlers write once, so the first write gets just the bytes it needs, or as many as Content-Length says. After
// that the capacity doubles, from 512 bytes to 128 KiB, and the bytes are copied along. A longer body continues in another slice,
// as long as all before it, so that many bytes are never copied twice:
//
//	written so far     full                     last
//	100 bytes                                   100 of 100
//	3 KiB                                       3 of 4 KiB
//	130 KiB            128 KiB                  2 of 128 KiB
//	300 KiB            128, 128 KiB             44 of 256 KiB
//
// An entry's body is one slice with little spare capacity: compact makes it, once the response is complete and is to be stored.
type buffer struct {
	// What capacity is reserved from, for all copies of the cache.
	bounds *Common
	// The policy's MaxBody, in bytes.
	most int64
	// Content-Length, -1 if unknown.
	declared int64

	// A long body, without its end.
	full [][]byte
	// The body, or its end. It grows; nothing of it is changed.
	last []byte
	// How many bytes are reserved from bounds.
	reserved int

	// Sends the body meanwhile; nil: nothing of it is sent yet.
	sender *sender
}

const (
	minCapacity = 512
	maxDoubling = 128 << 10 // up to here the bytes are copied along
)

// size is how many bytes are in the copy.
func (b *buffer) size() int {
	n := len(b.last)
	for _, piece := range b.full {
		n += len(piece)
	}
	return n
}

// add appends p to the copy. It returns false if there is no room for it.
func (b *buffer) add(p []byte) bool {
	have, need := cap(b.last), len(b.last)+len(p)
	switch {
	case need <= have:
		b.last = append(b.last, p...)
		return true
	case have > maxDoubling/2:
		return b.nextPiece(p)
	}
	n := b.growTo(have, need)
	if !b.reserve(n - have) {
		return false
	}
	before := b.last
	if have == 0 && n == len(p) && !pooled(n) {
		b.last = copyOf(p)
		return true
	}
	b.last = append(append(newBuffer(n), before...), p...)
	if b.sender != nil { // it may be sending them
		b.sender.outgrown = append(b.sender.outgrown, before)
	} else {
		recycle(before)
	}
	return true
}

// growTo is the capacity that the body gets: what Content-Length says, or what the first write brings, or twice the old one.
func (b *buffer) growTo(have, need int) int {
	switch {
	case int64(need) <= b.declared:
		return int(min(b.declared, b.most))
	case have == 0:
		return need
	case 2*have >= maxDoubling/2: // the last time that bytes are copied along
		return int(min(bufferSize(max(need, maxDoubling)), b.most))
	default:
		return int(min(bufferSize(max(need, 2*have, minCapacity)), b.most))
	}
}

// bufferSize is the least power of two that is not below n: slices of such capacities are pooled.
func bufferSize(n int) int64 { return 1 << bits.Len(uint(n-1)) }

// nextPiece fills the last slice and begins another one.
func (b *buffer) nextPiece(p []byte) bool {
	spare := cap(b.last) - len(b.last)
	size := b.size() + spare
	n := int(min(bufferSize(max(size, len(p)-spare)), b.most-int64(size)))
	if !b.reserve(n) {
		return false
	}
	b.full = append(b.full, append(b.last, p[:spare]...))
	b.last = append(newBuffer(n), p[spare:]...)
	return true
}

// compact makes the copy one slice without much spare capacity: an entry must not take more memory than it is counted for. The
// sender sends the rest of the body from there.
func (b *buffer) compact() []byte {
	if b.full == nil && cap(b.last) <= len(b.last)+len(b.last)/8 {
		return b.last
	}
	before := b.pieces()
	if b.full == nil {
		b.last = copyOf(b.last)
	} else {
		b.last, b.full = slices.Concat(before...), nil
	}
	if b.sender != nil {
		b.sender.move(b.last, before)
	} else {
		recycle(before...)
	}
	return b.last
}

// pieces are all slices of the copy, in order.
func (b *buffer) pieces() [][]byte {
	return append(b.full[:len(b.full):len(b.full)], b.last)
}

// reserve takes n more bytes from the bound that all copies share, if that many are free.
func (b *buffer) reserve(n int) bool {
	if !b.bounds.reserve(n) {
		return false
	}
	b.reserved += n
	return true
}

// unreserve gives back what was reserved: the copy is complete, or given up. A slow client does not hold the reservation, or a few
// such clients could keep the cache from recording anything. The bytes that such a client still has to get belong to its own
// request, as those that a handler writes do.
func (b *buffer) unreserve() {
	b.bounds.release(b.reserved)
	b.reserved = 0
}

// release forgets the copy: it has become an entry's, or nobody needs it.
func (b *buffer) release() {
	b.unreserve()
	b.full, b.last = nil, nil
}

// Slices that are not short are pooled. Otherwise each stream that turns out too long to be stored would leave up to a megabyte of
// garbage: the copy of its beginning. The shortest pooled ones are as long as what net/http holds back; longer ones than mostPooled
// are rare.
const (
	leastPooled = 4 << 10
	mostPooled  = 16 << 20
)

var bufferPools [25]sync.Pool // of *[]byte, by the logarithm of their capacity

// pooled reports whether slices of the capacity are pooled: only powers of two are, which is how copies grow.
func pooled(n int) bool { return n >= leastPooled && n <= mostPooled && n&(n-1) == 0 }

// copyOf returns a copy without spare capacity. The compiler does not clear the memory first.
func copyOf(p []byte) []byte {
	b := make([]byte, len(p))
	copy(b, p)
	return b
}

// newBuffer returns an empty slice of the capacity.
func newBuffer(n int) []byte {
	if pooled(n) {
		if b, ok := bufferPools[bits.Len(uint(n))-1].Get().(*[]byte); ok {
			return (*b)[:0]
		}
	}
	return make([]byte, 0, n)
}

// recycle pools slices that nobody reads or writes any more.
func recycle(all ...[]byte) {
	for _, b := range all {
		if n := cap(b); pooled(n) {
			bufferPools[bits.Len(uint(n))-1].Put(&b)
		}
	}
}

package middleware

import (
	"math/bits"
	"sync"
)

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

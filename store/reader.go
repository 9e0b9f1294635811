package store

import (
	"encoding/binary"
	"errors"

	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"github.com/larder-go/cache/keying"
)

// reader reads the few msgpack types that an entry is made of. After the first error every read returns zero. It counts
// where it is and cuts nothing off: a pointer that moves costs a write barrier while garbage is collected.
type reader struct {
	b   []byte
	at  int // how much of b has been read
	err error
}

var errShort = errors.New("shorter than it claims")

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.at = len(r.b)
}

func (r *reader) left() uint64 { return uint64(len(r.b) - r.at) }

// take returns the next n bytes, n being any claim that the input makes.
func (r *reader) take(n uint64) []byte {
	if n > r.left() {
		r.fail(errShort)
		return nil
	}
	from := r.at
	r.at += int(n)
	return r.b[from:r.at:r.at]
}

// code reads a value's first byte.
func (r *reader) code() byte {
	if r.at >= len(r.b) {
		r.fail(errShort)
		return msgpcode.Nil
	}
	r.at++
	return r.b[r.at-1]
}

// number reads a big-endian integer of the given size.
func (r *reader) number(size uint64) uint64 {
	switch b := r.take(size); len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	case 8:
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) uint() uint64 {
	switch c := r.code(); {
	case c <= msgpcode.PosFixedNumHigh:
		return uint64(c)
	case c >= msgpcode.Uint8 && c <= msgpcode.Uint64:
		return r.number(1 << (c - msgpcode.Uint8))
	}
	r.fail(errors.New("not a number"))
	return 0
}

func (r *reader) upTo(limit uint64) uint64 {
	n := r.uint()
	if n > limit {
		r.fail(errors.New("number out of range"))
		return 0
	}
	return n
}

// list reads an array's length. Every element takes at least a byte, so a claim beyond what is left is a lie.
func (r *reader) list(limit int) int {
	var n uint64
	switch c := r.code(); {
	case msgpcode.IsFixedArray(c):
		n = uint64(c & msgpcode.FixedArrayMask)
	case c == msgpcode.Array16:
		n = r.number(2)
	case c == msgpcode.Array32:
		n = r.number(4)
	default:
		r.fail(errors.New("not a list"))
	}
	if n > uint64(limit) || n > r.left() {
		r.fail(errShort)
		return 0
	}
	return int(n)
}

func (r *reader) bytes(limit int) []byte {
	c := r.code()
	if c < msgpcode.Bin8 || c > msgpcode.Bin32 {
		r.fail(errors.New("not bytes"))
		return nil
	}
	return r.limited(r.number(1<<(c-msgpcode.Bin8)), limit)
}

// fill reads exactly as many bytes as there is room in dst.
func (r *reader) fill(dst []byte) {
	if copy(dst, r.bytes(len(dst))) != len(dst) {
		r.fail(errShort)
	}
}

// text passes over a string and returns its length.
func (r *reader) text() int {
	var n uint64
	switch c := r.code(); {
	case msgpcode.IsFixedString(c):
		n = uint64(c & msgpcode.FixedStrMask)
	case c >= msgpcode.Str8 && c <= msgpcode.Str32:
		n = r.number(1 << (c - msgpcode.Str8))
	default:
		r.fail(errors.New("not text"))
		return 0
	}
	return len(r.limited(n, MaxFieldBytes))
}

func (r *reader) limited(n uint64, limit int) []byte {
	if n > uint64(limit) {
		r.fail(errors.New("longer than its limit"))
		return nil
	}
	return r.take(n)
}

func (r *reader) labels() []keying.Label {
	labels := make([]keying.Label, r.list(MaxLabels))
	for i := range labels {
		r.fill(labels[i][:])
	}
	return labels
}

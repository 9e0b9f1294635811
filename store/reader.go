package store

import (
	"encoding/binary"
	"errors"

	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"github.com/larder-go/cache/keying"
)

// reader reads the few msgpack types that an entry is made of. After the first error every read returns zero.
type reader struct {
	b     []byte
	lines int // header lines that may still come
	err   error
}

var errShort = errors.New("shorter than it claims")

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

// take returns the next n bytes, n being any claim that the input makes.
func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail(errShort)
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) code() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return msgpcode.Nil
}

// number reads a big-endian integer of the given size.
func (r *reader) number(size uint64) uint64 {
	var word [8]byte
	b := r.take(size)
	copy(word[8-len(b):], b)
	return binary.BigEndian.Uint64(word[:])
}

func (r *reader) uint() uint64 {
	switch c := r.code(); {
	case msgpcode.IsFixedNum(c) && int8(c) >= 0:
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
	if n > uint64(limit) || n > uint64(len(r.b)) {
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

func (r *reader) exactly(n int) []byte {
	b := r.bytes(n)
	if len(b) != n {
		r.fail(errShort)
	}
	return b
}

func (r *reader) text() string {
	switch c := r.code(); {
	case msgpcode.IsFixedString(c):
		return string(r.limited(uint64(c&msgpcode.FixedStrMask), MaxFieldBytes))
	case c >= msgpcode.Str8 && c <= msgpcode.Str32:
		return string(r.limited(r.number(1<<(c-msgpcode.Str8)), MaxFieldBytes))
	}
	r.fail(errors.New("not text"))
	return ""
}

func (r *reader) limited(n uint64, limit int) []byte {
	if n > uint64(limit) {
		r.fail(errors.New("longer than its limit"))
		return nil
	}
	return r.take(n)
}

func (r *reader) fields(limit int) []Field {
	n := r.list(limit)
	if n == 0 {
		return nil
	}
	fs := make([]Field, n)
	for i := range fs {
		lines := r.list(r.lines + 1)
		r.lines -= max(0, lines-1)
		if lines == 0 {
			r.fail(errors.New("a field without a name"))
			return nil
		}
		fs[i].Name = r.text()
		fs[i].Values = make([]string, lines-1)
		for j := range fs[i].Values {
			fs[i].Values[j] = r.text()
		}
	}
	return fs
}

func (r *reader) labels() []keying.Label {
	labels := make([]keying.Label, r.list(MaxLabels))
	for i := range labels {
		copy(labels[i][:], r.exactly(len(keying.Label{})))
	}
	return labels
}

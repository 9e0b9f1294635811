package store

import (
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// maxDepth is how deep lists and maps may be nested in a value.
const maxDepth = 100

var errDeep = errors.New("nested too deeply")

// CheckMsgpack reports whether b is one well-formed msgpack value: every length fits into the bytes that are left, and
// lists and maps are not nested deeper than a hundred times. The library's decoder believes lengths and recurses without
// bound, so whatever comes from outside is checked before it is decoded. Every error wraps [ErrCorrupt].
func CheckMsgpack(b []byte) error {
	if err := checkMsgpack(b); err != nil {
		return fmt.Errorf("store: %w: %w", ErrCorrupt, err)
	}
	return nil
}

func checkMsgpack(b []byte) error {
	r := reader{b: b}
	open := make([]uint64, 1, 8) // values still to come, by depth
	open[0] = 1
	for len(open) > 0 {
		top := len(open) - 1
		if open[top] == 0 {
			open = open[:top]
			continue
		}
		open[top]--
		children := r.skip()
		switch {
		case r.err != nil:
			return r.err
		case children > r.left():
			return errShort
		case children > 0 && len(open) == maxDepth:
			return errDeep
		case children > 0:
			open = append(open, children)
		}
	}
	if r.left() > 0 {
		return errors.New("trailing bytes")
	}
	return nil
}

// skip passes over one value's head and bytes and returns how many values follow in it.
func (r *reader) skip() (children uint64) {
	switch c := r.code(); {
	case msgpcode.IsFixedNum(c), c == msgpcode.Nil, c == msgpcode.True, c == msgpcode.False:
	case msgpcode.IsFixedString(c):
		r.take(uint64(c & msgpcode.FixedStrMask))
	case msgpcode.IsFixedArray(c):
		return uint64(c & msgpcode.FixedArrayMask)
	case msgpcode.IsFixedMap(c):
		return 2 * uint64(c&msgpcode.FixedMapMask)
	case c >= msgpcode.Bin8 && c <= msgpcode.Bin32:
		r.take(r.number(1 << (c - msgpcode.Bin8)))
	case c >= msgpcode.Str8 && c <= msgpcode.Str32:
		r.take(r.number(1 << (c - msgpcode.Str8)))
	case c >= msgpcode.Ext8 && c <= msgpcode.Ext32:
		r.take(r.number(1<<(c-msgpcode.Ext8)) + 1)
	case c >= msgpcode.FixExt1 && c <= msgpcode.FixExt16:
		r.take(1<<(c-msgpcode.FixExt1) + 1)
	case c >= msgpcode.Uint8 && c <= msgpcode.Uint64:
		r.take(1 << (c - msgpcode.Uint8))
	case c >= msgpcode.Int8 && c <= msgpcode.Int64:
		r.take(1 << (c - msgpcode.Int8))
	case c == msgpcode.Float:
		r.take(4)
	case c == msgpcode.Double:
		r.take(8)
	default:
		return r.container(c)
	}
	return 0
}

func (r *reader) container(c byte) uint64 {
	switch c {
	case msgpcode.Array16:
		return r.number(2)
	case msgpcode.Array32:
		return r.number(4)
	case msgpcode.Map16:
		return 2 * r.number(2)
	case msgpcode.Map32:
		return 2 * r.number(4)
	}
	r.fail(errors.New("no msgpack"))
	return 0
}

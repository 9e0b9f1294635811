package valuecodec

import (
	"encoding/binary"
	"errors"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

var (
	errShort = errors.New("shorter than it claims")
	errDeep  = errors.New("nested too deeply")
)

// table is about what a map of n items takes: even an empty one has a head, a small one has room for eight, and a larger one
// may be half empty. Large keys and values are stored outside the table, one by one.
func table(n, key, elem int64) int64 {
	const head, group, large = 48, 8, 128
	switch {
	case n == 0:
		return head
	case n > group:
		return head + n*(2*(key+elem)+16)
	}
	size := int64(head + group)
	for _, part := range [...]int64{key, elem} {
		if part > large {
			size += n * rounded(part)
			part = 8
		}
		size += group * part
	}
	return size + size/8
}

// rounded is the most that the allocator makes of n bytes.
func rounded(n int64) int64 {
	if n == 0 {
		return 0
	}
	return n + n/8 + 64
}

// own is what a value that decodes itself may take beyond its input.
const own = 64

// measure returns about how many bytes the msgpack takes once decoded. The library's decoder believes lengths, recurses without
// bound, and may allocate a whole element for each byte of input: so it only gets what was measured.
func (c *Codec) measure(b []byte) (held int64, err error) {
	if int64(len(b)) > c.limit {
		return 0, ErrTooLarge
	}
	m := meter{b: b, held: c.root.size, limit: spread * c.limit}
	m.value(c.root, 0)
	if m.err == nil && m.left() > 0 {
		m.err = errors.New("trailing bytes")
	}
	return m.held, m.err
}

// A meter reads msgpack as the decoder will, and adds up what that allocates. After the first error it reads nothing.
type meter struct {
	b           []byte
	at          int
	held, limit int64
	err         error
}

func (m *meter) left() uint64 { return uint64(len(m.b) - m.at) }

func (m *meter) fail(err error) {
	if m.err == nil {
		m.err = err
	}
	m.at = len(m.b)
}

func (m *meter) add(n int64) {
	if m.held += n; m.held > m.limit {
		m.fail(ErrTooLarge)
	}
}

func (m *meter) take(n uint64) []byte {
	if n > m.left() {
		m.fail(errShort)
		return nil
	}
	m.at += int(n)
	return m.b[m.at-int(n) : m.at]
}

// number reads a big-endian integer of the given size.
func (m *meter) number(size uint64) uint64 {
	var room [8]byte
	copy(room[8-size:], m.take(size))
	return binary.BigEndian.Uint64(room[:])
}

// A head is how a value begins.
type head struct {
	form  form
	count uint64 // items of a list, pairs of a map, bytes of anything else
}

type form uint8

const (
	isNil form = iota
	isPlain
	isText
	isExt
	isList
	isMap
)

// head reads the first bytes of a value. The codes of one type in its different sizes are consecutive.
func (m *meter) head() head {
	if m.left() == 0 {
		m.fail(errShort)
		return head{}
	}
	c := m.take(1)[0]
	switch {
	case c == msgpcode.Nil:
		return head{}
	case msgpcode.IsFixedNum(c), c == msgpcode.False, c == msgpcode.True:
		return head{isPlain, 0}
	case msgpcode.IsFixedString(c):
		return head{isText, uint64(c & msgpcode.FixedStrMask)}
	case msgpcode.IsFixedArray(c):
		return head{isList, uint64(c & msgpcode.FixedArrayMask)}
	case msgpcode.IsFixedMap(c):
		return head{isMap, uint64(c & msgpcode.FixedMapMask)}
	case c >= msgpcode.Bin8 && c <= msgpcode.Bin32:
		return head{isText, m.number(1 << (c - msgpcode.Bin8))}
	case c >= msgpcode.Str8 && c <= msgpcode.Str32:
		return head{isText, m.number(1 << (c - msgpcode.Str8))}
	case c >= msgpcode.Ext8 && c <= msgpcode.Ext32:
		return head{isExt, m.number(1<<(c-msgpcode.Ext8)) + 1}
	case c >= msgpcode.FixExt1 && c <= msgpcode.FixExt16:
		return head{isExt, 1<<(c-msgpcode.FixExt1) + 1}
	case c == msgpcode.Float, c == msgpcode.Double:
		return head{isPlain, 4 << (c - msgpcode.Float)}
	case c >= msgpcode.Uint8 && c <= msgpcode.Uint64:
		return head{isPlain, 1 << (c - msgpcode.Uint8)}
	case c >= msgpcode.Int8 && c <= msgpcode.Int64:
		return head{isPlain, 1 << (c - msgpcode.Int8)}
	case c == msgpcode.Array16, c == msgpcode.Array32:
		return head{isList, m.number(2 << (c - msgpcode.Array16))}
	case c == msgpcode.Map16, c == msgpcode.Map32:
		return head{isMap, m.number(2 << (c - msgpcode.Map16))}
	}
	m.fail(errors.New("no msgpack"))
	return head{}
}

// value measures one value as one of the shape. The decoder will refuse what does not fit the shape.
func (m *meter) value(s *shape, depth int) {
	h := m.head()
	if m.err != nil || h.form == isNil {
		return
	}
	for ; s.kind == pointer; s = s.elem {
		m.add(s.elem.size)
	}
	switch {
	case h.form == isList || h.form == isMap:
		if items := max(1, uint64(h.form-isList)*2) * h.count; items > m.left() {
			m.fail(errShort)
		} else if depth == maxDepth {
			m.fail(errDeep)
		} else if h.form == isList {
			m.items(s, int(h.count), depth+1)
		} else {
			m.pairs(s, int(h.count), depth+1)
		}
		return
	case h.form == isExt && s.kind == dict: // the decoder would look for a map in it
		m.fail(errors.New("an extension where a map belongs"))
	case s.kind == dynamic:
		m.add(2 * anything.size)
	case s.kind == opaque:
		m.add(own)
	}
	m.take(h.count)
	if h.form != isPlain {
		m.add(int64(h.count))
	}
}

func (m *meter) items(s *shape, n, depth int) {
	elem := anything
	switch {
	case s.kind == list:
		elem = s.elem
		m.add(rounded(int64(n) * elem.size))
	case s.kind == array && n <= s.len:
		elem = s.elem
	case s.kind == record && n == len(s.fields):
		for _, f := range s.fields {
			m.value(f.shape, depth)
		}
		return
	case s.kind == dynamic || s.kind == opaque:
		m.add(rounded(int64(n)*elem.size) + 2*elem.size)
	default:
		m.fail(errors.New("a list where none belongs"))
	}
	for i := 0; i < n && m.err == nil; i++ {
		m.value(elem, depth)
	}
}

func (m *meter) pairs(s *shape, n, depth int) {
	key, elem := anything, anything
	switch s.kind {
	case dict:
		key, elem = s.key, s.elem
		m.add(table(int64(n), key.size, elem.size))
	case dynamic, opaque:
		m.add(table(int64(n), key.size, elem.size))
	case record:
	default:
		m.fail(errors.New("a map where none belongs"))
	}
	for i := 0; i < n && m.err == nil; i++ {
		if s.kind == record {
			elem = s.next(m)
		} else {
			m.value(key, depth)
		}
		m.value(elem, depth)
	}
}

// next reads the name of a field and returns its shape. The decoder skips a field that the struct does not have.
func (s *shape) next(m *meter) *shape {
	h := m.head()
	if h.form != isText {
		m.fail(errors.New("a field without a name"))
		return anything
	}
	if f, ok := s.named[string(m.take(h.count))]; ok {
		return f.shape
	}
	return anything
}

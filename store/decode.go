package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// Decode reads what Encode wrote. The caller gives b away: the entry's body is a part of it. The rest is copied. Every error wraps
// [ErrCorrupt].
//
// It trusts nothing, since others may write to the same backend. The seal is checked first. Then each length is compared with the
// bytes that are left, and with the field's limit, before anything of that length is allocated. So a few bytes cannot make it
// allocate gigabytes. There is one schema: no recursion that could exhaust the stack, and no unknown field.
func (c Codec) Decode(b []byte) (*Entry, error) {
	e, err := c.decode(b)
	if err != nil {
		return nil, fmt.Errorf("store: %w: %w", ErrCorrupt, err)
	}
	return e, nil
}

// decode is Decode without the wrapping of its errors. It allocates the entry, the header's text and lines, and the labels; see header.
func (c Codec) decode(b []byte) (*Entry, error) {
	b, err := c.open(b)
	if err != nil {
		return nil, err
	}
	r := reader{b: b}
	if r.list(fields+1) != fields+1 || r.uint() != format {
		return nil, errors.New("unknown format")
	}
	e := new(Entry)
	r.fill(e.Key[:])
	e.At = Position{r.uint(), r.uint(), r.uint()}
	e.Status = int(r.upTo(math.MaxInt16))
	e.Stored = time.UnixMilli(int64(r.upTo(math.MaxInt64)))
	e.Fresh = time.Duration(r.upTo(math.MaxInt64))
	e.WhileRevalidate = time.Duration(r.upTo(math.MaxInt64))
	e.IfError = time.Duration(r.upTo(math.MaxInt64))
	e.IfValidated = time.Duration(r.upTo(math.MaxInt64))
	e.Cost = time.Duration(r.upTo(math.MaxInt64))
	e.Aged = time.Duration(r.upTo(math.MaxInt64))
	e.Header, e.Added = r.header()
	e.Labels = r.labels()
	e.Body = r.bytes(MaxEncoded)
	switch {
	case r.err != nil:
		return nil, r.err
	case r.left() != 0:
		return nil, errors.New("trailing bytes")
	}
	return e, e.Validate()
}

// header reads both lists of header fields twice: first to measure them, then to hand out their parts. So it allocates once for
// all text and once for all lines, however many there are, and once more for fields that are to be added.
func (r *reader) header() (header Header, added []Field) {
	start := r.at
	var h tally
	r.tally(&h)
	r.tally(&h)
	if r.err != nil || h.fields == 0 {
		return Header{}, nil
	}
	section := r.b[start:r.at]
	s := sharer{reader: reader{b: section}, text: string(section), lines: make([]string, h.lines)}
	lines := s.lines
	var few [fewFields]Field
	fields := s.list(few[:0])
	n := len(lines) - len(s.lines)
	return headerOf(fields, lines[:n:n]), s.list(nil)
}

// fewFields is the most fields that most responses have: that many are read without allocating the list.
const fewFields = 16

// tally skips a list of header fields and counts what is in it.
func (r *reader) tally(h *tally) {
	n := r.list(MaxFields)
	h.fields += n
	for range n {
		lines := r.list(maxLines - h.lines + 1)
		if lines == 0 {
			r.fail(errors.New("a field without a name"))
			return
		}
		h.lines += lines - 1
		for range lines {
			h.bytes += r.text()
		}
	}
}

// A sharer reads a header that has been tallied, and hands out parts of one string and of one slice. The parts of the slice are
// clipped: appending to one field's lines does not write into the next field's.
type sharer struct {
	reader
	text  string   // the reader's whole input
	lines []string // not handed out yet
}

// list reads a list of fields, into the given slice if that has the capacity.
func (s *sharer) list(fields []Field) []Field {
	n := s.reader.list(MaxFields)
	if n == 0 {
		return nil
	}
	if cap(fields) < n {
		fields = make([]Field, 0, n)
	}
	for range n {
		lines := s.reader.list(maxLines + 1)
		name := s.next()
		fields = append(fields, Field{name, s.values(lines - 1)})
	}
	return fields
}

// values reads n lines as parts of the shared text.
func (s *sharer) values(n int) []string {
	values := s.lines[:n:n]
	s.lines = s.lines[n:]
	for i := range values {
		values[i] = s.next()
	}
	return values
}

// next returns the next text.
func (s *sharer) next() string {
	n := s.reader.text()
	return s.text[s.at-n : s.at]
}

// A reader reads the few msgpack types that an entry consists of. After the first error every read returns zero, so its callers
// check once, at the end. It counts its position, instead of reslicing b: storing a pointer costs a write barrier while
// the garbage collector runs.
type reader struct {
	b   []byte
	at  int // how much of b has been read
	err error
}

// errShort is for an entry that ends before its own lengths say.
var errShort = errors.New("shorter than it claims")

// fail records the first error; every read after it returns zero.
func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.at = len(r.b)
}

// left returns how many bytes have not been read.
func (r *reader) left() uint64 { return uint64(len(r.b) - r.at) }

// take returns the next n bytes; n may be anything that the input claims.
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

// uint reads a number in any of msgpack's forms.
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

// upTo reads a number that must not exceed the limit: sizes are checked before anything of that size is allocated.
func (r *reader) upTo(limit uint64) uint64 {
	n := r.uint()
	if n > limit {
		r.fail(errors.New("number out of range"))
		return 0
	}
	return n
}

// list reads an array's length. Every element takes at least a byte, so a claim beyond what is left is false.
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

// bytes reads binary of at most limit bytes. It does not copy: the result is a part of the input.
func (r *reader) bytes(limit int) []byte {
	c := r.code()
	if c < msgpcode.Bin8 || c > msgpcode.Bin32 {
		r.fail(errors.New("not bytes"))
		return nil
	}
	return r.limited(r.number(1<<(c-msgpcode.Bin8)), limit)
}

// fill reads binary of exactly the size of dst.
func (r *reader) fill(dst []byte) {
	if copy(dst, r.bytes(len(dst))) != len(dst) {
		r.fail(errShort)
	}
}

// text skips a string and returns its length.
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

// limited takes n bytes, unless that is more than the limit.
func (r *reader) limited(n uint64, limit int) []byte {
	if n > uint64(limit) {
		r.fail(errors.New("longer than its limit"))
		return nil
	}
	return r.take(n)
}

// labels reads the labels, at most MaxLabels of them.
func (r *reader) labels() []keying.Label {
	labels := make([]keying.Label, r.list(MaxLabels))
	for i := range labels {
		r.fill(labels[i][:])
	}
	return labels
}

package store

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/net/http/httpguts"
)

// A Field is a header field with all its lines.
type Field struct {
	Name   string
	Values []string
}

// A Header is the list of fields in an entry. It is compact: the responses of a route have the same field names, which are
// in memory once for all of them. The zero Header is empty. It is immutable, and may be read by any number of goroutines.
type Header struct {
	layout *layout // nil: there is no field
	lines  []string
}

// MakeHeader returns a header with these fields, in this order. It copies their lines and does not retain the slices.
func MakeHeader(fields ...Field) Header {
	n := 0
	for i := range fields {
		n += len(fields[i].Values)
	}
	lines := make([]string, 0, n)
	for i := range fields {
		lines = append(lines, fields[i].Values...)
	}
	return headerOf(fields, lines)
}

// headerOf makes a header of the fields, whose lines are also given as one list, in order. It retains that list.
func headerOf(fields []Field, lines []string) Header {
	if len(fields) == 0 {
		return Header{}
	}
	return Header{layoutOf(fields), lines}
}

// Len returns the number of fields.
func (h *Header) Len() int {
	if h.layout == nil {
		return 0
	}
	return len(h.layout.names)
}

// All ranges over the fields. Their lines are the header's, and clipped: appending to them makes a copy.
func (h *Header) All() iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		if h.layout == nil {
			return
		}
		lines, from, ends := h.lines, uint32(0), h.layout.starts[1:]
		for i, name := range h.layout.names {
			to := ends[i]
			if !yield(name, lines[from:to:to]) {
				return
			}
			from = to
		}
	}
}

// Lines returns the lines of the first field with exactly that name, clipped, or nil.
func (h *Header) Lines(name string) []string {
	for known, lines := range h.All() {
		if known == name {
			return lines
		}
	}
	return nil
}

// Fields returns the fields as a list of the caller's own; their lines are the header's, clipped.
func (h *Header) Fields() []Field {
	if h.Len() == 0 {
		return nil
	}
	fields := make([]Field, 0, h.Len())
	for name, lines := range h.All() {
		fields = append(fields, Field{name, lines})
	}
	return fields
}

// A layout is what the headers of many entries have in common: their names, and how many lines each has. Names are checked
// once, when the layout is made, and not for each entry.
type layout struct {
	names  []string
	starts []uint32 // index of each field's first line, and one past the last line
	bytes  int      // of the names
	length int      // the line that is the Content-Length, or -1
	err    error    // what is wrong with a name
}

// newLayout makes a layout of the fields' names and numbers of lines.
func newLayout(fields []Field) *layout {
	l := &layout{names: make([]string, len(fields)), starts: make([]uint32, len(fields)+1), length: -1}
	for i := range fields {
		l.names[i] = strings.Clone(fields[i].Name) // it may be part of something large
		l.starts[i+1] = l.starts[i] + uint32(len(fields[i].Values))
		l.bytes += len(fields[i].Name)
		if l.err == nil {
			l.err = checkName(fields[i].Name)
		}
		if isLength(fields[i].Name) {
			if l.length >= 0 || len(fields[i].Values) != 1 {
				l.err = errLength
			}
			l.length = int(l.starts[i])
		}
	}
	return l
}

// fits reports whether the fields have this layout.
func (l *layout) fits(fields []Field) bool {
	if len(l.names) != len(fields) {
		return false
	}
	for i := range fields {
		if l.names[i] != fields[i].Name || int(l.starts[i+1]-l.starts[i]) != len(fields[i].Values) {
			return false
		}
	}
	return true
}

// layouts are the ones seen last. There are two slots for each. A layout that finds neither free displaces another; entries with
// that other one keep it. Two goroutines that make the same layout at once may each get their own, which costs only memory.
var layouts [1024]atomic.Pointer[layout]

// layoutOf returns the layout of the fields, most likely one that is known.
func layoutOf(fields []Field) *layout {
	hash := uint32(len(fields))
	for i := range fields {
		name := fields[i].Name
		hash = hash*31 + uint32(len(name))<<16 + uint32(len(fields[i].Values))
		if name != "" {
			hash = hash*31 + uint32(name[0])<<8 + uint32(name[len(name)-1])
		}
	}
	hash ^= hash >> 15
	place := &layouts[hash%uint32(len(layouts))]
	other := &layouts[(hash^1)%uint32(len(layouts))]
	if l := place.Load(); l != nil && l.fits(fields) {
		return l
	}
	if l := other.Load(); l != nil && l.fits(fields) {
		return l
	}
	l := newLayout(fields)
	if place.Load() != nil {
		other.Store(place.Load())
	}
	place.Store(l)
	return l
}

// Limits of an entry. A [Codec] checks them when it writes an entry and when it reads one. An entry beyond them is not stored.
const (
	MaxFields     = 64       // header fields
	MaxFieldBytes = 16 << 10 // bytes of all header names and lines
	MaxLabels     = 256      // of an entry, and of a purge record
	MaxEncoded    = 64 << 20 // bytes of body

	maxLines = 1024 // lines of all header fields
)

// Validate returns what is wrong with the entry, or nil. The same rules apply to what is written and what is read: nothing that
// net/http would reject, or send wrongly, may come out of a store. Others may write to it, too.
func (e *Entry) Validate() error {
	_, err := e.check()
	return err
}

// check is Validate; it also returns how much header there is.
func (e *Entry) check() (h tally, err error) {
	switch {
	case e.Status != 0 && (e.Status < 200 || e.Status > 599 || e.Status == notModified):
		return h, fmt.Errorf("status %d is not one of an answer that could be kept", e.Status)
	case e.Status == noContent && len(e.Body) > 0:
		return h, fmt.Errorf("a body of an answer with status %d", e.Status)
	case e.Fresh < 0 || e.WhileRevalidate < 0 || e.IfError < 0 || e.IfValidated < 0 || e.Cost < 0 || e.Aged < 0 || e.Stored.UnixMilli() < 0:
		return h, errors.New("negative time")
	case e.Keep(e.Stored) < 0:
		return h, errors.New("times overflow")
	case len(e.Labels) > MaxLabels:
		return h, fmt.Errorf("%d labels; at most %d", len(e.Labels), MaxLabels)
	case e.Header.Len()+len(e.Added) > MaxFields:
		return h, fmt.Errorf("%d header fields; at most %d", e.Header.Len()+len(e.Added), MaxFields)
	case len(e.Body) > MaxEncoded:
		return h, fmt.Errorf("a body of %d bytes", len(e.Body))
	}
	if err = h.addHeader(&e.Header, len(e.Body)); err == nil {
		err = h.add(e.Added)
	}
	switch {
	case err != nil:
		return h, err
	case h.lines > maxLines:
		return h, fmt.Errorf("%d header lines; at most %d", h.lines, maxLines)
	case h.bytes > MaxFieldBytes:
		return h, fmt.Errorf("%d bytes of header; at most %d", h.bytes, MaxFieldBytes)
	}
	return h, nil
}

// A tally counts header fields, their lines, and the bytes of both plus one for each line.
type tally struct{ fields, lines, bytes int }

// addHeader counts the header and checks each of its names and lines. Names are checked with the layout, only once.
func (h *tally) addHeader(of *Header, body int) error {
	if of.layout == nil {
		return nil
	}
	if of.layout.err != nil {
		return of.layout.err
	}
	if i := of.layout.length; i >= 0 && !says(of.lines[i], body) {
		return errLength
	}
	h.fields += of.Len()
	h.bytes += of.layout.bytes
	if i := h.addLines(of.lines); i >= 0 {
		return invalidLine(of.layout.nameOf(i))
	}
	return nil
}

// nameOf is the name of the field that has the line.
func (l *layout) nameOf(line int) string {
	end, _ := slices.BinarySearch(l.starts, uint32(line+1))
	return l.names[end-1]
}

// add counts and checks a list of fields.
func (h *tally) add(fs []Field) error {
	h.fields += len(fs)
	for i := range fs {
		if err := checkName(fs[i].Name); err != nil {
			return err
		}
		if isLength(fs[i].Name) {
			return errLength
		}
		h.bytes += len(fs[i].Name)
		if h.addLines(fs[i].Values) >= 0 {
			return invalidLine(fs[i].Name)
		}
	}
	return nil
}

// addLines returns the place of the first line that is not valid, or -1.
func (h *tally) addLines(lines []string) int {
	h.lines += len(lines)
	for i, line := range lines {
		if !printable(line) && !httpguts.ValidHeaderFieldValue(line) {
			return i
		}
		h.bytes += len(line) + 1
	}
	return -1
}

// invalidLine does not repeat the line: it may be somebody's secret.
func invalidLine(name string) error { return fmt.Errorf("invalid value of header %s", name) }

// checkName rejects what is not a field name (RFC 9110 §5.1), and fields that frame a message, which belong to net/http.
func checkName(name string) error {
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("invalid header name %q", name)
	}
	for _, other := range framing {
		if strings.EqualFold(name, other) {
			return fmt.Errorf("%s belongs to one connection", other)
		}
	}
	return nil
}

// framing are fields that say how a message is sent on one connection (RFC 9110 §7.6.1). net/http acts on them.
var framing = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// errLength is for a response that net/http would cut short, or whose client would wait for more.
var errLength = errors.New("a Content-Length that is not the body's")

// says reports whether the line is n, as we write numbers.
func says(line string, n int) bool {
	var digits [20]byte
	return line == string(strconv.AppendInt(digits[:0], int64(n), 10))
}

// isLength reports whether the field is Content-Length, in whatever case.
func isLength(name string) bool { return strings.EqualFold(name, "Content-Length") }

const (
	noContent   = 204
	notModified = 304
)

// ones has a one in every byte.
const ones = 0x0101010101010101

// printable reports whether every byte of s may stand in a header value without a further check: none below a space, no DEL. It
// takes eight bytes at a time, then the last eight, which may overlap. It returns false for anything shorter than that.
func printable(s string) bool {
	if len(s) < 8 {
		return false
	}
	bad := uint64(0)
	for i := 0; i <= len(s)-8; i += 8 {
		bad |= controls(word(s[i:]))
	}
	return (bad|controls(word(s[len(s)-8:])))&(ones<<7) == 0
}

// controls sets the high bit of some byte if there is one below a space or a DEL in w.
func controls(w uint64) uint64 {
	del := w ^ ones*0x7f
	return (w-ones*' ')&^w | (del-ones)&^del
}

// word reads eight bytes as one number.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

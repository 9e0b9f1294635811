package store

import (
	"iter"
	"strings"
	"sync/atomic"
)

// A Field is a header field with all its lines.
type Field struct {
	Name   string
	Values []string
}

// A Header is a list of fields as an entry keeps them, in little room: the names, which the answers of a route have in
// common, are there once for all of them. The zero Header is empty. It is immutable and may be read by any number of
// goroutines.
type Header struct {
	layout *layout // nil: there is no field
	lines  []string
}

// MakeHeader returns a header of these fields, in this order. It copies their lines and keeps nothing of the slices.
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

// headerOf makes a header of the fields, all of whose lines are given once more.
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

// All ranges over the fields; their lines are clipped: appending to them makes a copy.
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

// Lines returns the lines of the first field of exactly that name, clipped, or nil.
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

// A layout is what the headers of many entries have in common.
type layout struct {
	names  []string
	starts []uint32 // of each field's lines, and one behind the last
	bytes  int      // of the names
	length int      // the line that is the Content-Length, or -1
	err    error    // what is wrong with a name
}

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

// layouts are the last ones seen. There are two places for each; one that finds neither free takes the place of another, and
// entries that have that keep it.
var layouts [1024]atomic.Pointer[layout]

// layoutOf returns the layout of the fields, the same for most lists that have the same one.
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

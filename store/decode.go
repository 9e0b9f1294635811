package store

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Decode reads what Encode wrote. It trusts nothing: every length is held against the bytes that are left and the
// field's limit before anything is allocated, and there is one schema, without recursion. The entry's body is
// part of b, which the caller gives away; the rest is copied, and keeps nothing of b alive. Every error wraps [ErrCorrupt].
func (c Codec) Decode(b []byte) (*Entry, error) {
	e, err := c.decode(b)
	if err != nil {
		return nil, fmt.Errorf("store: %w: %w", ErrCorrupt, err)
	}
	return e, nil
}

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

// header reads both lists of header fields, twice: first to learn how much there is, then to share it out. So it allocates
// once for all text and once for all lines, however many there are, and once more for fields that are to be added.
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

// fewFields is how many fields most answers have at most.
const fewFields = 16

// tally passes over a list of header fields and adds what is in it.
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

// A sharer reads a header that has been tallied. It never gives out more of a slice than its part, so that appending to one
// field does not write into the next.
type sharer struct {
	reader
	text  string   // what the reader began with
	lines []string // still to be given out
}

// list reads a list of fields, into the room if there is enough.
func (s *sharer) list(room []Field) []Field {
	n := s.reader.list(MaxFields)
	if n == 0 {
		return nil
	}
	if cap(room) < n {
		room = make([]Field, 0, n)
	}
	for range n {
		lines := s.reader.list(maxLines + 1)
		name := s.next()
		room = append(room, Field{name, s.values(lines - 1)})
	}
	return room
}

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

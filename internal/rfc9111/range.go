package rfc9111

import (
	"math"
	"strconv"
	"strings"
)

// maxRanges bounds the ranges of a request: more are an attack (RFC 9110 §17.15).
const maxRanges = 100

// A Range is one range of a request (RFC 9110 §14.1.2): the bytes from First to Last, counted from 0, both included; to the
// end if Last is -1. With Suffix it is the final Last bytes, and First is 0. The zero Range is the first byte.
type Range struct {
	First, Last int64
	Suffix      bool
}

// ParseRange parses a Range field (RFC 9110 §14.2). It is false, and the field must be ignored, if it is malformed, has a
// unit other than bytes, or more than 100 ranges. A number that does not fit counts as the largest one (§14.1.2): no
// representation has so many bytes.
func ParseRange(line string) (r []Range, ok bool) {
	unit, set, _ := strings.Cut(strings.Trim(line, " \t"), "=")
	if strings.ToLower(unit) != "bytes" {
		return nil, false
	}
	for spec := range strings.SplitSeq(set, ",") {
		if spec = strings.Trim(spec, " \t"); spec == "" {
			continue
		}
		next, ok := parseSpec(spec)
		if !ok || len(r) == maxRanges {
			return nil, false
		}
		r = append(r, next)
	}
	return r, len(r) > 0
}

func parseSpec(spec string) (r Range, ok bool) {
	first, last, ok := strings.Cut(spec, "-")
	if !ok {
		return Range{}, false
	}
	r = Range{Last: -1, Suffix: first == ""}
	if !r.Suffix {
		if r.First, ok = saturated(first); !ok {
			return Range{}, false
		}
	}
	if last != "" || r.Suffix {
		if r.Last, ok = saturated(last); !ok || r.Last < r.First {
			return Range{}, false
		}
	}
	return r, true
}

// saturated is the position that the digits give, or the largest one.
func saturated(s string) (n int64, ok bool) {
	if n, ok = position(s); !ok && s != "" && strings.Trim(s, "0123456789") == "" {
		return math.MaxInt64, true
	}
	return n, ok
}

// Of returns the bytes that the range means in a representation of this size (RFC 9110 §14.1.2). It is false if there are
// none, as for a suffix of length 0; a representation without bytes satisfies no range.
func (r Range) Of(size int64) (Part, bool) {
	p := Part{First: r.First, Last: size - 1, Complete: size}
	switch {
	case r.Suffix:
		p.First = size - min(r.Last, size)
	case r.Last >= 0:
		p.Last = min(r.Last, size-1)
	}
	return p, p.valid()
}

// String returns the range as a Range field has it: bytes=5-, bytes=0-4, bytes=-5.
func (r Range) String() string {
	last := strconv.FormatInt(r.Last, 10)
	switch {
	case r.Suffix:
		return "bytes=-" + last
	case r.Last < 0:
		last = ""
	}
	return "bytes=" + strconv.FormatInt(r.First, 10) + "-" + last
}

// Slice cuts a range out of a stored part (RFC 9111 §3.3, §4). It is false if the part does not have all of it, and if the
// complete length is unknown. A range to the end, or a suffix, needs a part that has the end. A last position beyond the
// representation means its end, and a suffix longer than the representation means all of it (RFC 9110 §14.1.2). The bytes
// are a slice of the body, and the returned part describes them.
//
// A body of another length than the part says is still cut: a range counts from the part's First and must lie within the
// body, or ends where the body does if it is open; a suffix counts from the body's end. Bytes outside of the representation
// are never returned.
func (p Part) Slice(body []byte, r Range) (part Part, b []byte, ok bool) {
	if !p.valid() || p.Complete < 0 || (r.Suffix || r.Last < 0) && p.Last != p.Complete-1 {
		return Part{}, nil, false
	}
	size := int64(len(body))
	offset, length := r.First-p.First, int64(0)
	switch {
	case r.Suffix:
		length = min(r.Last, p.Complete)
		r.First, offset = p.Complete-length, size-length
	case r.Last < 0:
		length = min(size-offset, p.Complete-r.First)
	default:
		length = min(r.Last, p.Complete-1) - r.First + 1
	}
	if r.First < p.First || length < 1 || offset < 0 || length > size-offset {
		return Part{}, nil, false
	}
	part = Part{First: r.First, Last: r.First + length - 1, Complete: p.Complete}
	return part, body[offset : offset+length : offset+length], true
}

package rfc9111

import (
	"bytes"
	"math"
	"strconv"
	"strings"
)

// A Part says which bytes of a representation a 206 has (RFC 9110 §14.4): the first and the last one, counted from 0, and
// how many the representation has, or -1 if that is unknown. The zero Part is invalid, and no function accepts it.
type Part struct{ First, Last, Complete int64 }

// ParseContentRange parses a Content-Range field (RFC 9110 §14.4). It is false for a unit other than bytes, for the range
// of a 416 (bytes */10), for an impossible range, and unless the field has exactly one line.
func ParseContentRange(lines []string) (p Part, ok bool) {
	if len(lines) != 1 {
		return Part{}, false
	}
	unit, rest, _ := strings.Cut(strings.Trim(lines[0], " \t"), " ")
	span, complete, _ := strings.Cut(rest, "/")
	first, last, _ := strings.Cut(span, "-")
	var known, ok1, ok2 bool
	p.First, ok1 = position(first)
	p.Last, ok2 = position(last)
	if p.Complete, known = position(complete); complete == "*" {
		p.Complete, known = -1, true
	}
	if strings.ToLower(unit) != "bytes" || !ok1 || !ok2 || !known || !p.valid() {
		return Part{}, false
	}
	return p, true
}

// position parses digits. It is false for anything else, and for a number that does not fit into an int64.
func position(s string) (n int64, ok bool) {
	for _, c := range []byte(s) {
		digit := int64(c) - '0'
		if digit < 0 || digit > 9 || n > (math.MaxInt64-digit)/10 {
			return 0, false
		}
		n = n*10 + digit
	}
	return n, s != ""
}

// valid reports whether the part is possible, and its length fits into an int64.
func (p Part) valid() bool {
	return 0 <= p.First && p.First <= p.Last && p.Last < math.MaxInt64 && (p.Complete == -1 || p.Last < p.Complete)
}

// String returns the part as Content-Range has it: bytes 4-9/10, or bytes 4-9/* if Complete is unknown.
func (p Part) String() string {
	complete := "*"
	if p.Complete >= 0 {
		complete = strconv.FormatInt(p.Complete, 10)
	}
	return "bytes " + strconv.FormatInt(p.First, 10) + "-" + strconv.FormatInt(p.Last, 10) + "/" + complete
}

// Whole reports whether the part is known to be all of the representation.
func (p Part) Whole() bool { return p.valid() && p.First == 0 && p.Last == p.Complete-1 }

// Fits reports whether the body is as long as the part says.
func (p Part) Fits(body []byte) bool { return p.valid() && int64(len(body)) == p.Last-p.First+1 }

// Missing returns the range that would complete the part (RFC 9111 §3.3): what follows a beginning, or what precedes an
// end. It is false for a whole representation, for one of unknown length, and for a part from the middle, which lacks two
// ranges.
func (p Part) Missing() (r Range, ok bool) {
	switch {
	case !p.valid() || p.Complete < 0 || p.Whole():
		return Range{}, false
	case p.First == 0:
		return Range{First: p.Last + 1, Last: -1}, true
	case p.Last == p.Complete-1:
		return Range{First: 0, Last: p.First - 1}, true
	}
	return Range{}, false
}

// Join combines two parts of one representation (RFC 9111 §3.4, RFC 9110 §15.3.7.3), in any order, if they overlap or
// adjoin. The caller has checked that their strong validators match. It is false if a body does not fit its part, if the
// overlapping bytes differ, if there is a gap, and unless both have the same Complete, which may be unknown.
//
// The bytes are a slice of the caller's if one part contains the other, else a new one.
func Join(a Part, aBody []byte, b Part, bBody []byte) (Part, []byte, bool) {
	if a.Complete != b.Complete || !a.Fits(aBody) || !b.Fits(bBody) {
		return Part{}, nil, false
	}
	if b.First < a.First || b.First == a.First && b.Last > a.Last {
		a, aBody, b, bBody = b, bBody, a, aBody
	}
	if b.First-1 > a.Last {
		return Part{}, nil, false
	}
	before := int(b.First - a.First)
	both := min(len(aBody)-before, len(bBody))
	if !bytes.Equal(aBody[before:before+both], bBody[:both]) {
		return Part{}, nil, false
	}
	if both == len(bBody) {
		return a, aBody[:len(aBody):len(aBody)], true
	}
	body := make([]byte, 0, before+len(bBody))
	body = append(append(body, aBody[:before]...), bBody...)
	return Part{First: a.First, Last: b.Last, Complete: a.Complete}, body, true
}

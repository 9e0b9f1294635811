package store

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Limits of an encoded entry, checked when it is written and when it is read.
const (
	MaxFields     = 64       // header fields
	MaxFieldBytes = 16 << 10 // bytes of all header names and values
	MaxLabels     = 256
	MaxEncoded    = 64 << 20 // bytes of body

	maxLines = 1024 // lines of all header fields
)

// Validate checks what must hold of an entry on both ways: nothing that net/http would choke on or send wrongly may
// come out of a store.
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

// A tally counts header fields, their lines, and the bytes of both with one more a line.
type tally struct{ fields, lines, bytes int }

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
		if !plain(line) && !httpguts.ValidHeaderFieldValue(line) {
			return i
		}
		h.bytes += len(line) + 1
	}
	return -1
}

func invalidLine(name string) error { return fmt.Errorf("invalid value of header %s", name) }

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

// framing are fields that say how one message is sent on one connection: net/http heeds them.
var framing = []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// errLength is of an answer that would be cut short, or waited for in vain.
var errLength = errors.New("a Content-Length that is not the body's")

// says reports whether the line is the number, as we write it.
func says(line string, n int) bool {
	var digits [20]byte
	return line == string(strconv.AppendInt(digits[:0], int64(n), 10))
}

func isLength(name string) bool { return strings.EqualFold(name, "Content-Length") }

const (
	noContent   = 204
	notModified = 304
)

// ones has a one in every byte.
const ones = 0x0101010101010101

// plain reports whether every byte of s may stand in a header value without a further look: none below a space, no DEL. It
// takes eight bytes at a time, the last eight once more where the length is odd, and says no to what is shorter than that.
func plain(s string) bool {
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

func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

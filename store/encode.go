package store

import (
	"fmt"

	"github.com/larder-go/cache/keying"
)

// format is the version of the encoding. A reader that meets another treats the entry as absent.
const format = 3

// fields is how many elements the outer array has before the seal.
const fields = 17

// The most bytes that the parts of an entry take beside their text: all that is in every entry, but the seal; a field's
// list and its name's length; a line's length; a label. What is asked for without need costs like what is needed.
const (
	roomNumber = 1 + 8
	roomList   = 1 + 2
	roomText   = 1 + 2
	roomFixed  = roomList + 1 + 2 + len(keying.Key{}) + 11*roomNumber + 3*roomList + 1 + 4
	roomField  = roomList + roomText
	roomLine   = roomText - 1 // the tally has one
	roomLabel  = 2 + len(keying.Label{})
)

// Encode returns the entry as msgpack: one array of a fixed schema whose last element seals what stands before it. It
// refuses an entry that Decode would not accept. The body is copied once, so the bytes are the caller's; e is not changed.
func (c Codec) Encode(e *Entry) ([]byte, error) {
	h, err := e.check()
	if err != nil {
		return nil, fmt.Errorf("store: cannot encode: %w", err)
	}
	room := roomFixed + c.roomSeal() + h.bytes + h.fields*roomField + h.lines*roomLine + len(e.Labels)*roomLabel + len(e.Body)
	return c.seal(appendEntry(make([]byte, 0, room), e)), nil
}

func appendEntry(b []byte, e *Entry) []byte {
	b = appendList(b, fields+1)
	b = appendUint(b, format)
	b = appendBytes(b, e.Key[:])
	b = appendUint(b, e.At.Epoch)
	b = appendUint(b, e.At.Time)
	b = appendUint(b, e.At.Seq)
	b = appendUint(b, uint64(e.Status))
	b = appendUint(b, uint64(e.Stored.UnixMilli()))
	b = appendUint(b, uint64(e.Fresh))
	b = appendUint(b, uint64(e.WhileRevalidate))
	b = appendUint(b, uint64(e.IfError))
	b = appendUint(b, uint64(e.IfValidated))
	b = appendUint(b, uint64(e.Cost))
	b = appendUint(b, uint64(e.Aged))
	b = appendHeader(b, &e.Header)
	b = appendFields(b, e.Added)
	b = appendLabels(b, e.Labels)
	return appendBytes(b, e.Body)
}

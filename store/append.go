package store

import (
	"encoding/binary"
	"math"

	"github.com/vmihailenco/msgpack/v5/msgpcode"

	"github.com/larder-go/cache/keying"
)

// What stands here writes the few msgpack types that an entry is made of, byte for byte as the library's Encoder does. The
// library writes through an interface, a byte or a string at a time, which costs more than all else about an entry.

// appendSized appends n behind the code for its width: first is the code for one byte; those for two, four and eight follow.
func appendSized(b []byte, first byte, n uint64) []byte {
	switch {
	case n <= math.MaxUint8:
		return append(b, first, byte(n))
	case n <= math.MaxUint16:
		return append(b, first+1, byte(n>>8), byte(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, first+2), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, first+3), n)
}

func appendUint(b []byte, n uint64) []byte {
	if n <= uint64(msgpcode.PosFixedNumHigh) {
		return append(b, byte(n))
	}
	return appendSized(b, msgpcode.Uint8, n)
}

// appendBytes never writes nil: an empty body is an answer like any other.
func appendBytes(b, data []byte) []byte {
	return append(appendSized(b, msgpcode.Bin8, uint64(len(data))), data...)
}

func appendText(b []byte, s string) []byte {
	if len(s) <= int(msgpcode.FixedStrMask) {
		return append(append(b, msgpcode.FixedStrLow|byte(len(s))), s...)
	}
	return append(appendSized(b, msgpcode.Str8, uint64(len(s))), s...)
}

// appendList begins a list of n elements. There is no list with a length of one byte.
func appendList(b []byte, n int) []byte {
	switch {
	case n <= int(msgpcode.FixedArrayMask):
		return append(b, msgpcode.FixedArrayLow|byte(n))
	case n <= math.MaxUint16:
		return append(b, msgpcode.Array16, byte(n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint32(append(b, msgpcode.Array32), uint32(n))
}

func appendHeader(b []byte, h *Header) []byte {
	b = appendList(b, h.Len())
	for name, lines := range h.All() {
		b = appendField(b, name, lines)
	}
	return b
}

func appendFields(b []byte, fs []Field) []byte {
	b = appendList(b, len(fs))
	for i := range fs {
		b = appendField(b, fs[i].Name, fs[i].Values)
	}
	return b
}

func appendField(b []byte, name string, lines []string) []byte {
	if len(lines) == 1 && len(name) <= int(msgpcode.FixedStrMask) { // as most are: both lengths at once
		b = append(append(b, msgpcode.FixedArrayLow|2, msgpcode.FixedStrLow|byte(len(name))), name...)
		return appendText(b, lines[0])
	}
	b = appendList(b, 1+len(lines))
	b = appendText(b, name)
	for _, line := range lines {
		b = appendText(b, line)
	}
	return b
}

func appendLabels(b []byte, labels []keying.Label) []byte {
	b = appendList(b, len(labels))
	for i := range labels {
		b = appendBytes(b, labels[i][:])
	}
	return b
}

package store

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"math"
	"sync"

	"github.com/larder-go/cache/keying"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// A Codec writes entries and purge records as bytes, and reads them back. Both are one msgpack array with a fixed schema, whose last
// element, the seal, is computed over everything before it. The zero Codec seals with a checksum (CRC-32C), which detects damage; one
// from [NewCodec] seals with an HMAC, which also detects forgery. A Codec may be copied, and is safe for concurrent use.
type Codec struct{ macs *sync.Pool }

// NewCodec returns a Codec whose seal is an HMAC-SHA256 under the secret, which it copies. If the secret is empty, it is the zero
// Codec.
func NewCodec(secret []byte) Codec {
	if len(secret) == 0 {
		return Codec{}
	}
	secret = append([]byte(nil), secret...)
	return Codec{&sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, secret)} }}}
}

// A mac is pooled, because setting it up costs more than using it.
type mac struct {
	hash.Hash
	sum [sha256.Size]byte
}

// of appends the sum of b to dst.
func (m *mac) of(b, dst []byte) []byte {
	m.Reset()
	m.Write(b)
	return m.Sum(dst)
}

// castagnoli is the polynomial of CRC-32C, which processors compute in hardware.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sealSize returns the length of the checksum, or of the HMAC, in bytes.
func (c Codec) sealSize() int {
	if c.macs == nil {
		return crc32.Size
	}
	return sha256.Size
}

// maxSeal returns how many bytes the last element takes.
func (c Codec) maxSeal() int { return 2 + c.sealSize() }

// seal appends the last element of the outer array, which seals everything before it: a damaged or foreign entry, and with a secret a
// forged one, is detected before any of it is used.
func (c Codec) seal(b []byte) []byte {
	sealed := appendSized(b, msgpcode.Bin8, uint64(c.sealSize()))
	if c.macs == nil {
		return binary.BigEndian.AppendUint32(sealed, crc32.Checksum(b, castagnoli))
	}
	m := c.macs.Get().(*mac)
	defer c.macs.Put(m)
	return m.of(b, sealed)
}

// open checks the seal and returns what it covers. Before that it reads nothing but the seal's own length.
func (c Codec) open(b []byte) ([]byte, error) {
	size := c.sealSize()
	at := len(b) - size - 2
	if at < 0 || b[at] != msgpcode.Bin8 || b[at+1] != byte(size) {
		return nil, errShort
	}
	if !c.sealedBy(b[:at], b[at+2:]) {
		return nil, errors.New("the seal does not match")
	}
	return b[:at:at], nil
}

// sealedBy compares in constant time if there is a secret.
func (c Codec) sealedBy(b, seal []byte) bool {
	if c.macs == nil {
		return binary.BigEndian.Uint32(seal) == crc32.Checksum(b, castagnoli)
	}
	m := c.macs.Get().(*mac)
	defer c.macs.Put(m)
	return hmac.Equal(seal, m.of(b, m.sum[:0]))
}

// format is the version of the encoding. A reader treats an entry of another version as absent, so old and new builds may share a Redis.
const format = 3

// fields is how many elements the outer array has before the seal.
const fields = 17

// The most bytes that the parts of an entry take beside their text. Encode allocates once, for the most that an entry can take; a much
// larger allocation would cost as much as the encoding itself.
const (
	maxNumber = 1 + 8
	maxList   = 1 + 2
	maxText   = 1 + 2
	maxFixed  = maxList + 1 + 2 + len(keying.Key{}) + 11*maxNumber + 3*maxList + 1 + 4 // what is in every entry, but the seal
	maxField  = maxList + maxText                                                      // a field's list, and its name's length
	maxLine   = maxText - 1                                                            // a line's length; the tally has one byte
	maxLabel  = 2 + len(keying.Label{})
)

// Encode returns the entry as bytes, which are the caller's. It neither changes the entry nor retains any of it. An entry that Decode
// would not accept is an error.
func (c Codec) Encode(e *Entry) ([]byte, error) {
	h, err := e.check()
	if err != nil {
		return nil, fmt.Errorf("store: cannot encode: %w", err)
	}
	size := maxFixed + c.maxSeal() + h.bytes + h.fields*maxField + h.lines*maxLine + len(e.Labels)*maxLabel + len(e.Body)
	return c.seal(appendEntry(make([]byte, 0, size), e)), nil
}

// appendEntry appends the entry without its seal: one array, whose elements have a fixed order. A map would also store names. To add an
// element to the array takes a new format.
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

// The append functions write the few msgpack types that an entry consists of, byte for byte as the msgpack library's Encoder does;
// a test compares the two. The library writes through an interface, a byte or a string at a time, which would cost more than the
// rest of the encoding.

// appendSized appends n after the code for its width: first is the code for one byte; those for two, four and eight follow it.
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

// appendUint appends the number in its shortest form, as msgpack recommends: one entry has one encoding, so its seal can be compared.
func appendUint(b []byte, n uint64) []byte {
	if n <= uint64(msgpcode.PosFixedNumHigh) {
		return append(b, byte(n))
	}
	return appendSized(b, msgpcode.Uint8, n)
}

// appendBytes never writes nil: an empty body is a body like any other.
func appendBytes(b, data []byte) []byte {
	return append(appendSized(b, msgpcode.Bin8, uint64(len(data))), data...)
}

// appendText appends a string. Its length is bounded by Validate.
func appendText(b []byte, s string) []byte {
	if len(s) <= int(msgpcode.FixedStrMask) {
		return append(append(b, msgpcode.FixedStrLow|byte(len(s))), s...)
	}
	return append(appendSized(b, msgpcode.Str8, uint64(len(s))), s...)
}

// appendList begins a list of n elements. msgpack has no list with a one-byte length.
func appendList(b []byte, n int) []byte {
	switch {
	case n <= int(msgpcode.FixedArrayMask):
		return append(b, msgpcode.FixedArrayLow|byte(n))
	case n <= math.MaxUint16:
		return append(b, msgpcode.Array16, byte(n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint32(append(b, msgpcode.Array32), uint32(n))
}

// appendHeader appends the header as a list of fields, in the order of its layout.
func appendHeader(b []byte, h *Header) []byte {
	b = appendList(b, h.Len())
	for name, lines := range h.All() {
		b = appendField(b, name, lines)
	}
	return b
}

// appendFields appends a list of fields.
func appendFields(b []byte, fs []Field) []byte {
	b = appendList(b, len(fs))
	for i := range fs {
		b = appendField(b, fs[i].Name, fs[i].Values)
	}
	return b
}

// appendField appends a name and the list of its lines.
func appendField(b []byte, name string, lines []string) []byte {
	if len(lines) == 1 && len(name) <= int(msgpcode.FixedStrMask) { // as for most: both lengths at once
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

// appendLabels appends labels as binary of a fixed size.
func appendLabels(b []byte, labels []keying.Label) []byte {
	b = appendList(b, len(labels))
	for i := range labels {
		b = appendBytes(b, labels[i][:])
	}
	return b
}

// recordFormat is the version of a purge record's encoding.
const recordFormat = 1

// recordFields is how many elements a record's array has before the seal.
const recordFields = 4

// maxRecord is the most bytes that a record takes beside its labels.
const maxRecord = 64

const (
	flagSoft = 1 << iota
	flagAll
	flagWide // a process that does not know the flag cannot read the record, and purges everything
)

// EncodeRecord returns the record as bytes, sealed like an entry. Of its position only the epoch is written: the log supplies the rest.
// A record with more than MaxLabels labels is an error: append it as several.
func (c Codec) EncodeRecord(r Record) ([]byte, error) {
	if len(r.Labels) > MaxLabels {
		return nil, fmt.Errorf("store: cannot encode: a record of %d labels; at most %d", len(r.Labels), MaxLabels)
	}
	return c.seal(appendRecord(make([]byte, 0, maxRecord+len(r.Labels)*maxLabel), r)), nil
}

// appendRecord appends the purge record without its seal. Of its position it appends only the epoch: the log supplies the rest.
func appendRecord(b []byte, r Record) []byte {
	flags := uint64(0)
	if r.Soft {
		flags |= flagSoft
	}
	if r.All {
		flags |= flagAll
	}
	if r.Wide {
		flags |= flagWide
	}
	b = appendList(b, recordFields+1)
	b = appendUint(b, recordFormat)
	b = appendUint(b, r.At.Epoch)
	b = appendUint(b, flags)
	return appendLabels(b, r.Labels)
}

// DecodeRecord reads what EncodeRecord wrote, as suspiciously as Decode does. It retains nothing of b. The caller fills in the rest of
// the position. Every error wraps [ErrCorrupt]; a log that has met one must count everything before the record as purged, since
// nobody knows what it named.
func (c Codec) DecodeRecord(b []byte) (Record, error) {
	r, err := c.decodeRecord(b)
	if err != nil {
		return Record{}, fmt.Errorf("store: a purge record: %w: %w", ErrCorrupt, err)
	}
	return r, nil
}

// decodeRecord is DecodeRecord without the wrapping of its errors.
func (c Codec) decodeRecord(b []byte) (rec Record, err error) {
	if b, err = c.open(b); err != nil {
		return rec, err
	}
	r := reader{b: b}
	if r.code() != msgpcode.FixedArrayLow|(recordFields+1) || r.uint() != recordFormat { // not list: the seal is cut off
		return rec, errors.New("unknown format")
	}
	rec.At.Epoch = r.uint()
	flags := r.upTo(flagSoft | flagAll | flagWide)
	rec.Soft, rec.All, rec.Wide = flags&flagSoft != 0, flags&flagAll != 0, flags&flagWide != 0
	rec.Labels = r.labels()
	if r.err == nil && r.left() != 0 {
		r.err = errors.New("trailing bytes")
	}
	return rec, r.err
}

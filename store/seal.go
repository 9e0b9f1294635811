package store

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"hash/crc32"
	"sync"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// A Codec writes entries and purge records as msgpack and reads them back. The zero Codec protects them with a checksum
// (CRC-32C); one of NewCodec authenticates them. A Codec may be copied and is safe for concurrent use.
type Codec struct{ macs *sync.Pool }

// NewCodec returns a Codec whose seal is an HMAC-SHA256 under the secret, or the zero Codec if it is empty. The secret is
// copied.
func NewCodec(secret []byte) Codec {
	if len(secret) == 0 {
		return Codec{}
	}
	secret = append([]byte(nil), secret...)
	return Codec{&sync.Pool{New: func() any { return &mac{Hash: hmac.New(sha256.New, secret)} }}}
}

// A mac is used again: setting one up costs more than using it.
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

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (c Codec) sealSize() int {
	if c.macs == nil {
		return crc32.Size
	}
	return sha256.Size
}

// roomSeal is how many bytes the last element takes.
func (c Codec) roomSeal() int { return 2 + c.sealSize() }

// seal appends the last element, which seals what stands before it.
func (c Codec) seal(b []byte) []byte {
	sealed := appendSized(b, msgpcode.Bin8, uint64(c.sealSize()))
	if c.macs == nil {
		return binary.BigEndian.AppendUint32(sealed, crc32.Checksum(b, castagnoli))
	}
	m := c.macs.Get().(*mac)
	defer c.macs.Put(m)
	return m.of(b, sealed)
}

// open checks the seal and returns what it seals.
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

func (c Codec) sealedBy(b, seal []byte) bool {
	if c.macs == nil {
		return binary.BigEndian.Uint32(seal) == crc32.Checksum(b, castagnoli)
	}
	m := c.macs.Get().(*mac)
	defer c.macs.Put(m)
	return hmac.Equal(seal, m.of(b, m.sum[:0]))
}

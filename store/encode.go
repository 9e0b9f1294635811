package store

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/vmihailenco/msgpack/v5"
	"golang.org/x/net/http/httpguts"

	"github.com/larder-go/cache/keying"
)

// format is the version of the encoding. A reader that meets another treats the entry as absent.
const format = 2

// fields is how many elements the outer array has before the seal.
const fields = 16

// Limits of an encoded entry, checked when it is written and when it is read.
const (
	MaxFields     = 64       // header fields
	MaxFieldBytes = 16 << 10 // bytes of all header names and values
	MaxLabels     = 256
	MaxEncoded    = 64 << 20 // bytes of body

	maxLines = 1024 // lines of all header fields
)

// A Codec writes entries as msgpack and reads them back. The zero Codec protects them with a checksum (CRC-32C); with a
// Secret they are authenticated with HMAC-SHA256. A Codec is safe for concurrent use.
type Codec struct{ Secret []byte }

// Encode returns the entry as msgpack: one array of a fixed schema whose last element seals what stands before it. It
// refuses an entry that Decode would not accept. The body is copied once; e is not changed.
func (c Codec) Encode(e *Entry) ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, fmt.Errorf("store: cannot encode: %w", err)
	}
	return c.encode(int(e.Size()), func(w *writer) { w.entry(e) })
}

// writer keeps the first error, so that the schema reads as a list.
type writer struct {
	enc *msgpack.Encoder
	err error
}

func (w *writer) do(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *writer) uint(n uint64)  { w.do(w.enc.EncodeUint(n)) }
func (w *writer) bytes(b []byte) { w.do(w.enc.EncodeBytes(b)) }
func (w *writer) list(n int)     { w.do(w.enc.EncodeArrayLen(n)) }
func (w *writer) text(s string)  { w.do(w.enc.EncodeString(s)) }

func (w *writer) entry(e *Entry) {
	w.list(fields + 1)
	w.uint(format)
	w.bytes(e.Key[:])
	w.uint(e.At.Epoch)
	w.uint(e.At.Time)
	w.uint(e.At.Seq)
	w.uint(uint64(e.Status))
	w.uint(uint64(e.Stored.UnixMilli()))
	w.uint(uint64(e.Fresh))
	w.uint(uint64(e.WhileRevalidate))
	w.uint(uint64(e.IfError))
	w.uint(uint64(e.IfValidated))
	w.uint(uint64(e.Cost))
	w.fields(e.Header)
	w.fields(e.Added)
	w.labels(e.Labels)
	w.body(e.Body)
}

// body is never nil on the wire: an empty body is an answer like any other.
func (w *writer) body(b []byte) {
	if b == nil {
		b = []byte{}
	}
	w.bytes(b)
}

func (w *writer) fields(fs []Field) {
	w.list(len(fs))
	for _, f := range fs {
		w.list(1 + len(f.Values))
		w.text(f.Name)
		for _, v := range f.Values {
			w.text(v)
		}
	}
}

func (w *writer) labels(labels []keying.Label) {
	w.list(len(labels))
	for i := range labels {
		w.bytes(labels[i][:])
	}
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (c Codec) sealSize() int {
	if len(c.Secret) == 0 {
		return crc32.Size
	}
	return sha256.Size
}

func (c Codec) seal(b []byte) []byte {
	if len(c.Secret) == 0 {
		return binary.BigEndian.AppendUint32(nil, crc32.Checksum(b, castagnoli))
	}
	mac := hmac.New(sha256.New, c.Secret)
	mac.Write(b)
	return mac.Sum(nil)
}

// Validate checks what must hold of an entry on both ways: nothing that net/http would choke on or send wrongly may
// come out of a store.
func (e *Entry) Validate() error {
	switch {
	case e.Status != 0 && (e.Status < 200 || e.Status > 599):
		return fmt.Errorf("status %d is not final", e.Status)
	case e.Fresh < 0 || e.WhileRevalidate < 0 || e.IfError < 0 || e.IfValidated < 0 || e.Cost < 0 || e.Stored.UnixMilli() < 0:
		return errors.New("negative time")
	case e.Keep(e.Stored) < 0:
		return errors.New("times overflow")
	case len(e.Labels) > MaxLabels:
		return fmt.Errorf("%d labels; at most %d", len(e.Labels), MaxLabels)
	case len(e.Header)+len(e.Added) > MaxFields:
		return fmt.Errorf("%d header fields; at most %d", len(e.Header)+len(e.Added), MaxFields)
	case len(e.Body) > MaxEncoded:
		return fmt.Errorf("a body of %d bytes", len(e.Body))
	}
	return validateFields(e.Header, e.Added)
}

func validateFields(lists ...[]Field) error {
	size, lines := 0, 0
	for _, list := range lists {
		for _, f := range list {
			if !httpguts.ValidHeaderFieldName(f.Name) {
				return fmt.Errorf("invalid header name %q", f.Name)
			}
			size += len(f.Name)
			lines += len(f.Values)
			for _, v := range f.Values {
				if !httpguts.ValidHeaderFieldValue(v) {
					return fmt.Errorf("invalid value of header %s", f.Name)
				}
				size += len(v) + 1
			}
		}
	}
	if lines > maxLines {
		return fmt.Errorf("%d header lines; at most %d", lines, maxLines)
	}
	if size > MaxFieldBytes {
		return fmt.Errorf("%d bytes of header; at most %d", size, MaxFieldBytes)
	}
	return nil
}

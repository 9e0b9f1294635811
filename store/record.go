package store

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// recordFormat is the version of a purge record's encoding.
const recordFormat = 1

// recordFields is how many elements a record's array has before the seal.
const recordFields = 4

const (
	flagSoft = 1 << iota
	flagAll
)

// EncodeRecord returns the record as msgpack, sealed like an entry. Of its position only the epoch is written: the log
// gives the rest. More than MaxLabels labels are refused.
func (c Codec) EncodeRecord(r Record) ([]byte, error) {
	if len(r.Labels) > MaxLabels {
		return nil, fmt.Errorf("store: cannot encode: a record of %d labels; at most %d", len(r.Labels), MaxLabels)
	}
	return c.encode(32+len(r.Labels)*18, func(w *writer) { w.record(r) })
}

func (w *writer) record(r Record) {
	flags := uint64(0)
	if r.Soft {
		flags |= flagSoft
	}
	if r.All {
		flags |= flagAll
	}
	w.list(recordFields + 1)
	w.uint(recordFormat)
	w.uint(r.At.Epoch)
	w.uint(flags)
	w.labels(r.Labels)
}

// DecodeRecord reads what EncodeRecord wrote, as suspiciously as Decode does. The caller fills in the rest of the
// position. Every error wraps [ErrCorrupt].
func (c Codec) DecodeRecord(b []byte) (Record, error) {
	r, err := c.decodeRecord(b)
	if err != nil {
		return Record{}, fmt.Errorf("store: a purge record: %w: %w", ErrCorrupt, err)
	}
	return r, nil
}

func (c Codec) decodeRecord(b []byte) (rec Record, err error) {
	if b, err = c.open(b); err != nil {
		return rec, err
	}
	r := reader{b: b}
	if r.code() != msgpcode.FixedArrayLow|(recordFields+1) || r.uint() != recordFormat { // not list: the seal is cut off
		return rec, errors.New("unknown format")
	}
	rec.At.Epoch = r.uint()
	flags := r.upTo(flagSoft | flagAll)
	rec.Soft, rec.All = flags&flagSoft != 0, flags&flagAll != 0
	rec.Labels = r.labels()
	if r.err == nil && len(r.b) != 0 {
		r.err = errors.New("trailing bytes")
	}
	return rec, r.err
}

// encode writes what write writes and seals it.
func (c Codec) encode(size int, write func(*writer)) ([]byte, error) {
	buf := bytes.NewBuffer(make([]byte, 0, size+64))
	enc := msgpack.GetEncoder()
	defer msgpack.PutEncoder(enc)
	enc.Reset(buf)
	w := writer{enc: enc}
	write(&w)
	w.bytes(c.seal(buf.Bytes()))
	if w.err != nil {
		return nil, fmt.Errorf("store: cannot encode: %w", w.err)
	}
	return buf.Bytes(), nil
}

package store

import (
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// recordFormat is the version of a purge record's encoding.
const recordFormat = 1

// recordFields is how many elements a record's array has before the seal.
const recordFields = 4

// roomRecord is the most bytes that a record takes beside its labels.
const roomRecord = 64

const (
	flagSoft = 1 << iota
	flagAll
	flagWide // to a process that does not know it the record cannot be read: it purges everything there
)

// EncodeRecord returns the record as msgpack, sealed like an entry. Of its position only the epoch is written: the log
// gives the rest. More than MaxLabels labels are refused.
func (c Codec) EncodeRecord(r Record) ([]byte, error) {
	if len(r.Labels) > MaxLabels {
		return nil, fmt.Errorf("store: cannot encode: a record of %d labels; at most %d", len(r.Labels), MaxLabels)
	}
	return c.seal(appendRecord(make([]byte, 0, roomRecord+len(r.Labels)*roomLabel), r)), nil
}

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
	flags := r.upTo(flagSoft | flagAll | flagWide)
	rec.Soft, rec.All, rec.Wide = flags&flagSoft != 0, flags&flagAll != 0, flags&flagWide != 0
	rec.Labels = r.labels()
	if r.err == nil && r.left() != 0 {
		r.err = errors.New("trailing bytes")
	}
	return rec, r.err
}

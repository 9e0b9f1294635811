package store

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/larder-go/cache/keying"
)

// Decode reads what Encode wrote. It trusts nothing: every length is held against the bytes that are left and the
// field's limit before anything is allocated, and there is one schema, without recursion. The entry's body is
// part of b, which the caller gives away; the rest is copied. Every error wraps [ErrCorrupt].
func (c Codec) Decode(b []byte) (*Entry, error) {
	e, err := c.decode(b)
	if err != nil {
		return nil, fmt.Errorf("store: %w: %w", ErrCorrupt, err)
	}
	return e, nil
}

func (c Codec) decode(b []byte) (*Entry, error) {
	b, err := c.open(b)
	if err != nil {
		return nil, err
	}
	r := reader{b: b, lines: maxLines}
	if r.list(fields+1) != fields+1 || r.uint() != format {
		return nil, errors.New("unknown format")
	}
	e := new(Entry)
	copy(e.Key[:], r.exactly(len(keying.Key{})))
	e.At = Position{r.uint(), r.uint(), r.uint()}
	e.Status = int(r.upTo(math.MaxInt16))
	e.Stored = time.UnixMilli(int64(r.upTo(math.MaxInt64)))
	e.Fresh = time.Duration(r.upTo(math.MaxInt64))
	e.WhileRevalidate = time.Duration(r.upTo(math.MaxInt64))
	e.IfError = time.Duration(r.upTo(math.MaxInt64))
	e.IfValidated = time.Duration(r.upTo(math.MaxInt64))
	e.Cost = time.Duration(r.upTo(math.MaxInt64))
	e.Header = r.fields(MaxFields)
	e.Added = r.fields(MaxFields)
	e.Labels = r.labels()
	e.Body = r.bytes(MaxEncoded)
	switch {
	case r.err != nil:
		return nil, r.err
	case len(r.b) != 0:
		return nil, errors.New("trailing bytes")
	}
	return e, e.Validate()
}

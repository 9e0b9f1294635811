// Package valuecodec writes Go values as msgpack and reads them back. It refuses what would not come back unchanged: by its
// type, when a codec is made, or by its content. Input may come from anybody, so it is measured before it is decoded.
package valuecodec

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"

	"github.com/vmihailenco/msgpack/v5"
)

// Bounds of a value.
const (
	maxDepth = 100 // lists, maps and structs nested in each other
	spread   = 16  // how many times its limit in msgpack a value may take once decoded
)

// ErrTooLarge is returned for a value that takes more room than its codec allows, in msgpack or decoded.
var ErrTooLarge = errors.New("too large")

// A Codec writes and reads values of one type. It is safe for concurrent use.
type Codec struct {
	root   *shape
	limit  int64 // bytes of msgpack
	looks  bool  // only a value's content shows whether it can be written
	digest string
}

// New returns the codec of a type, for values of up to limit bytes of msgpack. An error names the part of the type that
// would not come back unchanged, and the remedy.
func New(t reflect.Type, limit int64) (*Codec, error) {
	s := surveyor{known: map[spot]*shape{}, open: map[spot]bool{}}
	root, err := s.shape(t, place{path: t.String(), addressable: true})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(describe(root)))
	return &Codec{root: root, limit: limit, looks: s.recursive || s.dynamic, digest: hex.EncodeToString(sum[:12])}, nil
}

// Digest distinguishes types whose msgpack differs, or has another meaning. It is the same in all processes.
func (c *Codec) Digest() string { return c.digest }

// Encode returns what v points to as msgpack, and about how many bytes that takes once decoded.
func (c *Codec) Encode(v any) (b []byte, held int64, err error) {
	defer recovered(&err)
	if c.looks { // the library would follow a value that refers to itself until the stack is used up
		if err := c.inspect(reflect.ValueOf(v).Elem()); err != nil {
			return nil, 0, err
		}
	}
	to := written{limit: c.limit}
	e := msgpack.GetEncoder()
	e.Reset(&to)
	if err = e.Encode(v); err != nil {
		return nil, 0, err
	}
	msgpack.PutEncoder(e)
	held, err = c.measure(to.b)
	return to.b, held, err
}

// written collects what is written, up to a limit: there is no point in encoding more of a value that is too large.
type written struct {
	b     []byte
	limit int64
}

func (w *written) Write(p []byte) (int, error) {
	if int64(len(w.b)+len(p)) > w.limit {
		return 0, ErrTooLarge
	}
	w.b = append(w.b, p...)
	return len(p), nil
}

func (w *written) WriteByte(c byte) error {
	_, err := w.Write([]byte{c})
	return err
}

// Decode reads the msgpack into what v points to, and returns about how many bytes that takes.
func (c *Codec) Decode(b []byte, v any) (held int64, err error) {
	defer recovered(&err)
	if held, err = c.measure(b); err != nil {
		return 0, err
	}
	// Unmarshal would allocate hundreds of values of each type in advance.
	d := msgpack.GetDecoder()
	d.Reset(bytes.NewReader(b))
	if err = d.Decode(v); err != nil {
		return 0, err
	}
	msgpack.PutDecoder(d)
	return held, nil
}

// recovered turns a panic, usually in a method of the value, into an error.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v", p)
	}
}

package valuecodec

import (
	"encoding"
	"reflect"

	"github.com/vmihailenco/msgpack/v5"
)

var (
	// In the library's order. A type must have both of a pair, or neither.
	encoders = [...]reflect.Type{reflect.TypeFor[msgpack.CustomEncoder](), reflect.TypeFor[msgpack.Marshaler](),
		reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[encoding.TextMarshaler]()}
	decoders = [...]reflect.Type{reflect.TypeFor[msgpack.CustomDecoder](), reflect.TypeFor[msgpack.Unmarshaler](),
		reflect.TypeFor[encoding.BinaryUnmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()}
)

func implements(t reflect.Type, methods []reflect.Type) bool { return first(t, methods) >= 0 }

func first(t reflect.Type, methods []reflect.Type) int {
	for i, method := range methods {
		if t.Implements(method) {
			return i
		}
	}
	return -1
}

var methods = [...]string{"EncodeMsgpack and DecodeMsgpack", "MarshalMsgpack and UnmarshalMsgpack",
	"MarshalBinary and UnmarshalBinary", "MarshalText and UnmarshalText"}

// codes reports whether values of the type encode and decode themselves. The library looks at the value's methods first, then
// at the pointer's, separately for encoding and decoding: if the two do not match, the value does not come back.
func codes(t reflect.Type, at place) (bool, error) {
	if t == timeType || t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		return false, nil
	}
	p := reflect.PointerTo(t)
	writes, reads := first(p, encoders[:]), first(p, decoders[:])
	if v := first(t, encoders[:]); v >= 0 && v != writes {
		return false, at.refuse("%s has %s by pointer and %s by value; give all of them the same receiver", t, methods[writes], methods[v])
	}
	if writes != reads {
		return false, at.refuse("%s writes itself in one way and reads itself in another; give it both %s", t, methods[max(writes, reads)])
	}
	return writes >= 0 || registered(t), nil
}

// registered reports whether the library was told how to write the type, so that its fields do not matter.
func registered(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || !hidden(t) {
		return false
	}
	b, err := probe(t)
	return err == nil && len(b) > 0 && b[0] != 0x80 && b[0] != 0x90
}

func probe(t reflect.Type) (b []byte, err error) {
	defer recovered(&err)
	return msgpack.Marshal(reflect.New(t).Interface())
}

// hidden reports whether all fields of a struct are hidden from the library.
func hidden(t reflect.Type) bool {
	for f := range t.Fields() {
		if f.IsExported() || f.Anonymous {
			return false
		}
	}
	return t.NumField() > 0
}

package valuecodec

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

type kind uint8

const (
	scalar  kind = iota // number, bool
	text                // string, bytes, array of bytes
	list                // slice
	array               // of fixed length
	dict                // map
	record              // struct
	pointer             // may be nil
	dynamic             // an interface without methods: only its content has a type
	opaque              // writes and reads itself
)

// A shape is what a codec knows of a type.
type shape struct {
	kind      kind
	size      int64  // bytes of a value, without what it points to
	title     string // of an opaque or scalar type
	len       int    // of an array: a shorter one would be decoded into it without an error
	key, elem *shape
	fields    []field          // of a record, in their order
	named     map[string]field // the same fields by name
}

// A field is one that a struct is written with.
type field struct {
	name  string
	index []int
	shape *shape
}

var (
	timeType    = reflect.TypeFor[time.Time]()
	dynamicType = reflect.TypeFor[any]()
	anything    = &shape{kind: dynamic, size: int64(dynamicType.Size())}
)

// A place is a position inside the type of a codec.
type place struct {
	path        string
	addressable bool // methods of the pointer can be called
}

func (p place) refuse(format string, args ...any) error {
	return fmt.Errorf("%s: %s", p.path, fmt.Sprintf(format, args...))
}

func (p place) in(step string, addressable bool) place { return place{p.path + step, addressable} }

// A surveyor determines the shapes of types.
type surveyor struct {
	known     map[spot]*shape
	open      map[spot]bool // those whose shapes are being determined
	recursive bool          // a type leads back to itself
	dynamic   bool          // there is an interface somewhere
}

// A spot is a type, and whether the methods of its pointer can be called there.
type spot struct {
	t           reflect.Type
	addressable bool
}

// shape returns the type's shape, or says why a value of it would not come back.
func (s *surveyor) shape(t reflect.Type, at place) (*shape, error) {
	here := spot{t, at.addressable}
	if known := s.known[here]; known != nil {
		s.recursive = s.recursive || s.open[here]
		return known, nil
	}
	sh := &shape{size: int64(t.Size()), title: t.PkgPath() + "." + t.Name()}
	s.known[here], s.open[here] = sh, true
	defer delete(s.open, here)
	own, err := codes(t, at)
	switch {
	case err != nil:
		return nil, err
	case own && !at.addressable && !implements(t, encoders[:]):
		return nil, at.refuse("%s is written by a method of its pointer, which a map's keys and values do not have; use a map of *%[1]s", t)
	case own || t == timeType:
		sh.kind = opaque
		return sh, nil
	}
	return sh, s.fill(sh, t, at)
}

func (s *surveyor) fill(sh *shape, t reflect.Type, at place) (err error) {
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8,
		reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Float32, reflect.Float64:
		sh.title = t.Kind().String()
	case reflect.String:
		sh.kind = text
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return at.refuse("%s is an interface, and what is in it would not be known again; use the type itself", t)
		}
		sh.kind, s.dynamic = dynamic, true
	case reflect.Pointer:
		for p, n := t, 0; p.Kind() == reflect.Pointer; p, n = p.Elem(), n+1 {
			if n > maxDepth {
				return at.refuse("%s is a pointer to itself", t)
			}
		}
		sh.kind = pointer
		sh.elem, err = s.shape(t.Elem(), at.in("", true))
	case reflect.Slice, reflect.Array:
		return s.sequence(sh, t, at)
	case reflect.Map:
		return s.dict(sh, t, at)
	case reflect.Struct:
		return s.record(sh, t, at)
	default:
		return at.refuse("%s cannot be written; leave it out (`msgpack:\"-\"`)", t)
	}
	return err
}

func (s *surveyor) sequence(sh *shape, t reflect.Type, at place) (err error) {
	if t.Kind() == reflect.Array {
		sh.len = t.Len()
	}
	if t.Elem().Kind() == reflect.Uint8 { // the library writes these as bytes, whatever methods they have
		sh.kind = text
		return nil
	}
	sh.kind, at.addressable = list, at.addressable || t.Kind() == reflect.Slice
	if t.Kind() == reflect.Array {
		sh.kind = array
	}
	sh.elem, err = s.shape(t.Elem(), at.in("[]", at.addressable))
	return err
}

func (s *surveyor) dict(sh *shape, t reflect.Type, at place) (err error) {
	sh.kind = dict
	if !keeps(t.Key()) {
		return at.refuse("the keys of %s would not be found again: pointers and interfaces are others afterwards; use keys of plain data", t)
	}
	if sh.key, err = s.shape(t.Key(), at.in("[key]", false)); err == nil {
		sh.elem, err = s.shape(t.Elem(), at.in("[]", false))
	}
	return err
}

// keeps reports whether equal map keys are still equal when they come back.
func keeps(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Chan:
		return false
	case reflect.Array:
		return keeps(t.Elem())
	case reflect.Struct:
		for field := range t.Fields() {
			if t != timeType && !keeps(field.Type) {
				return false
			}
		}
		return t != timeType // its time zone counts
	}
	return true
}

// describe spells out a shape. A shape that occurs again is named by its number.
func describe(root *shape) string {
	var b strings.Builder
	numbers := map[*shape]int{}
	var tell func(*shape)
	tell = func(s *shape) {
		if n, ok := numbers[s]; ok {
			fmt.Fprintf(&b, "#%d ", n)
			return
		}
		numbers[s] = len(numbers)
		fmt.Fprintf(&b, "%d:%d(", s.kind, s.len)
		if s.kind == opaque || s.kind == scalar {
			fmt.Fprintf(&b, "%q", s.title)
		}
		for _, part := range [...]*shape{s.key, s.elem} {
			if part != nil {
				tell(part)
			}
		}
		for _, f := range s.fields {
			fmt.Fprintf(&b, "%q ", f.name)
			tell(f.shape)
		}
		b.WriteByte(')')
	}
	tell(root)
	return b.String()
}

package valuecodec

import (
	"errors"
	"fmt"
	"reflect"
)

var errCycle = errors.New("nested deeper than 100 levels, or it refers to itself")

// A part of a value that is still to be inspected.
type part struct {
	v     reflect.Value
	s     *shape
	depth int
	field string // the last field on the way there
}

// inspect looks for what the type does not show: values that refer to themselves, and values in interfaces that would come
// back as another type. It does not recurse, and takes no longer than for a value of the codec's limit.
func (c *Codec) inspect(v reflect.Value) error {
	pending := []part{{v: v, s: c.root, field: v.Type().String()}}
	for n := int64(0); len(pending) > 0; n++ {
		p := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		if n > c.limit { // each part takes at least a byte
			return ErrTooLarge
		}
		if p.depth > maxDepth {
			return fmt.Errorf("%s: %w", p.field, errCycle)
		}
		if p.s.kind == dynamic {
			var err error
			if p, err = p.held(); err != nil {
				return err
			}
		}
		pending = p.parts(pending)
	}
	return nil
}

// parts adds the contents of the part to what is still to be inspected.
func (p part) parts(pending []part) []part {
	add := func(v reflect.Value, s *shape, depth int, field string) {
		if s.kind > text && s.kind < opaque && !(s.kind == pointer && v.IsNil()) {
			pending = append(pending, part{v, s, depth, field})
		}
	}
	switch p.s.kind {
	case pointer:
		if !p.v.IsNil() {
			add(p.v.Elem(), p.s.elem, p.depth, p.field)
		}
	case list, array:
		for i := 0; i < p.v.Len(); i++ {
			add(p.v.Index(i), p.s.elem, p.depth+1, p.field)
		}
	case dict:
		for i := p.v.MapRange(); i.Next(); {
			add(i.Key(), p.s.key, p.depth+1, p.field)
			add(i.Value(), p.s.elem, p.depth+1, p.field)
		}
	case record:
		for _, f := range p.s.fields {
			add(p.v.FieldByIndex(f.index), f.shape, p.depth+1, f.name)
		}
	}
	return pending
}

var (
	listOfAny = &shape{kind: list, elem: anything}
	mapOfAny  = &shape{kind: dict, key: &shape{kind: text}, elem: anything}
	plain     = map[reflect.Type]bool{timeType: true}
)

func init() {
	for _, v := range []any{false, "", []byte(nil), float32(0), float64(0), int8(0), int16(0), int32(0), int64(0), uint8(0), uint16(0), uint32(0), uint64(0)} {
		plain[reflect.TypeOf(v)] = true
	}
}

// held returns the part that an interface holds, if it comes back as the same type: the cases below do.
func (p part) held() (part, error) {
	if p.v.IsNil() {
		p.s = &shape{kind: scalar}
		return p, nil
	}
	p.v = p.v.Elem()
	t, empty := p.v.Type(), p.v.Kind() == reflect.Slice || p.v.Kind() == reflect.Map
	switch empty = empty && p.v.IsNil(); {
	case empty:
	case t == reflect.TypeFor[[]any]():
		p.s = listOfAny
		return p, nil
	case t == reflect.TypeFor[map[string]any]():
		p.s = mapOfAny
		return p, nil
	case plain[t]:
		p.s = &shape{kind: scalar}
		return p, nil
	}
	what := t.String()
	if empty {
		what = "nil " + what
	}
	return p, fmt.Errorf("%s: an interface holds a %s, which would come back as another type; use a field of that type, or hold nil, "+
		"bool, string, []byte, int64, float64, time.Time, []any or map[string]any", p.field, what)
}

package valuecodec

import (
	"reflect"
	"strings"
	"unsafe"
)

// Weigh returns about how many bytes a value takes in memory, with everything it refers to, each part counted once. It stops
// counting above the limit. It does not follow what may be in use: neither the contents of a struct with a lock, nor what
// a function refers to. It does not recurse, so values may refer to themselves.
func Weigh(v reflect.Value, limit int64) int64 {
	s := scale{n: int64(v.Type().Size()), limit: limit, leads: map[reflect.Type]bool{}}
	for s.put(v); len(s.pending) > 0 && s.n <= limit; {
		next := s.pending[len(s.pending)-1]
		s.pending = s.pending[:len(s.pending)-1]
		s.weigh(next)
	}
	return s.n
}

type scale struct {
	n, limit int64
	pending  []reflect.Value // their own bytes are counted already
	seen     map[seen]struct{}
	leads    map[reflect.Type]bool // whether its values refer to more
}

type seen struct {
	at unsafe.Pointer
	t  reflect.Type
}

func (s *scale) put(v reflect.Value) {
	if s.n <= s.limit && s.leadsOn(v.Type()) {
		s.pending = append(s.pending, v)
	}
}

// first reports whether the value's target has not been counted yet.
func (s *scale) first(v reflect.Value) bool {
	at := seen{v.UnsafePointer(), v.Type()}
	if _, known := s.seen[at]; known || at.at == nil {
		return false
	}
	if s.seen == nil {
		s.seen = map[seen]struct{}{}
	}
	s.seen[at] = struct{}{}
	return true
}

func (s *scale) weigh(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		s.n += int64(v.Len())
	case reflect.Pointer:
		if s.first(v) {
			s.n += int64(v.Type().Elem().Size())
			s.put(v.Elem())
		}
	case reflect.Interface:
		if !v.IsNil() {
			s.n += int64(v.Elem().Type().Size())
			s.put(v.Elem())
		}
	case reflect.Slice:
		if s.first(v) {
			s.n += int64(v.Cap()) * int64(v.Type().Elem().Size())
			s.all(v)
		}
	case reflect.Array:
		s.all(v)
	case reflect.Chan:
		s.n += int64(v.Cap()) * int64(v.Type().Elem().Size())
	case reflect.Map:
		s.pairs(v)
	case reflect.Struct:
		for _, field := range v.Fields() {
			s.put(field)
		}
	}
}

func (s *scale) all(v reflect.Value) {
	for i := 0; i < v.Len() && s.leadsOn(v.Type().Elem()); i++ {
		s.put(v.Index(i))
	}
}

// pairs looks into a map unless it was reached through an unexported field: another goroutine may be writing to that one, and then
// reading it would end the process.
func (s *scale) pairs(v reflect.Value) {
	if !s.first(v) {
		return
	}
	t := v.Type()
	s.n += table(int64(v.Len()), int64(t.Key().Size()), int64(t.Elem().Size()))
	if !v.CanInterface() || s.n > s.limit {
		return
	}
	for i := v.MapRange(); i.Next(); {
		s.put(i.Key())
		s.put(i.Value())
	}
}

// leadsOn reports whether values of the type refer to more than their own bytes.
func (s *scale) leadsOn(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array, reflect.Struct:
	case reflect.String, reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Chan, reflect.Map:
		return true
	default:
		return false
	}
	leads, known := s.leads[t]
	if known {
		return leads
	}
	if t.Kind() == reflect.Array {
		leads = t.Len() > 0 && s.leadsOn(t.Elem())
	} else if t != timeType && !lives(t) {
		for field := range t.Fields() {
			leads = leads || s.leadsOn(field.Type)
		}
	}
	s.leads[t] = leads
	return leads
}

// lives reports whether a struct is guarded for concurrent use, so that other goroutines may be using it.
func lives(t reflect.Type) bool {
	for field := range t.Fields() {
		if from := field.Type.PkgPath(); from == "sync" || strings.HasPrefix(from, "sync/") || from == "internal/poll" {
			return true
		}
	}
	return false
}

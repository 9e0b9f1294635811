package valuecodec

import (
	"fmt"
	"reflect"

	"github.com/larder-go/cache/store"
)

// Kept puts values of T into entries and finds them there. In memory alone an entry has the value itself. An entry that leaves
// the process has its msgpack, and beside that the value, so that a hit in memory decodes nothing. It is safe for concurrent use.
type Kept[T any] struct {
	name  string // as errors call the values
	limit int64  // of a value's bytes
	codec *Codec // nil: values stay in the process, as they are
	clone func(T) T
}

// NewKept returns a Kept for values of at most limit bytes. If they leave the process, the error says why T would not come back
// as it was.
func NewKept[T any](name string, leave bool, limit int64) (*Kept[T], error) {
	k := &Kept[T]{name: name, limit: limit, clone: cloner[T]()}
	if !leave {
		return k, nil
	}
	var err error
	k.codec, err = New(reflect.TypeFor[T](), limit)
	return k, err
}

// Type tells T from all types whose values must not be taken for T's. Those that leave the process are told by their fields. In
// memory a type is known by its address: types of two functions, or of two packages of one name, may have the same text.
func (k *Kept[T]) Type() string {
	if k.codec == nil {
		return fmt.Sprintf("%x", reflect.ValueOf(reflect.TypeFor[T]()).Pointer())
	}
	return k.codec.Digest()
}

// Value returns the entry's value, as a caller may have it: one of his own if T clones. An error wraps [store.ErrCorrupt].
func (k *Kept[T]) Value(e *store.Entry) (value T, err error) {
	kept, ok := e.Memo().(*T)
	if !ok {
		if kept, _, err = k.decode(e); err != nil {
			return value, err
		}
	}
	if k.clone != nil {
		return k.clone(*kept), nil
	}
	return *kept, nil
}

// Open leaves its value with an entry that a store has brought. One without a value is of no use: with the error whoever reads it
// finds nothing, so that the next load heals it.
func (k *Kept[T]) Open(e *store.Entry) (*store.Entry, error) {
	if _, ok := e.Memo().(*T); ok {
		return e, nil
	}
	value, held, err := k.decode(e)
	if err == nil {
		e.SetMemo(value, int(held))
	}
	return e, err
}

func (k *Kept[T]) decode(e *store.Entry) (value *T, held int64, err error) {
	value = new(T)
	if k.codec == nil {
		err = fmt.Errorf("its value is a %T", e.Memo())
	} else {
		held, err = k.codec.Decode(e.Body, value)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("cache: values %q: %w: the kept value is no %s: %w", k.name, store.ErrCorrupt, reflect.TypeFor[T](), err)
	}
	return value, held, nil
}

// Put makes the value the entry's. A caller whose type clones goes on with his own. The error is [ErrTooLarge], or says why the
// value would not come back as it is.
func (k *Kept[T]) Put(e *store.Entry, value T) error {
	kept := &value
	if k.clone != nil {
		own := k.clone(value)
		kept = &own
	}
	if k.codec == nil {
		held := Weigh(reflect.ValueOf(kept).Elem(), k.limit)
		if held > k.limit {
			return ErrTooLarge
		}
		e.SetMemo(kept, int(held))
		return nil
	}
	body, held, err := k.codec.Encode(kept)
	if err != nil {
		return err
	}
	e.Body = body
	e.SetMemo(kept, int(held))
	return nil
}

// cloner returns what makes a caller's own copy of a value, or nil if T has no Clone. It is found once: to ask each value
// would cost an allocation.
func cloner[T any]() func(T) T {
	own := func(value T) T {
		if c, clones := any(value).(interface{ Clone() T }); clones {
			return c.Clone()
		}
		return value
	}
	t := reflect.TypeFor[T]()
	if t.Kind() == reflect.Interface || t.Implements(reflect.TypeFor[interface{ Clone() T }]()) {
		return own // of an interface each value tells for itself
	}
	return nil
}

package valuecodec

import (
	"fmt"
	"reflect"

	"github.com/larder-go/cache/store"
)

// Kept puts values of T into entries and finds them there. In a cache that is memory alone an entry has the value itself. An entry
// that leaves the process has its msgpack, and the value as well, so that a hit in memory decodes nothing. It is safe for concurrent use.
type Kept[T any] struct {
	name  string // for errors
	limit int64  // of a value's bytes
	codec *Codec // nil: values stay in the process, as they are
	clone func(T) T
}

// NewKept returns a Kept for values of at most limit bytes. If they leave the process, the error says why T would not come back
// unchanged.
func NewKept[T any](name string, leave bool, limit int64) (*Kept[T], error) {
	k := &Kept[T]{name: name, limit: limit, clone: cloner[T]()}
	if !leave {
		return k, nil
	}
	var err error
	k.codec, err = New(reflect.TypeFor[T](), limit)
	return k, err
}

// Type distinguishes T from all types whose values must not be taken for T's. If values leave the process, it goes by their fields. In
// memory it goes by the type's address: types declared in two functions, or in two packages of the same name, may have the same text.
func (k *Kept[T]) Type() string {
	if k.codec == nil {
		return fmt.Sprintf("%x", reflect.ValueOf(reflect.TypeFor[T]()).Pointer())
	}
	return k.codec.Digest()
}

// Value returns the entry's value for a caller: a copy of the caller's own if T clones. An error wraps [store.ErrCorrupt].
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

// Open attaches the value to an entry that a store has returned. An entry without a value is of no use: the error makes it a miss,
// so that the next load replaces it.
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

// Put makes the value the entry's. If T clones, the entry gets a copy, and the caller keeps the original. The error is [ErrTooLarge],
// or says why the value would not come back unchanged.
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

// cloner returns a function that copies a value for a caller, or nil if T has no Clone. It is looked up once: checking each value
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
		return own // for an interface it depends on each value
	}
	return nil
}

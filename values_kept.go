package cache

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/larder-go/cache/internal/valuecodec"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/middleware"
	"github.com/larder-go/cache/store"
)

// Kept values: an entry has the value itself beside its msgpack, or instead.

// open returns the entry's value, as the caller may have it.
func (v *Values[T]) open(e *store.Entry) (value T, ok bool) {
	kept, ok := e.Memo().(*T)
	if !ok {
		read, _, err := v.decode(e)
		if err != nil {
			v.tell(middleware.Event{Route: v.name, Outcome: Fault, Reason: ReasonCorrupt, Err: err})
			return value, false
		}
		kept = read
	}
	if v.clone != nil {
		return v.clone(*kept), true
	}
	return *kept, true
}

// arrived leaves its value with an entry that a store has brought. An entry without one is of no use, and whoever reads it
// must find nothing, so that the next load heals it.
func (v *Values[T]) arrived(e *store.Entry) (*store.Entry, error) {
	if _, ok := e.Memo().(*T); ok {
		return e, nil
	}
	value, held, err := v.decode(e)
	if err == nil {
		e.SetMemo(value, int(held))
	}
	return e, err
}

func (v *Values[T]) decode(e *store.Entry) (value *T, held int64, err error) {
	value = new(T)
	if v.codec == nil {
		err = fmt.Errorf("its value is a %T", e.Memo())
	} else {
		held, err = v.codec.Decode(e.Body, value)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("cache: values %q: %w: the kept value is no %s: %w", v.name, store.ErrCorrupt, reflect.TypeFor[T](), err)
	}
	return value, held, nil
}

// put makes the value the entry's. A caller whose type clones goes on with its own.
func (v *Values[T]) put(e *store.Entry, value T) (Reason, error) {
	kept, limit := &value, v.policy.maxBody()
	if v.clone != nil {
		own := v.clone(value)
		kept = &own
	}
	if v.codec == nil {
		held := valuecodec.Weigh(reflect.ValueOf(kept).Elem(), limit)
		if held > limit {
			return middleware.ReasonSize, nil
		}
		e.SetMemo(kept, int(held))
		return "", nil
	}
	body, held, err := v.codec.Encode(kept)
	switch {
	case errors.Is(err, valuecodec.ErrTooLarge):
		return middleware.ReasonSize, nil
	case err != nil:
		return ReasonValue, fmt.Errorf("cache: values %q: a value cannot be kept in Redis: %w", v.name, err)
	}
	e.Body = body
	e.SetMemo(kept, int(held))
	return "", nil
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

// openStore returns the store with each entry opened that is read from it, or the store itself where open is nil. What opening
// returns takes the entry's place. An entry that does not open is a miss with the error.
func openStore(s store.Store, open func(*store.Entry) (*store.Entry, error)) store.Store {
	if open == nil || s == nil {
		return s
	}
	if leaser, ok := s.(store.Leaser); ok {
		return openLeaser{opening{s, open}, leaser}
	}
	return opening{s, open}
}

type opening struct {
	store.Store
	open func(*store.Entry) (*store.Entry, error)
}

func (s opening) Get(ctx context.Context, key keying.Key) (*store.Entry, bool, error) {
	e, ok, err := s.Store.Get(ctx, key)
	if e == nil {
		return e, ok, err
	}
	e, fault := s.open(e)
	if fault != nil {
		return nil, false, fault
	}
	return e, ok, err
}

// Memory is the store's, if there is some: what it holds is opened by whoever finds it.
func (s opening) Memory() store.Local {
	if m, ok := s.Store.(interface{ Memory() store.Local }); ok {
		return m.Memory()
	}
	local, _ := s.Store.(store.Local)
	return local
}

type openLeaser struct {
	opening
	store.Leaser
}

func (s openLeaser) Lease(ctx context.Context, key keying.Key, token store.Token, hold time.Duration) (*store.Entry, store.Lease, error) {
	e, lease, err := s.Leaser.Lease(ctx, key, token, hold)
	if e == nil {
		return e, lease, err
	}
	e, fault := s.open(e)
	if fault != nil {
		return nil, lease, fault
	}
	return e, lease, err
}

package main

import (
	"context"
	"reflect"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/redisstore"
)

// skewed makes a process behave as if its wall clock were ahead by a while. The clock itself cannot be faked: Go reads it
// without libc, so that libfaketime does not reach it, and a Linux time namespace shifts only the monotonic one. But the
// one reading of the wall clock that leaves a process is Entry.Stored. An entry that a process with a shifted clock writes
// carries a shifted Stored; one that it reads looks to it as much older or younger. This store does both; whatever else it
// does is redisstore's.
type skewed struct {
	*redisstore.Store
	ahead time.Duration
}

var (
	_ store.Log     = skewed{}
	_ store.Catcher = skewed{}
	_ store.Leaser  = skewed{}
)

func (s skewed) Get(ctx context.Context, key keying.Key) (*store.Entry, bool, error) {
	e, ok, err := s.Store.Get(ctx, key)
	if ok {
		e = shifted(e, -s.ahead)
	}
	return e, ok, err
}

func (s skewed) Set(ctx context.Context, key keying.Key, e *store.Entry, keep time.Duration) error {
	return s.Store.Set(ctx, key, shifted(e, s.ahead), keep)
}

func (s skewed) Lease(ctx context.Context, key keying.Key, token store.Token, hold time.Duration) (*store.Entry, store.Lease, error) {
	e, lease, err := s.Store.Lease(ctx, key, token, hold)
	if e != nil {
		e = shifted(e, -s.ahead)
	}
	return e, lease, err
}

func (s skewed) Keep(ctx context.Context, key keying.Key, token store.Token, e *store.Entry, keep time.Duration) error {
	return s.Store.Keep(ctx, key, token, shifted(e, s.ahead), keep)
}

// shifted is a copy: all that leaves the process, and nothing else.
func shifted(e *store.Entry, by time.Duration) *store.Entry {
	c := new(store.Entry)
	from, to := reflect.ValueOf(e).Elem(), reflect.ValueOf(c).Elem()
	for i := range from.NumField() {
		if from.Type().Field(i).IsExported() {
			to.Field(i).Set(from.Field(i))
		}
	}
	c.Stored = e.Stored.Add(by)
	return c
}

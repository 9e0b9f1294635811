package main

import (
	"context"
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

func shifted(e *store.Entry, by time.Duration) *store.Entry {
	return &store.Entry{
		Key: e.Key, At: e.At, Status: e.Status, Stored: e.Stored.Add(by),
		Fresh: e.Fresh, WhileRevalidate: e.WhileRevalidate, IfError: e.IfError, IfValidated: e.IfValidated,
		Header: e.Header, Added: e.Added, Labels: e.Labels, Body: e.Body,
	}
}

package storetest_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/larder-go/cache/store/storetest"
)

// A MapStore is a store in the process' memory. It has no bound, so it is an example and no more.
type MapStore struct {
	mu      sync.Mutex
	entries map[keying.Key]expiring
}

type expiring struct {
	entry *store.Entry
	end   time.Time
}

func NewMapStore() *MapStore { return &MapStore{entries: map[keying.Key]expiring{}} }

func (s *MapStore) Get(_ context.Context, key keying.Key) (*store.Entry, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[key]
	if !ok || !time.Now().Before(e.end) {
		delete(s.entries, key)
		return nil, false, nil // a miss is not an error
	}
	return e.entry, true, nil
}

func (s *MapStore) Set(_ context.Context, key keying.Key, e *store.Entry, keep time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries[key] = expiring{e, time.Now().Add(keep)}
	return nil
}

func (s *MapStore) Delete(_ context.Context, keys ...keying.Key) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		delete(s.entries, key)
	}
	return nil
}

// The store reads package time, so the suite may run in a bubble of synctest, where time.Sleep moves the clock.
func TestSmallestStore(t *testing.T) {
	storetest.Config{
		Open:    func(*testing.T) store.Store { return NewMapStore() },
		Advance: time.Sleep,
		Around:  synctest.Test,
	}.Run(t)
}

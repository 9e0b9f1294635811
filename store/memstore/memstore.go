// Package memstore keeps entries in the process' memory, bounded in bytes and in number, and forgets the least recently
// used first.
//
//	near := memstore.New(memstore.Options{MaxBytes: 256 << 20})
package memstore

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Defaults of the [Options].
const (
	DefaultMaxBytes   = 64 << 20
	DefaultMaxEntries = 5000
)

// Options bound a Store. The zero Options are ready to use.
type Options struct {
	MaxBytes   int64 // bytes of all entries, overhead included; 0 or less: 64 MiB
	MaxEntries int   // 0 or less: 5,000
}

// A Store is process memory. It is made by [New], safe for concurrent use, and hands out the very entries that it was
// given. A large one is divided into up to 16 shards, each with its share of the bounds and its own order of use;
// one of fewer than 128 entries or 2 MiB is a single, exact LRU.
type Store struct {
	shards  []shard
	armed   atomic.Bool // the sweep is due, or running
	closed  atomic.Bool
	timerMu sync.Mutex
	timer   *time.Timer
}

var (
	_ store.Store = (*Store)(nil)
	_ store.Local = (*Store)(nil)
)

// New returns an empty Store. It starts no goroutine; a timer runs while the store holds something.
func New(o Options) *Store {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxEntries <= 0 {
		o.MaxEntries = DefaultMaxEntries
	}
	s := &Store{shards: make([]shard, shardCount(o))}
	n := len(s.shards)
	for i := range s.shards {
		entries := o.MaxEntries / n
		if i < o.MaxEntries%n {
			entries++
		}
		s.shards[i] = newShard(uint64(o.MaxBytes)/uint64(n), uint64(entries))
	}
	return s
}

// Get is [Store.Peek]; it neither waits nor fails.
func (s *Store) Get(_ context.Context, key keying.Key) (*store.Entry, bool, error) {
	e, ok := s.Peek(key)
	return e, ok, nil
}

// Peek returns the entry kept under the key and marks it as used. It does not allocate.
func (s *Store) Peek(key keying.Key) (*store.Entry, bool) {
	item := s.shard(key).Get(key)
	if item == nil {
		return nil, false
	}
	// The expiry first: an item is overwritten in place, and an old expiry never outlives a new value's.
	if at := item.ExpiresAt(); !time.Now().Before(at) {
		return nil, false // ttlcache lets an item live through the instant of its expiry
	}
	return item.Value(), true
}

// Set keeps the entry. One that is larger than a shard's share of MaxBytes is refused with an error that wraps
// store.ErrRefused; what was kept under its key is forgotten, and nothing else. A keep of zero or less forgets the key.
func (s *Store) Set(_ context.Context, key keying.Key, e *store.Entry, keep time.Duration) error {
	c := s.shard(key)
	cost := costOf(e)
	if cost > c.maxBytes || keep <= 0 || s.closed.Load() {
		c.Delete(key)
	}
	switch {
	case cost > c.maxBytes:
		return fmt.Errorf("memstore: %w: %d bytes; at most %d", store.ErrRefused, cost, c.maxBytes)
	case keep <= 0 || s.closed.Load():
		return nil
	}
	c.Cache.Set(key, e, keep)
	if s.closed.Load() {
		c.Delete(key) // closed meanwhile: Close may have passed this shard already
		return nil
	}
	s.arm()
	return nil
}

// Delete forgets the keys. It never fails.
func (s *Store) Delete(_ context.Context, keys ...keying.Key) error {
	for _, key := range keys {
		s.shard(key).Delete(key)
	}
	return nil
}

// Len returns the number of entries that have not expired.
func (s *Store) Len() int {
	n := 0
	for _, c := range s.shards {
		n += c.Len()
	}
	return n
}

// Bytes returns what the entries take, overhead included; it is never more than MaxBytes. It drops what has expired
// and visits every entry: it is made for a gauge, not for a request.
func (s *Store) Bytes() int64 {
	var n uint64
	for _, c := range s.shards {
		c.DeleteExpired()
		for _, item := range c.Items() {
			n += item.Cost()
		}
	}
	return int64(n)
}

// Close forgets everything and stops the timer; afterwards Get misses and Set drops its entry. It may be called again
// and always returns nil.
func (s *Store) Close() error {
	s.closed.Store(true)
	s.timerMu.Lock()
	defer s.timerMu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	for _, c := range s.shards {
		c.DeleteAll()
	}
	return nil
}

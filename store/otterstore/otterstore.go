// Package otterstore stores entries in the process' memory, bounded in bytes and in number, and keeps those that are requested
// most: it is otter's W-TinyLFU behind the contract of memstore, for traffic with long tails or scans.
//
//	near := otterstore.New(otterstore.Options{MaxBytes: 256 << 20})
//	defer near.Close()
package otterstore

import (
	"context"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
	"github.com/maypok86/otter/v2"
)

// A Store is process memory. Create it with [New]; it is safe for concurrent use, and returns the very entries that it was
// given. When it is full, a new entry is dropped at once unless it was set more often of late than the entry that it would displace
// was used.
type Store struct {
	cache  *otter.Cache[keying.Key, item]
	bounds bounds

	mu      sync.Mutex // one Set at a time, so that at most one entry is ever there without room for it
	closed  bool
	setting atomic.Bool // a Set is running in otter; see execute
}

// An item is an entry and how long it is to live from when it is set.
type item struct {
	entry *store.Entry
	keep  time.Duration
}

var (
	_ store.Store = (*Store)(nil)
	_ store.Local = (*Store)(nil)
)

// New returns an empty Store. For it otter starts a goroutine that drops expired entries each second; [Store.Close]
// ends it, and must be called in a bubble of testing/synctest.
func New(o Options) *Store {
	s := &Store{bounds: boundsOf(o)}
	s.cache = otter.Must(&otter.Options[keying.Key, item]{
		MaximumWeight: uint64(s.bounds.maximum),
		Weigher:       func(_ keying.Key, i item) uint32 { return s.bounds.weight(i.entry) },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[keying.Key, item]) time.Duration {
			return e.Value.keep
		}),
		Executor: s.execute,
	})
	return s
}

// execute runs otter's housekeeping: at once for Set, which waits for it anyway, and for a reader, which must not wait, in a
// goroutine that soon ends.
func (s *Store) execute(task func()) {
	if s.setting.Load() {
		task()
		return
	}
	go task()
}

// Get is [Store.Peek]; it neither waits nor fails.
func (s *Store) Get(_ context.Context, key keying.Key) (*store.Entry, bool, error) {
	e, ok := s.Peek(key)
	return e, ok, nil
}

// Peek returns the entry stored under the key and counts its use. It does not allocate and waits for no lock; one call in some
// dozens starts a goroutine that records the uses in otter.
func (s *Store) Peek(key keying.Key) (*store.Entry, bool) {
	i, ok := s.cache.GetIfPresent(key)
	return i.entry, ok
}

// Set stores the entry. One that is larger than MaxBytes is refused with an error that wraps store.ErrRefused; what was stored
// under its key is dropped, and nothing else. A keep of zero or less drops the key.
func (s *Store) Set(_ context.Context, key keying.Key, e *store.Entry, keep time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	cost := costOf(e)
	switch {
	case cost > s.bounds.largest:
		s.cache.Invalidate(key)
		return fmt.Errorf("otterstore: %w: %d bytes; at most %d", store.ErrRefused, cost, s.bounds.largest)
	case keep <= 0 || s.closed:
		s.cache.Invalidate(key)
		return nil
	}
	s.setting.Store(true)
	s.cache.Set(key, item{e, keep})
	s.setting.Store(false)
	s.cache.CleanUp() // another goroutine may have begun it; after this there is room for the next entry
	return nil
}

// Delete drops the keys. It never fails.
func (s *Store) Delete(_ context.Context, keys ...keying.Key) error {
	for _, key := range keys {
		s.cache.Invalidate(key)
	}
	return nil
}

// Len returns the number of entries that have not expired; it is never more than MaxEntries. Like [Store.Bytes] it visits
// every entry while Set waits: it is meant for a gauge, not for a request.
func (s *Store) Len() int {
	n, _ := s.count()
	return n
}

// Bytes returns what the entries that have not expired take, overhead included; it is never more than MaxBytes.
func (s *Store) Bytes() int64 {
	_, n := s.count()
	return n
}

// count visits every entry, because otter's own numbers include expired entries.
func (s *Store) count() (entries int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.cache.Values() {
		entries++
		bytes += costOf(i.entry)
	}
	return entries, bytes
}

// Close drops everything and waits for the end of the goroutine; afterwards Get misses and Set drops its entry. It may be
// called again and always returns nil.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.cache.InvalidateAll()
	s.cache.StopAllGoroutines()
	return nil
}

// Defaults of the [Options].
const (
	DefaultMaxBytes   = 64 << 20
	DefaultMaxEntries = 5000
)

// Options bound a Store. The zero Options are ready to use.
//
// Both bounds hold at any moment. Otter knows only one weight, so an entry counts as no less than MaxBytes/MaxEntries: with
// a mix of large and small entries, the store may be full before it has reached either bound, but not before it is
// half way to one of them.
type Options struct {
	MaxBytes   int64 // bytes of all entries, overhead included; 0 or less: 64 MiB. No entry may have 4 GiB or more.
	MaxEntries int   // 0 or less: 5,000
}

// itemOverhead is what an item costs here beside its Entry.Size: otter's node with the key, the boxed item, its slot in the
// hash table and its share of the frequency sketch, less what Size counts for them already.
const itemOverhead = 80

// costOf returns the bytes that the entry counts as.
func costOf(e *store.Entry) int64 { return e.Size() + itemOverhead }

// bounds are the two bounds of a store as one weight, since otter has only one. An entry weighs its bytes, but no less than
// MaxBytes divided by MaxEntries: so there are never more than MaxEntries.
type bounds struct {
	share   int64 // the least that an entry weighs
	maximum int64 // what all may weigh together: the shares of MaxEntries; rounding makes it a little less than MaxBytes
	largest int64 // what one entry may cost
}

// boundsOf returns the bounds of the options, with the defaults filled in.
func boundsOf(o Options) bounds {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxEntries <= 0 {
		o.MaxEntries = DefaultMaxEntries
	}
	// No entry costs less than an empty one: with smaller shares, rounding would waste more.
	entries := min(int64(o.MaxEntries), max(1, o.MaxBytes/costOf(&store.Entry{})))
	share := min(o.MaxBytes/entries, math.MaxUint32) // a weight has 32 bits
	return bounds{share, share * entries, min(o.MaxBytes, math.MaxUint32)}
}

// weight is for an entry that costs no more than the largest. One between maximum and MaxBytes fills the store alone.
func (b bounds) weight(e *store.Entry) uint32 {
	return uint32(min(max(costOf(e), b.share), b.maximum))
}

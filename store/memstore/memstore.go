// Package memstore stores entries in the process' memory, bounded in bytes and in number.
//
//	near := memstore.New(memstore.Options{MaxBytes: 256 << 20})
//
// A hit reads a fixed table of atomic pointers, by the key or, which is cheaper, by the text that the key is the digest of. It takes
// no lock, and once a key is hot it writes nothing that another processor would have to wait for.
//
// When the store is full, it evicts entries requested once before entries requested twice; eviction.go says how. So a crawler
// that requests every page once does not push out what users request. Expired entries are dropped within about a second, a few
// at a time, so that nobody waits for it.
package memstore

import (
	"context"
	"fmt"
	"math"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/internal/trace"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Defaults of the [Options].
const (
	DefaultMaxBytes   = 64 << 20
	DefaultMaxEntries = 5000
)

// Options bound a Store. The zero Options are ready to use. New allocates tables for as many entries as both bounds allow: 20 to 40
// bytes for each, and a table of 64 KiB at most for dropped keys.
type Options struct {
	MaxBytes   int64 // bytes of all entries, overhead included; 0 or less: 64 MiB
	MaxEntries int   // 0 or less: 5,000
}

// A Store is process memory. Create it with [New]; it is safe for concurrent use, and returns the very entries that it was
// given. A Store for fewer than 128 entries or 2 MiB is an exact LRU. A larger one is divided into up to 64 shards, which share
// the bounds; they change independently of each other, and are read without a lock.
type Store struct {
	index    index
	names    *names
	shards   []shard
	perShard uint  // buckets of each shard, as a power of two
	exact    bool  // there is one shard, an exact LRU
	maxCost  int64 // of one entry
	bounds   *bounds
	dropped  *trace.Table // keys that were dropped, and until when they were to be stored

	armed   atomic.Bool // a sweep is scheduled, or running
	closed  atomic.Bool
	timerMu sync.Mutex
	timer   *time.Timer
}

var (
	_ store.Store  = (*Store)(nil)
	_ trace.Tracer = (*Store)(nil)
)

// New returns an empty Store. It starts no goroutine; a timer runs while the store holds something.
func New(o Options) *Store {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxEntries <= 0 {
		o.MaxEntries = DefaultMaxEntries
	}
	n := shardCount(o)
	entries := min(int64(o.MaxEntries), o.MaxBytes/costOf(new(store.Entry))+1)
	s := &Store{
		index:   newIndex(entries, n),
		shards:  make([]shard, n),
		exact:   n == 1,
		maxCost: min(o.MaxBytes/int64(min(n, minShards)), math.MaxUint32-maxName),
		bounds:  &bounds{maxEntries: int64(o.MaxEntries), maxBytes: o.MaxBytes, shards: int64(n)},
		dropped: trace.New(int(entries)),
	}
	s.names = newNames(len(s.index.buckets))
	buckets := len(s.index.buckets) / n
	s.perShard = uint(bits.TrailingZeros(uint(buckets)))
	for i := range s.shards {
		s.shards[i].init(s, i*buckets/group, (i+1)*buckets/group, int(entries)/n)
	}
	return s
}

// Get is [Store.Peek]; it neither waits nor fails.
func (s *Store) Get(_ context.Context, key keying.Key) (*store.Entry, bool, error) {
	e, ok := s.Peek(key)
	return e, ok, nil
}

// Peek returns the entry stored under the key, and counts as a use of it. It takes no lock, except in an exact LRU, and does
// not allocate.
func (s *Store) Peek(key keying.Key) (*store.Entry, bool) {
	return s.used(s.index.find(s.index.at(&key), &key), clock())
}

// Recall is Peek by the text that was given to Remember.
func (s *Store) Recall(hash uint64, text []byte, now time.Time) (*store.Entry, bool) {
	return s.used(s.names.find(hash, text), at(now))
}

// used returns the node's entry, if there is one that has not expired. It checks the expiry before it loads the entry: node.keep
// relies on this order.
func (s *Store) used(n *node, now int64) (*store.Entry, bool) {
	if n == nil || n.expired(now) {
		return nil, false
	}
	if s.exact {
		s.shards[0].use(n)
	} else {
		n.use()
	}
	return n.entry.Load(), true
}

// Trace says why nothing is stored under the key, as far as that is remembered: for up to 7,168 keys that were dropped. One that
// was deleted counts as evicted.
func (s *Store) Trace(key keying.Key) trace.Cause {
	if n := s.index.find(s.index.at(&key), &key); n != nil {
		if n.expired(clock()) {
			return trace.CauseExpired
		}
		return "" // it came just now
	}
	return s.dropped.Of(&key, time.Now()).Cause()
}

// Remember records the text of the entry stored under the key, and counts the text as a part of its bytes. A text of more than a
// kilobyte is not recorded.
func (s *Store) Remember(key keying.Key, hash uint64, text []byte) {
	if len(text) > maxName || len(text) == 0 {
		return
	}
	home := s.index.at(&key) >> s.perShard
	s.shards[home].remember(&key, hash, text, clock())
}

// Set stores the entry. It refuses an entry that was made for another key, or that is larger than MaxBytes divided by the number of
// shards, by 16 at most, with an error that wraps store.ErrRefused; then what was stored under the key is dropped, and nothing else.
// A keep of zero or less drops the key.
func (s *Store) Set(_ context.Context, key keying.Key, e *store.Entry, keep time.Duration) error {
	cost := costOf(e)
	switch {
	case cost > s.maxCost:
		s.shard(&key).forget(&key)
		return fmt.Errorf("memstore: %w: %d bytes; at most %d", store.ErrRefused, cost, s.maxCost)
	case e.Key != key:
		s.shard(&key).forget(&key)
		return fmt.Errorf("memstore: %w: it was made for another key", store.ErrRefused)
	case keep <= 0:
		s.shard(&key).forget(&key)
		return nil
	}
	now := clock()
	until := now + int64(keep)
	if until < now {
		until = math.MaxInt64
	}
	s.keep(e, uint32(cost), until, now)
	s.arm()
	return nil
}

// keep stores the entry once there is room. Its own shard drops a few nodes for it; if that shard has few, the other shards drop one
// each in turn. Between attempts no lock is held, so other goroutines make progress.
func (s *Store) keep(e *store.Entry, cost uint32, until, now int64) {
	home := s.index.at(&e.Key) >> s.perShard
	for other := home; !s.shards[home].keep(e, cost, until, now); {
		other = (other + 1) % uint64(len(s.shards))
		s.shards[other].dropForOthers(now)
		runtime.Gosched()
	}
}

// shard returns the shard of the key.
func (s *Store) shard(key *keying.Key) *shard { return &s.shards[s.index.at(key)>>s.perShard] }

// Delete drops the keys. It never fails.
func (s *Store) Delete(_ context.Context, keys ...keying.Key) error {
	for _, key := range keys {
		s.shard(&key).forget(&key)
	}
	return nil
}

// Len returns the number of entries that have not expired. It drops expired ones.
func (s *Store) Len() int {
	s.dropExpired(clock())
	return int(s.bounds.entries.Load())
}

// Bytes returns what the entries take, overhead included; it is never more than MaxBytes. It drops expired entries.
func (s *Store) Bytes() int64 {
	s.dropExpired(clock())
	return s.bounds.bytes.Load()
}

// Close drops everything and stops the timer; afterwards Get misses and Set drops its entry. It may be called again
// and always returns nil.
func (s *Store) Close() error {
	s.closed.Store(true)
	s.timerMu.Lock()
	defer s.timerMu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	for i := range s.shards {
		s.shards[i].close()
	}
	s.dropExpired(math.MaxInt64)
	return nil
}

// bounds are what all shards together may hold. Room is reserved before anything is added, so the bounds are never
// exceeded. They are safe for concurrent use.
type bounds struct {
	maxEntries, maxBytes int64
	shards               int64
	entries, bytes       atomic.Int64
}

// reserve counts more entries and bytes if they fit, and reports whether they do. Negative numbers give room back.
func (b *bounds) reserve(entries, bytes int64) bool {
	if !take(&b.entries, entries, b.maxEntries) {
		return false
	}
	if !take(&b.bytes, bytes, b.maxBytes) {
		b.entries.Add(-entries)
		return false
	}
	return true
}

// take adds n, unless the sum would exceed the most. It does not add first and subtract afterwards: another goroutine would see the
// sum in between, and refuse an entry for which there is room.
func take(sum *atomic.Int64, n, most int64) bool {
	for {
		before := sum.Load()
		if n > 0 && before+n > most {
			return false
		}
		if sum.CompareAndSwap(before, before+n) {
			return true
		}
	}
}

const (
	minShards       = 16 // more only if they are large
	maxShards       = 64
	minShardEntries = 64
	minShardBytes   = 1 << 20
	largeEntries    = 4096
	largeBytes      = 8 << 20
)

// shardCount returns the largest power of two that leaves every shard enough entries and bytes for a useful eviction order.
func shardCount(o Options) int {
	n, entries, bytes := 1, minShardEntries, int64(minShardBytes)
	for n < maxShards && o.MaxEntries/(2*n) >= entries && o.MaxBytes/int64(2*n) >= bytes {
		if n *= 2; n == minShards {
			entries, bytes = largeEntries, largeBytes
		}
	}
	return n
}

// names finds nodes by the text that selects them, as an index does by key: without a lock and without writing. Hashing the text is
// cheaper than computing its digest, the key, so most hits need only this table.
//
// A new node has no name. It gets one when it is first found by its key, and has it for as long as it exists. The table
// is allocated once, like the index. The bucket of a text has nothing to do with the shard of its key, so the table has its own
// locks for changes. One is taken while a shard's lock is held, and never the other way round.
type names struct {
	buckets []atomic.Pointer[node]
	shift   uint
	locks   [64]sync.Mutex // each guards the changes of every 64th bucket
}

// A name is a node's text. It is written before readers can find the node by it, and does not change.
type name struct {
	namesake atomic.Pointer[node] // the next in the same bucket
	hash     uint64
	text     string // "": there is none yet
}

// maxName is how many bytes a name may have: a longer one costs more than the digest that it saves.
const maxName = 1 << 10

// newNames returns a table of that many buckets, a power of two.
func newNames(buckets int) *names {
	return &names{buckets: make([]atomic.Pointer[node], buckets), shift: uint(64 - bits.TrailingZeros(uint(buckets)))}
}

// find returns the node with that name, or nil.
func (t *names) find(hash uint64, text []byte) *node {
	for n := t.buckets[hash>>t.shift].Load(); n != nil; n = n.namesake.Load() {
		if n.hash == hash && n.text == string(text) {
			return n
		}
	}
	return nil
}

// lock locks the bucket of the hash, and returns the mutex to unlock.
func (t *names) lock(hash uint64) *sync.Mutex {
	mu := &t.locks[hash>>t.shift%uint64(len(t.locks))]
	mu.Lock()
	return mu
}

// insert makes the node findable by its name.
func (t *names) insert(n *node) {
	defer t.lock(n.hash).Unlock()
	at := &t.buckets[n.hash>>t.shift]
	n.namesake.Store(at.Load())
	at.Store(n)
}

// remove takes the node out. The node keeps its namesake, for readers that are at it just now; see the index.
func (t *names) remove(n *node) {
	defer t.lock(n.hash).Unlock()
	at := &t.buckets[n.hash>>t.shift]
	for ; at.Load() != n; at = &at.Load().namesake {
	}
	at.Store(n.namesake.Load())
}

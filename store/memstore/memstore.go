// Package memstore stores entries in the memory of the process, bounded in bytes and in number.
//
//	near := memstore.New(memstore.Options{MaxBytes: 256 << 20})
//
// A look-up takes no lock: it follows atomic pointers through a table that is never rebuilt. For a hot key it writes nothing, either, so processors
// do not wait for each other. Memory may also find an entry by the text whose digest is the key, which spares the digest.
//
// When the store is full it evicts what was used least, but a newcomer must be used a second time before it can push out an older entry. So a
// crawler that asks for each page once does not empty the cache. Expired entries are dropped within about a second, in small steps.
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

// What the zero [Options] stand for.
const (
	DefaultMaxBytes   = 64 << 20
	DefaultMaxEntries = 5000
)

// Options bound a Store. The zero Options are ready to use. [New] allocates tables for as many entries as both bounds allow: 20 to 40 bytes for
// each, and at most 64 KiB to remember which entries were dropped.
type Options struct {
	MaxBytes   int64 // bytes of all entries, with overhead; 64 MiB if it is 0 or less
	MaxEntries int   // number of entries; 5,000 if it is 0 or less
}

// A Store is a [store.Store] and a [store.Local] in the memory of the process. Use [New] to make one. It is safe for concurrent use. Get returns
// the same *store.Entry that was given to Set, so nobody may change it.
//
// A Store of fewer than 128 entries or 2 MiB is an exact LRU. A larger one has up to 64 shards, which share the bounds. Each has a lock of its
// own for changes; reads take none.
type Store struct {
	index    index
	names    *names
	shards   []shard
	perShard uint // the logarithm of how many buckets a shard has
	exact    bool
	maxCost  int64 // bytes of one entry
	bounds   *bounds
	gone     *trace.Table // what was dropped

	armed   atomic.Bool // a sweep will come
	closed  atomic.Bool
	timerMu sync.Mutex
	timer   *time.Timer
}

var (
	_ store.Store  = (*Store)(nil)
	_ trace.Tracer = (*Store)(nil)
)

// New returns an empty Store. It starts no goroutine. A timer runs while there are entries.
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
		gone:    trace.New(int(entries)),
	}
	s.names = newNames(len(s.index.buckets))
	buckets := len(s.index.buckets) / n
	s.perShard = uint(bits.TrailingZeros(uint(buckets)))
	for i := range s.shards {
		s.shards[i].init(s, i*buckets/group, (i+1)*buckets/group, int(entries)/n)
	}
	return s
}

// Get is [Store.Peek]. The error is always nil.
func (s *Store) Get(_ context.Context, key keying.Key) (*store.Entry, bool, error) {
	e, ok := s.Peek(key)
	return e, ok, nil
}

// Peek returns the entry under the key, unless it has expired, and counts that as a use. It does not allocate, and takes no lock except in an exact
// LRU.
func (s *Store) Peek(key keying.Key) (*store.Entry, bool) {
	return s.used(s.index.find(s.index.at(&key), &key), clock())
}

// Recall is Peek by the text that was given to Remember. hash must be the text's, by the same function as there. The text stays the caller's. An
// entry that has expired by now is not found.
func (s *Store) Recall(hash uint64, text []byte, now time.Time) (*store.Entry, bool) {
	return s.used(s.names.find(hash, text), at(now))
}

// used returns the node's entry, if there is a node and it has not expired. It reads the expiry before the entry; see node.keep.
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

// Trace says why there is no entry under the key: it expired, was evicted, or was never there. It remembers up to 7,168 keys that were dropped. It
// returns "" if it does not remember, or if there is an entry. A deleted key counts as evicted.
func (s *Store) Trace(key keying.Key) trace.Cause {
	if n := s.index.find(s.index.at(&key), &key); n != nil {
		if n.expired(clock()) {
			return trace.CauseExpired
		}
		return "" // it has come since the caller's look-up
	}
	return s.gone.Of(&key, time.Now()).Cause()
}

// Remember lets Recall find the entry under the key by a text, too. The text is copied, and counts as bytes of the entry. It does nothing if there
// is no entry, if the entry has a text already, or if the text has more than 1 KiB.
func (s *Store) Remember(key keying.Key, hash uint64, text []byte) {
	if len(text) > maxName || len(text) == 0 {
		return
	}
	home := s.index.at(&key) >> s.perShard
	s.shards[home].remember(&key, hash, text, clock())
}

// Set stores the entry for the duration keep, and evicts others if it must. From then on nobody may change the entry.
//
// The error wraps [store.ErrRefused] if the entry was made for another key, or if it is too large: larger than MaxBytes or, in a Store of 16 shards
// or more, than a sixteenth of it. Then what was under the key is forgotten, because it is out of date, and nothing else. If keep is zero or
// less, Set forgets the key.
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

// keep stores the entry, in as many attempts as it takes. Between two of them another shard evicts something, because this one may have little
// to give, and other goroutines get a chance.
func (s *Store) keep(e *store.Entry, cost uint32, until, now int64) {
	home := s.index.at(&e.Key) >> s.perShard
	for other := home; !s.shards[home].keep(e, cost, until, now); {
		other = (other + 1) % uint64(len(s.shards))
		s.shards[other].giveWay(now)
		runtime.Gosched()
	}
}

// shard returns the key's shard.
func (s *Store) shard(key *keying.Key) *shard { return &s.shards[s.index.at(key)>>s.perShard] }

// Delete forgets the keys. The error is always nil.
func (s *Store) Delete(_ context.Context, keys ...keying.Key) error {
	for _, key := range keys {
		s.shard(&key).forget(&key)
	}
	return nil
}

// Len returns the number of entries. It drops those that have expired first, which takes a look at the whole table.
func (s *Store) Len() int {
	s.dropExpired(clock())
	return int(s.bounds.entries.Load())
}

// Bytes returns how many bytes the entries take, with overhead. That is never more than MaxBytes. It drops what has expired first, like Len.
func (s *Store) Bytes() int64 {
	s.dropExpired(clock())
	return s.bounds.bytes.Load()
}

// Close forgets everything and stops the timer. After that Get finds nothing, and Set does nothing and returns nil. It may be called again. The
// error is always nil.
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

// bounds limit what all shards together hold. A shard reserves entries and bytes before it adds them, so the limits are never exceeded, not even
// for a moment. They are safe for concurrent use.
type bounds struct {
	maxEntries, maxBytes int64
	shards               int64
	entries, bytes       atomic.Int64
}

// reserve adds to both sums, or to neither if one would exceed its limit. Negative numbers always succeed.
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

// take adds n to the sum, unless that makes it more than most. It compares before it adds: to add and take back would show others a sum above the
// limit.
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

// How many shards a store has. Up to minShards, each must have minShardEntries and minShardBytes: a shard with fewer would evict by chance rather
// than by use. Beyond that up to maxShards, but only if each has largeEntries and largeBytes.
const (
	minShards       = 16
	maxShards       = 64
	minShardEntries = 64
	minShardBytes   = 1 << 20
	largeEntries    = 4096
	largeBytes      = 8 << 20
)

// shardCount returns the largest power of two of shards that these rules allow.
func shardCount(o Options) int {
	n, entries, bytes := 1, minShardEntries, int64(minShardBytes)
	for n < maxShards && o.MaxEntries/(2*n) >= entries && o.MaxBytes/int64(2*n) >= bytes {
		if n *= 2; n == minShards {
			entries, bytes = largeEntries, largeBytes
		}
	}
	return n
}

// names finds nodes by the text that selects them, as an index does by key, and by the same means: without a lock, and without a write. A digest of
// the text would take longer than the whole rest of a hit.
//
// A new node has no name. It gets one after it was first found by its key, and has it until it is dropped. A text's bucket has nothing to do with
// its key's shard, so the table has locks of its own.
type names struct {
	buckets []atomic.Pointer[node]
	shift   uint
	locks   [64]sync.Mutex // each guards every 64th bucket. Whoever takes one has the shard's lock
}

// A name is a node's text. It is written before the node can be found by it, and then never again.
type name struct {
	namesake atomic.Pointer[node] // the next in the same bucket
	hash     uint64
	text     string // "": there is none yet
}

// maxName is how many bytes a name may have. To compare a longer text takes longer than its digest.
const maxName = 1 << 10

// newNames returns a table of so many buckets, a power of two.
func newNames(buckets int) *names {
	return &names{buckets: make([]atomic.Pointer[node], buckets), shift: uint(64 - bits.TrailingZeros(uint(buckets)))}
}

// find returns the node of that name, or nil.
func (t *names) find(hash uint64, text []byte) *node {
	for n := t.buckets[hash>>t.shift].Load(); n != nil; n = n.namesake.Load() {
		if n.hash == hash && n.text == string(text) {
			return n
		}
	}
	return nil
}

// lock locks the bucket of the hash.
func (t *names) lock(hash uint64) *sync.Mutex {
	mu := &t.locks[hash>>t.shift%uint64(len(t.locks))]
	mu.Lock()
	return mu
}

// insert lets the node be found by its name.
func (t *names) insert(n *node) {
	defer t.lock(n.hash).Unlock()
	at := &t.buckets[n.hash>>t.shift]
	n.namesake.Store(at.Load())
	at.Store(n)
}

// remove takes the node out of its bucket. A reader that stands on it goes on to the next one, as in an index.
func (t *names) remove(n *node) {
	defer t.lock(n.hash).Unlock()
	at := &t.buckets[n.hash>>t.shift]
	for ; at.Load() != n; at = &at.Load().namesake {
	}
	at.Store(n.namesake.Load())
}

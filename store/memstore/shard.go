package memstore

import (
	"encoding/binary"
	"math"
	"math/bits"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/internal/trace"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// bite is how many nodes may be dropped under one hold of the lock.
const bite = 64

// itemOverhead is about how many bytes an entry takes here besides its Entry.Size: for its node, its part of the index and of the ghost, and its
// part of a row and of ttlcache's item for that row.
const itemOverhead = 152

// costOf is how many bytes an entry counts for.
func costOf(e *store.Entry) int64 { return e.Size() + itemOverhead }

// A shard is one stretch of the index's buckets, and the order in which their nodes are evicted. Only changes take its lock; readers do not.
type shard struct {
	index    *index
	names    *names
	bounds   *bounds
	gone     *trace.Table // what was dropped; one for all shards
	from, to int          // its groups of buckets
	exact    bool         // it is an exact LRU

	mu          sync.Mutex // guards the fields below, and changes of the index
	closed      bool
	fresh, main queue // newcomers, and nodes that were used again
	ghost       ghost

	_ [64]byte // so that the next shard's lock is on another cache line
}

// init gives the shard its groups of buckets, and space for so many entries.
func (s *shard) init(of *Store, from, to, entries int) {
	s.index, s.names, s.bounds, s.gone, s.exact = &of.index, of.names, of.bounds, of.gone, of.exact
	s.from, s.to = from, to
	length := rowLength
	if s.exact {
		length = 1
	} else {
		s.ghost = newGhost(entries)
	}
	s.fresh, s.main = newQueue(length), newQueue(length)
}

// queueOf returns the queue that the node is in.
func (s *shard) queueOf(n *node) *queue {
	if n.has(inMain) {
		return &s.main
	}
	return &s.fresh
}

// keep stores the entry. It evicts a few others if it must. It returns false if that was not enough: the caller lets others have the lock, and
// tries again. The node of an earlier entry under the key is used again, unless it is evicted on the way.
func (s *shard) keep(e *store.Entry, cost uint32, until, now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return true
	}
	bucket := s.index.at(&e.Key)
	n := s.index.find(bucket, &e.Key)
	if n != nil {
		s.use(n)
		cost += uint32(len(n.text))
	}
	for range bite {
		if n != nil && n.has(isGone) {
			cost -= uint32(len(n.text))
			n = nil
		}
		if s.reserve(n, cost) {
			s.put(bucket, n, e, cost, until)
			return true
		}
		if !s.spares() {
			break
		}
		s.evict(now)
	}
	return false
}

// use notes a use of the node. An exact LRU makes it the latest; a larger store only counts, and looks at the count when it evicts.
func (s *shard) use(n *node) {
	if s.exact {
		s.main.touch(n)
		return
	}
	n.use()
}

// reserve reserves bytes for an entry: for a new node, or for what it takes more than the node's earlier entry.
func (s *shard) reserve(n *node, cost uint32) bool {
	if n == nil {
		return s.bounds.reserve(1, int64(cost))
	}
	return s.bounds.reserve(0, int64(cost)-int64(n.cost))
}

// put stores the entry, whose bytes are reserved. A new node is complete before readers can find it.
func (s *shard) put(bucket uint64, n *node, e *store.Entry, cost uint32, until int64) {
	s.index.expires(bucket, until)
	if n == nil {
		n = newNode(&e.Key, e, cost, until)
		s.admit(n)
		s.index.insert(bucket, n)
		return
	}
	s.queueOf(n).bytes += int64(cost) - int64(n.cost)
	n.cost = cost
	n.keep(e, until)
}

// remember gives the key's node its name. The name's bytes count, so a few nodes may be evicted, and this one may be among them.
func (s *shard) remember(key *keying.Key, hash uint64, text []byte, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.index.find(s.index.at(key), key)
	if n == nil || n.text != "" {
		return
	}
	for range bite {
		if s.bounds.reserve(0, int64(len(text))) {
			s.queueOf(n).bytes += int64(len(text))
			n.cost += uint32(len(text))
			n.hash, n.text = hash, string(text)
			s.names.insert(n)
			return
		}
		if s.evict(now); n.has(isGone) {
			return
		}
	}
}

// spares reports whether the shard may evict something: it has at least half as many entries as the average shard. A shard with fewer would lose
// hot entries, while others have plenty of cold ones.
func (s *shard) spares() bool {
	return 2*int64(s.fresh.n+s.main.n)*s.bounds.shards >= s.bounds.entries.Load()
}

// giveWay evicts a node in favour of another shard.
func (s *shard) giveWay(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.spares() {
		s.evict(now)
	}
}

// forget drops the key's node.
func (s *shard) forget(key *keying.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := s.index.find(s.index.at(key), key); n != nil {
		s.drop(n)
	}
}

// close makes the shard accept nothing from now on.
func (s *shard) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// drop takes a node out of the index, the names and its queue, and gives its bytes back. Readers that have found it before may still return its
// entry, which is immutable. The trace remembers when it would have expired.
func (s *shard) drop(n *node) {
	key := &n.entry.Load().Key
	now := clock()
	s.gone.Note(key, time.Duration(n.until.Load()-now), epoch.Add(time.Duration(now)))
	s.index.remove(s.index.at(key), n)
	if n.text != "" {
		s.names.remove(n)
	}
	s.queueOf(n).drop(n)
	n.bits.Or(isGone)
	s.bounds.reserve(-1, -int64(n.cost))
}

// An index finds nodes by key. It is a hash table with a linked list in each bucket. Each shard has its own stretch of buckets, and its lock guards
// their changes. The table is made once, for as many entries as the bounds allow, and never grows.
//
// Look-ups take no lock and write nothing, so readers on any number of processors do not slow each other down. They follow atomic pointers, and
// writers change one pointer at a time, so that a reader always has a complete list before it:
//
//	insert N in front of A     1. N.next = A             readers still see A → B
//	                           2. bucket = N             readers see N → A → B
//	remove A                   1. N.next = B             readers see N → B; one that stands on A goes on
//	                                                     to B, because A.next stays as it was
//
// A reader that stands on a removed node cannot be misled: nodes are never used again for another key, and the garbage collector frees one only
// when nobody stands on it.
//
// Keys are digests, so a multiplication hashes them well enough. The factor is random, so that nobody can choose keys that fall into one bucket.
type index struct {
	buckets []atomic.Pointer[node]
	factor  uint64
	shift   uint
	due     []int64 // for each group of buckets a time before which no node there expires; guarded by the shard's lock
}

// group is how many buckets share a due time: as many as a cache line has.
const group = 8

// newIndex returns an index for so many entries. Each shard gets at least one group; shards is a power of two.
func newIndex(entries int64, shards int) index {
	n := uint64(max(entries+entries/4, int64(group*shards)))
	x := index{factor: rand.Uint64() | 1, shift: uint(64 - bits.Len64(n-1))}
	x.buckets = make([]atomic.Pointer[node], 1<<(64-x.shift))
	x.due = make([]int64, len(x.buckets)/group)
	for i := range x.due {
		x.due[i] = math.MaxInt64
	}
	return x
}

// at returns the number of the key's bucket.
func (x *index) at(key *keying.Key) uint64 {
	return binary.LittleEndian.Uint64(key[:]) * x.factor >> x.shift
}

// find returns the key's node in the bucket, or nil. The tag spares most look-ups a look at the entry of another key.
func (x *index) find(bucket uint64, key *keying.Key) *node {
	tag := tagOf(key)
	for n := x.buckets[bucket].Load(); n != nil; n = n.next.Load() {
		if n.bits.Load()&tagMask == tag && n.entry.Load().Key == *key {
			return n
		}
	}
	return nil
}

// insert adds a node in front of the bucket's list.
func (x *index) insert(bucket uint64, n *node) {
	n.next.Store(x.buckets[bucket].Load())
	x.buckets[bucket].Store(n)
}

// remove takes the node out of the bucket's list. The node's own next stays as it is.
func (x *index) remove(bucket uint64, n *node) {
	at := &x.buckets[bucket]
	for ; at.Load() != n; at = &at.Load().next {
	}
	at.Store(n.next.Load())
}

// expires notes when a node of the bucket expires, for the sweep.
func (x *index) expires(bucket uint64, until int64) {
	due := &x.due[bucket/group]
	*due = min(*due, until)
}

// A node is the place of one key in the store. A key that is written again has the same node with another entry. Readers find nodes without a
// lock, and may use the atomic fields. The other fields belong to the holder of the shard's lock.
type node struct {
	name  // the text that selects the key, if it has one
	entry atomic.Pointer[store.Entry]
	until atomic.Int64         // the reading of the clock at which the entry expires
	bits  atomic.Uint32        // see below
	cost  uint32               // bytes, with overhead
	next  atomic.Pointer[node] // in the same bucket
	row   *row                 // its place in the order. In an exact LRU it never changes, so readers may use it
}

// A node's bits have three parts. The lowest three are a count of uses. Readers raise it to its maximum and then write it no more, so hits of a hot
// key soon leave its cache line alone. Two bits say where the node is. The others are its tag, a part of its key: most keys that share a bucket
// have different tags.
const (
	maxUses  = 7
	usesMask = 7
	inMain   = 1 << 3 // it is in the main queue; otherwise it is a newcomer
	isGone   = 1 << 4 // it was dropped
	tagMask  = ^uint32(1<<5 - 1)
)

// tagOf is the part of a key that is kept in the bits.
func tagOf(key *keying.Key) uint32 { return binary.LittleEndian.Uint32(key[16:]) & tagMask }

// newNode returns a newcomer that nobody has used.
func newNode(key *keying.Key, e *store.Entry, cost uint32, until int64) *node {
	n := &node{cost: cost}
	n.bits.Store(tagOf(key))
	n.keep(e, until)
	return n
}

// keep replaces the entry. A reader may come between the two writes, without a lock. The order sees to it that it never serves an old entry for
// longer than it may:
//
//	writer                     reader
//	                           1. reads until: the old one, not over yet
//	2. entry = new
//	3. until = new
//	                           4. reads entry: the new one, which is fresh
//
// A reader looks at until first, and a writer writes it last. So a reader that sees the new until sees the new entry, too.
func (n *node) keep(e *store.Entry, until int64) {
	n.entry.Store(e)
	n.until.Store(until)
}

// use counts a use, up to the maximum. If two readers count at once, one of them may fail; the count is an estimate anyway.
func (n *node) use() {
	if b := n.bits.Load(); b&usesMask < maxUses {
		n.bits.CompareAndSwap(b, b+1)
	}
}

// takeUse takes one use away and reports whether there was one.
func (n *node) takeUse() bool {
	if n.bits.Load()&usesMask == 0 {
		return false
	}
	n.bits.Add(^uint32(0))
	return true
}

// has reports whether the bit is set.
func (n *node) has(bit uint32) bool { return n.bits.Load()&bit != 0 }

func (n *node) expired(now int64) bool { return n.until.Load() <= now }

// epoch is where this package's clock starts. The clock counts nanoseconds, and the system's clock cannot set it back.
var epoch = time.Now()

// at is the reading of the clock at a time.
func at(now time.Time) int64 { return int64(now.Sub(epoch)) }

// clock is the reading of the clock now.
func clock() int64 { return at(time.Now()) }

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

// maxDrops is how many nodes one hold of the lock may drop: others wait for it, so the rest is left to the next attempt, see Store.keep.
const maxDrops = 64

// itemOverhead is about what an entry costs here beside its Entry.Size: its node, its part of the index and of the ghost, and
// its part of a row and of ttlcache's item for the row.
const itemOverhead = 152

// costOf returns the bytes that the entry counts as.
func costOf(e *store.Entry) int64 { return e.Size() + itemOverhead }

// A shard is one stretch of the index, and the queues of the nodes in it. Its lock is for changes; readers do without.
// So two requests that store different keys rarely wait for each other, and readers wait for nobody.
type shard struct {
	index    *index
	names    *names
	bounds   *bounds
	dropped  *trace.Table // of all shards
	from, to int          // its groups of buckets
	exact    bool         // it is an exact LRU

	mu          sync.Mutex // guards what follows and the changes of the index
	closed      bool
	small, main queue
	ghost       ghost

	_ [64]byte // keeps the next shard's lock on another cache line
}

// init makes the shard one of the Store's, for that many entries and for the groups of buckets from from up to to.
func (s *shard) init(of *Store, from, to, entries int) {
	s.index, s.names, s.bounds, s.dropped, s.exact = &of.index, of.names, of.bounds, of.dropped, of.exact
	s.from, s.to = from, to
	length := rowLength
	if s.exact {
		length = 1
	} else {
		s.ghost = newGhost(entries)
	}
	s.small, s.main = newQueue(length), newQueue(length)
}

// queueOf returns the queue that the node is in.
func (s *shard) queueOf(n *node) *queue {
	if n.has(inMain) {
		return &s.main
	}
	return &s.small
}

// keep stores the entry, and reports whether it could: there was room, or dropping a few others has made some. That may drop
// the very node that is to be overwritten; then the entry gets a new one.
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
	for range maxDrops {
		if n != nil && n.has(isGone) {
			cost -= uint32(len(n.text))
			n = nil
		}
		if s.reserve(n, cost) {
			s.put(bucket, n, e, cost, until)
			return true
		}
		if !s.canSpare() {
			break
		}
		s.evict(now)
	}
	return false
}

// use marks the node as used.
func (s *shard) use(n *node) {
	if s.exact {
		s.main.touch(n)
		return
	}
	n.use()
}

// reserve counts the entry, if there is room: as a new one, or the difference to the one before.
func (s *shard) reserve(n *node, cost uint32) bool {
	if n == nil {
		return s.bounds.reserve(1, int64(cost))
	}
	return s.bounds.reserve(0, int64(cost)-int64(n.cost))
}

// put stores the entry, for which there is room, in the key's node. Readers find a new node only once it is complete.
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

// remember gives the key's node its name. If there is no room for that, a few others are dropped, perhaps the node itself.
func (s *shard) remember(key *keying.Key, hash uint64, text []byte, now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.index.find(s.index.at(key), key)
	if n == nil || n.text != "" {
		return
	}
	for range maxDrops {
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

// canSpare reports whether the shard has at least half as many entries as the average shard. One with fewer does not drop its own
// for new ones while others are full: the bounds are for all shards together, and keys need not be spread evenly.
func (s *shard) canSpare() bool {
	return 2*int64(s.small.n+s.main.n)*s.bounds.shards >= s.bounds.entries.Load()
}

// dropForOthers drops a node, because another shard needs the room.
func (s *shard) dropForOthers(now int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.canSpare() {
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

// close makes the shard discard what it is given from now on.
func (s *shard) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// drop takes a node out of everything, and remembers its key, and until when the entry was to be stored. A reader that has found
// the node before may still return its entry. The lock is held.
func (s *shard) drop(n *node) {
	key := &n.entry.Load().Key
	now := clock()
	s.dropped.Note(key, time.Duration(n.until.Load()-now), epoch.Add(time.Duration(now)))
	s.index.remove(s.index.at(key), n)
	if n.text != "" {
		s.names.remove(n)
	}
	s.queueOf(n).drop(n)
	n.bits.Or(isGone)
	s.bounds.reserve(-1, -int64(n.cost))
}

// An index finds nodes by key, without a lock and without writing anything. It is a table of buckets, each a linked list. The table
// is allocated once, for as many entries as the bounds allow, and never rebuilt. Each shard has its own stretch of buckets, and its
// lock guards the changes there.
//
// Keys are digests, so a multiplication is all the hashing that they need. The factor is secret: nobody can make up keys that all
// land in one bucket.
type index struct {
	buckets []atomic.Pointer[node]
	factor  uint64
	shift   uint
	due     []int64 // for each group of buckets: no node there expires sooner; guarded by the shard's lock
}

// group is how many buckets share one due time: one cache line of them.
const group = 8

// newIndex returns an index for that many entries, with at least one group for each shard; the number of shards is a power of two.
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

// find returns the key's node in the bucket, or nil.
func (x *index) find(bucket uint64, key *keying.Key) *node {
	tag := tagOf(key)
	for n := x.buckets[bucket].Load(); n != nil; n = n.next.Load() {
		if n.bits.Load()&tagMask == tag && n.entry.Load().Key == *key {
			return n
		}
	}
	return nil
}

// insert adds a node at the front: a reader on its way through the bucket misses nothing that was there before.
func (x *index) insert(bucket uint64, n *node) {
	n.next.Store(x.buckets[bucket].Load())
	x.buckets[bucket].Store(n)
}

// remove takes the node out. The node keeps its next, for readers that are at it just now:
//
//	remove of B in A → B → C        find of C
//	                                is at B
//	A → C
//	                                goes on from B to C
func (x *index) remove(bucket uint64, n *node) {
	at := &x.buckets[bucket]
	for ; at.Load() != n; at = &at.Load().next {
	}
	at.Store(n.next.Load())
}

// expires records that a node of the bucket expires at that time.
func (x *index) expires(bucket uint64, until int64) {
	due := &x.due[bucket/group]
	*due = min(*due, until)
}

// A node is one key's place in the store. Readers find it without a lock; the holder of its shard's lock may change it. An entry that
// replaces another takes over its node, and its place in the queue.
type node struct {
	name  // the text that selects it, once it is known
	entry atomic.Pointer[store.Entry]
	until atomic.Int64         // the clock's reading at which the entry has expired
	bits  atomic.Uint32        // see below
	cost  uint32               // bytes, overhead included; for the holder of the lock
	next  atomic.Pointer[node] // in the same bucket
	row   *row                 // its place in the queue; for the holder of the lock, except in an exact LRU
}

// The bits of a node: a count of uses, the queue that it is in, and a tag. Readers raise the count up to its maximum and no
// further. So the hits of a hot key write nothing, and processors do not take the node's cache line from each other. The tag is a
// part of the key: it tells most nodes of a bucket apart without a look at their entries.
const (
	maxUses  = 7
	usesMask = 7
	inMain   = 1 << 3 // otherwise it is in small
	isGone   = 1 << 4 // it was dropped
	tagMask  = ^uint32(1<<5 - 1)
)

// tagOf uses another part of the key than the index and the ghost do.
func tagOf(key *keying.Key) uint32 { return binary.LittleEndian.Uint32(key[16:]) & tagMask }

// newNode returns a node that is in no queue and no bucket yet.
func newNode(key *keying.Key, e *store.Entry, cost uint32, until int64) *node {
	n := &node{cost: cost}
	n.bits.Store(tagOf(key))
	n.keep(e, until)
	return n
}

// keep stores the entry first and its expiry second. Readers, who have no lock, read the expiry first. So they may see
//
//	the old expiry with the new entry: a hit on a good entry, or a needless miss
//
// but never the new expiry with the old entry, which may have expired:
//
//	keep                      Peek
//	stores the entry
//	stores the expiry
//	                          reads the expiry: the new one
//	                          reads the entry: it was stored before, so it is the new one
func (n *node) keep(e *store.Entry, until int64) {
	n.entry.Store(e)
	n.until.Store(until)
}

// use counts a use. Of two concurrent uses one may go uncounted: the order is not worth a retry.
func (n *node) use() {
	if b := n.bits.Load(); b&usesMask < maxUses {
		n.bits.CompareAndSwap(b, b+1)
	}
}

// spendUse takes one use away, and reports whether there was one.
func (n *node) spendUse() bool {
	if n.bits.Load()&usesMask == 0 {
		return false
	}
	n.bits.Add(^uint32(0))
	return true
}

// has reports whether one of the bits is set.
func (n *node) has(bit uint32) bool { return n.bits.Load()&bit != 0 }

// expired reports whether the entry may no longer be served.
func (n *node) expired(now int64) bool { return n.until.Load() <= now }

// epoch is where this package's clock starts.
var epoch = time.Now()

// at returns the clock's reading at that time.
func at(now time.Time) int64 { return int64(now.Sub(epoch)) }

// clock returns the clock's reading now: nanoseconds, which take a third of the memory of a time.Time.
func clock() int64 { return at(time.Now()) }

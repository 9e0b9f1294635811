package memstore

import (
	"encoding/binary"
	"math"
	"math/bits"
	"math/rand/v2"
	"sync/atomic"

	"github.com/larder-go/cache/keying"
)

// An index finds nodes by key, without a lock and without writing anything. It is a table of buckets, made once for as
// many entries as the bounds allow and never rebuilt. Keys are digests: a multiplication is all the hashing that they
// need, by a secret number, so that nobody can make up keys that meet in one bucket. Each shard has its own stretch of
// buckets, of which its lock guards the changes.
type index struct {
	buckets []atomic.Pointer[node]
	factor  uint64
	shift   uint
	due     []int64 // per group of buckets: no node there expires sooner; guarded by the shard's lock
}

// group is how many buckets share one due time: a cache line of them.
const group = 8

// newIndex returns an index for so many entries, with at least a group for each of the shards, a power of two.
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

// insert adds a node at the front: readers on their way through the bucket miss nothing that was there before.
func (x *index) insert(bucket uint64, n *node) {
	n.next.Store(x.buckets[bucket].Load())
	x.buckets[bucket].Store(n)
}

// remove takes the node out. It keeps its own next: readers who stand on it find their way on.
func (x *index) remove(bucket uint64, n *node) {
	at := &x.buckets[bucket]
	for ; at.Load() != n; at = &at.Load().next {
	}
	at.Store(n.next.Load())
}

// expires notes that a node of the bucket expires then.
func (x *index) expires(bucket uint64, until int64) {
	due := &x.due[bucket/group]
	*due = min(*due, until)
}

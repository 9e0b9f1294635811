package memstore

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// A node is one key's place in the store. It is found without a lock; whoever holds its shard's lock changes it. An entry
// that is overwritten keeps its node.
type node struct {
	name  // the text that selects it, once it is known
	entry atomic.Pointer[store.Entry]
	until atomic.Int64         // the clock's reading at which the entry has expired
	bits  atomic.Uint32        // see below
	cost  uint32               // bytes, overhead included; for the holder of the lock
	next  atomic.Pointer[node] // in the same bucket
	row   *row                 // its place in the order; for the holder of the lock, unless its row is its own
}

// The bits of a node: a count of uses, which readers raise up to its maximum and no further, so that a hot key's hits
// soon write nothing; where it stands in the order; and a tag, the part of its key that tells it from most neighbours.
const (
	maxUses  = 7
	usesMask = 7
	inMain   = 1 << 3 // asked for twice; otherwise it is a newcomer
	isGone   = 1 << 4 // the store has let go of it
	tagMask  = ^uint32(1<<5 - 1)
)

func tagOf(key *keying.Key) uint32 { return binary.LittleEndian.Uint32(key[16:]) & tagMask }

func newNode(key *keying.Key, e *store.Entry, cost uint32, until int64) *node {
	n := &node{cost: cost}
	n.bits.Store(tagOf(key))
	n.keep(e, until)
	return n
}

// keep stores the entry first and its expiry second, and readers look in the other order: an old expiry may go with a
// newer entry, which is not old yet, but never a new expiry with an older entry.
func (n *node) keep(e *store.Entry, until int64) {
	n.entry.Store(e)
	n.until.Store(until)
}

// use counts a use. Of two at the same time one may go uncounted.
func (n *node) use() {
	if b := n.bits.Load(); b&usesMask < maxUses {
		n.bits.CompareAndSwap(b, b+1)
	}
}

// forgive takes one use away and reports whether there was one.
func (n *node) forgive() bool {
	if n.bits.Load()&usesMask == 0 {
		return false
	}
	n.bits.Add(^uint32(0))
	return true
}

func (n *node) has(bit uint32) bool    { return n.bits.Load()&bit != 0 }
func (n *node) expired(now int64) bool { return n.until.Load() <= now }

// epoch is where the clock of this package starts.
var epoch = time.Now()

// at is the clock's reading at that time.
func at(now time.Time) int64 { return int64(now.Sub(epoch)) }

func clock() int64 { return at(time.Now()) }

package memstore

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// names finds nodes by the text that selects them, as an index does by key: without a lock and without writing. An
// entry comes without a name; it gets one when it was first found by its key. A table of names is made once, like the
// index, but in stretches of its own: where a text leads has nothing to do with its key's shard.
type names struct {
	buckets []atomic.Pointer[name]
	shift   uint
	locks   [64]sync.Mutex // guard the changes of every 64th bucket; taken with a shard's lock held
}

// A name is a node's text. It lasts as long as the node.
type name struct {
	next atomic.Pointer[name]
	hash uint64
	node *node
	text string
}

const (
	maxName = 1 << 10 // bytes; what is longer costs more than the digest that it spares

	nameOverhead = 64 // of a name beside its text
)

// cost is what the name takes; none takes nothing.
func (n *name) cost() uint32 {
	if n == nil {
		return 0
	}
	return uint32(nameOverhead + len(n.text))
}

func newNames(buckets int) *names {
	return &names{buckets: make([]atomic.Pointer[name], buckets), shift: uint(64 - bits.TrailingZeros(uint(buckets)))}
}

// find returns the node of that name, or nil.
func (t *names) find(hash uint64, text []byte) *node {
	for n := t.buckets[hash>>t.shift].Load(); n != nil; n = n.next.Load() {
		if n.hash == hash && n.text == string(text) {
			return n.node
		}
	}
	return nil
}

func (t *names) lock(hash uint64) *sync.Mutex {
	mu := &t.locks[hash>>t.shift%uint64(len(t.locks))]
	mu.Lock()
	return mu
}

// insert adds a name, at the front.
func (t *names) insert(n *name) {
	defer t.lock(n.hash).Unlock()
	at := &t.buckets[n.hash>>t.shift]
	n.next.Store(at.Load())
	at.Store(n)
}

// remove takes the name out. It keeps its own next: readers who stand on it find their way on.
func (t *names) remove(n *name) {
	defer t.lock(n.hash).Unlock()
	at := &t.buckets[n.hash>>t.shift]
	for ; at.Load() != n; at = &at.Load().next {
	}
	at.Store(n.next.Load())
}

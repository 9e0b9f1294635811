package memstore

import (
	"math/bits"
	"sync"
	"sync/atomic"
)

// names finds nodes by the text that selects them, as an index does by key: without a lock and without writing. A node
// comes without a name; it gets one when it was first found by its key, which it has for as long as it is there. The table is
// made once, like the index, but where a text leads has nothing to do with its key's shard.
type names struct {
	buckets []atomic.Pointer[node]
	shift   uint
	locks   [64]sync.Mutex // guard the changes of every 64th bucket; taken with a shard's lock held
}

// A name is a node's text. It is written before the node is found by it, and does not change.
type name struct {
	namesake atomic.Pointer[node] // the next in the same bucket
	hash     uint64
	text     string // "": there is none yet
}

// maxName is how many bytes a name may have: what is longer costs more than the digest that it spares.
const maxName = 1 << 10

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

// remove takes the node out. It keeps what comes next: readers who stand on it find their way on.
func (t *names) remove(n *node) {
	defer t.lock(n.hash).Unlock()
	at := &t.buckets[n.hash>>t.shift]
	for ; at.Load() != n; at = &at.Load().namesake {
	}
	at.Store(n.namesake.Load())
}

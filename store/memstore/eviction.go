package memstore

import (
	"encoding/binary"
	"math"
	"runtime"
	"time"

	"github.com/jellydator/ttlcache/v3"
	"github.com/larder-go/cache/keying"
)

// Which node is evicted when the store is full.
//
// Most keys of a web site are asked for once, by a crawler for example. They must not push out those that are asked for again and again. So each
// shard has two queues and a memory of keys, after "FIFO Queues Are All You Need for Cache Eviction" (Yang et al., SOSP 2023):
//
//	            not used: evicted, its key is remembered
//	new ──▶ fresh ───────────────────────────────────────▶ ghost
//	          │                                              │
//	          │ used                                         │ the key comes back
//	          ▼                                              │
//	        main ◀───────────────────────────────────────────┘
//	          │ ▲
//	          │ └── used since the last look: a second chance, at the end of the queue again
//	          ▼
//	        evicted
//
//   - Admission. A new node comes into the fresh queue, which may take a tenth of the shard. Beyond that, its oldest node goes: to main if it was
//     used meanwhile, and out if it was not.
//   - Ghost. The keys of nodes that left unused are remembered, without their entries. If one comes back soon, it was evicted too early: it goes
//     straight to main.
//   - Second chance. main is a queue, too. Its oldest node is evicted if nobody has used it since the last look. Otherwise it pays with one use
//     and goes to the end. So a node with seven uses stays for seven rounds.
//
// A scan of keys that nobody asks for again passes through a tenth of the store and leaves the rest alone. A hit moves nothing: it only counts,
// which is why it needs no lock. While there is space, nothing is evicted.
//
// A small store is an exact LRU. It has the main queue only, and each use makes a node the latest.

const (
	newcomers = 10 // one in so many nodes, or bytes, may be of newcomers
	patience  = 16 // how many nodes a search for a victim may pass over
)

// admit gives a new node its place. Then it moves up to two used newcomers to the main queue, if there are too many newcomers, even while there is
// space. So, when the store is full, few of them stand in the way of a search for a victim.
func (s *shard) admit(n *node) {
	if s.exact || s.ghost.take(&n.entry.Load().Key, s.fresh.n+s.main.n) {
		n.bits.Or(inMain)
	}
	s.queueOf(n).push(n)
	for range 2 {
		if last := s.fresh.last(); last != nil && last != n && last.has(usesMask) && s.crowded() {
			s.promote(last)
		}
	}
}

// evict drops one node, if there is one. It looks at no more than patience nodes. If all of those were used, it drops the next one, used or not:
// a Set must not take longer the hotter the store is.
func (s *shard) evict(now int64) {
	for range patience {
		q := s.pressed()
		n := q.last()
		switch {
		case n == nil:
			return
		case n.expired(now) || s.exact:
			s.drop(n)
			return
		case q == &s.main:
			if !n.takeUse() {
				s.drop(n)
				return
			}
			q.renew(n)
		case n.has(usesMask):
			s.promote(n)
		default:
			s.ghost.add(&n.entry.Load().Key)
			s.drop(n)
			return
		}
	}
	s.drop(s.pressed().last())
}

// crowded reports whether newcomers take more than their part, of the nodes or of the bytes.
func (s *shard) crowded() bool {
	n, bytes := s.fresh.n+s.main.n, s.fresh.bytes+s.main.bytes
	return s.fresh.n*newcomers > n || s.fresh.bytes*newcomers > bytes
}

// pressed returns the queue that must give something up.
func (s *shard) pressed() *queue {
	if s.main.n == 0 || s.crowded() {
		return &s.fresh
	}
	return &s.main
}

// promote moves a newcomer to the main queue. Its uses are spent by that.
func (s *shard) promote(n *node) {
	s.fresh.drop(n)
	n.bits.And(^uint32(usesMask))
	n.bits.Or(inMain)
	s.main.push(n)
}

// A ghost remembers the keys of newcomers that were evicted unused, until about as many others were evicted. It is a hash table of sets of four
// fingerprints, four to eight bytes for each key. Two keys may have one fingerprint: then a newcomer gets into main by chance, which does little
// harm. Its age is counted in steps, so that it fits into two bytes: one step is a 256th of its size. The shard's lock guards it.
type ghost struct {
	sets   [][ghostWays]ghostMark
	memory uint16 // how many steps old a mark may be
	step   uint32 // how many keys make a step
	count  uint32 // keys that were added, and an offset
}

// ghostWays is how many marks a set has.
const ghostWays = 4

// A ghostMark is a fingerprint and the step at which it was added. The zero mark is too old to count.
type ghostMark struct{ print, at uint16 }

// newGhost returns a ghost that remembers about so many keys.
func newGhost(keys int) ghost {
	sets := 1
	for sets*ghostWays < keys {
		sets *= 2
	}
	g := ghost{sets: make([][ghostWays]ghostMark, sets), step: uint32(max(1, keys/256))}
	g.memory = uint16(max(1, uint32(keys)/g.step))
	g.count = g.step * (2 + uint32(g.memory)) // a mark that is zero is too old
	return g
}

// at returns the key's set and fingerprint. They are made of other parts of the key than its bucket, or keys of one bucket would share a set.
func (g *ghost) at(key *keying.Key) (set *[ghostWays]ghostMark, print uint16) {
	h := binary.LittleEndian.Uint64(key[24:])
	return &g.sets[(h>>16)&uint64(len(g.sets)-1)], uint16(h)
}

// now is the current step. It overflows, and ages stay right.
func (g *ghost) now() uint16 { return uint16(g.count / g.step) }

// age is how many steps ago the mark was added.
func (g *ghost) age(m ghostMark) uint16 { return g.now() - m.at }

// add remembers the key in place of the oldest mark of its set.
func (g *ghost) add(key *keying.Key) {
	g.count++
	set, print := g.at(key)
	oldest := 0
	for i := range set {
		if g.age(set[i]) > g.age(set[oldest]) {
			oldest = i
		}
	}
	set[oldest] = ghostMark{print, g.now()}
}

// take reports whether the key is among about last keys that were added last, and forgets it. The caller's number is how many nodes it has: a key
// that was away for longer than that would not have stayed anyway.
func (g *ghost) take(key *keying.Key, last int) bool {
	memory := min(g.memory, uint16(min(uint32(last)/g.step, math.MaxUint16)))
	set, print := g.at(key)
	for i, m := range set {
		if m.print == print && g.age(m) <= memory {
			set[i].at = g.now() - g.memory - 1
			return true
		}
	}
	return false
}

// A queue is an order of nodes, with their number and bytes. The shard's lock guards it.
//
// ttlcache has the order. An item of ttlcache costs more than a node, in time and in memory. So its items are rows of up to 31 nodes that came one
// after another: the cost of an item is shared by a row. In an exact LRU each row has one node, because each node moves by itself. ttlcache has
// neither bounds nor expiry here: if it dropped something by itself, the index would still have it.
type queue struct {
	order  *ttlcache.Cache[*row, struct{}]
	length int  // nodes in a row
	newest *row // where the next node goes; nil: a new row
	oldest *row // nil: look it up
	n      int
	bytes  int64
}

// rowLength makes a row 256 bytes, a size that the allocator does not round up.
const rowLength = 31

// A row is some nodes in the order in which they came. A node that was taken out leaves a hole.
type row struct {
	nodes     [rowLength]*node
	end, left uint8 // places that were used, and nodes that are still there
}

// newQueue returns an empty queue of rows of that length.
func newQueue(length int) queue {
	return queue{order: ttlcache.New[*row, struct{}](), length: length}
}

// push adds the node at the end.
func (q *queue) push(n *node) {
	r := q.newest
	if r == nil || int(r.end) == q.length {
		r = new(row)
		q.order.Set(r, struct{}{}, ttlcache.NoTTL)
		q.newest = r
	}
	r.nodes[r.end], n.row = n, r
	r.end++
	r.left++
	q.n++
	q.bytes += int64(n.cost)
}

// drop takes the node out. A row without nodes is dropped, too.
func (q *queue) drop(n *node) {
	r := n.row
	for i := range r.nodes {
		if r.nodes[i] == n {
			r.nodes[i] = nil
			break
		}
	}
	q.n--
	q.bytes -= int64(n.cost)
	if r.left--; r.left > 0 {
		return
	}
	q.order.Delete(r)
	if q.newest == r {
		q.newest = nil
	}
	if q.oldest == r {
		q.oldest = nil
	}
}

// renew moves the node to the end.
func (q *queue) renew(n *node) {
	q.drop(n)
	q.push(n)
}

// touch moves the node of an exact LRU to the end. It needs no lock, because ttlcache has one of its own, and a node's row does not change. If the
// node was dropped meanwhile, it does nothing.
func (q *queue) touch(n *node) { q.order.Touch(n.row) }

// last returns the node at the front, which has been there longest, or nil.
func (q *queue) last() *node {
	if q.n == 0 {
		return nil
	}
	r := q.oldest
	if r == nil {
		q.order.RangeBackwards(func(i *ttlcache.Item[*row, struct{}]) bool {
			r = i.Key()
			return false
		})
	}
	if q.length > 1 { // touch reorders rows of one node, so another one is the oldest the next time
		q.oldest = r
	}
	for _, n := range r.nodes {
		if n != nil {
			return n
		}
	}
	return nil
}

const (
	// sweepEvery is how long an expired entry may stay in memory if nobody asks for it.
	sweepEvery = time.Second
	// stride is how much work is done under one hold of a lock. To look at a due time counts as one, to sweep a group as dueCost.
	stride, dueCost = 1024, 64
)

// arm makes sure that a sweep will come. It starts a timer rather than a goroutine: if a Store is dropped without Close, its last timer ends when
// its last entry has expired, and then nothing of it is left.
func (s *Store) arm() {
	if s.armed.Load() || !s.armed.CompareAndSwap(false, true) {
		return
	}
	s.timerMu.Lock()
	defer s.timerMu.Unlock()
	if !s.closed.Load() {
		s.timer = time.AfterFunc(sweepEvery, s.sweep)
	}
}

// sweep drops what has expired. It disarms first. Otherwise an entry could be set just after the sweep has passed its group, see that a timer is
// armed, and stay for ever.
func (s *Store) sweep() {
	s.armed.Store(false)
	s.dropExpired(clock())
	if s.bounds.entries.Load() > 0 {
		s.arm()
	}
}

// dropExpired drops what has expired by a reading of the clock. It gives the lock up often, so that nobody waits for long.
func (s *Store) dropExpired(now int64) {
	for i := range s.shards {
		c := &s.shards[i]
		for at := c.from; at < c.to; {
			if at = c.sweep(at, now); at < c.to {
				runtime.Gosched()
			}
		}
	}
}

// sweep drops what has expired in some groups of buckets, from the group at on. It returns the group at which it stopped.
func (s *shard) sweep(at int, now int64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for work := 0; at < s.to && work < stride; at++ {
		work++
		if s.index.due[at] <= now {
			work += dueCost
			s.reap(at, now)
		}
	}
	return at
}

// reap drops what has expired in a group, and notes when the next of its nodes will.
func (s *shard) reap(at int, now int64) {
	due := int64(math.MaxInt64)
	for i := range group {
		for n := s.index.buckets[at*group+i].Load(); n != nil; n = n.next.Load() {
			if n.expired(now) {
				s.drop(n)
			} else {
				due = min(due, n.until.Load())
			}
		}
	}
	s.index.due[at] = due
}

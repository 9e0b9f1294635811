package memstore

import (
	"encoding/binary"
	"math"
	"runtime"
	"time"

	"github.com/jellydator/ttlcache/v3"
	"github.com/larder-go/cache/keying"
)

// Eviction is S3-FIFO (Yang et al.: FIFO Queues Are All You Need for Cache Eviction, SOSP 2023). While there is room nothing is
// evicted. Once the store is full, entries requested once go before entries requested twice. A shard has two queues and a
// list of keys:
//
//   - small: new nodes, a tenth of the shard. Its oldest node is dropped, unless it was used in the meantime; then it moves to main.
//   - main: nodes that were used again. A use is a counter on the node, and readers change nothing else. The oldest node that has
//     no uses left is dropped; one that has some loses one and becomes the newest.
//   - ghost: the keys that small has dropped. One that comes back goes to main at once.
//
// Say 100 nodes have room, and a crawler requests 1,000 pages once each, while users request the same 80 again and again:
//
//	the 80 pages     are in main; small has more than its share, so no search for a victim gets to them
//	the 1,000 pages  go through small one after another, and push out one another
//
// So the scan takes the room that is left and costs the users nothing. In an LRU a fast crawler would push all 80 out. A small
// store is an exact LRU all the same, because a tenth of a few entries is none: it has main only, and each use reorders it.

const (
	smallShare = 10 // one part in so many is small's
	maxSkips   = 16 // how many used nodes a search for a victim passes over
)

// admit puts a new node into a queue. It also moves up to two old nodes that were used from a crowded small to main, even while
// there is room. Otherwise they would gather, and one search for a victim would have to move them all.
func (s *shard) admit(n *node) {
	if s.exact || s.ghost.take(&n.entry.Load().Key, s.small.n+s.main.n) {
		n.bits.Or(inMain)
	}
	s.queueOf(n).push(n)
	for range 2 {
		if last := s.small.last(); last != nil && last != n && last.has(usesMask) && s.crowded() {
			s.promote(last)
		}
	}
}

// evict drops one node, if there is one. It looks at a bounded number of nodes, because others wait for the lock: if all of them
// were used, it drops one of those.
func (s *shard) evict(now int64) {
	for range maxSkips {
		q := s.overfull()
		n := q.last()
		switch {
		case n == nil:
			return
		case n.expired(now) || s.exact:
			s.drop(n)
			return
		case q == &s.main:
			if !n.spendUse() {
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
	s.drop(s.overfull().last())
}

// crowded reports whether small has more than its share, of nodes or of bytes.
func (s *shard) crowded() bool {
	n, bytes := s.small.n+s.main.n, s.small.bytes+s.main.bytes
	return s.small.n*smallShare > n || s.small.bytes*smallShare > bytes
}

// overfull returns the queue to drop a node from.
func (s *shard) overfull() *queue {
	if s.main.n == 0 || s.crowded() {
		return &s.small
	}
	return &s.main
}

// promote moves a node that was used from small to main. Its count of uses restarts: to stay, it must be used there.
func (s *shard) promote(n *node) {
	s.small.drop(n)
	n.bits.And(^uint32(usesMask))
	n.bits.Or(inMain)
	s.main.push(n)
}

// A ghost remembers the keys that small has dropped, until about as many others were dropped as the shard has nodes. It stores a
// fingerprint of 16 bits, so a key may be taken for another: that gives a wrong node a place in main, no more. It takes four to
// eight bytes for each of the keys that it was made for. It is guarded by its shard's lock.
type ghost struct {
	sets   [][ghostWays]ghostMark
	memory uint16 // how many ticks a mark lasts
	step   uint32 // how many dropped keys one tick of the clock takes
	count  uint32
}

// ghostWays is how many fingerprints share a set of the table.
const ghostWays = 4

// A ghostMark is a fingerprint and the tick at which it came; zero is none.
type ghostMark struct{ fingerprint, at uint16 }

// newGhost returns a ghost for that many keys. Its clock has 16 bits, so one tick stands for many keys.
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

// at uses other parts of the key than the index does.
func (g *ghost) at(key *keying.Key) (set *[ghostWays]ghostMark, fingerprint uint16) {
	h := binary.LittleEndian.Uint64(key[24:])
	return &g.sets[(h>>16)&uint64(len(g.sets)-1)], uint16(h)
}

// now is the time, in ticks; keys that are dropped move it on. It wraps around.
func (g *ghost) now() uint16 { return uint16(g.count / g.step) }

// age is how many ticks ago the mark was made.
func (g *ghost) age(m ghostMark) uint16 { return g.now() - m.at }

// add remembers the key in place of the oldest of its set.
func (g *ghost) add(key *keying.Key) {
	g.count++
	set, fingerprint := g.at(key)
	oldest := 0
	for i := range set {
		if g.age(set[i]) > g.age(set[oldest]) {
			oldest = i
		}
	}
	set[oldest] = ghostMark{fingerprint, g.now()}
}

// take reports whether the key was one of about the last so many that were dropped, and forgets it: it is back.
func (g *ghost) take(key *keying.Key, last int) bool {
	memory := min(g.memory, uint16(min(uint32(last)/g.step, math.MaxUint16)))
	set, fingerprint := g.at(key)
	for i, m := range set {
		if m.fingerprint == fingerprint && g.age(m) <= memory {
			set[i].at = g.now() - g.memory - 1
			return true
		}
	}
	return false
}

// A queue is an order of nodes, with their number and their cost. It is guarded by its shard's lock.
//
// ttlcache holds the order, by row: nodes that came one after another are in one item of it, so that a row of them shares the time
// and the memory that an item costs. In an exact LRU each node has a row of its own. ttlcache is given neither an
// expiry nor bounds: it would drop what the index still has.
type queue struct {
	order  *ttlcache.Cache[*row, struct{}]
	length int // of a row
	newest *row
	oldest *row // nil: not known
	n      int
	bytes  int64
}

// rowLength is chosen so that a row with its two counters has a size that the allocator uses.
const rowLength = 31

// A row is a number of nodes in the order in which they came, without those that were taken out.
type row struct {
	nodes     [rowLength]*node
	end, left uint8
}

// newQueue returns an empty queue of rows of that length.
func newQueue(length int) queue {
	return queue{order: ttlcache.New[*row, struct{}](), length: length}
}

// push adds the node as the newest.
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

// drop takes the node out.
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

// renew makes the node the newest.
func (q *queue) renew(n *node) {
	q.drop(n)
	q.push(n)
}

// touch makes the node of an exact LRU the newest. It changes nothing if the node is no longer there, and needs no
// lock.
func (q *queue) touch(n *node) { q.order.Touch(n.row) }

// last returns the node that has been there longest, or nil.
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
	if q.length > 1 { // touch reorders rows of one, so the oldest may be another one by now
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
	// sweepEvery is how long an expired entry that nobody requests may take up memory.
	sweepEvery = time.Second
	// stride is how many due times are checked under one hold of a lock; each that has come counts as dueCost more.
	stride, dueCost = 1024, 64
)

// arm schedules a sweep, unless one is scheduled. It is a timer, not a goroutine: a Store that is forgotten without Close stops by
// itself when its last entry has expired.
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

// sweep drops expired entries. It disarms first, or this could happen:
//
//	sweep                               Set
//	finds no entry left
//	                                    stores an entry; the timer is still armed, so it does nothing
//	disarms, and does not arm again:
//	the entry stays when it has expired
func (s *Store) sweep() {
	s.armed.Store(false)
	s.dropExpired(clock())
	if s.bounds.entries.Load() > 0 {
		s.arm()
	}
}

// dropExpired drops what has expired by then, a few nodes at a time, so that nobody waits for long.
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

// sweep drops what has expired in the groups of buckets from at on. It returns where it stopped: it releases the lock after a
// bounded amount of work.
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

// reap drops what has expired from a group and records when the group's next node will expire.
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

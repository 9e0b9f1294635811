package memstore

import (
	"encoding/binary"
	"math"
	"runtime"
	"time"

	"github.com/jellydator/ttlcache/v3"
	"github.com/larder-go/cache/keying"
)

// While there is room everything is kept. Once there is none, what was asked for once makes room for what was asked for
// twice: newcomers stand in a queue of their own and push out one another as soon as they take more than a tenth; one
// that was used meanwhile moves to the main queue, and so does one that comes back while the ghost remembers it. In the main
// queue each use since the last visit earns one more round (CLOCK). So a scan passes through a tenth of the store and
// leaves the rest alone (Yang et al.: FIFO Queues Are All You Need for Cache Eviction, SOSP 2023). A store that is an
// exact LRU has the main queue only, which each use reorders.

const (
	newcomers = 10 // one part in so many is for newcomers
	patience  = 16 // how many nodes a search for a victim passes over
)

// admit gives a new node its place in the order, and newcomers that wait for theirs in the main queue, even while
// there is room: two for each, so that no search for a victim has to pass over many.
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

// evict drops one node, if there is one. It looks at a bounded number of them: where all were used it settles for one
// that was.
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
			if !n.forgive() {
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

// crowded reports whether newcomers take more than their part.
func (s *shard) crowded() bool {
	n, bytes := s.fresh.n+s.main.n, s.fresh.bytes+s.main.bytes
	return s.fresh.n*newcomers > n || s.fresh.bytes*newcomers > bytes
}

// pressed returns the queue that has to give something up.
func (s *shard) pressed() *queue {
	if s.main.n == 0 || s.crowded() {
		return &s.fresh
	}
	return &s.main
}

// promote moves a newcomer that was used to the main queue, where its uses start anew.
func (s *shard) promote(n *node) {
	s.fresh.drop(n)
	n.bits.And(^uint32(usesMask))
	n.bits.Or(inMain)
	s.main.push(n)
}

// A ghost remembers the keys of newcomers that were dropped unasked, by fingerprint, until so many others were dropped. It
// takes four to eight bytes for each of the keys that it was made for. It is guarded by its shard's lock.
type ghost struct {
	sets   [][ghostWays]ghostMark
	memory uint16 // in steps
	step   uint32 // how many keys one tick of the clock takes
	count  uint32
}

const ghostWays = 4

// A ghostMark is a fingerprint and the step at which it came; zero is none.
type ghostMark struct{ print, at uint16 }

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

// at takes other parts of the key than the index does.
func (g *ghost) at(key *keying.Key) (set *[ghostWays]ghostMark, print uint16) {
	h := binary.LittleEndian.Uint64(key[24:])
	return &g.sets[(h>>16)&uint64(len(g.sets)-1)], uint16(h)
}

func (g *ghost) now() uint16 { return uint16(g.count / g.step) }

func (g *ghost) age(m ghostMark) uint16 { return g.now() - m.at }

// add remembers the key in place of the oldest of its set.
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

// take reports whether the key was one of about so many that were dropped last, and forgets it.
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

// A queue is an order of nodes, along with their number and cost. ttlcache keeps it, by the row: nodes that came one after
// another go one after another, so that what an item of ttlcache costs, in time and in memory, is shared by a row of them.
// In an exact LRU each node has a row of its own. ttlcache knows no expiry here, nor bounds: it would drop what the index
// still has. A queue is guarded by its shard's lock.
type queue struct {
	order  *ttlcache.Cache[*row, struct{}]
	length int // of a row
	newest *row
	oldest *row // nil: not known
	n      int
	bytes  int64
}

const rowLength = 31

// A row is some nodes in the order in which they came, without those that were taken out.
type row struct {
	nodes     [rowLength]*node
	end, left uint8
}

func newQueue(length int) queue {
	return queue{order: ttlcache.New[*row, struct{}](), length: length}
}

// push adds the node as the latest.
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

// renew makes the node the latest.
func (q *queue) renew(n *node) {
	q.drop(n)
	q.push(n)
}

// touch makes the node of an exact LRU the latest. It changes nothing if the node is not there any more, and needs no
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
	if q.length > 1 { // rows of one are reordered by touch
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
	// sweepEvery is how long an expired entry that nobody asks for may take up memory.
	sweepEvery = time.Second
	// stride is how many due times are looked at under one hold of a lock; each that has come costs as much as dueCost.
	stride, dueCost = 1024, 64
)

// arm makes sure that a sweep is due. A timer, not a goroutine: a Store that is dropped without Close goes quiet by itself
// when its last entry has expired.
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

// sweep drops what has expired. It disarms first: an entry that is set meanwhile arms the timer itself.
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

// sweep drops what has expired from some groups of buckets on and returns where it stopped.
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

// reap drops what has expired from a group and notes when the next of it will.
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

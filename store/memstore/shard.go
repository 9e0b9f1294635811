package memstore

import (
	"sync"
	"time"

	"github.com/larder-go/cache/internal/trace"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// bite is how many nodes may be dropped while others wait for the lock.
const bite = 64

// itemOverhead is about what an entry costs here beside its Entry.Size: its node, its part of the index and the ghost, and
// its part of a row and of what ttlcache has for one.
const itemOverhead = 152

func costOf(e *store.Entry) int64 { return e.Size() + itemOverhead }

// A shard is one stretch of the index and the order of what is there. Its lock is for changes; readers do without.
type shard struct {
	index    *index
	names    *names
	bounds   *bounds
	gone     *trace.Table // of all shards
	from, to int          // its groups of buckets
	exact    bool         // an LRU to the letter

	mu          sync.Mutex // guards what follows and the changes of the index
	closed      bool
	fresh, main queue
	ghost       ghost

	_ [64]byte // the next one's lock is on another cache line
}

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

func (s *shard) queueOf(n *node) *queue {
	if n.has(inMain) {
		return &s.main
	}
	return &s.fresh
}

// keep stores the entry and reports whether there was room for it, or could be made by dropping a few others.
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

// use marks the node as used.
func (s *shard) use(n *node) {
	if s.exact {
		s.main.touch(n)
		return
	}
	n.use()
}

// reserve takes the room that an entry needs: a new one, or one in the place of another's.
func (s *shard) reserve(n *node, cost uint32) bool {
	if n == nil {
		return s.bounds.reserve(1, int64(cost))
	}
	return s.bounds.reserve(0, int64(cost)-int64(n.cost))
}

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

// christen gives the key's node its name, for which a few others may have to go.
func (s *shard) christen(key *keying.Key, hash uint64, text []byte, now int64) {
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

// spares reports whether the shard has at least half as many entries as the average one: one that has fewer does not
// drop them for its newcomers while others are full.
func (s *shard) spares() bool {
	return 2*int64(s.fresh.n+s.main.n)*s.bounds.shards >= s.bounds.entries.Load()
}

// giveWay drops a few nodes in favour of another shard's.
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

// close makes the shard keep nothing from now on.
func (s *shard) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
}

// drop lets go of a node.
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

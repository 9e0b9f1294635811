package memstore

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

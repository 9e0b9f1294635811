package memstore

import (
	"math"
	"runtime"
	"time"
)

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

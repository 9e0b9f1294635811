package memstore

import "time"

// sweepEvery is how long an expired entry that nobody asks for may take up memory.
const sweepEvery = time.Second

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

// sweep drops what has expired. It disarms first and counts before it drops: an entry set meanwhile arms the timer
// itself, and one that expires between count and drop is dropped, or was counted and gets another sweep.
func (s *Store) sweep() {
	s.armed.Store(false)
	left := 0
	for _, c := range s.shards {
		left += c.Len()
		c.DeleteExpired()
	}
	if left > 0 {
		s.arm()
	}
}

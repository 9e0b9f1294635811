package main

import (
	"sync"
	"time"
)

// history knows since when a resource has had each of its versions.
type history struct {
	mu    sync.Mutex
	since map[int][]time.Time // by slot; the nth is when version n+1 came
}

// write raises the resource's version and returns it.
func (s *stage) write(k key) uint64 {
	h, slot := &s.past, k.slot()
	h.mu.Lock()
	defer h.mu.Unlock()
	version := s.board.version[slot].Add(1)
	if h.since == nil {
		h.since = map[int][]time.Time{}
	}
	h.since[slot] = append(h.since[slot], time.Now()) // after the write: who has read the old version did so before this
	return version
}

// stale returns for how long the version had been out of date at a time; 0: it was not.
func (s *stage) stale(k key, version uint64, at time.Time) time.Duration {
	h := &s.past
	h.mu.Lock()
	defer h.mu.Unlock()
	if since := h.since[k.slot()]; version < uint64(len(since)) {
		return max(0, at.Sub(since[version]))
	}
	return 0
}

package store

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/keying"
)

// Bounds of coalescing.
const (
	maxWaiters = 16 << 10         // requests that wait for one flight; the next one runs alone
	maxWait    = 30 * time.Second // for another's load; then the waiter runs alone
)

// A flight is one load that other requests for its key wait for.
type flight struct {
	refresh bool         // nobody asked for its answer: there may be a stale one
	began   atomic.Int64 // when its load began, in Unix nanoseconds; 0: not yet, for its leader waits himself
	spent   atomic.Int64 // what its leader waited for the store, in nanoseconds: those who wait for him wait for it, too

	// Guarded by flights.mu.
	waiters  int
	left     bool
	released bool          // nobody waits any more
	done     chan struct{} // closed when released; made by the first who waits

	// Written before done is closed, read after.
	entry *Entry // what was loaded or found; nil: nothing that may be shared
	found bool   // it was in the store before: it may be stale, or older than a waiter would have it
	retry bool   // the load ended without saying anything about its answer: another may try
	idle  bool   // the load did not even begin: its caller hung up before
}

type role uint8

const (
	leader role = iota
	waiter
	loner
)

// flights are the loads under way, by key. No lock is held while anything is loaded.
type flights struct {
	mu      sync.Mutex
	flying  map[keying.Key]*flight
	refused refusals
}

// join makes the caller the leader of its own new flight, a waiter of the one under way, or a loner where queueing would
// only cost time: the key's last answer could not be kept, or too many wait already.
func (fs *flights) join(key keying.Key, own *flight) (*flight, role) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f := fs.flying[key]; f != nil {
		if f.waiters >= maxWaiters {
			return nil, loner
		}
		f.await()
		return f, waiter
	}
	if len(fs.refused.slots) > 0 && fs.refused.has(key, time.Now()) {
		return nil, loner
	}
	if fs.flying == nil {
		fs.flying = map[keying.Key]*flight{}
	}
	fs.flying[key] = own
	return own, leader
}

// await counts one more who waits.
func (f *flight) await() {
	f.waiters++
	if f.done != nil {
		return
	}
	f.done = make(chan struct{})
	if f.released {
		close(f.done)
	}
}

// release lets those go who wait.
func (f *flight) release() {
	f.released = true
	if f.done != nil {
		close(f.done)
	}
}

// begin notes and returns when the load of the flight begins, if there is one.
func (f *flight) begin() time.Time {
	now := time.Now()
	if f != nil {
		f.began.Store(now.UnixNano())
	}
	return now
}

// giveUp is called by a waiter that does not wait for the flight, or no longer.
func (fs *flights) giveUp(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.waiters--
}

// land hands the entry, which was made or found, to the waiters, now and until the flight leaves. The leader calls it before
// the entry is stored, which may take a while; who joins in between gets the entry at once. A flight that has left has let
// its waiters go. Of no flight (nil) nothing is told.
func (fs *flights) land(f *flight, e *Entry, found bool) {
	if f == nil || e == nil {
		return
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f.left {
		return
	}
	f.entry, f.found = e, found
	f.release()
}

// leave ends the flight, whatever became of it; only the first call counts, though one that has kept an answer after all
// still says so of its key. Waiters that have nothing yet are released
// to help themselves.
func (fs *flights) leave(key keying.Key, f *flight, outcome Outcome) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if outcome == Keep || outcome == Renew {
		fs.refused.forget(key)
	}
	if f.left {
		return
	}
	f.left = true
	fs.end(key, f)
	if outcome == Refuse {
		fs.refused.add(key, time.Now())
	}
	if f.entry == nil {
		f.retry = outcome == Fail
		f.release()
	}
}

// handOver ends a flight whose leader will not load: one of the waiters leads the next.
func (fs *flights) handOver(key keying.Key, f *flight) {
	if f == nil {
		return
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f.left {
		return
	}
	f.left, f.idle = true, true
	fs.end(key, f)
	f.release()
}

// overtake lets the next request for the key begin a flight of its own, although the entry that f has brought is still
// being stored: it is of no use any more.
func (fs *flights) overtake(key keying.Key, f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.end(key, f)
}

func (fs *flights) end(key keying.Key, f *flight) {
	if fs.flying[key] == f {
		delete(fs.flying, key)
	}
}

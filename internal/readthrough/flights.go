package readthrough

import (
	"sync"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// Bounds of coalescing.
const (
	maxWaiters = 16 << 10         // requests that wait for one flight; the next one runs alone
	maxWait    = 30 * time.Second // for another's load; then the waiter runs alone
)

type role uint8

const (
	leader role = iota
	waiter
	loner
)

// flights are the loads under way, by key. No lock is held while anything is loaded. Every read of a far store is one, and
// most are alone with their key: so a flight is its own place in a list, and needs none in a map.
type flights struct {
	mu      sync.Mutex
	flying  [slots]*flight // the first of each list
	refused refusals
}

// find returns what points to the key's flight, or would.
func (fs *flights) find(key keying.Key) **flight {
	at := &fs.flying[slotOf(key)]
	for *at != nil && (*at).key != key {
		at = &(*at).next
	}
	return at
}

// join makes the caller the leader of its own new flight, a waiter of the one under way, or a loner where queueing would
// only cost time: the key's last answer could not be kept, or too many wait already.
func (fs *flights) join(key keying.Key, own *flight) (*flight, role) {
	own.key = key
	fs.mu.Lock()
	defer fs.mu.Unlock()
	at := fs.find(key)
	if f := *at; f != nil {
		if f.waiters >= maxWaiters {
			return nil, loner
		}
		f.await()
		return f, waiter
	}
	if len(fs.refused.slots) > 0 && fs.refused.has(key, time.Now()) {
		return nil, loner
	}
	*at = own
	return own, leader
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
func (fs *flights) land(f *flight, e *store.Entry, found bool) {
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
// still says so of its key. Waiters that have nothing yet are released to help themselves.
func (fs *flights) leave(f *flight, outcome Verdict) {
	key := f.key
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if outcome == Cacheable || outcome == Renew || outcome == ShareOnly {
		fs.refused.forget(key)
	}
	if f.left {
		return
	}
	f.left = true
	fs.end(f)
	if outcome == Uncacheable {
		fs.refused.add(key, time.Now())
	}
	if f.entry == nil {
		f.retry = outcome == Aborted
		f.release()
	}
}

// handOver ends a flight whose leader will not load: one of the waiters leads the next.
func (fs *flights) handOver(f *flight) {
	if f == nil {
		return
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f.left {
		return
	}
	f.left, f.idle = true, true
	fs.end(f)
	f.release()
}

// overtake lets the next request for the flight's key begin a flight of its own, although the entry that f has brought is still
// being stored: it is of no use any more.
func (fs *flights) overtake(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.end(f)
}

func (fs *flights) end(f *flight) {
	if at := fs.find(f.key); *at == f {
		*at, f.next = f.next, nil
	}
}

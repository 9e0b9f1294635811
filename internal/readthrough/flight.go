package readthrough

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// One load per key within the process. This is singleflight with four additions: a flight lands before it ends, a purge can
// overtake it, a waiter can give up, and a leader that does not load hands its flight over.
//
// The plain case. B comes while A loads:
//
//	A: join      no flight: A leads one
//	A: load      …
//	B: join      A's flight: B waits
//	A: land(e)   releases B with e. Requests that join from now on get e at once
//	A: keep      writes e to the store, which may take a while: nobody waits for that
//	A: leave     removes the flight from the table: the next request finds e in the store
//
// Why land comes before keep: B need not wait for the write. Why leave comes after it: a request C that came in between would
// find neither the flight nor the entry, and load a second time.
//
// Why the leader looks in the store once more, at the beginning of its flight:
//
//	B: looks     nothing is there
//	A: keep      e is in the store
//	A: leave
//	B: join      no flight: B leads one, and would load a second time
//	B: looks     finds e
//
// With a purge in between. C comes after the purge was acknowledged, but A's handler has read the data before it:
//
//	A: join, begin     A's entry e1 is stamped with the log's position, 7
//	A: load            reads version 1 from the database
//	P: purge           position 8; the ledger knows it
//	C: join            A's flight: C waits
//	A: land(e1)        releases C
//	C: take            e1 has position 7: purged. C overtakes A's flight, which leaves the table as if it had ended
//	C: join            no flight: C leads one, and its handler reads version 2
//	D: join            C's flight
//	A: keep            writes nothing: e1 is purged. (If e1 is in the store already, it is absent for every reader)
//	A: leave           A's flight is not in the table: C's stays
//
// A's own client may still get e1: its request was under way when the data changed.
//
// When a load ends without an entry. What the waiters do depends on the load's verdict:
//
//	Uncacheable   each loads alone, and for a second nobody waits for this key: the response is for one client only
//	Aborted       nothing is known about the response: one of them leads the next flight
//	(handed over) the leader's client hung up before the load began: likewise
type flights struct {
	mu          sync.Mutex // never held while anything is loaded, read or written
	flying      [slots]*flight
	uncacheable keyMarks
}

// A flight is one load that other requests for its key may wait for. It is a part of its leader's Call. Most flights are the
// only one in their slot of the table, so the list of a slot links the flights themselves, and a miss allocates none.
type flight struct {
	key     keying.Key           // the key that is loaded; set even if nobody can wait
	refresh bool                 // a refresh, which no client waits for: there may be a stale response
	began   atomic.Int64         // when its load began, in Unix nanoseconds; 0: not yet, the leader is still waiting itself
	spent   atomic.Int64         // how long its leader waited for the stores, in nanoseconds
	link    atomic.Pointer[Link] // of its run, once that has begun

	// Guarded by flights.mu.
	next     *flight // in the list of its slot
	waiters  int
	ended    bool
	released bool          // the waiters are free to go
	done     chan struct{} // closed when released; made by the first waiter

	// Written before done is closed, read after.
	entry    *store.Entry // what was loaded or found; nil: nothing that may be shared
	found    bool         // it was in the store before: it may be stale, or older than a waiter accepts
	retry    bool         // the load ended without saying anything about its response: a waiter may try
	unloaded bool         // the load did not even begin: its caller had hung up
}

// begin records and returns when the load begins. f may be nil: there is no flight.
func (f *flight) begin() time.Time {
	now := time.Now()
	if f != nil {
		f.began.Store(now.UnixNano())
	}
	return now
}

// await counts one more waiter.
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

// release lets the waiters go.
func (f *flight) release() {
	f.released = true
	if f.done != nil {
		close(f.done)
	}
}

// maxWaiters is how many requests may wait for one flight. The next one loads alone.
const maxWaiters = 16 << 10

type role uint8

const (
	leader role = iota
	waiter
	loner
)

// join makes the caller the leader of a new flight of its own, or a waiter of the one under way. It makes the caller a loner if
// waiting would only cost time: the key's last response was uncacheable, or too many wait already.
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
	if len(fs.uncacheable.slots) > 0 && fs.uncacheable.has(key, 0, time.Now()) {
		return nil, loner
	}
	*at = own
	return own, leader
}

// find returns the pointer to the key's flight, or to where it would be.
func (fs *flights) find(key keying.Key) **flight {
	at := &fs.flying[slotOf(key)]
	for *at != nil && (*at).key != key {
		at = &(*at).next
	}
	return at
}

// remove takes the flight out of the table, if it is there.
func (fs *flights) remove(f *flight) {
	if at := fs.find(f.key); *at == f {
		*at, f.next = f.next, nil
	}
}

// giveUp is called by a waiter that will not wait for the flight, or has stopped waiting.
func (fs *flights) giveUp(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.waiters--
}

// land hands the entry, which was loaded or found, to the waiters, now and until the flight ends. The leader calls it before
// it stores the entry. A flight that has ended has already released its waiters. Without a flight (nil) nobody waits.
func (fs *flights) land(f *flight, e *store.Entry, found bool) {
	if f == nil || e == nil {
		return
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f.ended {
		return
	}
	f.entry, f.found = e, found
	f.release()
}

// leave ends the flight. Only the first call does: a load may give its verdict before it returns. If the load stores its
// response after all, a later call still removes the key's mark. Waiters that have nothing yet are released to help themselves.
func (fs *flights) leave(f *flight, verdict Verdict) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if verdict == Cacheable || verdict == Renew || verdict == ShareOnly {
		fs.uncacheable.remove(f.key)
	}
	if f.ended {
		return
	}
	f.ended = true
	fs.remove(f)
	if verdict == Uncacheable {
		fs.uncacheable.add(f.key, 0, time.Now().Add(uncacheableFor))
	}
	if f.entry == nil {
		f.retry = verdict == Aborted
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
	if f.ended {
		return
	}
	f.ended, f.unloaded = true, true
	fs.remove(f)
	f.release()
}

// overtake lets the next request for the flight's key begin a flight of its own, although f's entry is still being stored:
// it is no longer of use.
func (fs *flights) overtake(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.remove(f)
}

// mark records what became of a load without a flight: an uncacheable response marks the key, a cacheable one removes the mark.
func (fs *flights) mark(key keying.Key, uncacheable bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if uncacheable {
		fs.uncacheable.add(key, 0, time.Now().Add(uncacheableFor))
	} else {
		fs.uncacheable.remove(key)
	}
}

// uncacheableFor is how long requests for a key do not wait for each other after an uncacheable response. Other caches call
// this hit-for-miss. If its requests waited, each would wait for a response that it will not get, and they would run one after
// the other.
const uncacheableFor = time.Second

// keyMarks are marks on keys that expire by themselves. The table is small and of fixed size, and a key may push out another:
// that merely costs the next requests for that one a wait.
type keyMarks struct{ slots map[uint16]keyMark }

type keyMark struct {
	key   keying.Key
	beat  uint64 // of a lease, see deadLeases
	until time.Time
}

func (m *keyMarks) add(key keying.Key, beat uint64, until time.Time) {
	if m.slots == nil {
		m.slots = map[uint16]keyMark{}
	}
	m.slots[slotOf(key)] = keyMark{key, beat, until}
}

func (m *keyMarks) has(key keying.Key, beat uint64, now time.Time) bool {
	mark, ok := m.slots[slotOf(key)]
	return ok && mark.key == key && mark.beat == beat && now.Before(mark.until)
}

func (m *keyMarks) remove(key keying.Key) {
	if slot := slotOf(key); m.slots[slot].key == key {
		delete(m.slots, slot)
	}
}

// slots is how many places a table has for keys.
const (
	slotBits = 10
	slots    = 1 << slotBits
)

// spread is random per process: whoever makes up keys cannot tell which of them share a slot.
var spread = rand.Uint64() | 1

func slotOf(key keying.Key) uint16 {
	return uint16(binary.LittleEndian.Uint64(key[24:]) * spread >> (64 - slotBits))
}

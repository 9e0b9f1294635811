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

// One load per key within the process. This is singleflight with four additions: a flight lands before it ends, it can be
// overtaken, a waiter can give up, and a leader that does not load hands its flight over.
//
// The plain case. B comes while A loads:
//
//	A: join      no flight: A leads one
//	A: load      …
//	B: join      A's flight: B waits
//	A: land(e)   B is released with e; so is whoever joins from now on, at once
//	A: keep      e is written to the store, which may take a while: nobody waits for that
//	A: leave     the flight is gone from the table: the next request finds e in the store
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
// With a purge in between. C comes after it was acknowledged, and A's handler has read the data before it:
//
//	A: join, begin     A's entry e1 is stamped with the log's position, 7
//	A: load            reads version 1 from the database
//	P: purge           position 8; the ledger knows it
//	C: join            A's flight: C waits
//	A: land(e1)        C is released
//	C: take            e1 is of position 7: purged. C overtakes A's flight: it leaves the table, as if it had ended
//	C: join            no flight: C leads one, and its handler reads version 2
//	D: join            C's flight
//	A: keep            the store is not asked: e1 is purged. (Where the store has e1 already, e1 is absent for whoever reads it)
//	A: leave           its flight is not in the table: C's stays
//
// Who came before the purge may be served with e1: B's request was under way when the data changed.
//
// When a load ends without an entry. What becomes of those who wait depends on the load's verdict:
//
//	Uncacheable   each loads alone, and for a second nobody waits for this key: a response for one is none for another
//	Aborted       nothing is known of the response: one of them leads the next flight
//	(handed over) the leader's client hung up before the load began: likewise
type flights struct {
	mu          sync.Mutex // never held while anything is loaded, read or written
	flying      [slots]*flight
	uncacheable keyMarks
}

// A flight is one load that other requests for its key may wait for. It is a part of its leader's Call: most flights are
// alone with their key, so a flight is its own place in a list of the table, and a miss needs no memory for one.
type flight struct {
	key     keying.Key           // what is loaded, also by a call that nobody waits for
	refresh bool                 // nobody asked for its response: there may be a stale one
	began   atomic.Int64         // when its load began, in Unix nanoseconds; 0: not yet, for its leader waits itself
	spent   atomic.Int64         // for how long its leader waited for the stores, in nanoseconds
	link    atomic.Pointer[Link] // of its run, once that has begun

	// Guarded by flights.mu.
	next     *flight // in the list of its slot
	waiters  int
	ended    bool
	released bool          // nobody waits any more
	done     chan struct{} // closed when released; made by the first who waits

	// Written before done is closed, read after.
	entry    *store.Entry // what was loaded or found; nil: nothing that may be shared
	found    bool         // it was in the store before: it may be stale, or older than a waiter would have it
	retry    bool         // the load ended without saying anything about its response: another may try
	unloaded bool         // the load did not even begin: its caller hung up before
}

// begin notes and returns when the load of the flight begins, if there is one.
func (f *flight) begin() time.Time {
	now := time.Now()
	if f != nil {
		f.began.Store(now.UnixNano())
	}
	return now
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

// maxWaiters is how many requests wait for one flight. The next one runs alone.
const maxWaiters = 16 << 10

type role uint8

const (
	leader role = iota
	waiter
	loner
)

// join makes the caller the leader of its own new flight, or a waiter of the one under way. It makes it a loner where waiting
// would only cost time: the key's last response could not be kept, or too many wait already.
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

// find returns what points to the key's flight, or would.
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

// giveUp is called by a waiter that does not wait for the flight, or no longer.
func (fs *flights) giveUp(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f.waiters--
}

// land hands the entry, which was made or found, to the waiters, now and until the flight ends. The leader calls it before
// the entry is stored. A flight that has ended has let its waiters go. Without a flight (nil) nobody waits.
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

// leave ends the flight. Only the first call counts: a load may tell its verdict before it returns. A load that keeps an
// answer after all still says so of its key. Waiters that have nothing yet are released to help themselves.
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

// overtake lets the next request for the flight's key begin a flight of its own, although what f has brought is still being
// stored: it is of no use any more.
func (fs *flights) overtake(f *flight) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.remove(f)
}

// mark tells what became of a load without a flight: the key stays marked for as long as its responses cannot be kept.
func (fs *flights) mark(key keying.Key, uncacheable bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if uncacheable {
		fs.uncacheable.add(key, 0, time.Now().Add(uncacheableFor))
	} else {
		fs.uncacheable.remove(key)
	}
}

// uncacheableFor is how long requests for a key do not wait for each other after a response that could not be kept. Other
// caches call such a key hit-for-miss. If its requests waited, each would wait for a response that it will not get, and they
// would run one after the other.
const uncacheableFor = time.Second

// keyMarks are marks on keys that end by themselves. The table is small, fixed and forgetful: a key that is pushed out by
// another merely costs its next requests a wait.
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

// spread is this process' own: whoever makes up keys does not know which of them share a place.
var spread = rand.Uint64() | 1

func slotOf(key keying.Key) uint16 {
	return uint16(binary.LittleEndian.Uint64(key[24:]) * spread >> (64 - slotBits))
}

package readthrough

import (
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// A flight is one load that other requests for its key wait for.
type flight struct {
	refresh bool         // nobody asked for its answer: there may be a stale one
	began   atomic.Int64 // when its load began, in Unix nanoseconds; 0: not yet, for its leader waits himself
	spent   atomic.Int64 // what its leader waited for the store, in nanoseconds: those who wait for him wait for it, too

	link atomic.Pointer[Link] // of its run, once that has begun

	key keying.Key // what is loaded, also by a call that nobody waits for

	// Guarded by flights.mu.
	next     *flight // in the list of its slot
	waiters  int
	left     bool
	released bool          // nobody waits any more
	done     chan struct{} // closed when released; made by the first who waits

	// Written before done is closed, read after.
	entry *store.Entry // what was loaded or found; nil: nothing that may be shared
	found bool         // it was in the store before: it may be stale, or older than a waiter would have it
	retry bool         // the load ended without saying anything about its answer: another may try
	idle  bool         // the load did not even begin: its caller hung up before
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

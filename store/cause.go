package store

import "github.com/larder-go/cache/keying"

// Cause is why a store had nothing to serve; "" where this process does not know. Nobody is asked for it: it is what a look
// has shown, or what is remembered, in little room, of what this process has kept or read.
type Cause string

const (
	CauseCold    Cause = "cold"       // nothing was there, and as far as this process can tell nothing ever was
	CauseExpired Cause = "expired"    // its time is over
	CausePurged  Cause = "purged"     // it was purged, or expired by a purge
	CauseEvicted Cause = "evicted"    // its time is not over: the store has let go of it, to make room as a rule
	CauseAway    Cause = "redis-away" // a store outside the process could not be asked
)

// A Tracer is memory that remembers something of what it has let go of.
type Tracer interface {
	// Trace says why nothing is kept under the key: CauseCold, CauseExpired, CauseEvicted, or "" if it does not know, or there
	// is something.
	Trace(key keying.Key) Cause
}

// Package trace remembers why keys are no longer found.
//
// When a store drops an entry, it notes in a [Table] when the entry would have expired. A later miss of that key can then be explained:
// the entry expired, was evicted too early, or was never there. That is what an operator wants to know when the hit rate falls. A Table
// takes a few bytes for each key. What it says may be "unknown", but is hardly ever wrong.
package trace

import (
	"encoding/binary"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/keying"
)

// A Table is a hash table of marks, of a fixed size. It is safe for concurrent use, without a lock. A nil Table remembers nothing. Two
// different keys have the same mark once in four billion times.
type Table struct{ sets []set }

// ways is how many marks a set has: with the last word they fill a cache line.
const ways = 7

// A set has marks, and remembers whether it has ever lost one for lack of space. If it has not, a key without a mark was never there.
type set struct {
	marks [ways]atomic.Uint64 // a fingerprint of the key in the upper half, a time in the lower; 0 if there is none
	lost  atomic.Bool
}

// Times are counted in ticks of about a 64th of a second, in 32 bits. The count overflows every 2.3 years. Two times still compare right
// if they are less than half of that apart, which is why no mark is more than a year away.
const (
	tick = 24 // bits of nanoseconds
	year = 365 * 24 * time.Hour
)

// ticks is a time in ticks.
func ticks(t time.Time) uint32 { return uint32(t.UnixNano() >> tick) }

// before compares two times, across an overflow, too.
func before(a, b uint32) bool { return int32(a-b) < 0 }

// New returns a Table for about this many keys, but at least 64 and at most 7,168. Each takes nine bytes.
func New(keys int) *Table {
	n := uint(max(64, min(keys, ways<<10))) / ways
	return &Table{sets: make([]set, 1<<bits.Len(n-1))}
}

// of returns the set and the fingerprint of a key.
func (t *Table) of(key *keying.Key) (s *set, fingerprint uint64) {
	h := binary.LittleEndian.Uint64(key[16:])
	return &t.sets[h&uint64(len(t.sets)-1)], h &^ (1<<32 - 1)
}

// Note remembers that the key's entry expires the duration keep after now, which may be in the past. If the set is full, the mark that
// expires first is overwritten. If the same mark is there already, nothing is written.
//
// Two goroutines may write to one set at once. Then one of the marks may get lost, and lost records it:
//
//	A: finds an empty place          B: finds the same one
//	A: CompareAndSwap succeeds       B: CompareAndSwap fails
//	                                 B: sets lost, and only then overwrites A's mark
//
// A reader looks at the marks first and at lost last. So if it does not find A's mark, because B has overwritten it, it sees lost.
func (t *Table) Note(key *keying.Key, keep time.Duration, now time.Time) {
	if t == nil {
		return
	}
	s, fingerprint := t.of(key)
	mark := fingerprint | uint64(ticks(now.Add(max(-year, min(keep, year)))))
	least, of := 0, uint64(0)
	for i := range s.marks {
		m := s.marks[i].Load()
		if m != 0 && m&^(1<<32-1) == fingerprint {
			if m != mark {
				s.marks[i].CompareAndSwap(m, mark) // if it fails, another goroutine has just written here, which is as good
			}
			return
		}
		if i == 0 || of != 0 && (m == 0 || before(uint32(m), uint32(of))) {
			least, of = i, m
		}
	}
	if of != 0 || !s.marks[least].CompareAndSwap(0, mark) {
		s.lost.Store(true) // before the mark is overwritten; see above
		s.marks[least].Store(mark)
	}
}

// Known is what a Table knows about a key.
type Known uint8

const (
	Unknown Known = iota
	Never         // it was never noted
	Early         // it would not have expired yet
	Over          // it has expired
)

// Cause is what that means for a key that was not found.
func (k Known) Cause() Cause {
	switch k {
	case Never:
		return CauseCold
	case Early:
		return CauseEvicted
	case Over:
		return CauseExpired
	}
	return ""
}

// Of returns what is known about the key at a time.
func (t *Table) Of(key *keying.Key, now time.Time) Known {
	if t == nil {
		return Unknown
	}
	s, fingerprint := t.of(key)
	for i := range s.marks {
		m := s.marks[i].Load()
		switch {
		case m == 0 || m&^(1<<32-1) != fingerprint:
		case !before(ticks(now), uint32(m)):
			return Over
		default:
			return Early
		}
	}
	if s.lost.Load() {
		return Unknown
	}
	return Never
}

// A Cause is why a store had nothing to serve, or "" if this process does not know. Finding it costs no request to a store: it is what
// the lookup has shown, or what a Table remembers.
type Cause string

const (
	CauseCold    Cause = "cold"       // nothing was there, and as far as this process can tell, nothing ever was
	CauseExpired Cause = "expired"    // the entry has expired
	CausePurged  Cause = "purged"     // it was purged, or made stale by a purge
	CauseEvicted Cause = "evicted"    // it has not expired, but the store no longer has it: mostly for lack of space
	CauseAway    Cause = "redis-away" // a store outside of the process could not be reached
)

// A Tracer is memory that remembers something about the entries that it dropped.
type Tracer interface {
	// Trace returns why there is no entry under the key: CauseCold, CauseExpired or CauseEvicted. It returns "" if it does not know,
	// and if there is an entry.
	Trace(key keying.Key) Cause
}

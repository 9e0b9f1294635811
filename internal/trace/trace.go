// Package trace remembers, in little room, until when keys were to be kept that are not found any more.
package trace

import (
	"encoding/binary"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/keying"
)

// A Table has a fixed number of marks. It is safe for concurrent use, without a lock; a nil Table remembers nothing. Two keys
// of four billion share a mark.
type Table struct{ sets []set }

const ways = 7

// set is as many marks as a cache line has room for beside the word that says whether any was lost.
type set struct {
	marks [ways]atomic.Uint64 // a key's print and its tick; 0: none
	lost  atomic.Bool
}

// Times are counted in 64ths of a second, about, and compared around the clock: one that is a year away is before or after
// another as it should be.
const (
	tick = 24 // bits of nanoseconds
	year = 365 * 24 * time.Hour
)

func ticks(t time.Time) uint32 { return uint32(t.UnixNano() >> tick) }

func before(a, b uint32) bool { return int32(a-b) < 0 }

// New returns a Table for about so many keys, 64 at least and 7,168 at most: they take nine bytes each.
func New(keys int) *Table {
	n := uint(max(64, min(keys, ways<<10))) / ways
	return &Table{sets: make([]set, 1<<bits.Len(n-1))}
}

func (t *Table) of(key *keying.Key) (s *set, print uint64) {
	h := binary.LittleEndian.Uint64(key[16:])
	return &t.sets[h&uint64(len(t.sets)-1)], h &^ (1<<32 - 1)
}

// Note remembers at that time until when the key is to be kept, a year at most. It writes nothing that is known already. Where there is no room, what was
// to be kept for least makes some.
func (t *Table) Note(key *keying.Key, keep time.Duration, now time.Time) {
	if t == nil {
		return
	}
	s, print := t.of(key)
	mark := print | uint64(ticks(now.Add(max(-year, min(keep, year)))))
	least, of := 0, uint64(0)
	for i := range s.marks {
		m := s.marks[i].Load()
		if m != 0 && m&^(1<<32-1) == print {
			if m != mark {
				s.marks[i].CompareAndSwap(m, mark) // or another has noted another time, or made room: it is as good
			}
			return
		}
		if i == 0 || of != 0 && (m == 0 || before(uint32(m), uint32(of))) {
			least, of = i, m
		}
	}
	if of != 0 || !s.marks[least].CompareAndSwap(0, mark) {
		s.lost.Store(true) // before: whoever does not find the mark must not take it for one that never was
		s.marks[least].Store(mark)
	}
}

// Known says what is remembered of a key.
type Known uint8

const (
	Unknown Known = iota
	Never         // it was never noted
	Early         // it was to be kept for longer
	Over          // its time is over
)

// Cause is what that means for a key that is not found.
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

// Of says what is known of the key at that time.
func (t *Table) Of(key *keying.Key, now time.Time) Known {
	if t == nil {
		return Unknown
	}
	s, print := t.of(key)
	for i := range s.marks {
		m := s.marks[i].Load()
		switch {
		case m == 0 || m&^(1<<32-1) != print:
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

package store

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
)

// Liveness is what the purge log says of an entry.
type Liveness uint8

const (
	Live    Liveness = iota // no purge stands after it
	Expired                 // a soft purge does: stale, whatever its age
	Gone                    // a purge does
)

// A Ledger is one process' view of a purge log: for each label the last purge that named it. It is bounded and safe for
// concurrent use. Entries made in this process are held against the ledger's own count of records, entries read from
// a store against the log's positions.
type Ledger struct {
	count atomic.Uint64 // records applied; also what entries are checked against first

	mu   sync.RWMutex
	head Position
	hard *marks
	soft *marks // stale, rather than gone
}

// Ledgers count from numbers of their own: an entry that was made under another ledger of this process, or was found live
// by it, is known by that.
const counts = 1 << 40

var ledgers atomic.Uint64

// NewLedger returns a ledger that knows of no log yet.
func NewLedger() *Ledger {
	l := &Ledger{hard: newMarks(), soft: newMarks()}
	l.count.Store(ledgers.Add(1)*counts + 1) // 0 stands for "not made here" in an entry
	return l
}

func randomEpoch() uint64 { return rand.Uint64() | 1 }

// Stamp gives an entry that is about to be made its place in the log. It must be called before the handler runs.
func (l *Ledger) Stamp(e *Entry) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	e.At, e.born = l.head, l.count.Load()
}

// Head returns the newest position that this process knows.
func (l *Ledger) Head() Position {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.head
}

// Floor returns the position before which everything is gone.
func (l *Ledger) Floor() Position {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.hard.all.at
}

// Apply takes a record in. Records come in the log's order; one that is known already is ignored.
func (l *Ledger) Apply(r Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.At.Epoch == l.head.Epoch && r.At.compare(l.head) <= 0 {
		return
	}
	l.apply(r)
}

// ApplyHere takes in a record that the log did not accept: it holds for this process alone.
func (l *Ledger) ApplyHere(r Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	head := l.head
	r.At = head
	r.At.Seq++ // also over what was stamped with the head; entries made later say so by their count
	l.apply(r)
	l.head = head
}

// append gives the record the next position and takes it in, for a log that is nothing but its ledger.
func (l *Ledger) append(r Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.At = l.head
	r.At.Seq++
	l.apply(r)
}

func (l *Ledger) apply(r Record) {
	m := mark{r.At, l.count.Load() + 1}
	l.head = r.At
	if r.Soft {
		l.soft.apply(r, m)
	} else {
		l.hard.apply(r, m)
	}
	l.count.Store(m.count) // last: whoever sees the new count must find the marks
}

// Rises returns how often purges that were too many to be remembered one by one have become one of their area.
func (l *Ledger) Rises() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.hard.rises + l.soft.rises
}

// Restart follows a log that was lost, replaced or trimmed past this process' position, or is seen for the first time:
// what was made before at, or under another epoch, is gone.
func (l *Ledger) Restart(at Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := mark{at, l.count.Load() + 1}
	if l.untouched() {
		m.count = first(m.count) // the first log seen: what this process made so far has missed no purge
	}
	l.head, l.hard, l.soft = at, newMarks(), newMarks()
	l.hard.all = m
	l.count.Add(1)
}

// Replace follows a log that was read anew, into from: as Restart and Apply would, but at once, so that nobody meets a
// ledger that knows of half the purges. What ApplyHere took in is forgotten. from must not be used any more.
func (l *Ledger) Replace(from *Ledger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	count, missed := l.count.Load()+1, !l.untouched()
	for _, ms := range []*marks{from.hard, from.soft} {
		ms.recount(count)
		if all := &ms.all; missed && ms == from.hard || *all != (mark{}) && all.count != first(all.count) {
			all.count = count
		} else if *all != (mark{}) {
			all.count = first(count) // what this process made so far has missed no purge
		}
	}
	l.head, l.hard, l.soft = from.head, from.hard, from.soft
	l.count.Store(count)
}

// first is less than any count of the same ledger.
func first(count uint64) uint64 { return count / counts * counts }

// untouched reports whether the ledger knows of neither log nor purge.
func (l *Ledger) untouched() bool {
	return l.head == Position{} && l.hard.untouched() && l.soft.untouched()
}

// State says what the purge log knows of the entry. Asking again costs one comparison until a purge happens.
func (l *Ledger) State(e *Entry) Liveness {
	count := l.count.Load()
	if e.seen.Load() == count {
		return Live
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	state := l.state(e)
	if state == Live {
		e.seen.Store(count) // the count from before: a purge in between is looked up next time
	}
	return state
}

func (l *Ledger) state(e *Entry) Liveness {
	switch {
	case l.hard.hits(e):
		return Gone
	case l.soft.hits(e):
		return Expired
	}
	return Live
}

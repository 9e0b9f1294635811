package store

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/larder-go/cache/keying"
)

// Liveness is what the purge log says of an entry.
type Liveness uint8

const (
	Live    Liveness = iota // no purge stands after it
	Expired                 // a soft purge does: stale, whatever its age
	Gone                    // a purge does
)

// maxLabels bounds a ledger. When it is full the oldest purges become a floor: what is older than them is gone.
const maxLabels = 1 << 16

// A Ledger is one process' view of a purge log: for each label the last purge that named it. It is bounded and safe for
// concurrent use. Entries made in this process are held against the ledger's own count of records, entries read from
// a store against the log's positions.
type Ledger struct {
	count atomic.Uint64 // records applied; also what entries are checked against first

	mu    sync.RWMutex
	head  Position
	floor mark // what is older is gone
	faint mark // what is older is stale
	hard  map[keying.Label]mark
	soft  map[keying.Label]mark
	queue []purged // labels in the order of their purges, for making room
}

// mark is one purge's place, in the log and in this process.
type mark struct {
	at    Position
	count uint64
}

type purged struct {
	label keying.Label
	soft  bool
	mark  mark
}

// NewLedger returns a ledger that knows of no log yet.
func NewLedger() *Ledger {
	l := &Ledger{hard: map[keying.Label]mark{}, soft: map[keying.Label]mark{}}
	l.count.Store(1) // 0 stands for "not made here" in an entry
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
	return l.floor.at
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
	if r.All {
		*l.bound(r.Soft) = m
	}
	marks := l.marks(r.Soft)
	for _, label := range r.Labels {
		marks[label] = m
		l.queue = append(l.queue, purged{label, r.Soft, m})
	}
	l.makeRoom()
	l.count.Store(m.count) // last: whoever sees the new count must find the marks
}

func (l *Ledger) marks(soft bool) map[keying.Label]mark {
	if soft {
		return l.soft
	}
	return l.hard
}

func (l *Ledger) bound(soft bool) *mark {
	if soft {
		return &l.faint
	}
	return &l.floor
}

// makeRoom forgets the oldest purges and raises the floor to them. A label that was purged again since is not forgotten.
func (l *Ledger) makeRoom() {
	for len(l.queue) > maxLabels {
		p := l.queue[0]
		l.queue = l.queue[1:]
		if marks := l.marks(p.soft); marks[p.label] == p.mark {
			delete(marks, p.label)
			*l.bound(p.soft) = p.mark
		}
	}
}

// Restart follows a log that was lost, replaced or trimmed past this process' position, or is seen for the first time:
// what was made before at, or under another epoch, is gone.
func (l *Ledger) Restart(at Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := mark{at, l.count.Load() + 1}
	if l.untouched() {
		m.count = 0 // the first log seen: what this process made so far has missed no purge
	}
	l.head, l.floor, l.faint = at, m, mark{}
	l.hard, l.soft, l.queue = map[keying.Label]mark{}, map[keying.Label]mark{}, nil
	l.count.Add(1)
}

// Replace follows a log that was read anew, into from: as Restart and Apply would, but at once, so that nobody meets a
// ledger that knows of half the purges. What ApplyHere took in is forgotten. from must not be used any more.
func (l *Ledger) Replace(from *Ledger) {
	l.mu.Lock()
	defer l.mu.Unlock()
	count := max(l.count.Load(), from.count.Load()) + 1
	floor := from.floor
	if !l.untouched() || floor.count != 0 { // else what this process made so far has missed no purge
		floor.count = count
	}
	l.head, l.floor, l.faint = from.head, floor, from.faint
	l.hard, l.soft, l.queue = from.hard, from.soft, from.queue
	l.count.Store(count)
}

// untouched reports whether the ledger knows of neither log nor purge.
func (l *Ledger) untouched() bool {
	return l.head == Position{} && l.floor == mark{} && l.faint == mark{} && len(l.queue) == 0
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
	if l.hits(e, l.floor, l.hard) {
		return Gone
	}
	if l.hits(e, l.faint, l.soft) {
		return Expired
	}
	return Live
}

func (l *Ledger) hits(e *Entry, bound mark, marks map[keying.Label]mark) bool {
	if bound.after(e) {
		return true
	}
	for _, label := range e.Labels {
		if m, ok := marks[label]; ok && m.after(e) {
			return true
		}
	}
	return false
}

// after reports whether the purge came after the entry's making began.
func (m mark) after(e *Entry) bool {
	if e.born != 0 {
		return m.count > e.born
	}
	return m != mark{} && e.At.Before(m.at)
}

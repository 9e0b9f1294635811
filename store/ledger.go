package store

import (
	"container/list"
	"sync"
	"sync/atomic"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/keying"
)

// A Ledger is one process' view of a purge log: for each label, the last purge that named it. It is bounded, and safe for concurrent use.
//
// It compares in two ways. An entry that this process made remembers how many records the ledger had applied by then; that is exact even
// for records that the log never accepted. An entry that was read from a store has a position in the log itself.
type Ledger struct {
	count atomic.Uint64 // records applied. An entry that was found live at this count needs no further check

	mu   sync.RWMutex
	head Position
	hard *marks
	soft *marks // of purges after which an entry is stale, rather than gone
}

// Each ledger of a process counts from a start of its own, the starts being counts apart. So an entry shows which ledger it was made
// under, or was found live by: two caches may share one memory.
const counts = 1 << 40

var ledgers atomic.Uint64

// NewLedger returns a ledger that knows of no log yet.
func NewLedger() *Ledger {
	l := &Ledger{hard: newMarks(), soft: newMarks()}
	l.count.Store(ledgers.Add(1)*counts + 1) // 0 stands for "not made here" in an entry
	return l
}

// Stamp gives an entry that is about to be made its place in the log. It must be called before the handler runs: a purge from then
// on ends the entry.
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

// Floor returns the position before which everything is gone, because the log was trimmed or began anew there.
func (l *Ledger) Floor() Position {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.hard.all.at
}

// Apply applies a record. Records come in the log's order; one that is known already is ignored.
func (l *Ledger) Apply(r Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.At.Epoch == l.head.Epoch && r.At.compare(l.head) <= 0 {
		return
	}
	l.apply(r)
}

// ApplyHere applies a record that the log did not accept. It holds for this process alone, until the log is read anew. It gets a place
// just after the head, so that it also comes after other processes' entries that were stamped with the head; the head itself does not
// move, because the next record of the log may get that very place.
func (l *Ledger) ApplyHere(r Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	head := l.head
	r.At = head
	r.At.Seq++ // for later entries of this process the count decides
	l.apply(r)
	l.head = head
}

// apply applies the record. The lock is held. The count is raised last: whoever reads the new count, without the lock, must find the marks.
func (l *Ledger) apply(r Record) {
	m := mark{r.At, l.count.Load() + 1}
	l.head = r.At
	if r.Soft {
		l.soft.apply(r, m)
	} else {
		l.hard.apply(r, m)
	}
	l.count.Store(m.count)
}

// Rises returns how often purges were widened: there were too many to remember one by one, so the oldest became a purge of its whole area.
func (l *Ledger) Rises() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.hard.rises + l.soft.rises
}

// Restart begins to follow a log at a position: a log that was lost, replaced or trimmed past the place that this process knew, or that
// is seen for the first time. Entries from before, or of another epoch, are gone; but what this process itself made before it saw its
// first log has missed no purge, and stays.
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

// Replace takes over a log that was read anew, into from. It is Restart and many Apply in one step: in between, nobody must find a ledger
// that knows only half of the purges. Records of ApplyHere are forgotten. from must not be used any more.
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

// first is less than any count of a record of the same ledger.
func first(count uint64) uint64 { return count / counts * counts }

// untouched reports whether the ledger knows of neither log nor purge.
func (l *Ledger) untouched() bool {
	return l.head == Position{} && l.hard.untouched() && l.soft.untouched()
}

// State says what the purge log knows of the entry. Every hit calls it, so the result Live is remembered in the entry together with
// the count: until the next record, another call is one comparison, without a lock. The count is read before the check:
//
//	State                                 apply
//	reads the count: 7
//	finds no purge of the labels
//	                                      records the purge; the count is 8
//	stores 7 in the entry
//
// So the next State reads 8, which is not 7, and checks again. Had it read the count afterwards, the entry would be live at 8.
func (l *Ledger) State(e *Entry) Liveness {
	count := l.count.Load()
	if e.seen.Load() == count {
		return Live
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	state := l.state(e)
	if state == Live {
		e.seen.Store(count)
	}
	return state
}

// state checks the entry's labels. The lock is held.
func (l *Ledger) state(e *Entry) Liveness {
	switch {
	case l.hard.hits(e):
		return Gone
	case l.soft.hits(e):
		return Expired
	}
	return Live
}

const (
	// maxLabels bounds the labels whose last purge a ledger remembers. If there are more, the largest share forgets its oldest label,
	// which becomes a purge of its whole area: responses there go too early, and nothing elsewhere does.
	maxLabels = 1 << 16
	// maxAreas bounds the areas with such a purge. If there are more, they become one purge of everything.
	maxAreas = 1 << 15
)

// A mark is the position of one purge, in the log and in this process.
type mark struct {
	at    Position
	count uint64
}

// newer reports whether the mark is of a later record of the same ledger.
func (m mark) newer(than mark) bool {
	return m.count > than.count || m.count == than.count && m.at.compare(than.at) > 0
}

// after reports whether the purge came after the handler of the entry began. The zero mark is not a purge.
func (m mark) after(e *Entry) bool {
	if e.born != 0 && e.born/counts == m.count/counts {
		return m.count > e.born
	}
	return m != mark{} && e.At.Before(m.at)
}

// marks are what a ledger remembers of one kind of purges, hard or soft.
type marks struct {
	all    mark // everything older has been purged
	named  map[keying.Label]*list.Element
	areas  map[keys.Area]mark
	shares map[keys.Area]*list.List // the labels by their area, oldest purge first; the zero area: the app's own labels
	most   *list.List               // about the largest share; nil: unknown
	rises  int                      // how often an area was marked, because there were too many labels or a purge named it
}

// A purged is a label and its last purge.
type purged struct {
	label keying.Label
	area  keys.Area
	mark  mark
}

// newMarks returns marks that know of no purge.
func newMarks() *marks {
	return &marks{named: map[keying.Label]*list.Element{}, areas: map[keys.Area]mark{}, shares: map[keys.Area]*list.List{}}
}

// untouched reports whether there is no purge.
func (ms *marks) untouched() bool { return ms.all == mark{} && len(ms.named)+len(ms.areas) == 0 }

// apply records the purge of the record's labels. A place's label says in which area the labels before it lie; in a Wide record it
// purges the area itself.
func (ms *marks) apply(r Record, m mark) {
	if r.All {
		ms.all = m
	}
	from := 0
	for i, label := range r.Labels {
		area, ok := keys.Meant(label)
		if !ok {
			continue
		}
		if r.Wide {
			ms.raise(area, m)
			area = keys.Area{}
		}
		ms.add(r.Labels[from:i], area, m)
		from = i + 1
	}
	ms.add(r.Labels[from:], keys.Area{}, m)
}

// add records the last purge of the labels. The bound hits the area with the most labels: a flood of purges in one area makes only that
// area coarse.
func (ms *marks) add(labels []keying.Label, area keys.Area, m mark) {
	for _, label := range labels {
		if known := ms.named[label]; known != nil {
			ms.remove(known)
		}
		share := ms.shares[area]
		if share == nil {
			share = list.New()
			ms.shares[area] = share
		}
		ms.named[label] = share.PushBack(purged{label, area, m})
		if ms.most == nil || share.Len() > ms.most.Len() {
			ms.most = share
		}
		if len(ms.named) > maxLabels {
			ms.widen()
		}
	}
}

// remove forgets a label.
func (ms *marks) remove(at *list.Element) purged {
	p := at.Value.(purged)
	share := ms.shares[p.area]
	share.Remove(at)
	delete(ms.named, p.label)
	if share.Len() == 0 {
		delete(ms.shares, p.area)
		if ms.most == share {
			ms.most = nil
		}
	}
	return p
}

// widen forgets the oldest label of the largest share, and purges its whole area instead, as of that label's purge. Labels that the app
// itself named have no place; their digest assigns them to areas.
func (ms *marks) widen() {
	if ms.most == nil {
		for _, share := range ms.shares {
			if ms.most == nil || share.Len() > ms.most.Len() {
				ms.most = share
			}
		}
	}
	p := ms.remove(ms.most.Front())
	if p.area.Level == 0 {
		p.area = keys.AreaOf(p.label, 0)
	}
	ms.raise(p.area, p.mark)
}

// raise records a purge of a whole area. If there are too many areas, everything is purged as of the newest such purge.
func (ms *marks) raise(area keys.Area, m mark) {
	ms.rises++
	if m.newer(ms.areas[area]) {
		ms.areas[area] = m
	}
	if len(ms.areas) <= maxAreas {
		return
	}
	for _, m := range ms.areas {
		if m.newer(ms.all) {
			ms.all = m
		}
	}
	clear(ms.areas)
}

// hits reports whether a purge came after the entry: of everything, of one of its labels, or of an area that one of them lies in.
func (ms *marks) hits(e *Entry) bool {
	if ms.all.after(e) {
		return true
	}
	for i := range e.Labels {
		label := &e.Labels[i]
		if at, ok := ms.named[*label]; ok && at.Value.(purged).mark.after(e) {
			return true
		}
		if len(ms.areas) > 0 && ms.hitsArea(e, label) {
			return true
		}
	}
	return false
}

// hitsArea reports whether a purge of an area that the label lies in came after the entry.
func (ms *marks) hitsArea(e *Entry, label *keying.Label) bool {
	if !keys.IsPlace(*label) {
		m, ok := ms.areas[keys.AreaOf(*label, 0)]
		return ok && m.after(e)
	}
	for level := uint8(1); level <= keys.Areas; level++ {
		if m, ok := ms.areas[keys.AreaOf(*label, level)]; ok && m.after(e) {
			return true
		}
	}
	return false
}

// recount gives all marks the same count: they are older than everything that this process makes from now on.
func (ms *marks) recount(count uint64) {
	for _, at := range ms.named {
		p := at.Value.(purged)
		p.mark.count = count
		at.Value = p
	}
	for area, m := range ms.areas {
		m.count = count
		ms.areas[area] = m
	}
}

package store

import (
	"cmp"
	"container/list"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/keying"
)

// A Position is a place in a purge log. Positions of one epoch are ordered; an epoch is one unbroken life of a log, and
// positions of different epochs cannot be compared. The zero Position is before everything and belongs to no epoch.
type Position struct {
	Epoch     uint64
	Time, Seq uint64 // a Redis stream's id, or a counter in Seq
}

// Before reports whether p stands before q in the same log. Positions of different epochs count as before each other:
// what was made under another log cannot be trusted.
func (p Position) Before(q Position) bool { return p.Epoch != q.Epoch || p.compare(q) < 0 }

func (p Position) compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Time, q.Time), cmp.Compare(p.Seq, q.Seq))
}

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

const (
	// maxLabels bounds the labels that a ledger knows the last purge of. When there are more, whoever has most of them
	// forgets its oldest one, which becomes one of its area: what is older there is gone, and nothing elsewhere.
	maxLabels = 1 << 16
	// maxAreas bounds the areas with such a purge. When there are more, they become one of everything.
	maxAreas = 1 << 15
)

// mark is one purge's place, in the log and in this process.
type mark struct {
	at    Position
	count uint64
}

// newer reports whether the mark is of a later record of the same ledger.
func (m mark) newer(than mark) bool {
	return m.count > than.count || m.count == than.count && m.at.compare(than.at) > 0
}

// after reports whether the purge came after the entry's making began.
func (m mark) after(e *Entry) bool {
	if e.born != 0 && e.born/counts == m.count/counts {
		return m.count > e.born
	}
	return m != mark{} && e.At.Before(m.at)
}

// marks are what a ledger knows of one kind of purges, the hard or the soft ones.
type marks struct {
	all    mark // what is older has been purged
	named  map[keying.Label]*list.Element
	areas  map[keys.Area]mark
	shares map[keys.Area]*list.List // the labels by their area, those whose purge is oldest first; of no area: the app's own
	most   *list.List               // the share that has made room last, or has more labels
	rises  int                      // how often an area was marked, for want of room or by a purge that named it
}

// purged is a label and its last purge.
type purged struct {
	label keying.Label
	area  keys.Area
	mark  mark
}

func newMarks() *marks {
	return &marks{named: map[keying.Label]*list.Element{}, areas: map[keys.Area]mark{}, shares: map[keys.Area]*list.List{}}
}

// untouched reports whether there is no purge.
func (ms *marks) untouched() bool { return ms.all == mark{} && len(ms.named)+len(ms.areas) == 0 }

// apply notes the purge of the record's labels. A label of a place tells the area of those that stand before it, or is
// what is purged itself.
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
			ms.makeRoom()
		}
	}
}

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

// makeRoom forgets the oldest label of whoever has most. Of purges that the app itself has named the area is the label's
// own, by chance.
func (ms *marks) makeRoom() {
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

// raise marks an area.
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

// recount gives all marks one count, which says that they are older than what is made from now on.
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

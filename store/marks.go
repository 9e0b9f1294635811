package store

import (
	"container/list"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/keying"
)

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

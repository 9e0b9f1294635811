package redisstore

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// maxOwed is how many labels of purges are owed before those of URLs become some of areas, and then all of them one of
// everything.
const maxPending = 1 << 16

// owed are purges that Redis could not be told of. They hold for this process; the others are told when Redis answers
// again: by the next read that finds it so, or else by a timer, which runs while something is owed. Requests purge too, the
// same URLs again and again: so what is owed is what they name, and not one record for each.
type pendingPurges struct {
	any       atomic.Bool
	mu        sync.Mutex
	sets      [len(purgeKinds)]purgeSet
	sending   *store.Record // what Redis is told of now: it has left the debts
	scheduled bool          // a timer sees to it that Redis is told
}

// sorts are what purges of one debt have in common. Those that reach farther come first.
var purgeKinds = [...]store.Record{{Wide: true}, {}, {Soft: true, Wide: true}, {Soft: true}}

func kindOf(soft, wide bool) int {
	switch {
	case soft && wide:
		return 2
	case soft:
		return 3
	case wide:
		return 0
	}
	return 1
}

// debt is what purges of one sort name.
type purgeSet struct {
	all   bool
	urls  map[keying.Label]keying.Label // and where each lies
	names map[keying.Label]struct{}     // labels that lie nowhere
}

func (s *purgeSet) size() int {
	n := len(s.urls) + len(s.names)
	if s.all {
		n++
	}
	return n
}

// add notes the purge of the record's labels. One of a place belongs to those that stand before it, unless it is what is
// purged itself.
func (s *purgeSet) add(r store.Record) {
	if s.names == nil {
		s.urls, s.names = map[keying.Label]keying.Label{}, map[keying.Label]struct{}{}
	}
	s.all = s.all || r.All
	from := 0
	for i, place := range r.Labels {
		if _, ok := keys.Meant(place); !ok || r.Wide {
			continue
		}
		for _, url := range r.Labels[from:i] {
			s.urls[url] = place
		}
		from = i + 1
	}
	for _, name := range r.Labels[from:] {
		s.names[name] = struct{}{}
	}
}

// labels are what a record of it says, but no more than most.
func (s *purgeSet) labels(most int) []keying.Label {
	labels := make([]keying.Label, 0, min(most, 2*len(s.urls)+len(s.names)))
	for url, place := range s.urls {
		if len(labels)+2 > most {
			return labels
		}
		labels = append(labels, url, place)
	}
	for name := range s.names {
		if len(labels) == most {
			break
		}
		labels = append(labels, name)
	}
	return labels
}

// take takes as much out as one record has room for.
func (s *purgeSet) take(kind store.Record) *store.Record {
	r := &store.Record{All: s.all, Soft: kind.Soft, Wide: kind.Wide && !s.all}
	if s.all {
		*s = purgeSet{}
		return r
	}
	r.Labels = s.labels(store.MaxLabels)
	for _, label := range r.Labels {
		delete(s.urls, label)
		delete(s.names, label)
	}
	return r
}

// add returns true if there is no timer yet: the caller starts it.
func (p *pendingPurges) add(r store.Record) (first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(r)
	if p.size() > maxPending {
		p.coarsen()
	}
	p.any.Store(true)
	first, p.scheduled = !p.scheduled, true
	return first
}

func (p *pendingPurges) put(r store.Record) { p.sets[kindOf(r.Soft, r.Wide)].add(r) }

// left is how many labels Redis is still to be told of.
func (p *pendingPurges) size() (n int) {
	for i := range p.sets {
		n += p.sets[i].size()
	}
	return n
}

// widen names areas instead of the URLs that lie there, or everything where that is not enough: the app itself has named
// too much.
func (p *pendingPurges) coarsen() {
	for i, kind := range purgeKinds {
		s := &p.sets[i]
		if kind.Wide || len(s.urls) == 0 {
			continue
		}
		areas := map[keys.Area]keying.Label{}
		for _, place := range s.urls {
			area, _ := keys.Meant(place)
			areas[area] = place
		}
		clear(s.urls)
		for place := range maps.Values(areas) {
			p.put(store.Record{Labels: []keying.Label{place}, Soft: kind.Soft, Wide: true})
		}
	}
	if p.size() > maxPending/2 { // less would be widened again too soon
		p.sets = [len(purgeKinds)]purgeSet{}
		p.put(store.Record{All: true})
	}
}

// first returns the purge that Redis is to be told of first, or nil.
func (p *pendingPurges) next() *store.Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 0; p.sending == nil && i < len(purgeKinds); i++ {
		if p.sets[i].size() > 0 {
			p.sending = p.sets[i].take(purgeKinds[i])
		}
	}
	return p.sending
}

// paid strikes the purge out that was first.
func (p *pendingPurges) sent() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sending = nil
	p.any.Store(p.size() > 0)
}

// count is 0 once nothing is owed.
func (p *pendingPurges) outstanding() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.size()
	if p.sending != nil {
		n += 1 + len(p.sending.Labels)
	}
	return n
}

// timerEnds reports whether the timer has nothing more to do, or never will: then the next purge that is owed starts it.
func (p *pendingPurges) unscheduleIfDone(closed bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.scheduled = !closed && (p.sending != nil || p.size() > 0)
	return !p.scheduled
}

// applyTo takes what is owed into a ledger that has been replaced.
func (p *pendingPurges) applyTo(l *store.Ledger) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sending != nil {
		l.ApplyHere(*p.sending)
	}
	for i, kind := range purgeKinds {
		if s := &p.sets[i]; s.size() > 0 {
			l.ApplyHere(store.Record{Labels: s.labels(2 * s.size()), All: s.all, Soft: kind.Soft, Wide: kind.Wide})
		}
	}
}

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
const maxOwed = 1 << 16

// owed are purges that Redis could not be told of. They hold for this process; the others are told when Redis answers
// again: by the next read that finds it so, or else by a timer, which runs while something is owed. Requests purge too, the
// same URLs again and again: so what is owed is what they name, and not one record for each.
type owed struct {
	some    atomic.Bool
	mu      sync.Mutex
	debts   [len(sorts)]debt
	telling *store.Record // what Redis is told of now: it has left the debts
	timed   bool          // a timer sees to it that Redis is told
}

// sorts are what purges of one debt have in common. Those that reach farther come first.
var sorts = [...]store.Record{{Wide: true}, {}, {Soft: true, Wide: true}, {Soft: true}}

func sortOf(soft, wide bool) int {
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
type debt struct {
	all   bool
	urls  map[keying.Label]keying.Label // and where each lies
	names map[keying.Label]struct{}     // labels that lie nowhere
}

func (d *debt) count() int {
	n := len(d.urls) + len(d.names)
	if d.all {
		n++
	}
	return n
}

// add notes the purge of the record's labels. One of a place belongs to those that stand before it, unless it is what is
// purged itself.
func (d *debt) add(r store.Record) {
	if d.names == nil {
		d.urls, d.names = map[keying.Label]keying.Label{}, map[keying.Label]struct{}{}
	}
	d.all = d.all || r.All
	from := 0
	for i, place := range r.Labels {
		if _, ok := keys.Meant(place); !ok || r.Wide {
			continue
		}
		for _, url := range r.Labels[from:i] {
			d.urls[url] = place
		}
		from = i + 1
	}
	for _, name := range r.Labels[from:] {
		d.names[name] = struct{}{}
	}
}

// labels are what a record of it says, but no more than most.
func (d *debt) labels(most int) []keying.Label {
	labels := make([]keying.Label, 0, min(most, 2*len(d.urls)+len(d.names)))
	for url, place := range d.urls {
		if len(labels)+2 > most {
			return labels
		}
		labels = append(labels, url, place)
	}
	for name := range d.names {
		if len(labels) == most {
			break
		}
		labels = append(labels, name)
	}
	return labels
}

// take takes as much out as one record has room for.
func (d *debt) take(sort store.Record) *store.Record {
	r := &store.Record{All: d.all, Soft: sort.Soft, Wide: sort.Wide && !d.all}
	if d.all {
		*d = debt{}
		return r
	}
	r.Labels = d.labels(store.MaxLabels)
	for _, label := range r.Labels {
		delete(d.urls, label)
		delete(d.names, label)
	}
	return r
}

// add returns true if there is no timer yet: the caller starts it.
func (o *owed) add(r store.Record) (first bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.note(r)
	if o.left() > maxOwed {
		o.widen()
	}
	o.some.Store(true)
	first, o.timed = !o.timed, true
	return first
}

func (o *owed) note(r store.Record) { o.debts[sortOf(r.Soft, r.Wide)].add(r) }

// left is how many labels Redis is still to be told of.
func (o *owed) left() (n int) {
	for i := range o.debts {
		n += o.debts[i].count()
	}
	return n
}

// widen names areas instead of the URLs that lie there, or everything where that is not enough: the app itself has named
// too much.
func (o *owed) widen() {
	for i, sort := range sorts {
		d := &o.debts[i]
		if sort.Wide || len(d.urls) == 0 {
			continue
		}
		areas := map[keys.Area]keying.Label{}
		for _, place := range d.urls {
			area, _ := keys.Meant(place)
			areas[area] = place
		}
		clear(d.urls)
		for place := range maps.Values(areas) {
			o.note(store.Record{Labels: []keying.Label{place}, Soft: sort.Soft, Wide: true})
		}
	}
	if o.left() > maxOwed/2 { // less would be widened again too soon
		o.debts = [len(sorts)]debt{}
		o.note(store.Record{All: true})
	}
}

// first returns the purge that Redis is to be told of first, or nil.
func (o *owed) first() *store.Record {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := 0; o.telling == nil && i < len(sorts); i++ {
		if o.debts[i].count() > 0 {
			o.telling = o.debts[i].take(sorts[i])
		}
	}
	return o.telling
}

// paid strikes the purge out that was first.
func (o *owed) paid() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.telling = nil
	o.some.Store(o.left() > 0)
}

// count is 0 once nothing is owed.
func (o *owed) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.left()
	if o.telling != nil {
		n += 1 + len(o.telling.Labels)
	}
	return n
}

// timerEnds reports whether the timer has nothing more to do, or never will: then the next purge that is owed starts it.
func (o *owed) timerEnds(closed bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.timed = !closed && (o.telling != nil || o.left() > 0)
	return !o.timed
}

// applyTo takes what is owed into a ledger that has been replaced.
func (o *owed) applyTo(l *store.Ledger) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.telling != nil {
		l.ApplyHere(*o.telling)
	}
	for i, sort := range sorts {
		if d := &o.debts[i]; d.count() > 0 {
			l.ApplyHere(store.Record{Labels: d.labels(2 * d.count()), All: d.all, Soft: sort.Soft, Wide: sort.Wide})
		}
	}
}

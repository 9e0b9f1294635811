package readthrough

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/keying"
)

// maxNested is how often a key's load may be under way within itself. A load that asks for its own key runs once more and
// may well end then, for it can know from its context; one that asks again has not known.
const maxNested = 2

// A Link is one run in the chain of those under way that have led to a call: a handler that asks for another page, whose
// handler asks for a value. A run's context carries it, under [LinkKey]. It is memory of the run's own, because a handler may
// keep its context. A nil Link is a call that no run has made.
//
// The chain prevents three deadlocks:
//
//	a load asks for its own key            it would wait for itself: it runs once more, alone, and may know from its
//	                                       context that it is within itself. If it asks again, the call is Looped
//	two loads ask for each other's keys    each would wait for the other: the second does not wait, see wait
//	a load asks for another key, and all   the other load would wait for the slot that this one holds: it needs
//	slots of the limit are taken           none, see holds
type Link struct {
	outer    *Link
	key      keying.Key
	name, id string                   // what is loaded, as messages name it
	limit    atomic.Pointer[runLimit] // where the run has a slot, or nil
	ended    atomic.Bool

	waits []*flight // guarded by waiting: what the calls wait for that the run has led to
}

// LinkKey is the key of a context's value that is a *Link.
type LinkKey struct{}

func linkOf(ctx context.Context) *Link {
	l, _ := ctx.Value(LinkKey{}).(*Link)
	return l
}

// Link makes l, which is zero, the run's. It is called before the load makes anything, and l belongs to the run's context.
// The name and the id, which may be empty, say what is loaded.
func (r *Run) Link(l *Link, name, id string) {
	l.outer, l.key, l.name, l.id = linkOf(r.call.ctx), r.Entry.Key, name, id
	if r.in.Load() {
		l.limit.Store(&r.call.rc.limit)
	}
	r.endLink()
	r.link = l
	if r.flight != nil {
		r.flight.link.Store(l)
	}
}

// endLink is called when the load is over, whoever keeps its context.
func (r *Run) endLink() {
	if r.link != nil {
		r.link.ended.Store(true)
	}
}

// nested counts the runs for the key in the chain.
func (l *Link) nested(key keying.Key) (n int) {
	for ; l != nil; l = l.outer {
		if l.key == key && !l.ended.Load() {
			n++
		}
	}
	return n
}

// holds reports whether a run in the chain has a slot of the limit.
func (l *Link) holds(limit *runLimit) bool {
	for ; l != nil; l = l.outer {
		if l.limit.Load() == limit && !l.ended.Load() {
			return true
		}
	}
	return false
}

// has reports whether the run is in the chain.
func (l *Link) has(run *Link) bool {
	for ; l != nil && l != run; l = l.outer {
	}
	return l != nil
}

// waiting guards who waits for what. Only a call that a run has made takes it, when it would wait for another's load.
var waiting sync.Mutex

// wait notes that the call at the end of the chain waits for the flight, until waited; or it returns false, because the
// flight's leader would wait for the call in turn. Say A's handler asks for B while B's handler asks for A:
//
//	A's run: joins B's flight. B's run waits for nothing yet, so it notes: A waits for B
//	B's run: joins A's flight. A waits for B, and B is in this call's chain: B's run does not wait, and loads A itself
//
// Whoever comes second does not wait.
//
// A run that has several calls under way counts as waiting for all of them, though it may need one only: at worst a load runs
// that need not. What cannot be seen is a wait that the chain does not reach: a request over a socket, or one with another
// context. It ends as every long wait does, after maxWait.
func (l *Link) wait(f *flight, limit *runLimit) bool {
	if l == nil {
		return true
	}
	// A flight that has not begun may be waiting for the slot that the chain has.
	if f.link.Load() == nil && limit.full() && l.holds(limit) {
		return false
	}
	waiting.Lock()
	defer waiting.Unlock()
	if l.blocks(f, map[*Link]bool{}) {
		return false
	}
	for at := l; at != nil; at = at.outer {
		at.waits = append(at.waits, f)
	}
	return true
}

// blocks reports whether the flight waits, by however many others, for a run in the chain.
func (l *Link) blocks(f *flight, seen map[*Link]bool) bool {
	run := f.link.Load()
	switch {
	case run == nil || seen[run] || run.ended.Load():
		return false
	case l.has(run):
		return true
	}
	seen[run] = true
	for _, next := range run.waits {
		if l.blocks(next, seen) {
			return true
		}
	}
	return false
}

// waited ends what wait has noted.
func (l *Link) waited(f *flight) {
	if l == nil {
		return
	}
	waiting.Lock()
	defer waiting.Unlock()
	for ; l != nil; l = l.outer {
		for i := range l.waits {
			if l.waits[i] == f {
				last := len(l.waits) - 1
				l.waits[i], l.waits[last] = l.waits[last], nil
				l.waits = l.waits[:last]
				break
			}
		}
	}
}

// Cycle spells out how a call with the context has come to ask for the key within itself: what was loaded, the outermost
// run for the key first.
func Cycle(ctx context.Context, key keying.Key) string {
	var names []string
	for l, left := linkOf(ctx), linkOf(ctx).nested(key); left > 0; l = l.outer {
		name := l.name
		if l.id != "" {
			name += " " + strconv.Quote(l.id)
		}
		names = append([]string{name}, names...)
		if l.key == key && !l.ended.Load() {
			left--
		}
	}
	if names == nil {
		return ""
	}
	return strings.Join(append(names, names[0]), " → ")
}

const (
	maxRuns  = 256             // far more than a database likes; see Options.MaxRuns
	runStall = time.Second     // if no run ends for so long, those under way are no measure for the next
	runWait  = 5 * time.Second // the longest wait; then the load runs at once, beside the others
)

// runLimit bounds how many loads run at once: a cache that is cold, or cannot reach its store, must not drown what the loads
// live on. Loads of one key are one already, but ten thousand keys may be missed at once. It delays a load and never fails it.
// If a second passes without one run ending, the runs under way are stuck, or streams, and say nothing of how busy the database
// is: the load waits no longer.
type runLimit struct {
	slots chan struct{}
	ended atomic.Uint64
}

func (r *runLimit) init(n int) {
	if n <= 0 {
		n = maxRuns
	}
	r.slots = make(chan struct{}, n)
}

// enter waits for a slot and reports whether it has one, which is to be left. A call that a run with a slot has made does not
// wait: the run would hold the slot that the call waits for. Canceled is a call whose client has gone.
func (r *runLimit) enter(ctx context.Context) (in, canceled bool) {
	select {
	case r.slots <- struct{}{}:
		return true, false
	default:
	}
	if linkOf(ctx).holds(r) {
		return false, false
	}
	tick := time.NewTicker(runStall)
	defer tick.Stop()
	for range runWait / runStall {
		ended := r.ended.Load()
		select {
		case r.slots <- struct{}{}:
			return true, false
		case <-ctx.Done():
			return false, errors.Is(ctx.Err(), context.Canceled)
		case <-tick.C:
			if r.ended.Load() == ended {
				return false, false
			}
		}
	}
	return false, false
}

// full reports whether a load would have to wait.
func (r *runLimit) full() bool { return len(r.slots) == cap(r.slots) }

func (r *runLimit) leave() {
	r.ended.Add(1)
	<-r.slots
}

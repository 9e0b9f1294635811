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

// maxNested is how often a key's load may be under way within itself. A load that requests its own key runs once more and
// may well end then, because its context shows that it is nested. One that requests it again has not checked.
const maxNested = 2

// A Link is one run in the chain of runs under way that have led to a call: a handler that requests another page, whose
// handler gets a value. A run's context carries it, under [LinkKey]. It is allocated for the run alone, because a handler may
// keep its context. A nil Link is a call that no run has made.
//
// The chain prevents three deadlocks:
//
//	a load requests its own key            it would wait for itself: it runs once more, alone, and can tell from its
//	                                       context that it is within itself. If it requests it again, the call is Looped
//	two loads request each other's keys    each would wait for the other: the second does not wait, see wait
//	a load requests another key, and all   the other load would wait for the slot that this one holds: it needs
//	slots of the limit are taken           none, see holds
type Link struct {
	outer    *Link
	key      keying.Key
	name, id string                   // what is loaded, for messages
	limit    atomic.Pointer[runLimit] // where the run has a slot, or nil
	ended    atomic.Bool

	waits []*flight // guarded by waiting: the flights that calls further down the chain wait for
}

// LinkKey is the key of a context value of type *Link.
type LinkKey struct{}

func linkOf(ctx context.Context) *Link {
	l, _ := ctx.Value(LinkKey{}).(*Link)
	return l
}

// Link makes l, which must be zero, the run's. It is called before the load makes anything, and l belongs to the run's context.
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

// endLink is called when the load is over; its context may live on.
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

// waiting guards the record of who waits for what. Only a call made by a run takes it, to wait for another load.
var waiting sync.Mutex

// wait records that the call at the end of the chain waits for the flight, until waited; or it returns false, because the
// flight's leader would wait for the call in turn. Say A's handler requests B while B's handler requests A:
//
//	A's run: joins B's flight. B's run waits for nothing yet, so it records: A waits for B
//	B's run: joins A's flight. A waits for B, and B is in this call's chain: B's run does not wait, and loads A itself
//
// The second one never waits.
//
// A run with several calls under way counts as waiting for all of them, though it may need only one: at worst a load runs
// needlessly. A wait is invisible if the chain does not reach it: through a request over a socket, or one with another
// context. It ends as every long wait does, after maxWait.
func (l *Link) wait(f *flight, limit *runLimit) bool {
	if l == nil {
		return true
	}
	// A flight whose load has not begun may be waiting for the slot that the chain holds.
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

// blocks reports whether the flight waits, through any number of others, for a run in the chain.
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

// waited undoes what wait has recorded.
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

// Cycle spells out how a call with the context has come to request the key within itself: what was loaded, starting with the
// outermost run for the key.
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
	runStall = time.Second     // if no run ends for so long, those under way say nothing about the next
	runWait  = 5 * time.Second // the longest wait; then the load runs at once, beside the others
)

// runLimit bounds how many loads run at once: a cold cache, or one that cannot reach its store, must not overload what the loads
// depend on. Loads of one key are one already, but ten thousand keys may be missed at once. It delays a load and never fails it.
// If no run ends within a second, the runs under way are stuck, or streams, and say nothing about how busy the database
// is: the load stops waiting.
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

// enter waits for a slot and reports whether it has one, which the caller must leave. A call made by a run with a slot does not
// wait: the run would hold the slot that the call waits for. Canceled reports that the call's client has gone.
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

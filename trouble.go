package cache

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/store"
)

// A store that is away fails as often as it is asked. So a fault that lasts is told when it begins and when it is over, and
// one that merely happens when it happens; of either kind there is one event a second for a route and reason at most, and
// what was not told before is counted into the next one.

// quiet is how long after an event the next one of its kind is told at the earliest.
const quiet = time.Second

// maxTroubles bounds the kinds that are told apart. Those beyond are told as one for each outcome and reason, without class and route.
const maxTroubles = 1024

// trouble is what faults of one kind have in common.
type trouble struct {
	class   Class
	route   string
	outcome Outcome
	reason  Reason
}

// course is how trouble of one kind goes on.
type course struct {
	lasts  bool              // it goes on until it is over
	on     []store.Operation // … for these
	told   bool              // … and that was told
	untold int               // how often it was met since the last event
	ev     Event             // as it was met last
	at     time.Time         // of the last event
}

// troubles are all of a cache's. They take their lock when something fails, and after successes while something does. They
// are safe for concurrent use; tell is called without the lock.
type troubles struct {
	tell func(Event)
	on   atomic.Int32 // how many operations are

	mu     sync.Mutex
	all    map[trouble]*course
	timer  *time.Timer // nil: nothing waits to be told
	closed bool
}

// find returns the course of the event's kind, or nil if it has none. Where the kinds are told as one the event loses its
// class and route. The lock is held.
func (ts *troubles) find(ev *Event) *course {
	c := ts.all[trouble{ev.Class, ev.Route, ev.Outcome, ev.Reason}]
	if c == nil && len(ts.all) >= maxTroubles {
		ev.Class, ev.Route = 0, ""
		c = ts.all[trouble{outcome: ev.Outcome, reason: ev.Reason}]
	}
	return c
}

// of is find, for what has no course yet, too. The lock is held.
func (ts *troubles) of(ev *Event) *course {
	c := ts.find(ev)
	if c == nil {
		if ts.all == nil {
			ts.all = map[trouble]*course{}
		}
		c = new(course)
		ts.all[trouble{ev.Class, ev.Route, ev.Outcome, ev.Reason}] = c
	}
	return c
}

// meet is told of a fault that is over as it happens.
func (ts *troubles) meet(ev Event) { ts.note(ev, "", false) }

// begin is told of a fault that lasts until what is asked of the store is told to be over.
func (ts *troubles) begin(ev Event, what store.Operation) { ts.note(ev, what, true) }

func (ts *troubles) note(ev Event, what store.Operation, lasts bool) {
	ts.mu.Lock()
	c := ts.of(&ev)
	if lasts && !slices.Contains(c.on, what) {
		c.on = append(c.on, what)
		ts.on.Add(1)
	}
	c.lasts, c.ev = lasts, ev
	c.untold++
	ev, news := ts.settle(c, time.Now())
	ts.mu.Unlock()
	if news {
		ts.tell(ev)
	}
}

// over is told that what had begun is over. It reports whether it had.
func (ts *troubles) over(ev Event, what store.Operation) bool {
	if ts.on.Load() == 0 {
		return false
	}
	ts.mu.Lock()
	c, at := ts.find(&ev), -1
	if c != nil {
		at = slices.Index(c.on, what)
	}
	if at < 0 {
		ts.mu.Unlock()
		return false
	}
	c.on = slices.Delete(c.on, at, at+1)
	ts.on.Add(-1)
	ev, news := ts.settle(c, time.Now())
	ts.mu.Unlock()
	if news {
		ts.tell(ev)
	}
	return true
}

// settle returns what there is to tell of the course, if it is time to. If not, a timer sees to it. The lock is held.
func (ts *troubles) settle(c *course, now time.Time) (ev Event, news bool) {
	if !c.news() {
		return ev, false
	}
	if wait := quiet - now.Sub(c.at); wait > 0 && !c.at.IsZero() {
		if ts.timer == nil && !ts.closed {
			ts.timer = time.AfterFunc(wait, ts.wake)
		}
		return ev, false
	}
	c.at = now
	return c.tell(), true
}

// news reports whether there is anything to tell of: a fault that goes on is not news.
func (c *course) news() bool {
	if c.lasts && len(c.on) > 0 {
		return !c.told
	}
	return c.told || c.untold > 0
}

// tell makes the event of it.
func (c *course) tell() Event {
	ev := c.ev
	if c.lasts && len(c.on) == 0 {
		ev.Outcome, ev.Status, ev.Err = Recovered, 0, nil
		if ev.Reason == ReasonLog {
			ev.Outcome, ev.Reason = Followed, ""
		}
	}
	ev.Count = c.untold
	c.told, c.untold, c.ev.Err = len(c.on) > 0, 0, nil
	return ev
}

// wake tells what has waited.
func (ts *troubles) wake() {
	ts.mu.Lock()
	ts.timer = nil
	var all []Event
	now := time.Now()
	for _, c := range ts.all {
		if ev, news := ts.settle(c, now); news {
			all = append(all, ev)
		}
	}
	ts.mu.Unlock()
	for _, ev := range all {
		ts.tell(ev)
	}
}

// close tells what has not been told. No timer runs from then on.
func (ts *troubles) close() {
	ts.mu.Lock()
	ts.closed = true
	if ts.timer != nil {
		ts.timer.Stop()
	}
	var all []Event
	for _, c := range ts.all {
		if c.news() || c.untold > 0 {
			all = append(all, c.tell())
		}
	}
	ts.mu.Unlock()
	for _, ev := range all {
		ts.tell(ev)
	}
}

package cache

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
)

// A store that is down fails as often as it is asked. Events of faults must tell of it without becoming a flood. So:
//
//   - A fault that lasts is told when it begins, and Recovered tells when it is over.
//   - A fault that merely happens (a corrupt entry) is told when it happens.
//   - Either way there is at most one event a second for one class, route, outcome and reason. The next event counts those in between
//     ([Event.Count]), so none is lost.
//
// A store that flaps shows why the state is kept per operation, and why a timer is needed:
//
//	0.0 s  reads fail     told at once: Fault
//	0.2 s  reads answer   over, but too soon after the last event: the timer is set
//	0.5 s  reads fail     begun again, and not yet told to be over: nothing new
//	0.7 s  reads answer
//	1.0 s  the timer      tells Recovered, and counts the second failure

// eventEvery is the least time between two events of one kind.
const eventEvery = time.Second

// maxKinds bounds the kinds that are told apart. Kinds beyond it share one for their outcome and reason, without class and route.
const maxKinds = 1024

// A faultKind is what events of one kind have in common.
type faultKind struct {
	class   Class
	route   string
	outcome Outcome
	reason  Reason
}

// An episode is the state of one kind.
type episode struct {
	lasts   bool                    // it goes on until it is over
	failing []readthrough.Operation // the operations that still fail
	told    bool                    // its beginning was told, and not its end
	untold  int                     // how often it happened since the last event
	last    Event                   // as it happened last
	at      time.Time               // of the last event
}

// An eventLimiter has an episode for each kind of fault of a cache. It takes its lock when something fails, and after a success only
// while something else fails: the hit path never sees it. It is safe for concurrent use, and calls tell without the lock.
type eventLimiter struct {
	tell    func(Event)
	failing atomic.Int32 // operations that fail, over all kinds

	mu     sync.Mutex
	all    map[faultKind]*episode
	timer  *time.Timer // nil: nothing waits to be told
	closed bool
}

// happened is told of a fault that is over as it happens.
func (l *eventLimiter) happened(ev Event) { l.note(ev, "", false) }

// began is told of a fault that lasts until the operation succeeds. Further failures are counted.
func (l *eventLimiter) began(ev Event, op readthrough.Operation) { l.note(ev, op, true) }

func (l *eventLimiter) note(ev Event, op readthrough.Operation, lasts bool) {
	l.mu.Lock()
	e := l.episode(&ev)
	if lasts && !slices.Contains(e.failing, op) {
		e.failing = append(e.failing, op)
		l.failing.Add(1)
	}
	e.lasts, e.last = lasts, ev
	e.untold++
	ev, due := l.due(e, time.Now())
	l.mu.Unlock()
	if due {
		l.tell(ev)
	}
}

// ended is told that the operation succeeds. It reports whether it had failed before.
func (l *eventLimiter) ended(ev Event, op readthrough.Operation) bool {
	if l.failing.Load() == 0 {
		return false
	}
	l.mu.Lock()
	e, at := l.find(&ev), -1
	if e != nil {
		at = slices.Index(e.failing, op)
	}
	if at < 0 {
		l.mu.Unlock()
		return false
	}
	e.failing = slices.Delete(e.failing, at, at+1)
	l.failing.Add(-1)
	ev, due := l.due(e, time.Now())
	l.mu.Unlock()
	if due {
		l.tell(ev)
	}
	return true
}

// find returns the episode of the event's kind, or nil. Where there are too many kinds, the event loses its class and route. The
// lock is held.
func (l *eventLimiter) find(ev *Event) *episode {
	e := l.all[faultKind{ev.Class, ev.Route, ev.Outcome, ev.Reason}]
	if e == nil && len(l.all) >= maxKinds {
		ev.Class, ev.Route = 0, ""
		e = l.all[faultKind{outcome: ev.Outcome, reason: ev.Reason}]
	}
	return e
}

// episode is find, and makes a new episode where there is none. The lock is held.
func (l *eventLimiter) episode(ev *Event) *episode {
	e := l.find(ev)
	if e == nil {
		if l.all == nil {
			l.all = map[faultKind]*episode{}
		}
		e = new(episode)
		l.all[faultKind{ev.Class, ev.Route, ev.Outcome, ev.Reason}] = e
	}
	return e
}

// due returns the event that the episode owes, if it is time to tell it. If it is too soon, the timer will. The lock is held.
func (l *eventLimiter) due(e *episode, now time.Time) (ev Event, due bool) {
	if !e.changed() {
		return ev, false
	}
	if wait := eventEvery - now.Sub(e.at); wait > 0 && !e.at.IsZero() {
		if l.timer == nil && !l.closed {
			l.timer = time.AfterFunc(wait, l.tick)
		}
		return ev, false
	}
	e.at = now
	return e.event(), true
}

// changed reports whether there is anything to tell. That a fault goes on is not.
func (e *episode) changed() bool {
	if e.lasts && len(e.failing) > 0 {
		return !e.told
	}
	return e.told || e.untold > 0
}

// event makes the event, and starts counting anew.
func (e *episode) event() Event {
	ev := e.last
	if e.lasts && len(e.failing) == 0 {
		ev.Outcome, ev.Status, ev.Err = Recovered, 0, nil
		if ev.Reason == ReasonLog {
			ev.Outcome, ev.Reason = Followed, ""
		}
	}
	ev.Count = e.untold
	e.told, e.untold, e.last.Err = len(e.failing) > 0, 0, nil
	return ev
}

// tick tells what was too soon before. What is too soon still sets the timer again.
func (l *eventLimiter) tick() {
	l.mu.Lock()
	l.timer = nil
	var all []Event
	now := time.Now()
	for _, e := range l.all {
		if ev, due := l.due(e, now); due {
			all = append(all, ev)
		}
	}
	l.mu.Unlock()
	for _, ev := range all {
		l.tell(ev)
	}
}

// close tells all that is still owed. No timer runs from then on.
func (l *eventLimiter) close() {
	l.mu.Lock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
	var all []Event
	for _, e := range l.all {
		if e.changed() || e.untold > 0 {
			all = append(all, e.event())
		}
	}
	l.mu.Unlock()
	for _, ev := range all {
		l.tell(ev)
	}
}

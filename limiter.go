package cache

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
)

// A store that is down fails at each operation. Events must say so without becoming a flood. So:
//
//   - A fault that lasts has an event when it begins, and a Recovered event when it is over.
//   - A fault that merely happens (a corrupt entry) has an event when it happens.
//   - Either way there is at most one event a second for one class, route, outcome and reason. The next event counts those in between
//     ([Event.Count]), so none is lost.
//
// A store that flaps shows why the state is kept per operation, and why a timer is needed:
//
//	0.0 s  reads fail     an event at once: Fault
//	0.2 s  reads answer   over, but too soon after the last event: the timer is set
//	0.5 s  reads fail     begun again, and the end not yet reported: nothing new
//	0.7 s  reads answer
//	1.0 s  the timer      emits Recovered, and counts the second failure

// eventEvery is the least time between two events of one kind.
const eventEvery = time.Second

// maxKinds bounds the kinds that are kept apart. Kinds beyond it share one for their outcome and reason, without class and route.
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
	lasts      bool                    // it goes on until it is over
	failing    []readthrough.Operation // the operations that still fail
	reported   bool                    // its beginning was reported, and not its end
	unreported int                     // how often it happened since the last event
	last       Event                   // as it happened last
	at         time.Time               // of the last event
}

// An eventLimiter has an episode for each kind of fault of a cache. It takes its lock when something fails, and after a success only
// while something else fails: the hit path never sees it. It is safe for concurrent use, and calls emit without the lock.
type eventLimiter struct {
	emit    func(Event)
	failing atomic.Int32 // operations that fail, over all kinds

	mu     sync.Mutex
	all    map[faultKind]*episode
	timer  *time.Timer // nil: nothing waits to be reported
	closed bool
}

// happened takes a fault that is over as it happens.
func (l *eventLimiter) happened(ev Event) { l.note(ev, "", false) }

// began takes a fault that lasts until the operation succeeds. Further failures are counted.
func (l *eventLimiter) began(ev Event, op readthrough.Operation) { l.note(ev, op, true) }

func (l *eventLimiter) note(ev Event, op readthrough.Operation, lasts bool) {
	l.mu.Lock()
	e := l.episode(&ev)
	if lasts && !slices.Contains(e.failing, op) {
		e.failing = append(e.failing, op)
		l.failing.Add(1)
	}
	e.lasts, e.last = lasts, ev
	e.unreported++
	ev, due := l.due(e, time.Now())
	l.mu.Unlock()
	if due {
		l.emit(ev)
	}
}

// ended is called when the operation succeeds. It reports whether it had failed before.
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
		l.emit(ev)
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

// due returns the episode's event, if there is one and it is time for it. If it is too soon, it sets the timer. The lock is held.
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

// changed reports whether there is anything to report. That a fault goes on is nothing new.
func (e *episode) changed() bool {
	if e.lasts && len(e.failing) > 0 {
		return !e.reported
	}
	return e.reported || e.unreported > 0
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
	ev.Count = e.unreported
	e.reported, e.unreported, e.last.Err = len(e.failing) > 0, 0, nil
	return ev
}

// tick emits what was too soon before. If something still is, it sets the timer again.
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
		l.emit(ev)
	}
}

// close emits all that waits. No timer runs from then on.
func (l *eventLimiter) close() {
	l.mu.Lock()
	l.closed = true
	if l.timer != nil {
		l.timer.Stop()
	}
	var all []Event
	for _, e := range l.all {
		if e.changed() || e.unreported > 0 {
			all = append(all, e.event())
		}
	}
	l.mu.Unlock()
	for _, ev := range all {
		l.emit(ev)
	}
}

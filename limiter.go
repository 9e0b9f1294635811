package cache

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
)

// If a store is down, each operation fails. Events must say so without becoming a flood. So:
//
//   - A fault that lasts has an event when it begins, and a Recovered event when it is over.
//   - A fault that is over at once (a corrupt entry) has an event when it happens.
//   - In both cases there is at most one event a second for a class, route, outcome and reason. The next event counts those in between
//     ([Event.Count]), so none is lost.
//
// A store that flaps shows why the state is kept per operation, and why a timer is needed:
//
//	0.0 s  reads fail     an event at once: Fault
//	0.2 s  reads succeed  over, but too soon after the last event: the timer is set
//	0.5 s  reads fail     begun again, and the end not yet reported: nothing new
//	0.7 s  reads succeed
//	1.0 s  the timer      emits Recovered, and counts the second failure

// eventEvery is the minimum time between two events of one kind.
const eventEvery = time.Second

// maxKinds bounds the kinds that are tracked separately. Beyond it, kinds with one outcome and reason count as one, without class and
// route.
const maxKinds = 1024

// A faultKind is what all events of one kind have in common.
type faultKind struct {
	class   Class
	route   string
	outcome Outcome
	reason  Reason
}

// An episode is the state of one kind.
type episode struct {
	lasts      bool                    // the fault lasts until its operations succeed
	failing    []readthrough.Operation // the operations that are failing now
	reported   bool                    // its beginning was reported, and its end was not
	unreported int                     // how often it happened since the last event
	last       Event                   // what happened last
	at         time.Time               // when the last event was emitted
}

// An eventLimiter has an episode for each kind of fault of a cache. It takes its lock when something fails; after a success it takes it
// only while some operation fails. Hits in memory never take it. It is safe for concurrent use. It calls emit without the lock, on the
// goroutine that called it, or on that of its timer.
type eventLimiter struct {
	emit    func(Event)
	failing atomic.Int32 // how many operations fail now, over all kinds

	mu     sync.Mutex
	all    map[faultKind]*episode
	timer  *time.Timer // nil: no event is waiting for its time
	closed bool
}

// happened reports a fault that is over at once.
func (l *eventLimiter) happened(ev Event) { l.note(ev, "", false) }

// began reports a fault that lasts until the operation succeeds. Further failures are counted.
func (l *eventLimiter) began(ev Event, op readthrough.Operation) { l.note(ev, op, true) }

func (l *eventLimiter) note(ev Event, op readthrough.Operation, lasts bool) {
	l.mu.Lock()
	e := l.findOrAdd(&ev)
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

// ended reports that the operation succeeded. It returns whether the operation had failed before.
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

// find returns the episode of the event's kind, or nil. If there are too many kinds, the event loses its class and route. The lock is
// held.
func (l *eventLimiter) find(ev *Event) *episode {
	e := l.all[faultKind{ev.Class, ev.Route, ev.Outcome, ev.Reason}]
	if e == nil && len(l.all) >= maxKinds {
		ev.Class, ev.Route = 0, ""
		e = l.all[faultKind{outcome: ev.Outcome, reason: ev.Reason}]
	}
	return e
}

// findOrAdd is find, but adds an episode if there is none. The lock is held.
func (l *eventLimiter) findOrAdd(ev *Event) *episode {
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

// due returns the episode's event, if there is something to report and it is not too soon. If it is too soon, due sets the timer. The
// lock is held.
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

// changed reports whether there is something to report. That a fault continues is nothing new.
func (e *episode) changed() bool {
	if e.lasts && len(e.failing) > 0 {
		return !e.reported
	}
	return e.reported || e.unreported > 0
}

// event makes the event, and notes what is now reported.
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

// tick runs on the timer's goroutine. It emits the events whose time has come; for the others due sets the timer again.
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

// close emits all events that are waiting for their time. No timer is set from then on.
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

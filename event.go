package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"reflect"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/middleware"
	"github.com/larder-go/cache/store"
)

// An Event says how a request was served, or reports something that belongs to no request. It never contains a URL, a user or the value
// of a header.
type Event struct {
	Class Class // 0: a purge or the purge log, which have no class
	// Route is the route's pattern, or the name of the [Values]. "": the router gives no pattern, or the event belongs to no route. If
	// the cache is around a router and no handler has run, it is the beginning of the pattern, as far as that is known.
	Route   string
	Outcome Outcome // what happened
	Reason  Reason  // why the response did not come from the cache or was not stored, or what a fault or warning is about; otherwise ""
	Cause   Reason  // of a miss: why it was no hit, if this process knows: cold, expired, purged, evicted, variant, redis-away
	Tier    string  // where a hit came from: "near" is the memory of the process, "far" is Redis
	Status  int     // of the response; 0: unknown
	// Count is how many faults, failed refreshes or failed purges the event stands for. There is at most one such event a second for a
	// class, route and reason; the next one counts those in between. 0 and 1 both mean one. For Recovered and Followed it counts the
	// faults that no event has reported, or is 0. For ReasonWidened it counts the widened purges.
	Count int
	Err   error // of faults, failed handlers, and warnings
}

// Outcome says what happened. Each request has exactly one of Hit, Stale, Validated, Shared, Miss and Bypass, even if it ends in a panic
// or its client hangs up.
type Outcome = middleware.Outcome

// Outcomes.
const (
	Hit       = middleware.Hit       // from the cache, fresh
	Stale     = middleware.Stale     // from the cache, past its freshness
	Validated = middleware.Validated // from the cache, after its handler has confirmed it or added to it; RFC9111 only
	Shared    = middleware.Shared    // from another request's run of the handler
	Miss      = middleware.Miss      // from the handler; Reason says why the response was not stored, "" if it was
	Bypass    = middleware.Bypass    // from the handler, past the cache; Reason says why
	Refresh   = middleware.Refresh   // a stored response was refreshed in the background, or was not: Reason says why
	Fault     = middleware.Fault     // a store, a handler or another function of the app failed, as Err says; see Event.Count
	Warning   = middleware.Warning   // something works, but may surprise
	Purged    = Outcome("purged")    // Purge or Expire was called
	Recovered = Outcome("recovered") // the fault with this reason is over: the store works again, for the route or for all
	Followed  = Outcome("followed")  // purges by other processes reach copies in memory at once again
)

// The listener is Options.Observe, or a default. It runs on the goroutine where the event happens:
//
//	observer, alerter    of the request, of the refresh, or of whoever registers the route
//	reporter             of the operation on a store that failed, or works again
//	watchFaults,
//	watchCircuits        of the store, which chooses one
//	panicked, following  of the cache
//	recorded, digest     of the caller of Purge or Expire, or of a request that invalidates
//	warnAboutFar         of the caller of New
//	eventLimiter         of its timer, or of the caller of Close: events that were too soon before

// emit calls the listener with the event, on the caller's goroutine. If the listener panics, no request fails and no goroutine of the
// cache ends: see survive. The listener may call any method of the Cache, so callers hold no lock. Close may wait for such a caller: see
// inListener.
func (c *Cache) emit(ev Event) {
	defer c.survive(ev.Reason == ReasonObserve)
	c.listen(ev)
}

// survive recovers from a panic of the listener, and reports it as another event. If the listener panics at that event, too (again is
// true), the panic goes to the log, once.
func (c *Cache) survive(again bool) {
	p := recover()
	if p == nil {
		return
	}
	err := fmt.Errorf("cache: Options.Observe panicked: %v\n%s", p, debug.Stack())
	if again {
		c.deaf.Do(func() { log.Print(err) })
		return
	}
	c.limiter.happened(Event{Outcome: Fault, Reason: ReasonObserve, Err: err})
}

// inListener reports whether the calling goroutine is inside the listener: there, to wait for a goroutine of the cache could be to wait
// for itself. It searches the goroutine's stack, so that events cost nothing more.
func inListener() bool {
	pcs := make([]uintptr, 512)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for more := true; more; {
		var frame runtime.Frame
		if frame, more = frames.Next(); slices.ContainsFunc(listenerCallers, func(name string) bool { return strings.HasPrefix(frame.Function, name) }) {
			return true
		}
	}
	return false
}

// listenerCallers are the functions that call the listener, or that return a closure which does: the closure's name begins with theirs.
// They must not be inlined, so that these names are on the stack.
var listenerCallers = []string{nameOfFunc((*Cache).emit), nameOfFunc((*Cache).observer), nameOfFunc((*Cache).survive)}

func nameOfFunc(f any) string { return runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name() }

// warn emits a Warning that belongs to no request: something works, but may surprise. The caller makes sure that it comes only once.
func (c *Cache) warn(reason Reason, format string, args ...any) {
	c.emit(Event{Outcome: Warning, Reason: reason, Err: fmt.Errorf("cache: "+format, args...)})
}

// warnOnce is warn for what may happen again: it emits one Warning for each reason and subject.
func (c *Cache) warnOnce(reason Reason, subject, format string, args ...any) {
	if c.common.Names.First(string(reason), subject) {
		c.warn(reason, format, args...)
	}
}

// warnAboutFar warns about an Options.Far that works, but may surprise. New calls it.
func (c *Cache) warnAboutFar() {
	if c.tiers.Reporter != nil {
		if err := c.tiers.Reporter.Warning(); err != nil {
			c.emit(Event{Outcome: Warning, Reason: ReasonOptions, Err: err})
		}
	}
	const passOn = "embed the type of the store inside instead of store.Store, or pass the methods on"
	hidden := c.tiers.Hidden()
	switch far := c.tiers.Far; {
	case far == nil:
	case len(hidden.Log) > 0:
		c.warn(ReasonNoLog, "Options.Far, a %T, hides %s of the store inside it: purges do not reach other processes, or late; %s", far, strings.Join(hidden.Log, ", "), passOn)
	case !c.tiers.Shared:
		c.warn(ReasonNoLog, "Options.Far, a %T, is no store.Log: a purge reaches this process alone, and entries there are good for this process alone; implement store.Log, or use a redisstore", far)
	}
	if hidden.Reporter {
		c.warn(ReasonOptions, "Options.Far, a %T, hides store.Reporter of the store inside it: faults in the background and open circuits have no events; %s", c.tiers.Far, passOn)
	}
	if hidden.Leaser {
		c.warn(ReasonNoLeases, "Options.Far, a %T, hides store.Leaser of the store inside it: each process runs a load of its own; %s", c.tiers.Far, passOn)
	}
}

// observer returns the function that routes and Values of the class call with the outcome of each request, of each Get, and of each
// refresh that has not failed, on its goroutine. It returns nil if Options.Observe is nil: then no such event is made.
//
//go:noinline
func (c *Cache) observer(class Class) func(middleware.Event) {
	if c.observe == nil {
		return nil
	}
	return func(ev middleware.Event) { // what emit does, with one call and one copy less for each hit
		defer c.survive(false)
		c.observe(Event{Class: class, Route: ev.Route, Outcome: ev.Outcome, Reason: ev.Reason, Cause: ev.Cause, Tier: ev.Tier, Status: ev.Status, Err: ev.Err})
	}
}

// alerter returns the function that routes and Values of the class call with faults, failed refreshes and warnings, on the goroutine that
// meets them. Warnings are emitted at once, because callers send each of them once; the others go through the limiter.
func (c *Cache) alerter(class Class) func(middleware.Event) {
	return func(ev middleware.Event) {
		reported := Event{Class: class, Route: ev.Route, Outcome: ev.Outcome, Reason: ev.Reason, Status: ev.Status, Err: ev.Err}
		if ev.Outcome == Warning {
			c.emit(reported)
			return
		}
		c.limiter.happened(reported)
	}
}

// reporter returns the function that the engine calls with how an operation on a store went, for the class, on the goroutine of the
// operation. The name stands for the route if a report has none. An operation that fails is a fault that lasts until it succeeds. An
// entry that is refused or corrupt is an event of its own.
func (c *Cache) reporter(class Class, name string) func(readthrough.Report) {
	return func(r readthrough.Report) {
		ev := Event{Class: class, Route: cmp.Or(r.Route, name), Outcome: Fault, Reason: ReasonStore, Err: r.Err}
		switch {
		case r.Err == nil:
			c.limiter.ended(ev, r.What)
		case errors.Is(r.Err, store.ErrCorrupt):
			c.limiter.ended(ev, r.What) // the operation itself succeeded
			ev.Reason = ReasonCorrupt
			c.limiter.happened(ev)
		case errors.Is(r.Err, store.ErrRefused):
			ev.Reason = ReasonRefused
			c.limiter.happened(ev)
		default:
			c.limiter.began(ev, r.What)
		}
	}
}

// watchStore has the far store call back with what it meets in the background, until stop is called. The store chooses the goroutine.
func (c *Cache) watchStore() (stop func()) {
	circuits, faults := c.watchCircuits(), c.watchFaults()
	return func() { circuits(); faults() }
}

// watchFaults emits the faults that no operation of the store returns.
func (c *Cache) watchFaults() (stop func()) {
	if c.tiers.Reporter == nil {
		return func() {}
	}
	return c.tiers.Reporter.OnFault(func(err error) {
		reason := ReasonStore
		switch {
		case errors.Is(err, store.ErrRecordsLost):
			reason = ReasonRecords
		case errors.Is(err, store.ErrUnfit):
			reason = ReasonCommands
		}
		c.limiter.happened(Event{Outcome: Fault, Reason: reason, Err: err})
	})
}

// panicked reports a panic in a goroutine of the cache that has no route. It is called on that goroutine, by middleware.Common and the
// Ranking.
func (c *Cache) panicked(err error) {
	c.limiter.happened(Event{Outcome: Fault, Reason: middleware.ReasonPanic, Err: err})
}

// watchCircuits emits a Fault when a circuit opens, and Recovered when it closes.
func (c *Cache) watchCircuits() (stop func()) {
	if c.tiers.Reporter == nil {
		return func() {}
	}
	return c.tiers.Reporter.OnCircuit(func(what string, err error) {
		ev, op := Event{Outcome: Fault, Reason: ReasonRest, Err: err}, readthrough.Operation(what)
		if err == nil {
			c.limiter.ended(ev, op)
			return
		}
		c.limiter.began(ev, op)
	})
}

// LogTo returns a listener for [Options.Observe] that writes events to the logger; nil means [slog.Default] at the time of the event.
// Panics, lost purges and purges that did not reach Redis are errors. Other faults, warnings and
// failed refreshes are warnings. Ends of faults are infos. Everything else, above all how each request was served, is for debugging.
//
// The message of a record names the outcome. Its attributes are the fields of the event that are set: reason, cause, class, route, tier,
// status, count and error. Like events, it contains no URL and no user. The listener is safe for concurrent use.
func LogTo(l *slog.Logger) func(Event) {
	return func(ev Event) { write(l, levelOf(ev), ev) }
}

// logProblems is the listener if Options.Observe is nil: it logs everything above debug level.
func logProblems(ev Event) {
	if level := levelOf(ev); level > slog.LevelDebug {
		write(nil, level, ev)
	}
}

func levelOf(ev Event) slog.Level {
	switch {
	case ev.Reason == ReasonPurge, ev.Reason == ReasonRecords, ev.Reason == ReasonObserve,
		ev.Reason == ReasonPanic && ev.Err != nil,
		ev.Outcome == Fault && (ev.Reason == ReasonIdentity || ev.Reason == ReasonSkip || ev.Reason == ReasonVaryBy): // the same, of the app's functions
		return slog.LevelError
	case ev.Outcome == Fault, ev.Outcome == Warning, ev.Outcome == Refresh && ev.Err != nil:
		return slog.LevelWarn
	case ev.Outcome == Recovered, ev.Outcome == Followed:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

func write(l *slog.Logger, level slog.Level, ev Event) {
	if l == nil {
		l = slog.Default()
	}
	ctx := context.Background()
	if !l.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 8)
	text := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, value))
		}
	}
	number := func(name string, n int) {
		if n != 0 {
			attrs = append(attrs, slog.Int(name, n))
		}
	}
	text("reason", string(ev.Reason))
	text("cause", string(ev.Cause))
	if ev.Class != 0 {
		text("class", ev.Class.String())
	}
	text("route", ev.Route)
	text("tier", ev.Tier)
	number("status", ev.Status)
	if ev.Count > 1 || ev.Outcome == Recovered || ev.Outcome == Followed {
		number("count", ev.Count)
	}
	if ev.Err != nil {
		text("error", ev.Err.Error())
	}
	l.LogAttrs(ctx, level, "larder: "+string(ev.Outcome), attrs...)
}

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

// An Event says how a request was answered, or what happened beside requests. Nothing in it names a URL, a user or the value of a header.
type Event struct {
	Class Class // 0: a purge or the purge log, which have no class
	// Route is the route's pattern. "": the router tells none, or no route belongs to the event. If the cache is around a router and no
	// handler has run, it is what is known of the pattern's beginning.
	Route   string
	Outcome Outcome // what happened
	Reason  Reason  // why the response did not come from the cache, or was not stored; "" otherwise
	Cause   Reason  // of a miss: why there was no hit, if this process knows: cold, expired, purged, evicted, variant, redis-away
	Tier    string  // where a hit came from: "near" is the process' memory, "far" is Redis
	Status  int     // of the response; 0: not known
	// Count is how many faults, failed refreshes or purges that did not reach Redis the event stands for. There is one event a second
	// at most for a class, route and reason; the next one counts those in between. 0 and 1 both mean one. For Recovered and Followed
	// it counts the faults that no event has reported, or is 0.
	Count int
	Err   error // of faults, failed handlers, and warnings
}

// Outcome says what happened. Hit, Stale, Validated, Shared, Miss and Bypass are how a request was answered, one for each
// request, also for one that a panic ends, or whose client hangs up.
type Outcome = middleware.Outcome

// Outcomes.
const (
	Hit       = middleware.Hit       // from the cache, fresh
	Stale     = middleware.Stale     // from the cache, past its freshness
	Validated = middleware.Validated // from the cache, after its handler has confirmed it or added to it; RFC9111 only
	Shared    = middleware.Shared    // by another request's run of the handler
	Miss      = middleware.Miss      // by the handler; Reason says why the response was not stored
	Bypass    = middleware.Bypass    // by the handler, without the cache; Reason says why
	Refresh   = middleware.Refresh   // a stale response was refreshed in the background, or not: Reason says why
	Fault     = middleware.Fault     // a store fails, from now on or once; or a handler failed and a stale response was served; see Event.Count
	Warning   = middleware.Warning   // something works, but may surprise
	Purged    = Outcome("purged")    // Purge or Expire was called
	Recovered = Outcome("recovered") // the fault of the reason is over: the store answers the route, or everybody, again
	Followed  = Outcome("followed")  // purges elsewhere reach copies in memory at once, again
)

// emit calls the listener with the event. A listener that panics fails no request and ends no goroutine of the cache. The caller
// holds no lock, and nothing of the Cache waits for it: a listener may call any method of the Cache.
func (c *Cache) emit(ev Event) {
	defer c.survive(ev.Reason == ReasonObserve)
	c.listen(ev)
}

// survive makes an event of a panic of the listener. If the listener panics at that event, too, the panic goes to the log, once.
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

// observing reports whether the listener called the caller: to wait could then be to wait for itself. It looks at its own stack, so that
// events cost nothing more.
func observing() bool {
	pcs := make([]uintptr, 512)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for more := true; more; {
		var frame runtime.Frame
		if frame, more = frames.Next(); slices.ContainsFunc(emitting, func(name string) bool { return strings.HasPrefix(frame.Function, name) }) {
			return true
		}
	}
	return false
}

// emitting are the functions that call the listener, or make a function that does; its name then begins with theirs. They must not be
// inlined.
var emitting = []string{nameOfFunc((*Cache).emit), nameOfFunc((*Cache).observer), nameOfFunc((*Cache).survive)}

func nameOfFunc(f any) string { return runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name() }

// warning emits a Warning: something works, but may surprise. It belongs to no request. The caller sees to it that it comes once.
func (c *Cache) warning(reason Reason, format string, args ...any) {
	c.emit(Event{Outcome: Warning, Reason: reason, Err: fmt.Errorf("cache: "+format, args...)})
}

// warnOnce is warning for what may come again: it emits one for each subject and reason.
func (c *Cache) warnOnce(reason Reason, subject, format string, args ...any) {
	if c.common.Names.First(string(reason), subject) {
		c.warning(reason, format, args...)
	}
}

// warn emits what may surprise about Far.
func (c *Cache) warn() {
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
		c.warning(ReasonNoLog, "Options.Far, a %T, hides %s of the store inside it: purges do not reach other processes, or late; %s", far, strings.Join(hidden.Log, ", "), passOn)
	case !c.tiers.Shared:
		c.warning(ReasonNoLog, "Options.Far, a %T, is no store.Log: a purge reaches this process alone, and entries there are good for this process alone; implement store.Log, or use a redisstore", far)
	}
	if hidden.Reporter {
		c.warning(ReasonOptions, "Options.Far, a %T, hides store.Reporter of the store inside it: faults in the background and open circuits have no events; %s", c.tiers.Far, passOn)
	}
	if hidden.Leaser {
		c.warning(ReasonNoLeases, "Options.Far, a %T, hides store.Leaser of the store inside it: each process runs a load of its own; %s", c.tiers.Far, passOn)
	}
}

// observer returns the function that the requests of the class's routes call with their outcomes, or nil if nobody listens.
//
//go:noinline
func (c *Cache) observer(class Class) func(middleware.Event) {
	if c.observe == nil {
		return nil
	}
	return func(ev middleware.Event) { // as emit does it, with one call and one copy less on each hit
		defer c.survive(false)
		c.observe(Event{Class: class, Route: ev.Route, Outcome: ev.Outcome, Reason: ev.Reason, Cause: ev.Cause, Tier: ev.Tier, Status: ev.Status, Err: ev.Err})
	}
}

// alerter returns the function that routes of the class call with faults, refreshes and warnings.
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

// reporter returns the function that the engine calls with what a store did for the class. The name stands for the route where a report has
// none. An entry that is refused or corrupt is an event of its own. A failing operation is a fault that lasts until it succeeds.
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

// watchStore makes events of what the far store meets in the background, until the returned function is called.
func (c *Cache) watchStore() (stop func()) {
	circuits, faults := c.watchCircuits(), c.watchFaults()
	return func() { circuits(); faults() }
}

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

// panicked makes an event of a panic in a goroutine of the cache that has no route.
func (c *Cache) panicked(err error) {
	c.limiter.happened(Event{Outcome: Fault, Reason: middleware.ReasonPanic, Err: err})
}

// watchCircuits makes events of circuits that open and close, until the returned function is called.
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

// LogTo returns a listener for [Options.Observe] that writes events to the logger; nil is the [slog.Default] of the moment.
// Panics, lost purges and purges that did not reach Redis are errors. Other faults, warnings and failed refreshes are warnings. Ends of
// faults are infos. All else, above all how each request was answered, is for debugging.
//
// The message of a record names the outcome. Its attributes are the event's fields that are set: reason, cause, class, route, tier,
// status, count and error. Like events it names no URL and no user. The listener is safe for concurrent use.
func LogTo(l *slog.Logger) func(Event) {
	return func(ev Event) { write(l, levelOf(ev), ev) }
}

// logs is the listener where Options.Observe is nil.
func logs(ev Event) {
	if level := levelOf(ev); level > slog.LevelDebug {
		write(nil, level, ev)
	}
}

func levelOf(ev Event) slog.Level {
	switch {
	case ev.Reason == ReasonPurge, ev.Reason == ReasonRecords, ev.Reason == ReasonObserve,
		ev.Reason == middleware.ReasonPanic && ev.Err != nil, ev.Outcome == Fault && ev.Reason == middleware.ReasonIdentity:
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

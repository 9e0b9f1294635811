package cache

import (
	"context"
	"log/slog"

	"github.com/larder-go/cache/middleware"
)

// LogTo returns a listener for [Options.Observe] that writes events to the logger; nil is [slog.Default], asked each time.
// Panics, lost purges and purges that Redis was not told of are errors, other faults, warnings and refreshes that failed are warnings, the ends of faults
// are infos, and all else, above all how each request was answered, is for debugging. What a record has beside its message,
// which names the outcome, are those of the event's fields that are set: reason, cause, class, route, tier, status, count and error.
// It names no URL and no user, as events do not. It is safe for concurrent use.
func LogTo(l *slog.Logger) func(Event) {
	return func(ev Event) { write(l, levelOf(ev), ev) }
}

// logs is what listens where nobody else does.
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

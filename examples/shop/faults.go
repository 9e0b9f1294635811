package main

import (
	"log/slog"
	"sync"
	"time"

	"github.com/larder-go/cache"
)

// quiet is for how long nothing is logged after a fault.
const quiet = 5 * time.Second

// faults logs what goes wrong with the cache: the first fault at once, then one in five seconds.
type faults struct {
	mu     sync.Mutex
	until  time.Time
	untold int
}

func (f *faults) observe(ev cache.Event) {
	if ev.Outcome != cache.Fault {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if now.Before(f.until) {
		f.untold++
		return
	}
	slog.Warn("the cache has a fault; the handler answers",
		"route", ev.Route, "reason", ev.Reason, "error", ev.Err, "more_since_last", f.untold)
	f.until, f.untold = now.Add(quiet), 0
}

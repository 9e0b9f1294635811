package middleware

import (
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/internal/readthrough"
)

const (
	// tick is how late a clock that ticks may be, and by as much more as its goroutine waits for a processor: which is as long
	// as requests wait there.
	tick = readthrough.Tick
	busy = 100 // so many readings within a tick make it tick
)

// A clock tells the time as time.Now does. Where it is read more than ten thousand times a second it ticks instead: a timer
// reads it, for as long as somebody asks, and hits do without what would be an eighth of their time. The zero clock is ready
// to use, by any number of goroutines.
type clock struct {
	last  atomic.Pointer[time.Time] // the last tick; nil: the clock does not tick
	asked atomic.Bool               // since then
	span  atomic.Int64              // the tick's length of time of which the readings are counted
	reads atomic.Int32
}

// Now returns the time for one request, or one look-up.
func (c *Common) Now() time.Time { return c.clock.now() }

func (c *clock) now() time.Time {
	last := c.last.Load()
	if last == nil {
		return c.read()
	}
	if !c.asked.Load() { // once a tick: what is only read is in every processor's cache
		c.asked.Store(true)
	}
	return *last
}

func (c *clock) read() time.Time {
	now := time.Now()
	if span := now.UnixNano() / int64(tick); c.span.Swap(span) != span {
		c.reads.Store(0)
	}
	if c.reads.Add(1) >= busy {
		c.start(now)
	}
	return now
}

func (c *clock) start(now time.Time) {
	if c.last.CompareAndSwap(nil, &now) {
		time.AfterFunc(tick, c.tick)
	}
}

func (c *clock) tick() {
	if !c.asked.Swap(false) {
		c.last.Store(nil)
		return
	}
	now := time.Now()
	c.last.Store(&now)
	time.AfterFunc(tick, c.tick)
}

package middleware

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/internal/keys"
	"github.com/larder-go/cache/internal/readthrough"
	"github.com/larder-go/cache/internal/surrogate"
	"github.com/larder-go/cache/keying"
)

// Bounds that all routes of one cache share. Each bounds what clients can make the process hold by reading slowly, by hanging up, or by
// requesting stale responses.
const (
	maxRecording = 64 << 20 // bytes of responses being recorded
	maxDetached  = 64       // handlers that run on although their client has gone
	maxRefreshes = 64       // refreshes under way
)

// Common is what the routes of one cache have in common: its name in Cache-Status and its bounds. Make it with
// [NewCommon]; it is safe for concurrent use.
type Common struct {
	Fault func(error)     // gets panics of the app's code in goroutines of the cache; nil: they are dropped
	Names surrogate.Names // what a purge can name

	clock     clock
	near, far statusLines         // hits, by tier
	kept      map[Reason][]string // Cache-Status of misses whose response is stored, by cause
	missed    map[Reason][]string // … and of misses for which that is not known yet
	name      string              // "": no Cache-Status
	debug     bool                // Cache-Status has keys

	recording   atomic.Int64
	detached    atomic.Int64
	variants    variants
	handlers    handlers
	normalForms normalForms
	selection   keys.Normal // that of normalForms

	mu         sync.Mutex
	refreshing map[keying.Key]struct{}
	closed     bool
	background sync.WaitGroup
}

// A Share is how much of the bounds one route, or one Values, uses. It gets no more than is still free: one slow route alone ends up with
// half of a bound, two with a third each, and another route still finds some. The zero Share is ready to use, with one Common.
type Share struct {
	common    atomic.Pointer[Common] // set by the first run with a context that can end: later runs need no pointer of their own
	refreshes int                    // guarded by the Common's lock
	detached  atomic.Int64
}

// NewCommon returns a Common with the cache's name in Cache-Status (RFC 9211 §2). With an empty name no Cache-Status is sent. With debug,
// Cache-Status has the key of each response.
func NewCommon(name string, debug bool) *Common {
	c := &Common{name: name, debug: debug, refreshing: map[keying.Key]struct{}{}}
	c.near.format = name + "; hit; ttl=%d; detail=near"
	c.far.format = name + "; hit; ttl=%d; detail=far"
	c.selection = c.normalForms.selection
	c.kept, c.missed = map[Reason][]string{}, map[Reason][]string{}
	for _, cause := range [...]Reason{"", CauseCold, CauseExpired, CausePurged, CauseEvicted} {
		c.kept[cause] = slices.Clip(c.forwarded("miss", keying.Key{}, cause, true))
		c.missed[cause] = slices.Clip(c.forwarded("miss", keying.Key{}, cause, false))
	}
	return c
}

// reserve takes n more bytes from the bound on recording, if that many are free.
func (c *Common) reserve(n int) bool {
	if c.recording.Add(int64(n)) > maxRecording {
		c.recording.Add(int64(-n))
		return false
	}
	return true
}

// release gives them back.
func (c *Common) release(n int) { c.recording.Add(int64(-n)) }

// mayRefresh reports whether beginRefresh would return true now.
func (c *Common) mayRefresh(s *Share, key keying.Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.idle(s, key)
}

// idle reports whether nobody refreshes the key, and the share may begin one more refresh. The lock is held.
func (c *Common) idle(s *Share, key keying.Key) bool {
	_, busy := c.refreshing[key]
	return !busy && !c.closed && s.refreshes < maxRefreshes-len(c.refreshing)
}

// beginRefresh reports whether the caller must refresh the key, and then call endRefresh. So only one refresh of a key runs at a time,
// however many requests find it stale.
func (c *Common) beginRefresh(s *Share, key keying.Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.idle(s, key) {
		return false
	}
	c.refreshing[key] = struct{}{}
	s.refreshes++
	c.background.Add(1) // under the lock: Close must not wait in between
	return true
}

// endRefresh ends what beginRefresh began.
func (c *Common) endRefresh(s *Share, key keying.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.refreshing, key)
	s.refreshes--
	c.background.Done()
}

// Background runs f in a goroutine to refresh the key, unless that is under way, or too many refreshes are. The context that f gets ends
// after 30 seconds. A panic of f goes to Fault.
func (c *Common) Background(s *Share, key keying.Key, f func(context.Context)) {
	if !c.beginRefresh(s, key) {
		return
	}
	go func() {
		defer c.endRefresh(s, key)
		defer func() { c.survive(recover()) }()
		ctx, cancel := context.WithTimeout(context.Background(), refreshFor)
		defer cancel()
		f(ctx)
	}()
}

// survive reports a recovered panic, if there was one. In a goroutine of the cache it would have ended the process.
func (c *Common) survive(panicked any) {
	if panicked != nil && c.Fault != nil {
		c.Fault(fmt.Errorf("panic: %v\n%s", panicked, debug.Stack()))
	}
}

// Close waits for the refreshes under way, as long as the context allows; no new ones start. It returns the context's error if that ends
// first. It may be called more than once.
func (c *Common) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	done := make(chan struct{})
	go func() {
		c.background.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

const (
	// tick is how late a clock that ticks may be. It may be later by as much as its goroutine waits for a processor, but
	// requests wait there just as long.
	tick = readthrough.Tick
	busy = 100 // so many reads within a tick make it tick
)

// A clock tells the time as time.Now does. When it is read more than ten thousand times a second, a timer reads the system's clock every
// 10 ms instead, as long as the reads go on. Otherwise reading the system's clock would take an eighth of a hit's time. The zero clock is
// ready to use. It is safe for concurrent use.
type clock struct {
	last  atomic.Pointer[time.Time] // the last tick; nil: the clock does not tick
	asked atomic.Bool               // since then
	span  atomic.Int64              // the interval of a tick's length in which the reads are counted
	reads atomic.Int32
}

// Now returns the time for one request, or one lookup.
func (c *Common) Now() time.Time { return c.clock.now() }

// now returns the last tick, or the time itself if the clock does not tick.
func (c *clock) now() time.Time {
	last := c.last.Load()
	if last == nil {
		return c.read()
	}
	if !c.asked.Load() { // once a tick: a word that is only read stays in every processor's cache
		c.asked.Store(true)
	}
	return *last
}

// read reads the system's clock, and counts: many readings within a tick make the clock tick.
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

// start lets the clock tick, beginning at now.
func (c *clock) start(now time.Time) {
	if c.last.CompareAndSwap(nil, &now) {
		time.AfterFunc(tick, c.tick)
	}
}

// tick reads the system's clock, or stops ticking if nobody has read this one since the last tick: an idle process has no timer.
func (c *clock) tick() {
	if !c.asked.Swap(false) {
		c.last.Store(nil)
		return
	}
	now := time.Now()
	c.last.Store(&now)
	time.AfterFunc(tick, c.tick)
}

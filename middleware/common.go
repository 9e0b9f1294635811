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
	"github.com/larder-go/cache/keying"
)

// Bounds that all routes of one cache share.
const (
	maxRecording = 64 << 20 // bytes of answers being recorded
	maxDetached  = 64       // handlers that run on although their client has gone
	maxRefreshes = 64       // refreshes under way
)

// Common is what the routes of one cache have in common: its name in Cache-Status and its bounds. Make it with
// [NewCommon]; it is safe for concurrent use.
type Common struct {
	Fault func(error) // told what has panicked that was not ours, in a goroutine of ours; nil: nobody
	Names Names       // what a purge can name

	clock     clock
	near, far statusLines         // hits, by tier
	kept      map[Reason][]string // misses whose answer is kept, by cause
	missed    map[Reason][]string // … of which that is not known yet
	name      string              // "": no Cache-Status
	debug     bool                // Cache-Status tells keys

	recording atomic.Int64
	detached  atomic.Int64
	variants  variants
	handlers  handlers
	normals   normals
	selection keys.Normal // that of normals

	mu         sync.Mutex
	refreshing map[keying.Key]struct{}
	closed     bool
	background sync.WaitGroup
}

// A Share is what one route, or one Values, has taken of bounds. It gets no more than is still free: whoever is slow has half
// of it, and leaves room for others. The zero Share is ready to use, with one Common.
type Share struct {
	common    atomic.Pointer[Common] // there once a run was tied: a run then needs no pointer of its own
	refreshes int                    // the Common's lock is held
	detached  atomic.Int64
}

// NewCommon returns what routes share, under the cache's name in Cache-Status (RFC 9211 §2); an empty name sends none.
// With debug Cache-Status tells the key of each answer.
func NewCommon(name string, debug bool) *Common {
	c := &Common{name: name, debug: debug, refreshing: map[keying.Key]struct{}{}}
	c.near.format = name + "; hit; ttl=%d; detail=near"
	c.far.format = name + "; hit; ttl=%d; detail=far"
	c.selection = c.normals.selection
	c.kept, c.missed = map[Reason][]string{}, map[Reason][]string{}
	for _, cause := range [...]Reason{"", CauseCold, CauseExpired, CausePurged, CauseEvicted} {
		c.kept[cause] = slices.Clip(c.forwarded("miss", keying.Key{}, cause, true))
		c.missed[cause] = slices.Clip(c.forwarded("miss", keying.Key{}, cause, false))
	}
	return c
}

// reserve takes room for n more recorded bytes, if there is any.
func (c *Common) reserve(n int) bool {
	if c.recording.Add(int64(n)) > maxRecording {
		c.recording.Add(int64(-n))
		return false
	}
	return true
}

func (c *Common) release(n int) { c.recording.Add(int64(-n)) }

// mayRefresh reports whether beginRefresh would return true now.
func (c *Common) mayRefresh(s *Share, key keying.Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.idle(s, key)
}

func (c *Common) idle(s *Share, key keying.Key) bool {
	_, busy := c.refreshing[key]
	return !busy && !c.closed && s.refreshes < maxRefreshes-len(c.refreshing)
}

// beginRefresh reports whether the caller is to refresh the key: nobody else is at it, and there is room.
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

func (c *Common) endRefresh(s *Share, key keying.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.refreshing, key)
	s.refreshes--
	c.background.Done()
}

// Background runs f in a goroutine, to refresh the key, unless that is under way or too much else is. Its context ends
// after a while.
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

// survive tells of what has panicked, if anything has. In a goroutine of ours it would end the process.
func (c *Common) survive(panicked any) {
	if panicked != nil && c.Fault != nil {
		c.Fault(fmt.Errorf("panic: %v\n%s", panicked, debug.Stack()))
	}
}

// Close waits for the refreshes under way, as long as the context allows; there are none from then on. It may be called
// more than once.
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

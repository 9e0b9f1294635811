package middleware

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"net/http"
	"runtime"
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

// Bounds that all routes of one cache share. Each bounds what clients can make the process hold by being slow, by hanging up, or by
// asking for what is stale.
const (
	maxRecording = 64 << 20 // bytes of responses being recorded
	maxDetached  = 64       // handlers that run on although their client has gone
	maxRefreshes = 64       // refreshes under way
)

// Common is what the routes of one cache have in common: its name in Cache-Status and its bounds. Make it with
// [NewCommon]; it is safe for concurrent use.
type Common struct {
	Fault func(error)     // gets panics of others' code in goroutines of the cache; nil: they are dropped
	Names surrogate.Names // what a purge can name

	clock     clock
	near, far statusLines         // hits, by tier
	kept      map[Reason][]string // Cache-Status of misses whose response is stored, by cause
	missed    map[Reason][]string // … and of those of which that is not known yet
	name      string              // "": no Cache-Status
	debug     bool                // Cache-Status tells keys

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

// A Share is what one route, or one Values, uses of the bounds. It gets no more than is still free: one slow route alone ends up with half
// of a bound, two with a third each, and another route still finds some. The zero Share is ready to use, with one Common.
type Share struct {
	common    atomic.Pointer[Common] // set by the first run with a context that can end: later runs need no pointer of their own
	refreshes int                    // the Common's lock is held
	detached  atomic.Int64
}

// NewCommon returns what routes share, under the cache's name in Cache-Status (RFC 9211 §2). With an empty name no Cache-Status is sent. With
// debug, Cache-Status has the key of each response.
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

// reserve takes n more bytes of the bound on recording, if there are so many.
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

// beginRefresh reports whether the caller must refresh the key, and then call endRefresh. So a key is refreshed once at a time, however
// many requests find it stale.
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
	// tick is how late a clock that ticks may be. It may be later by as much as its goroutine waits for a processor, but
	// requests wait there just as long.
	tick = readthrough.Tick
	busy = 100 // so many readings within a tick make it tick
)

// A clock tells the time as time.Now does. When it is read more than ten thousand times a second, a timer reads the system's clock every 10
// ms instead, for as long as somebody asks. Otherwise reading the clock would be an eighth of a hit's time. The zero clock is ready to
// use. It is safe for concurrent use.
type clock struct {
	last  atomic.Pointer[time.Time] // the last tick; nil: the clock does not tick
	asked atomic.Bool               // since then
	span  atomic.Int64              // the tick's length of time of which the readings are counted
	reads atomic.Int32
}

// Now returns the time for one request, or one look-up.
func (c *Common) Now() time.Time { return c.clock.now() }

// now is the last tick, or else the time itself.
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

// tick takes the time anew, or stops ticking if nobody has asked since the last one: an idle process has no timer.
func (c *clock) tick() {
	if !c.asked.Swap(false) {
		c.last.Store(nil)
		return
	}
	now := time.Now()
	c.last.Store(&now)
	time.AfterFunc(tick, c.tick)
}

// Outer code may choose between handlers, by role or by header, that have equal policies and serve one pattern. Nothing in a key would
// tell their responses apart: an admin's page would be served to everyone. So the cache remembers which handlers serve a pattern:
//
//   - In memory the second handler, and each one after it, has keys of its own: its number is part of them.
//   - In Redis numbers would not do, because in another process another handler may come first. There the name of the handler's code is
//     part of the key, and only the handler that came first uses the cache; the others bypass it.
//
// Handlers of one piece of code, such as those that a function returns, have one name in every process. Nothing tells those apart that
// come first in different processes: the documentation says so.

// maxHandlers bounds the handlers of one pattern that are told apart. Code that wraps a new one with each request would
// fill any table: beyond the bound handlers go without the cache. Where no router tells a pattern they do not, for there
// each path may have its own, perhaps wrapped anew each time: they count as the first one of the same code.
const maxHandlers = 8

// A Handler is what tells one handler from others: ID is comparable, and so is Code, which handlers may share that were
// made by one piece of code. Name is what that code is called in every process; "" with a Func means the name of that function, given
// by its code pointer. Without either it is the same handler that comes first in all processes.
type Handler struct {
	ID, Code any
	Name     string
	Func     uintptr
}

// name is what the handler's code is called in every process, or "".
func (h Handler) name() string {
	if h.Name == "" && h.Func != 0 {
		return nameOf(h.Func)
	}
	return h.Name
}

// nameOf is the name of a function's code.
func nameOf(code uintptr) string {
	if f := runtime.FuncForPC(code); f != nil {
		return f.Name()
	}
	return ""
}

// A Standing says which one a handler is among those that serve a pattern. It is immutable, and looked up once per handler.
type Standing struct {
	pattern string
	keyed   string // stands for the pattern in keys
	refused bool
	claims  bool      // each key for itself: no router tells a pattern, and nothing in keys tells handlers apart
	n       int       // of the handlers that came first
	first   int       // n of the first handler of the same code: its own, once there are too many to tell apart
	next    *Standing // those for other patterns
}

// Of returns the standing for the pattern, or nil. A nil Standing has none.
func (s *Standing) Of(pattern string) *Standing {
	for ; s != nil; s = s.next {
		if s.pattern == pattern {
			return s
		}
	}
	return nil
}

// And returns a list of the standing, which must be new, and others.
func (s *Standing) And(others *Standing) *Standing {
	s.next = others
	return s
}

// handlers knows which handlers serve which patterns. It is safe for concurrent use.
type handlers struct {
	mu sync.RWMutex
	of map[servedBy][]Handler

	claims [1 << 13]atomic.Uint64 // by digests of keys
}

// servedBy is what handlers share whose answers the rest of a key would not tell apart.
type servedBy struct{ selects, host, pattern string }

// Stand returns the handler's standing on the route for requests that matched the pattern, and where the router chooses by
// it a host. A handler that is not the first one is told as a warning, once. Where routers have HEAD by itself its handler
// is, as a rule, another closure of GET's code: that counts as the same, for this request.
func (rt *Route) Stand(method, host, pattern string, h Handler) *Standing {
	at := servedBy{rt.scheme.Selects(), host, pattern}
	rt.common.Names.Meet(pattern)
	n, first, added := rt.common.handlers.place(at, h, method == http.MethodHead)
	s := &Standing{pattern: pattern, keyed: pattern, n: n, first: first}
	switch inRedis := rt.cache.Remote(); {
	case inRedis:
		s.claims, s.refused = pattern == "", pattern != "" && n > 0
		if name := h.name(); name != "" {
			s.keyed = pattern + "\x00" + name
		}
	case n > 0:
		s.refused = pattern != "" && n >= maxHandlers
		s.keyed = fmt.Sprintf("%s\x00%d", pattern, n)
	}
	if added && n > 0 && pattern != "" {
		rt.alert(Event{Route: pattern, Outcome: Warning, Reason: ReasonHandlers, Err: fmt.Errorf(
			"route %q: several handlers serve it under equal policies: in memory each has answers of its own, in Redis all but the first run without the cache; give each a pattern or a policy of its own (vary=, cookies=, by=)", pattern)})
	}
	return s
}

// claim reports whether the key is the handler's: nobody else has asked for it as far as that is remembered, which may
// end when other keys are asked for. Handlers that count as the first one of their code have what any of them has asked
// for: a site whose handlers are wrapped with each request would otherwise never keep what its first requests were for.
//
// Hits pass here, so a claim is one word without a lock: half of the key's digest, of which the other half chooses the slot,
// and the numbers of the handler.
func (hs *handlers) claim(key *keying.Key, by *Standing) bool {
	digest := binary.LittleEndian.Uint64(key[:8])
	slot, n, first := &hs.claims[digest%uint64(len(hs.claims))], uint16(by.n), uint16(by.first)
	claimed := slot.Load()
	if claimed>>32 == digest>>32 && claimed != 0 {
		return uint16(claimed) == n || uint16(claimed>>16) == n
	}
	slot.Store(digest>>32<<32 | uint64(first)<<16 | uint64(n))
	return true
}

// place returns how many other handlers came first, and before the first one of its code, and whether this one is new.
// HEAD alone makes none known.
func (hs *handlers) place(at servedBy, h Handler, head bool) (n, first int, added bool) {
	most := math.MaxInt // of one code, before they count as one
	switch {
	case head:
		most = 1
	case at.pattern == "":
		most = maxHandlers
	}
	hs.mu.RLock()
	n, first, known := find(hs.of[at], h, most)
	hs.mu.RUnlock()
	if known || head {
		return n, first, false
	}
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if n, first, known = find(hs.of[at], h, most); known {
		return n, first, false
	}
	if len(hs.of[at]) > maxHandlers && at.pattern != "" {
		return n, first, false
	}
	if hs.of == nil {
		hs.of = map[servedBy][]Handler{}
	}
	hs.of[at] = append(hs.of[at], h)
	return n, first, true
}

// find returns the handler's place and that of the first one of its code, which is its own if there are as many as most
// of it; it is known then.
func find(all []Handler, h Handler, most int) (n, first int, known bool) {
	first, same := len(all), 0
	for i, other := range all {
		if other.Code == h.Code {
			if same++; same == 1 {
				first = i
			}
		}
		if other == h {
			return i, first, true
		}
	}
	if same >= most {
		return first, first, true
	}
	return len(all), first, false
}

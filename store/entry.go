package store

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/keying"
)

// An Entry is one response that is kept, or one value. Once a [Store] has it, nobody changes it or any of its bytes, and any
// number of goroutines may read it. To change the times of an entry, make a copy: see [Entry.Within].
//
// It is fresh for Fresh from Stored on. After that it is stale, and may be served within one of three windows, all of which begin
// when Fresh ends: WhileRevalidate, IfError, IfValidated. A window of 0 is none.
type Entry struct {
	// What each hit reads stands together, on as few cache lines as possible.

	// Stored is when the response was complete, less Aged.
	Stored time.Time
	// Fresh is how long it is fresh, from Stored.
	Fresh time.Duration
	// Of a near copy: when, since epoch, the far one must be asked; 0: never.
	until time.Duration
	// The ledger's count when it was last found live.
	seen atomic.Uint64
	// The ledger's count when it was made in this process; 0: read from a store.
	born uint64
	// Status is the HTTP status; 0 for data that is no HTTP response.
	Status int
	// Header replaces the fields of the same names in the response header.
	Header Header
	Body   []byte
	// Added is added to the response header; a field without values is removed from it.
	Added []Field

	// Cost is how long the handler took, or the load of the value. The longer, the earlier it is refreshed.
	Cost time.Duration
	// Aged is how old the response was when it came, if the handler passed on another cache's: its Age (RFC 9111 §5.1).
	Aged time.Duration
	// WhileRevalidate is how much longer it may be served while it is refreshed (RFC 5861 §3).
	WhileRevalidate time.Duration
	// Key is the key that it was made for. It is checked on every read: a store that mixes keys up serves nothing wrong.
	Key keying.Key
	// At is where the purge log ended before the handler ran.
	At Position

	// IfError is how much longer it may be served when its handler fails (RFC 5861 §4).
	IfError time.Duration
	// IfValidated is how much longer it may be served once its handler has confirmed it (RFC 9111 §4.3).
	IfValidated time.Duration

	// Labels are what purges may name it by; at most MaxLabels.
	Labels []keying.Label

	// See Memo.
	memo atomic.Pointer[memo]
}

// skew is how far ahead of our clock an entry's may be before it counts as expired: a clock that far off could
// otherwise keep an entry for ever.
const skew = 5 * time.Second

// Life returns the time since the response was complete, never negative, and how much freshness is left, zero or less when
// the entry is stale. An entry of the future, by another process' clock, is not older than now; from 5 s on it is stale.
func (e *Entry) Life(now time.Time) (age, left time.Duration) {
	age = now.Sub(e.Stored)
	if age < -skew {
		return 0, 0
	}
	age = max(0, age)
	return age, e.Fresh - age
}

// Age is the first result of [Entry.Life].
func (e *Entry) Age(now time.Time) time.Duration {
	age, _ := e.Life(now)
	return age
}

// Left is the second result of [Entry.Life].
func (e *Entry) Left(now time.Time) time.Duration {
	_, left := e.Life(now)
	return left
}

// Keep returns how long a store should hold the entry: for what is left of its freshness, and its longest stale window. Zero or
// less: not at all. It is what Set is given.
func (e *Entry) Keep(now time.Time) time.Duration {
	return e.Left(now) + max(e.WhileRevalidate, e.IfError, e.IfValidated)
}

// Lines returns the lines of a field that the handler set, by its canonical name: those of Header, or else of Added. They are the
// entry's and must not be changed.
func (e *Entry) Lines(name string) []string {
	if lines := e.Header.Lines(name); lines != nil {
		return lines
	}
	for i := range e.Added {
		if e.Added[i].Name == name {
			return e.Added[i].Values
		}
	}
	return nil
}

// entryOverhead is about what an entry costs beside its bytes: the struct, and what the allocator rounds up.
const entryOverhead = 320

// Size returns the bytes that the entry takes in memory, with all that hangs on it. A store in memory counts its bytes by this.
// Data that is no HTTP response counts twice until its decoded form is known, because that will stay beside its bytes.
func (e *Entry) Size() int64 {
	n := entryOverhead + len(e.Body) + len(e.Labels)*len(keying.Label{})
	if m := e.memo.Load(); m != nil {
		n += m.size
	} else if e.Status == 0 {
		n += len(e.Body)
	}
	if e.Header.layout != nil { // other entries may share it, or none does
		n += len(e.Header.layout.names)*40 + e.Header.layout.bytes
	}
	n += sizeOf(e.Header.lines)
	for _, f := range e.Added {
		n += 40 + len(f.Name) + sizeOf(f.Values)
	}
	return int64(n)
}

// sizeOf is what the lines take in memory.
func sizeOf(lines []string) (n int) {
	for _, line := range lines {
		n += 16 + len(line)
	}
	return n
}

// What follows is for the engine of the cache. It is here, and exported, because it reads on every hit what no other package
// can see, and a hit has no time for a map beside the entry. A store needs none of it.

// earliest is how many times its cost before its end an entry may be refreshed early. Chance goes further once in nine
// million.
const earliest = 16

// Nearing reports whether the entry is fresh and so near its end that it may be refreshed early. That is never so in the first half
// of its life. So a process that comes late to refresh an entry sees that another has refreshed it just now.
func (e *Entry) Nearing(now time.Time) bool { return e.NearingAt(e.Left(now)) }

// NearingAt is Nearing for a caller that knows how much freshness is left: a hit reads the clock once.
func (e *Entry) NearingAt(left time.Duration) bool {
	return left > 0 && left < e.Fresh/2 && left/earliest < e.Cost
}

// NearUntil returns a copy of the entry for the process' memory that is good by itself until then. After that the far store must be
// asked, and the copy may only stand in while it cannot be: see [Entry.Past].
func (e *Entry) NearUntil(until time.Time) *Entry {
	c := e.copy()
	c.until = until.Sub(epoch)
	return c
}

// Past reports whether the far store must be asked by now; see [Entry.NearUntil].
func (e *Entry) Past(now time.Time) bool { return e.until != 0 && now.Sub(epoch) > e.until }

// epoch is where instants start that are kept as durations, which take a third of the memory of a time.Time.
var epoch = time.Now()

// Within returns the entry with no more freshness, counted from when it came, and no longer stale windows than these: itself, or a
// copy. What was stored under a policy of longer times is cut down by it when it is read.
func (e *Entry) Within(fresh, whileRevalidate, ifError time.Duration) *Entry {
	fresh += min(e.Aged, math.MaxInt64-fresh)
	if e.Fresh <= fresh && e.WhileRevalidate <= whileRevalidate && e.IfError <= ifError {
		return e
	}
	c := e.copy()
	c.Fresh, c.WhileRevalidate, c.IfError = min(e.Fresh, fresh), min(e.WhileRevalidate, whileRevalidate), min(e.IfError, ifError)
	return c
}

// copy returns a copy of the entry that may be changed until a Store has it. All but its times it shares with e.
func (e *Entry) copy() *Entry {
	c := &Entry{
		Key: e.Key, At: e.At, Status: e.Status, Stored: e.Stored, Fresh: e.Fresh, WhileRevalidate: e.WhileRevalidate,
		IfError: e.IfError, IfValidated: e.IfValidated, Aged: e.Aged, Cost: e.Cost, Header: e.Header, Added: e.Added, Labels: e.Labels,
		Body: e.Body, born: e.born, until: e.until,
	}
	c.memo.Store(e.memo.Load())
	return c
}

// MadeHere reports whether the entry was made in this process, rather than read from a store.
func (e *Entry) MadeHere() bool { return e.born != 0 }

// Beside returns an empty entry for another key that was begun when this one was: the same purges end it.
func (e *Entry) Beside(key keying.Key) *Entry {
	return &Entry{Key: key, At: e.At, born: e.born}
}

// A memo is a decoded form of an entry.
type memo struct {
	value any
	size  int // bytes
}

// Memo returns the decoded form that SetMemo left, or nil.
func (e *Entry) Memo() any {
	if m := e.memo.Load(); m != nil {
		return m.value
	}
	return nil
}

// SetMemo leaves a decoded form with the entry, which takes about so many bytes, for as long as the entry is in memory: a later hit
// need not decode it again. Stores that are given the entry from then on count them. It is never written to a store outside the
// process. Of two callers at once, the last one's stays.
func (e *Entry) SetMemo(v any, size int) { e.memo.Store(&memo{v, size}) }

package store

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/keying"
)

// An Entry is one kept answer. It is immutable once a Store has it and may be read by any number of goroutines.
type Entry struct {
	// What each hit reads stands together, on as few cache lines as possible.

	// When the answer was complete.
	Stored time.Time
	// How long it is fresh, from Stored.
	Fresh time.Duration
	// Of a near copy: when, since epoch, the far one must be asked; 0: never.
	until time.Duration
	// Ledger's count when it was last found live.
	seen atomic.Uint64
	// Ledger's count when it was made in this process; 0: read from a store.
	born uint64
	// The HTTP status; 0 for data that is no HTTP answer.
	Status int
	// Replaces what the response header has.
	Header Header
	Body   []byte
	// Is added to what the response header has; a field without values is removed.
	Added []Field

	// How long its load took.
	Cost time.Duration
	// How old the answer was when it came: Stored is that much earlier.
	Aged time.Duration
	// How much longer it may be served while it is refreshed (RFC 5861 §3).
	WhileRevalidate time.Duration
	// The key it was made for; checked on every read.
	Key keying.Key
	// The purge log's head before the handler ran.
	At Position

	// How much longer it may be served when its handler fails (RFC 5861 §4).
	IfError time.Duration
	// How much longer it may be served once its handler has confirmed it (RFC 9111 §4.3).
	IfValidated time.Duration

	Labels []keying.Label

	// See Memo.
	memo atomic.Pointer[memo]
}

// skew is how far ahead of our clock an entry's may be before it counts as expired: a clock that far off could
// otherwise keep an entry for ever.
const skew = 5 * time.Second

// Life returns the time since the answer was complete, never negative, and how much freshness is left, zero or less when
// the entry is stale.
func (e *Entry) Life(now time.Time) (age, left time.Duration) {
	age = now.Sub(e.Stored)
	if age < -skew {
		return 0, 0
	}
	age = max(0, age)
	return age, e.Fresh - age
}

// Age is the time since the answer was complete, never negative.
func (e *Entry) Age(now time.Time) time.Duration {
	age, _ := e.Life(now)
	return age
}

// Left returns how much freshness is left, zero or less when the entry is stale.
func (e *Entry) Left(now time.Time) time.Duration {
	_, left := e.Life(now)
	return left
}

// Keep returns how long a store should hold the entry: its freshness and the longest stale window.
func (e *Entry) Keep(now time.Time) time.Duration {
	return e.Left(now) + max(e.WhileRevalidate, e.IfError, e.IfValidated)
}

// earliest is how many times its cost before its end an entry may be refreshed early. Chance goes further once in nine
// million.
const earliest = 16

// Nearing reports whether the entry is fresh and so near its end that it may be refreshed early. The first half of its
// life is out of the question: so whoever comes late to refresh an entry knows one that was refreshed just now.
func (e *Entry) Nearing(now time.Time) bool { return e.NearingAt(e.Left(now)) }

// NearingAt is Nearing when so much of its freshness is left.
func (e *Entry) NearingAt(left time.Duration) bool {
	return left > 0 && left < e.Fresh/2 && left/earliest < e.Cost
}

// entryOverhead is about what an entry costs beside its bytes: the struct, and what the allocator rounds up.
const entryOverhead = 320

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

// Size returns the bytes that the entry takes in memory, overhead and its memo included. Data that is no HTTP answer counts
// twice before it has one, because its decoded form will be kept beside its bytes.
func (e *Entry) Size() int64 {
	n := entryOverhead + len(e.Body) + len(e.Labels)*len(keying.Label{})
	if m := e.memo.Load(); m != nil {
		n += m.size
	} else if e.Status == 0 {
		n += len(e.Body)
	}
	if e.Header.layout != nil { // which it may share; or not
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

// NearUntil returns a copy of the entry that the far one stands behind from then on: see [Entry.Past].
func (e *Entry) NearUntil(until time.Time) *Entry {
	c := e.copy()
	c.until = until.Sub(epoch)
	return c
}

// copy returns a copy of the entry that may be changed until a Store has it. It shares all that is not a time.
func (e *Entry) copy() *Entry {
	c := &Entry{
		Key: e.Key, At: e.At, Status: e.Status, Stored: e.Stored, Fresh: e.Fresh, WhileRevalidate: e.WhileRevalidate,
		IfError: e.IfError, IfValidated: e.IfValidated, Aged: e.Aged, Cost: e.Cost, Header: e.Header, Added: e.Added, Labels: e.Labels,
		Body: e.Body, born: e.born, until: e.until,
	}
	c.memo.Store(e.memo.Load())
	return c
}

// Within returns the entry with no more freshness, counted from when it came, and no longer stale windows than these: itself, or
// a copy.
func (e *Entry) Within(fresh, whileRevalidate, ifError time.Duration) *Entry {
	fresh += min(e.Aged, math.MaxInt64-fresh)
	if e.Fresh <= fresh && e.WhileRevalidate <= whileRevalidate && e.IfError <= ifError {
		return e
	}
	c := e.copy()
	c.Fresh, c.WhileRevalidate, c.IfError = min(e.Fresh, fresh), min(e.WhileRevalidate, whileRevalidate), min(e.IfError, ifError)
	return c
}

// MadeHere reports whether the entry was made in this process, rather than read from a store.
func (e *Entry) MadeHere() bool { return e.born != 0 }

// Beside returns an entry for another key, with the place in the purge log that this one has.
func (e *Entry) Beside(key keying.Key) *Entry {
	return &Entry{Key: key, At: e.At, born: e.born}
}

// Past reports whether the far copy must be asked by now.
func (e *Entry) Past(now time.Time) bool { return e.until != 0 && now.Sub(epoch) > e.until }

// epoch is where instants start that are kept as durations, which take a third of the room.
var epoch = time.Now()

// memo is a decoded form of an entry.
type memo struct {
	value any
	size  int // bytes
}

// Memo returns the decoded form of the entry that SetMemo left, or nil.
func (e *Entry) Memo() any {
	if m := e.memo.Load(); m != nil {
		return m.value
	}
	return nil
}

// SetMemo leaves a decoded form of the entry with it, of about so many bytes, for as long as it stays in memory. They count
// where the entry is kept from then on. It is never written to a store outside the process.
func (e *Entry) SetMemo(v any, size int) { e.memo.Store(&memo{v, size}) }

package store

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/keying"
)

// An Entry is one stored response, or one stored value that is no HTTP response.
//
// Once a Store has it, it is immutable, and any number of goroutines may read it. [Entry.Validate] says which values a field may have.
type Entry struct {
	// The fields that every hit reads come first, so that they lie on as few cache lines as possible.

	// Stored is when the response was complete, less Aged. A Codec keeps milliseconds.
	Stored time.Time
	// Fresh is how long it is fresh, counted from Stored (RFC 9111 §4.2).
	Fresh time.Duration
	// until is when a copy in memory must be compared with the store behind it, counted from epoch. Zero means never.
	until time.Duration
	// seen is the ledger's count when the entry was last found live; see Ledger.State.
	seen atomic.Uint64
	// born is the ledger's count when this process made the entry. It is zero if the entry was read from a store.
	born uint64
	// Status is the HTTP status. It is zero for a value that is no HTTP response.
	Status int
	// Header replaces the fields that the response header has.
	Header Header
	// Body is the content as it is sent, after any Content-Encoding.
	Body []byte
	// Added is added to the fields that the response header has. A field without values removes what is there.
	Added []Field

	// Cost is how long the load took.
	Cost time.Duration
	// Aged is how old the response already was when it came.
	Aged time.Duration
	// WhileRevalidate is how long it may be served stale while it is refreshed (RFC 5861 §3).
	WhileRevalidate time.Duration
	// Key is the key that it was made for. Readers compare it, so a mistake of a store cannot give one user's page to another.
	Key keying.Key
	// At is where the purge log ended before the handler ran.
	At Position

	// IfError is how long it may be served stale if its handler fails (RFC 5861 §4).
	IfError time.Duration
	// IfValidated is how long it may be served stale once its handler has confirmed it (RFC 9111 §4.3).
	IfValidated time.Duration

	// Labels are what a purge can hit it by.
	Labels []keying.Label

	// memo is its decoded form; see Memo.
	memo atomic.Pointer[memo]
}

// skew is how far the clock that stored an entry may be ahead of ours. An entry from further in the future counts as expired; otherwise a
// wrong clock could make it live for ever.
const skew = 5 * time.Second

// Life returns the entry's age, never negative, and how much freshness is left. If the entry is stale, left is zero or less.
func (e *Entry) Life(now time.Time) (age, left time.Duration) {
	age = now.Sub(e.Stored)
	if age < -skew {
		return 0, 0
	}
	age = max(0, age)
	return age, e.Fresh - age
}

// Age returns the time since the response was generated, as far as is known. It is never negative.
func (e *Entry) Age(now time.Time) time.Duration {
	age, _ := e.Life(now)
	return age
}

// Left returns how much freshness is left. If the entry is stale, that is zero or less.
func (e *Entry) Left(now time.Time) time.Duration {
	_, left := e.Life(now)
	return left
}

// Keep returns how long a store should hold the entry: while it is fresh, and for the longest time that it may be served stale.
func (e *Entry) Keep(now time.Time) time.Duration {
	return e.Left(now) + max(e.WhileRevalidate, e.IfError, e.IfValidated)
}

// earliest is how long before its end an entry may be refreshed, in multiples of its cost. The random choice of when to refresh would go
// beyond that once in nine million times.
const earliest = 16

// Nearing reports whether the entry is fresh, but so near to its end that it may be refreshed early. In the first half of its life that is
// never so. Therefore a process that is late, and finds an entry that another has just refreshed, does not refresh it again.
func (e *Entry) Nearing(now time.Time) bool { return e.NearingAt(e.Left(now)) }

// NearingAt is Nearing for a known rest of freshness.
func (e *Entry) NearingAt(left time.Duration) bool {
	return left > 0 && left < e.Fresh/2 && left/earliest < e.Cost
}

// entryOverhead is about what an entry takes besides its bytes: the struct, and what the allocator rounds up.
const entryOverhead = 320

// Lines returns the lines of a field by its canonical name: those of Header, or else those of Added. They must not be changed.
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

// Size returns about how many bytes the entry takes in memory, with its overhead and its memo. A value that has no memo yet counts its body
// twice: its decoded form will be about as large.
func (e *Entry) Size() int64 {
	n := entryOverhead + len(e.Body) + len(e.Labels)*len(keying.Label{})
	if m := e.memo.Load(); m != nil {
		n += m.size
	} else if e.Status == 0 {
		n += len(e.Body)
	}
	if e.Header.layout != nil { // most entries share it, but nobody knows with how many
		n += len(e.Header.layout.names)*40 + e.Header.layout.bytes
	}
	n += sizeOf(e.Header.lines)
	for _, f := range e.Added {
		n += 40 + len(f.Name) + sizeOf(f.Values)
	}
	return int64(n)
}

// sizeOf is how many bytes the lines take in memory.
func sizeOf(lines []string) (n int) {
	for _, line := range lines {
		n += 16 + len(line)
	}
	return n
}

// NearUntil returns a copy of the entry that memory may serve without a question to the store behind it until the given time. From then on
// [Entry.Past] is true. The copy shares the entry's bytes.
func (e *Entry) NearUntil(until time.Time) *Entry {
	c := e.copy()
	c.until = until.Sub(epoch)
	return c
}

// copy returns a copy whose own fields may be changed until a Store has it. The bytes, slices and the memo are shared.
func (e *Entry) copy() *Entry {
	c := &Entry{
		Key: e.Key, At: e.At, Status: e.Status, Stored: e.Stored, Fresh: e.Fresh, WhileRevalidate: e.WhileRevalidate,
		IfError: e.IfError, IfValidated: e.IfValidated, Aged: e.Aged, Cost: e.Cost, Header: e.Header, Added: e.Added, Labels: e.Labels,
		Body: e.Body, born: e.born, until: e.until,
	}
	c.memo.Store(e.memo.Load())
	return c
}

// Within returns the entry if its times are within these limits, or else a copy whose times are cut to them. Freshness is counted from when
// the response came, so its age on arrival is added to the limit.
func (e *Entry) Within(fresh, whileRevalidate, ifError time.Duration) *Entry {
	fresh += min(e.Aged, math.MaxInt64-fresh)
	if e.Fresh <= fresh && e.WhileRevalidate <= whileRevalidate && e.IfError <= ifError {
		return e
	}
	c := e.copy()
	c.Fresh, c.WhileRevalidate, c.IfError = min(e.Fresh, fresh), min(e.WhileRevalidate, whileRevalidate), min(e.IfError, ifError)
	return c
}

// MadeHere reports whether this process made the entry, rather than read it from a store.
func (e *Entry) MadeHere() bool { return e.born != 0 }

// Beside returns an empty entry for another key with the same place in the purge log: both come from one run of a handler.
func (e *Entry) Beside(key keying.Key) *Entry {
	return &Entry{Key: key, At: e.At, born: e.born}
}

// Past reports whether a copy in memory must be compared with the store behind it by now; see [Entry.NearUntil].
func (e *Entry) Past(now time.Time) bool { return e.until != 0 && now.Sub(epoch) > e.until }

// epoch is what until counts from. A duration takes a third of the bytes of a time.Time.
var epoch = time.Now()

// A memo is the decoded form of an entry's body.
type memo struct {
	value any
	size  int // bytes
}

// Memo returns the decoded form that was given to SetMemo, or nil. Callers share it and must not change it.
func (e *Entry) Memo() any {
	if m := e.memo.Load(); m != nil {
		return m.value
	}
	return nil
}

// SetMemo remembers the decoded form of the entry, of about size bytes, as long as the entry is in memory. Size counts these bytes from now
// on; a Store that has the entry already does not. A Codec does not write it. It may be called at any time, by any goroutine.
func (e *Entry) SetMemo(v any, size int) { e.memo.Store(&memo{v, size}) }

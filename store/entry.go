package store

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/keying"
)

// An Entry is one stored response, or one value. Once a [Store] has it, nobody changes it or any of its bytes, and any
// number of goroutines may read it. To change the times of an entry, make a copy: see [Entry.Within].
//
// It is fresh for Fresh from Stored on. After that it is stale, and may be served within one of three windows, all of which begin
// when Fresh ends: WhileRevalidate, IfError, IfValidated. A window of 0 is none.
type Entry struct {
	// The fields that each hit reads come first, on as few cache lines as possible.

	// Stored is when the response came, less Aged.
	Stored time.Time
	// Fresh is how long the entry is fresh, from Stored on.
	Fresh time.Duration
	// Of a near copy: until when it may be used without the far store, since epoch; 0: always.
	until time.Duration
	// The ledger's count when the entry was last found live.
	seen atomic.Uint64
	// The ledger's count when the entry was made in this process; 0: it was read from a store.
	born uint64
	// Status is the HTTP status; 0 for data that is not an HTTP response.
	Status int
	// Header replaces the fields of the same names in the response header.
	Header Header
	Body   []byte
	// Added is appended to the response header; a field without values is removed from it.
	Added []Field

	// Cost is how long the handler, or the load of the value, took. The longer, the earlier the entry is refreshed.
	Cost time.Duration
	// Aged is how old the response was when it came, for example because the handler passed on another cache's: its age (RFC 9111 §4.2.3).
	Aged time.Duration
	// WhileRevalidate is how much longer it may be served while it is refreshed (RFC 5861 §3).
	WhileRevalidate time.Duration
	// Key is the key that the entry was made for. It is checked on every read, so a store that mixes up keys serves nothing wrong.
	Key keying.Key
	// At is where the purge log ended before the handler ran.
	At Position

	// IfError is how much longer it may be served when its handler fails (RFC 5861 §4).
	IfError time.Duration
	// IfValidated is how much longer it may be served once its handler has validated it (RFC 9111 §4.3).
	IfValidated time.Duration

	// Labels are what purges may name the entry by; at most MaxLabels.
	Labels []keying.Label

	// See Memo.
	memo atomic.Pointer[memo]
}

// skew is how far in the future, by our clock, an entry may have been stored before it counts as expired: a clock that far off
// could otherwise keep an entry for ever.
const skew = 5 * time.Second

// Life returns the entry's age, never negative, and how much freshness is left, zero or less when the entry is stale. An
// entry that lies in the future, by another process' clock, has age zero; from 5 s on it is stale.
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
// less: not at all. It is the time to pass to Set.
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

// Size returns the bytes that the entry takes in memory, with everything it refers to. A store in memory counts entries by it.
// Data that is not an HTTP response counts twice until its decoded form is known, because that will be held beside its bytes.
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

// sizeOf returns the bytes that the lines take in memory.
func sizeOf(lines []string) (n int) {
	for _, line := range lines {
		n += 16 + len(line)
	}
	return n
}

// What follows is for the engine of the cache. It is here, and exported, because every hit uses it to read fields that no other
// package can see, and a map beside the entry would be too slow for a hit. A store needs none of it.

// earliest bounds how early an entry may be refreshed: this many times its cost before its end. Chance would pick an earlier time
// only once in nine million.
const earliest = 16

// Nearing reports whether the entry is fresh and so near its end that it may be refreshed early. It never is in the first half
// of its life. So a process that comes late to a refresh sees that another has refreshed the entry just now.
func (e *Entry) Nearing(now time.Time) bool { return e.NearingAt(e.Left(now)) }

// NearingAt is Nearing for a caller that knows how much freshness is left: a hit reads the clock only once.
func (e *Entry) NearingAt(left time.Duration) bool {
	return left > 0 && left < e.Fresh/2 && left/earliest < e.Cost
}

// NearUntil returns a copy of the entry for the process' memory that may be served until then. After that the far store must be
// read, and the copy may only stand in while the far store is unavailable: see [Entry.Past].
func (e *Entry) NearUntil(until time.Time) *Entry {
	c := e.copy()
	c.until = until.Sub(epoch)
	return c
}

// Past reports whether the far store must be read by now; see [Entry.NearUntil].
func (e *Entry) Past(now time.Time) bool { return e.until != 0 && now.Sub(epoch) > e.until }

// epoch is the origin of instants that are stored as durations, which take a third of the memory of a time.Time.
var epoch = time.Now()

// Within returns the entry with no more freshness, counted from when it came, and no longer stale windows than these: itself, or a
// copy. It cuts down what was stored under a policy with longer times when it is read.
func (e *Entry) Within(fresh, whileRevalidate, ifError time.Duration) *Entry {
	fresh += min(e.Aged, math.MaxInt64-fresh)
	if e.Fresh <= fresh && e.WhileRevalidate <= whileRevalidate && e.IfError <= ifError {
		return e
	}
	c := e.copy()
	c.Fresh, c.WhileRevalidate, c.IfError = min(e.Fresh, fresh), min(e.WhileRevalidate, whileRevalidate), min(e.IfError, ifError)
	return c
}

// copy returns a copy of the entry that may be changed until a Store has it. Everything but its times is shared with e.
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

// Beside returns an empty entry for another key with the same place in the purge log, so that the same purges end it.
func (e *Entry) Beside(key keying.Key) *Entry {
	return &Entry{Key: key, At: e.At, born: e.born}
}

// A memo is a decoded form of an entry.
type memo struct {
	value any
	size  int // bytes
}

// Memo returns the decoded form that SetMemo attached, or nil.
func (e *Entry) Memo() any {
	if m := e.memo.Load(); m != nil {
		return m.value
	}
	return nil
}

// SetMemo attaches a decoded form of about size bytes to the entry, for as long as the entry is in memory: a later hit
// need not decode it again. Stores that are given the entry from then on count those bytes. The form is never written to a store
// outside the process. Of two concurrent calls, the last one counts.
func (e *Entry) SetMemo(v any, size int) { e.memo.Store(&memo{v, size}) }

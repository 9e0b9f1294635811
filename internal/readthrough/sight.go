package readthrough

import (
	"errors"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

// A sight is what a look brings.
type sight struct {
	e      *store.Entry
	use    Use
	seen   *store.Entry // what was read, also if it is of no use to the request
	made   bool         // the entry was made just now, by another process
	err    error        // has been reported
	turn   turn
	tenure *tenure // the lease, if it was taken
}

// blind reports whether the store could not be asked.
func (s sight) blind() bool { return s.err != nil && !errors.Is(s.err, store.ErrCorrupt) }

// has reports whether the sight was of the same entry, read another time perhaps: from memory, where times are exact, or
// from a far store, where they are in milliseconds.
func (s sight) has(e *store.Entry) bool {
	return s.seen != nil && e != nil && s.seen.At == e.At && s.seen.Stored.UnixMilli() == e.Stored.UnixMilli() && s.seen.Key == e.Key
}

// sight judges what an operation has just read.
func (c *Call) sight(key keying.Key, e *store.Entry, what store.Operation, err error, made Made, judge Judge) sight {
	c.went(what, err)
	c.last = sight{err: err}
	if e == nil || e.Key != key {
		return c.last
	}
	if c.last.seen = e; what != "" && err == nil {
		c.t.note(e, c.now())
	}
	use := judge.use(e, c.t.Use(e, c.now()), made)
	if use == NoUse {
		return sight{seen: e, err: err}
	}
	return sight{e: e, use: use, seen: e, err: err, made: made != Before}
}

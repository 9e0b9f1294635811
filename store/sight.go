package store

import (
	"errors"

	"github.com/larder-go/cache/keying"
)

// A sight is what a look brings.
type sight struct {
	e      *Entry
	use    Use
	made   bool  // the entry was made just now, by another process
	err    error // has been reported
	turn   turn
	tenure *tenure // the lease, if it was taken
}

// blind reports whether the store could not be asked.
func (s sight) blind() bool { return s.err != nil && !errors.Is(s.err, ErrCorrupt) }

// has reports whether the sight was of the same entry, read another time perhaps.
func (s sight) has(e *Entry) bool {
	return s.e != nil && e != nil && s.e.At == e.At && s.e.Stored.Equal(e.Stored) && s.e.Key == e.Key
}

// sight judges what an operation has just read.
func (c *Call) sight(key keying.Key, e *Entry, err error, shared bool, judge Judge) sight {
	if err != nil {
		c.t.fault(err)
	}
	if e == nil || e.Key != key {
		return sight{err: err}
	}
	use := judge.use(e, c.t.Use(e, c.now()), shared)
	if use == NoUse {
		return sight{err: err}
	}
	return sight{e: e, use: use, err: err, made: shared}
}

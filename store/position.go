package store

import "cmp"

// A Position is a place in a purge log. Positions of one epoch are ordered; an epoch is one unbroken life of a log, and
// positions of different epochs cannot be compared. The zero Position is before everything and belongs to no epoch.
type Position struct {
	Epoch     uint64
	Time, Seq uint64 // a Redis stream's id, or a counter in Seq
}

// Before reports whether p stands before q in the same log. Positions of different epochs count as before each other:
// what was made under another log cannot be trusted.
func (p Position) Before(q Position) bool { return p.Epoch != q.Epoch || p.compare(q) < 0 }

func (p Position) compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Time, q.Time), cmp.Compare(p.Seq, q.Seq))
}

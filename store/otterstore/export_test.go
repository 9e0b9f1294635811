package otterstore

import "github.com/larder-go/cache/store"

// Shares returns how the options become otter's one weight: the least weight, what all may weigh, and the largest entry.
func Shares(o Options) (share, maximum, largest int64) {
	b := boundsOf(o)
	return b.share, b.maximum, b.largest
}

// CostOf is what the entry counts as.
func CostOf(e *store.Entry) int64 { return costOf(e) }

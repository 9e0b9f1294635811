package memstore

import "sync/atomic"

// bounds are what all shards together may hold. What is to be added is reserved first, so that they hold at every
// moment. They are safe for concurrent use.
type bounds struct {
	maxEntries, maxBytes int64
	shards               int64
	entries, bytes       atomic.Int64
}

// reserve takes room for more, if there is some. Negative numbers give room back.
func (b *bounds) reserve(entries, bytes int64) bool {
	if !take(&b.entries, entries, b.maxEntries) {
		return false
	}
	if !take(&b.bytes, bytes, b.maxBytes) {
		b.entries.Add(-entries)
		return false
	}
	return true
}

// take adds n, if the sum is not above the most, or n not above zero. It never adds more to take it back: that would be seen.
func take(sum *atomic.Int64, n, most int64) bool {
	for {
		before := sum.Load()
		if n > 0 && before+n > most {
			return false
		}
		if sum.CompareAndSwap(before, before+n) {
			return true
		}
	}
}

const (
	minShards       = 16 // more only if they are large
	maxShards       = 64
	minShardEntries = 64
	minShardBytes   = 1 << 20
	largeEntries    = 4096
	largeBytes      = 8 << 20
)

// shardCount returns the largest power of two that leaves every shard enough entries and bytes to order them fairly.
func shardCount(o Options) int {
	n, entries, bytes := 1, minShardEntries, int64(minShardBytes)
	for n < maxShards && o.MaxEntries/(2*n) >= entries && o.MaxBytes/int64(2*n) >= bytes {
		if n *= 2; n == minShards {
			entries, bytes = largeEntries, largeBytes
		}
	}
	return n
}

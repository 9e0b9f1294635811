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
	if b.entries.Add(entries) <= b.maxEntries || entries <= 0 {
		if b.bytes.Add(bytes) <= b.maxBytes || bytes <= 0 {
			return true
		}
		b.bytes.Add(-bytes)
	}
	b.entries.Add(-entries)
	return false
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

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

package memstore

import (
	"sync"
	"testing"
)

// What does not fit must not be seen for a moment either: others read the figures without a lock.
func TestReservedRoomIsNeverMoreThanThereIs(t *testing.T) {
	b := &bounds{maxEntries: 10, maxBytes: 1000, shards: 1}
	look := func() {
		if entries, bytes := b.entries.Load(), b.bytes.Load(); entries > b.maxEntries || bytes > b.maxBytes {
			t.Errorf("%d entries, %d bytes; at most %d, %d", entries, bytes, b.maxEntries, b.maxBytes)
		}
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := 0; i < 20_000 && !t.Failed(); i++ {
				if b.reserve(1, 300) {
					look()
					b.reserve(-1, -300)
				}
				b.reserve(11, 1)
				look()
				b.reserve(0, 1001)
				look()
			}
		})
	}
	all.Wait()
	if entries, bytes := b.entries.Load(), b.bytes.Load(); entries != 0 || bytes != 0 {
		t.Errorf("%d entries, %d bytes after all room was given back", entries, bytes)
	}
}

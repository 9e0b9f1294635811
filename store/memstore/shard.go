package memstore

import (
	"encoding/binary"

	"github.com/jellydator/ttlcache/v3"

	"github.com/larder-go/cache/keying"
	"github.com/larder-go/cache/store"
)

const (
	maxShards       = 16
	minShardEntries = 64
	minShardBytes   = 1 << 20
)

// itemOverhead is what an item costs here beside its Entry.Size: the key (twice: map and item), list element and item
// of ttlcache, less what Size counts for them already.
const itemOverhead = 160

// shard is one LRU with its own lock.
type shard struct {
	*ttlcache.Cache[keying.Key, *store.Entry]
	maxBytes uint64
}

func newShard(maxBytes, maxEntries uint64) shard {
	return shard{
		Cache: ttlcache.New(
			ttlcache.WithDisableTouchOnHit[keying.Key, *store.Entry](),
			ttlcache.WithCapacity[keying.Key, *store.Entry](maxEntries),
			ttlcache.WithMaxCost(maxBytes, func(i ttlcache.CostItem[keying.Key, *store.Entry]) uint64 {
				return costOf(i.Value)
			}),
		),
		maxBytes: maxBytes,
	}
}

func costOf(e *store.Entry) uint64 { return uint64(e.Size()) + itemOverhead }

// shardCount returns the largest power of two that leaves every shard enough entries and bytes to be a fair LRU.
func shardCount(o Options) int {
	n := 1
	for n < maxShards && o.MaxEntries/(2*n) >= minShardEntries && o.MaxBytes/int64(2*n) >= minShardBytes {
		n *= 2
	}
	return n
}

// shard picks by the key's last bytes; keys are digests, so that any of their bits are evenly spread.
func (s *Store) shard(key keying.Key) shard {
	return s.shards[binary.LittleEndian.Uint32(key[len(key)-4:])%uint32(len(s.shards))]
}

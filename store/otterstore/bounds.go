package otterstore

import (
	"math"

	"github.com/larder-go/cache/store"
)

// Defaults of the [Options].
const (
	DefaultMaxBytes   = 64 << 20
	DefaultMaxEntries = 5000
)

// Options bound a Store. The zero Options are ready to use.
//
// Both bounds hold at any moment. Otter knows one weight, so an entry counts as no less than MaxBytes/MaxEntries: where
// large and small entries are mixed, the store may be full before it has reached either bound, but not before it is
// half way to one of them.
type Options struct {
	MaxBytes   int64 // bytes of all entries, overhead included; 0 or less: 64 MiB. No entry may have 4 GiB or more.
	MaxEntries int   // 0 or less: 5,000
}

// itemOverhead is what an item costs here beside its Entry.Size: otter's node with the key, the boxed item, its slot in the
// hash table and its share of the frequency sketch, less what Size counts for them already.
const itemOverhead = 80

func costOf(e *store.Entry) int64 { return e.Size() + itemOverhead }

// bounds are the two bounds of a store as one weight, for otter has only one. An entry weighs its bytes, but no less than
// its share of MaxBytes would be if there were MaxEntries of them: so there are never more of them.
type bounds struct {
	share   int64 // the least that an entry weighs
	maximum int64 // what all may weigh together: the shares of MaxEntries; rounding makes it a little less than MaxBytes
	largest int64 // what an entry may cost
}

func boundsOf(o Options) bounds {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.MaxEntries <= 0 {
		o.MaxEntries = DefaultMaxEntries
	}
	// No entry costs less than an empty one does: were shares smaller than that, rounding them would waste the more.
	entries := min(int64(o.MaxEntries), max(1, o.MaxBytes/costOf(&store.Entry{})))
	share := min(o.MaxBytes/entries, math.MaxUint32) // a weight has 32 bits
	return bounds{share, share * entries, min(o.MaxBytes, math.MaxUint32)}
}

// weight of an entry that costs no more than the largest. One between maximum and MaxBytes fills the store alone.
func (b bounds) weight(e *store.Entry) uint32 {
	return uint32(min(max(costOf(e), b.share), b.maximum))
}

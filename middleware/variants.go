package middleware

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/keying"
)

// One URL may have several responses, by headers, cookies or a function. A client that makes up header values must not fill the cache
// with them: so a URL keeps at most maxVariants, and a new one replaces the least used one. A variant that real clients request again and
// again is never the least used one.
//
//	1. a response is stored: admit notes its key among the variants of the URL
//	2. every hit counts a use of its key, in a table of saturating counters without a lock
//	3. the URL has 32 variants, and another one comes: the hand moves round the variants, takes a use from each it passes, and
//	   stops at one without any (the clock algorithm). That one is deleted from the store

// maxVariants is how many variants of one URL a process keeps.
const maxVariants = 32

// The variants of this many URLs are remembered, in sets of a few URLs each. In a full set, the URL that has had no new variant for
// longest is forgotten. Its responses stay stored; only its count starts anew.
const (
	tableSets = 256
	tableWays = 4
)

// variants are the stored variants of URLs, as far as this process has stored them, and how much they are used. The zero value is ready
// to use.
type variants struct {
	uses uses

	mu sync.Mutex
	// Each set in the order of their last additions.
	table [tableSets][tableWays]*urlVariants
}

// urlVariants are the variants of one URL.
type urlVariants struct {
	resource keying.Label
	kept     []variant
	// Where the clock's hand stands.
	hand int
}

// A variant is one response of a URL, and until when it is stored.
type variant struct {
	key   keying.Key
	until time.Time // the store has forgotten it by then
}

// tableSeed is random: nobody outside can construct URLs that meet in one set.
var tableSeed = maphash.MakeSeed()

// admit notes that a variant of the resource is stored until then. It returns the key of the variant that it replaces, or the zero Key.
func (v *variants) admit(resource keying.Label, key keying.Key, now, until time.Time) (replaced keying.Key) {
	v.uses.add(&key)
	v.mu.Lock()
	defer v.mu.Unlock()
	uv := v.of(resource)
	at := slices.IndexFunc(uv.kept, func(k variant) bool { return k.key == key })
	switch {
	case at >= 0:
	case len(uv.kept) < maxVariants:
		at = len(uv.kept)
		uv.kept = append(uv.kept, variant{})
	default:
		if at = uv.least(now, &v.uses); now.Before(uv.kept[at].until) {
			replaced = uv.kept[at].key
		}
	}
	uv.kept[at] = variant{key, until}
	return replaced
}

// set is the set that the resource's variants belong to, if they are remembered.
func (v *variants) set(resource keying.Label) *[tableWays]*urlVariants {
	return &v.table[maphash.Comparable(tableSeed, resource)%tableSets]
}

// of returns the resource's variants, which become the first of their set.
func (v *variants) of(resource keying.Label) *urlVariants {
	set := v.set(resource)
	at := slices.IndexFunc(set[:], func(uv *urlVariants) bool { return uv == nil || uv.resource == resource })
	if at < 0 {
		at = tableWays - 1
		set[at] = nil
	}
	uv := set[at]
	if uv == nil {
		uv = &urlVariants{resource: resource}
	}
	copy(set[1:at+1], set[:at])
	set[0] = uv
	return uv
}

// any reports whether a variant of the resource other than the key's is stored, as far as admit has noted.
func (v *variants) any(resource keying.Label, but keying.Key, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, uv := range v.set(resource) {
		if uv != nil && uv.resource == resource {
			return slices.ContainsFunc(uv.kept, func(k variant) bool { return k.key != but && now.Before(k.until) })
		}
	}
	return false
}

// least returns the index of a variant that has expired, or of the next one that nobody has used since the hand went by. Each use earns a
// variant one more round, so that steadily requested variants outlast made-up ones, at whatever rate those come.
func (uv *urlVariants) least(now time.Time, u *uses) int {
	for i := range uv.kept {
		if !now.Before(uv.kept[i].until) {
			return i
		}
	}
	for range (maxUses + 1) * len(uv.kept) { // uses go on meanwhile
		uv.hand = (uv.hand + 1) % len(uv.kept)
		if !u.take(&uv.kept[uv.hand].key) {
			break
		}
	}
	return uv.hand
}

// uses counts the recent uses of keys, up to maxUses each. A use of a hot key writes nothing that other processors would have to fetch.
// Keys that share a counter, which nobody outside can choose, earn each other rounds.
type uses [4096]atomic.Uint32

// maxUses is where counting ends: beyond it a variant counts as used a lot.
const maxUses = 15

var usesSpread = maphash.Comparable(tableSeed, "uses") | 1

// of is the word that counts the key's uses, together with those of a few others.
func (u *uses) of(key *keying.Key) *atomic.Uint32 {
	return &u[binary.LittleEndian.Uint64(key[8:])*usesSpread>>32%uint64(len(u))]
}

// add counts a use.
func (u *uses) add(key *keying.Key) {
	if n := u.of(key); n.Load() < maxUses {
		n.Add(1) // above maxUses, if others add meanwhile: that does not matter
	}
}

// take uses up one use, if there is any.
func (u *uses) take(key *keying.Key) bool {
	n := u.of(key)
	had := n.Load()
	n.CompareAndSwap(had, had-min(had, 1)) // or others used it just now
	return had > 0
}

package middleware

import (
	"encoding/binary"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/larder-go/cache/internal/rfc9111"
	"github.com/larder-go/cache/keying"
)

// One URL may have several responses, by headers, cookies or a function. Whoever makes up header values must not fill the cache with
// them: so a URL keeps at most maxVariants, and the least used one goes when another comes. A variant that real clients ask for again and
// again is never the least used one.
//
//	1. a response is stored: admit notes its key among the variants of the URL
//	2. every hit counts a use of its key, in a table of saturating counters without a lock
//	3. the URL has 32 variants, and another one comes: the hand moves round the variants, takes a use from each it passes, and
//	   stops at one without any (the clock algorithm). That one is deleted from the store

// maxVariants is how many variants of one URL a process keeps.
const maxVariants = 32

// Of so many URLs the variants are remembered, in sets of a few URLs each. In a full set the URL goes that has had no new variant for longest.
// Its responses stay; it merely counts anew.
const (
	galleries   = 256
	galleryWays = 4
)

// variants are those of the URLs that this process has stored, and how much they are used. The zero value is ready to use.
type variants struct {
	uses uses

	mu sync.Mutex
	// Each set in the order of their last additions.
	galleries [galleries][galleryWays]*gallery
}

// A gallery is the variants of one URL.
type gallery struct {
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

// gallerySeed is random: nobody outside can make up URLs that meet in one set.
var gallerySeed = maphash.MakeSeed()

// admit notes that a variant of the resource is stored until then. It returns the key of the variant that must go for it, or the zero Key.
func (v *variants) admit(resource keying.Label, key keying.Key, now, until time.Time) (replaced keying.Key) {
	v.uses.add(&key)
	v.mu.Lock()
	defer v.mu.Unlock()
	g := v.gallery(resource)
	at := slices.IndexFunc(g.kept, func(k variant) bool { return k.key == key })
	switch {
	case at >= 0:
	case len(g.kept) < maxVariants:
		at = len(g.kept)
		g.kept = append(g.kept, variant{})
	default:
		if at = g.least(now, &v.uses); now.Before(g.kept[at].until) {
			replaced = g.kept[at].key
		}
	}
	g.kept[at] = variant{key, until}
	return replaced
}

// set is where the resource's gallery stands, if it has one.
func (v *variants) set(resource keying.Label) *[galleryWays]*gallery {
	return &v.galleries[maphash.Comparable(gallerySeed, resource)%galleries]
}

// gallery returns the resource's, which becomes the first of its set.
func (v *variants) gallery(resource keying.Label) *gallery {
	set := v.set(resource)
	at := slices.IndexFunc(set[:], func(g *gallery) bool { return g == nil || g.resource == resource })
	if at < 0 {
		at = galleryWays - 1
		set[at] = nil
	}
	g := set[at]
	if g == nil {
		g = &gallery{resource: resource}
	}
	copy(set[1:at+1], set[:at])
	set[0] = g
	return g
}

// any reports whether another variant of the resource is kept than that of the key, or was when that was last looked at.
func (v *variants) any(resource keying.Label, but keying.Key, now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, g := range v.set(resource) {
		if g != nil && g.resource == resource {
			return slices.ContainsFunc(g.kept, func(k variant) bool { return k.key != but && now.Before(k.until) })
		}
	}
	return false
}

// least returns the place of a variant that has expired, or of the next one that nobody has used since the hand went by.
// Each use earns a variant one more round, so that what is asked for steadily outlasts what is made up, at whatever rate.
func (g *gallery) least(now time.Time, u *uses) int {
	for i := range g.kept {
		if !now.Before(g.kept[i].until) {
			return i
		}
	}
	for range (maxUses + 1) * len(g.kept) { // uses go on meanwhile
		g.hand = (g.hand + 1) % len(g.kept)
		if !u.take(&g.kept[g.hand].key) {
			break
		}
	}
	return g.hand
}

// uses count how often keys were used of late, up to a few times each. Reading a key that is hot writes nothing that
// another processor would see. Keys that share a counter, which nobody outside can choose, earn each other rounds.
type uses [4096]atomic.Uint32

// maxUses is where counting ends: beyond it a variant counts as used a lot.
const maxUses = 15

var usesSpread = maphash.Comparable(gallerySeed, "uses") | 1

// of is the word that counts the key's uses, together with those of a few others.
func (u *uses) of(key *keying.Key) *atomic.Uint32 {
	return &u[binary.LittleEndian.Uint64(key[8:])*usesSpread>>32%uint64(len(u))]
}

// add counts a use.
func (u *uses) add(key *keying.Key) {
	if n := u.of(key); n.Load() < maxUses {
		n.Add(1) // above the most, if others add meanwhile: that does not matter
	}
}

// take uses up one use, if there is any.
func (u *uses) take(key *keying.Key) bool {
	n := u.of(key)
	had := n.Load()
	n.CompareAndSwap(had, had-min(had, 1)) // or others used it just now
	return had > 0
}

const (
	normalSlots = 256
	maxNormal   = 512 // bytes of a line; what is longer comes from nobody's browser
)

// normalForms remembers what [rfc9111.Selection] makes of the lines that requests bring again and again: those of content
// negotiation, of which there are few and which say nothing of a client that is its own. It is small, fixed and forgetful:
// lines that meet in a slot take it from each other. The zero normalForms is ready to use, by any number of goroutines.
type normalForms struct {
	slots [normalSlots]atomic.Pointer[normal]
}

// A normal is a field's line and the text that selects by it.
type normal struct{ name, line, text string }

var lineSeed = maphash.MakeSeed()

// selection is rfc9111.Selection.
func (n *normalForms) selection(name string, lines []string) (text string, present bool) {
	if !negotiates(name) || len(lines) != 1 || len(lines[0]) > maxNormal {
		return rfc9111.Selection(name, lines)
	}
	slot := &n.slots[maphash.String(lineSeed, lines[0])%normalSlots]
	if known := slot.Load(); known != nil && known.line == lines[0] && known.name == name {
		return known.text, true
	}
	text, present = rfc9111.Selection(name, lines)
	slot.Store(&normal{name, strings.Clone(lines[0]), strings.Clone(text)}) // a request's memory is not to be kept
	return text, present
}

// negotiates reports whether equal values of the field may be spelled in several ways, so that it has a normal form.
func negotiates(name string) bool {
	switch name {
	case "Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language":
		return true
	}
	return false
}

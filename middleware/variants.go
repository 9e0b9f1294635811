package middleware

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/larder-go/cache/keying"
)

// maxVariants is how many answers of one URL are kept that differ by header or cookie: whoever makes those up must not
// fill the cache with them.
const maxVariants = 32

// counted is for how long a variant counts at the least. One that is kept to be validated may never be fresh.
const counted = time.Minute

const (
	variantSlots  = 1024
	variantProbes = 4 // slots that a resource may be in
)

// variants counts the variants of resources. The table is small, fixed and forgetful: resources that meet in a slot may
// take it from each other, and count anew. One that has reached the bound keeps its slot until its variants have expired,
// or two URLs that take turns would have no bound.
type variants struct {
	mu    sync.Mutex
	slots map[uint16]*variantSlot
}

type variantSlot struct {
	resource keying.Label
	until    time.Time
	keys     []keying.Key
}

func (s *variantSlot) live(now time.Time) bool { return s != nil && now.Before(s.until) }

func (s *variantSlot) full() bool { return len(s.keys) == maxVariants }

// admit reports whether one more variant of the resource may be kept; those that were admitted for as long as they live
// are admitted again.
func (v *variants) admit(resource keying.Label, key keying.Key, now time.Time, ttl time.Duration) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	slot := v.slot(resource, now, ttl)
	switch {
	case slot == nil:
		return false
	case slices.Contains(slot.keys, key):
		return true
	case slot.full():
		return false
	}
	slot.keys = append(slot.keys, key)
	return true
}

// slot returns the resource's slot: its own, or a free one, or that of the resource that expires first of those that have
// not reached the bound; or nil, if all have.
func (v *variants) slot(resource keying.Label, now time.Time, ttl time.Duration) *variantSlot {
	var taken uint16
	found, free := false, false
	for i := range variantProbes {
		at := binary.BigEndian.Uint16(resource[2*i:]) % variantSlots
		switch slot := v.slots[at]; {
		case !slot.live(now):
			taken, found, free = at, true, true
		case slot.resource == resource:
			return slot
		case !free && !slot.full() && (!found || slot.until.Before(v.slots[taken].until)):
			taken, found = at, true
		}
	}
	if !found {
		return nil
	}
	if v.slots == nil {
		v.slots = map[uint16]*variantSlot{}
	}
	slot := &variantSlot{resource: resource, until: now.Add(ttl)}
	v.slots[taken] = slot
	return slot
}

package middleware

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/larder-go/cache/keying"
)

// maxVariants is how many answers of one URL are kept that differ by header or cookie: whoever makes those up must not
// fill the cache with them.
const maxVariants = 32

// variants counts the variants of resources. The table is small, fixed and forgetful: two resources that meet in a slot
// take it from each other, and count anew.
type variants struct {
	mu    sync.Mutex
	slots map[uint16]*variantSlot
}

type variantSlot struct {
	resource keying.Label
	until    time.Time
	keys     []keying.Key
}

const variantSlots = 1024

// admit reports whether one more variant of the resource may be kept; those that were admitted for as long as they live
// are admitted again.
func (v *variants) admit(resource keying.Label, key keying.Key, now time.Time, ttl time.Duration) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.slots == nil {
		v.slots = map[uint16]*variantSlot{}
	}
	at := binary.BigEndian.Uint16(resource[:]) % variantSlots
	slot := v.slots[at]
	if slot == nil || slot.resource != resource || !now.Before(slot.until) {
		slot = &variantSlot{resource: resource, until: now.Add(ttl)}
		v.slots[at] = slot
	}
	for _, known := range slot.keys {
		if known == key {
			return true
		}
	}
	if len(slot.keys) == maxVariants {
		return false
	}
	slot.keys = append(slot.keys, key)
	return true
}

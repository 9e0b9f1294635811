package readthrough

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/larder-go/cache/keying"
)

const refusedFor = time.Second // how long a key whose answer could not be kept is not coalesced

// refusals remember keys whose answers could not be kept. The table is small, fixed and forgetful: a key that is pushed
// out merely costs its next requests a wait.
type refusals struct{ slots map[uint16]refusal }

type refusal struct {
	key   keying.Key
	until time.Time
}

// slots is how many places there are for keys that share one table.
const (
	slotBits = 10
	slots    = 1 << slotBits
)

// spread is this process' own: whoever makes up keys does not know which of them share a place.
var spread = rand.Uint64() | 1

func slotOf(key keying.Key) uint16 {
	return uint16(binary.LittleEndian.Uint64(key[24:]) * spread >> (64 - slotBits))
}

func (r *refusals) add(key keying.Key, now time.Time) {
	if r.slots == nil {
		r.slots = map[uint16]refusal{}
	}
	r.slots[slotOf(key)] = refusal{key, now.Add(refusedFor)}
}

func (r *refusals) has(key keying.Key, now time.Time) bool {
	slot, ok := r.slots[slotOf(key)]
	return ok && slot.key == key && now.Before(slot.until)
}

func (r *refusals) forget(key keying.Key) {
	if slot := slotOf(key); r.slots[slot].key == key {
		delete(r.slots, slot)
	}
}

// refuse and accept tell what became of a load without a flight: the key stays marked for as long as its answers cannot
// be kept.
func (fs *flights) refuse(key keying.Key) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.refused.add(key, time.Now())
}

func (fs *flights) accept(key keying.Key) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.refused.forget(key)
}
